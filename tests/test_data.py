"""Data for training: what reads well reads exactly, and what is wrong is named in one line.

Long, because every bad input stands here with the exact sentence that answers it.
"""

from __future__ import annotations

import datetime
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softgrad.errors import MissingExtraError, UsageError
from softgrad.learn import BUILT_IN, load, load_features

GOOD = "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n"
X_GOOD = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to be in, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, content):
    """Write text, bytes or the columns of a Parquet file in the current folder."""
    if isinstance(content, dict):
        content = pa.table(content)
    if isinstance(content, pa.Table):
        pq.write_table(content, name)
        return name
    with open(name, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return name


# Good input


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 64), 10),
        ("iris", (150, 4), 3),
        ("wine", (178, 13), 3),
        ("breast-cancer", (569, 30), 2),
    ],
)
def test_built_in_data_have_their_published_sizes(name, shape, classes):
    data = load(name)
    assert data.name == name
    assert data.X.shape == shape
    assert data.X.dtype == np.float64
    assert data.y.dtype == np.int64
    assert len(data.features) == len(set(data.features)) == shape[1]
    assert all(type(word) is str for word in data.classes + data.features)
    assert sorted(set(data.y.tolist())) == list(range(classes)) == list(range(len(data.classes)))


def test_built_in_names_are_those_tested():
    assert BUILT_IN == ("digits", "iris", "wine", "breast-cancer")


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.rstrip("\n"),
        "\n\n" + GOOD + "\n\n",
        "\ufeff" + GOOD,
        "\ufeff\n" + GOOD,
        GOOD.replace(",", " , "),
        '"a","b","kind"\n"1","2","x"\n"3","4","y"\n5,6,"x"\n7,8,y\n',
        GOOD.replace("5,6", "+5.0,0.6e1"),
    ],
    ids=[
        "comma",
        "semicolon",
        "tab",
        "crlf",
        "cr",
        "open-end",
        "blank-lines",
        "bom",
        "bom-blank",
        "spaces",
        "quotes",
        "floats",
    ],
)
def test_every_way_to_write_a_csv_gives_the_same_data(folder, content):
    data = load(write("d.csv", content))
    np.testing.assert_array_equal(data.X, X_GOOD)
    assert data.y.tolist() == [0, 1, 0, 1]
    assert (data.name, data.classes, data.features) == ("d.csv", ("x", "y"), ("a", "b"))


def test_quoted_cells_and_names_hold_delimiters_quotes_and_line_ends(folder):
    text = '"a;1";"b\n2";kind\n1;2;"x;y"\n3;4;"say ""no"""\n5;6;"x;y"\n7;8;"say ""no"""\n'
    data = load(write("d.csv", text))
    np.testing.assert_array_equal(data.X, X_GOOD)
    assert data.features == ("a;1", "b\n2")
    assert data.classes == ('say "no"', "x;y")


def test_the_delimiter_is_counted_outside_quotes(folder):
    data = load(write("d.csv", '"a;b;c",kind\n1,x\n2,y\n3,x\n4,y\n'))
    assert data.features == ("a;b;c",)


def test_a_row_may_be_long(folder):
    write("d.csv", f"a,note,kind\n1,{'word ' * 500_000},x\n2,,y\n")  # 2.5 MB
    assert load_features("d.csv", ["a"]).tolist() == [[1], [2]]


@pytest.mark.parametrize("name", ["d.CSV", "d.tsv", "d.Parquet", "d.pq"])
def test_the_ending_of_the_name_decides_the_format(folder, name):
    parquet = {"a": [1, 3, 5, 7], "b": [2, 4, 6, 8], "kind": ["x", "y", "x", "y"]}
    data = load(folder / write(name, parquet if "p" in name.lower() else GOOD))
    np.testing.assert_array_equal(data.X, X_GOOD)


def test_a_target_may_be_any_column(folder):
    write("d.csv", GOOD)
    assert load("d.csv", target="kind").features == ("a", "b")
    write("e.csv", "kind,a,b\nx,1,2\ny,3,4\nx,5,6\ny,7,8\n")
    data = load("e.csv", target="kind")
    np.testing.assert_array_equal(data.X, X_GOOD)
    assert data.features == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        ("dog cat dog cat", ("cat", "dog"), [1, 0, 1, 0]),
        ("10 9 9 10", ("9", "10"), [1, 0, 0, 1]),
        ("-1 1 1 -1", ("-1", "1"), [0, 1, 1, 0]),
        ("1.0 0.0 1.0 0.0", ("0.0", "1.0"), [1, 0, 1, 0]),
        ("true false false true", ("false", "true"), [1, 0, 0, 1]),
        ("True False False True", ("False", "True"), [1, 0, 0, 1]),
        ("9 10 9a 9a 10 9", ("10", "9", "9a"), [1, 0, 2, 2, 0, 1]),
        ("1_0 2 2 1_0", ("1_0", "2"), [0, 1, 1, 0]),
        ("é z é z", ("z", "é"), [1, 0, 1, 0]),
        # Integers that are one as float64.
        ("9007199254740993 9007199254740992 " * 2, (f"{2**53}", f"{2**53 + 1}"), [1, 0, 1, 0]),
        ("1 0e99999999999999999999 " * 2, ("0e99999999999999999999", "1"), [1, 0, 1, 0]),
    ],
)
def test_labels_in_a_csv_are_sorted_as_numbers_or_as_text(folder, labels, classes, y):
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels.split()))
    data = load(write("d.csv", f"a,kind\n{rows}"))
    assert data.classes == classes
    assert data.y.tolist() == y


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array(["y", "x", "y", "x"]), ("x", "y")),
        (pa.array(["y", "x", "y", "x"], pa.large_string()), ("x", "y")),
        (pa.array(["y", "x", "y", "x"]).dictionary_encode(), ("x", "y")),
        (pa.array([10, 9, 10, 9], pa.int8()), ("9", "10")),
        (pa.array([10.0, 9.0, 10.0, 9.0]), ("9", "10")),
        (pa.array([True, False, True, False]), ("false", "true")),
    ],
    ids=["text", "large-text", "category", "integer", "whole-float", "boolean"],
)
def test_labels_in_parquet_may_have_any_such_type(folder, labels, classes):
    data = load(write("d.parquet", {"a": [1, 2, 3, 4], "kind": labels}))
    assert data.classes == classes
    assert data.y.tolist() == [1, 0, 1, 0]


def test_parquet_round_trip_is_exact_for_every_kind_of_number(folder):
    floats = np.random.default_rng(3).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    integers = np.arange(-100, 100)
    decimals = [f"{i}.25" for i in integers]
    columns = {  # as stored, and as read
        "double": (floats, floats),
        "single": (np.sin(floats).astype(np.float32),) * 2,
        "half": (integers.astype(np.float16), integers),
        "short": (integers.astype(np.int8), integers),
        "big": (np.full(200, 2**63 + 1, dtype=np.uint64), np.full(200, 2.0**63)),
        "truth": (integers > 0, integers > 0),
        "decimal": (pa.array(decimals).cast(pa.decimal128(8, 2)), [float(d) for d in decimals]),
        "category": (pa.array(integers).dictionary_encode(), integers),
        "text": (list(map(repr, floats.tolist())), floats),
    }
    stored = {name: column for name, (column, _) in columns.items()}
    data = load(write("d.parquet", stored | {"kind": np.arange(200) % 3}))
    assert data.features == tuple(columns)
    np.testing.assert_array_equal(data.X, np.stack([read for _, read in columns.values()], axis=1))
    np.testing.assert_array_equal(data.y, np.arange(200) % 3)


def test_csv_round_trip_is_exact(folder):
    X = np.random.default_rng(4).standard_normal((300, 3)) * 10.0 ** np.arange(-150, 150)[:, None]
    rows = "".join(f"{a!r},{b!r},{c!r},{i % 2}\n" for i, (a, b, c) in enumerate(X.tolist()))
    np.testing.assert_array_equal(load(write("d.csv", f"a,b,c,kind\n{rows}")).X, X)


def test_booleans_among_the_features_are_0_and_1(folder):
    data = load(write("d.csv", "a,kind\ntrue,x\nFALSE,y\nTrue,x\n0,y\n"))
    assert data.X.tolist() == [[1], [0], [1], [0]]


def test_row_labels_that_pandas_adds_to_parquet_are_no_feature(folder):
    write("d.parquet", {"a": [1, 2, 3, 4], "kind": [0, 1, 0, 1], "__index_level_0__": [7, 5, 3, 1]})
    assert load("d.parquet").features == ("a",)


def test_a_long_csv_is_read_whole_and_its_late_rows_are_numbered(folder):
    X = np.random.default_rng(5).standard_normal((100_000, 12))
    y = np.arange(len(X)) % 3
    lines = [",".join(map(repr, row)) + f",{k}" for row, k in zip(X.tolist(), y, strict=True)]
    header = ",".join("abcdefghijkl") + ",kind\n"
    data = load(write("d.csv", header + "\n".join(lines)))  # 24 MB: more than one block
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, y)

    good = lines[99_990]
    lines[99_990] = good[:-1]
    with pytest.raises(UsageError, match=r"^d.csv, column 'kind', row 99991: expected a label"):
        load(write("d.csv", header + "\n".join(lines)))
    lines[99_990] = "x" + good
    with pytest.raises(UsageError, match=r"^d.csv, column 'a', row 99991: expected a finite"):
        load(write("d.csv", header + "\n".join(lines)))
    lines[99_990] = "1,2"
    with pytest.raises(UsageError, match=r"^d.csv, row 99991: expected 13 cells, got 2$"):
        load(write("d.csv", header + "\n".join(lines)))


# Features for prediction


@pytest.mark.parametrize("name", ["d.csv", "d.parquet"])
def test_features_are_read_by_name_and_the_rest_is_ignored(folder, name):
    columns = {"": [9, 8, 7], "b": [2, 4, 6], "note": ["p", None, "q"], "a": [1, 3, 5]}
    text = ",b,note,a\n9,2,p,1\n8,4,,3\n7,6,q,5\n"
    write(name, text if name == "d.csv" else columns)
    np.testing.assert_array_equal(load_features(name, ("a", "b")), X_GOOD[:3])
    np.testing.assert_array_equal(load_features(name, ["b", "a"]), X_GOOD[:3, ::-1])


def test_features_of_built_in_data_are_read_by_name():
    iris = load("iris")
    np.testing.assert_array_equal(load_features("iris", iris.features[::-1]), iris.X[:, ::-1])


# Bad input


# What is wrong, how the file reads, and what is said after the file's name.
BAD_CSV = {
    "empty": ("", ": the file is empty"),
    "blank": ("\n \n", ": the file is empty"),
    "bom alone": ("\ufeff", ": the file is empty"),
    "header only": ("a,kind\n", ": there are no rows below the column names"),
    "open header": ("a,kind", ": there are no rows below the column names"),
    "header and blanks": ("a,kind\n\n\n", ": there are no rows below the column names"),
    "one column": ("kind\nx\ny\n", ": there is no feature beside the target 'kind'"),
    "same names": ("a,b,a,kind\n1,2,3,x\n", ": 2 columns have the same name 'a'"),
    "no name": (",a,kind\n0,1,x\n1,2,y\n", ": column 1 has no name; is it an index of the rows?"),
    "text": (
        "a,city,kind\n1,Paris,x\n2,Rome,y\n",
        ", column 'city', row 1: expected a finite number, got 'Paris'",
    ),
    "long text": (
        f"a,kind\n1,x\n{'long ' * 50}\t,y\n",
        ", column 'a', row 2: expected a finite number, got 'long long lo...ong long long'",
    ),
    "first of two": (
        "a,b,kind\n1,2,x\n3,no,y\nno,6,x\n",
        ", column 'b', row 2: expected a finite number, got 'no'",
    ),
    "row after blanks": (
        "\n\na,b,kind\n\n1,2,x\n\n3,no,y\n",
        ", column 'b', row 2: expected a finite number, got 'no'",
    ),
    "decimal comma": (
        "a;kind\n1,5;x\n2,5;y\n",
        ", column 'a', row 1: expected a finite number, got '1,5'",
    ),
    "underscore": (
        "a,kind\n1_0,x\n2,y\n",
        ", column 'a', row 1: expected a finite number, got '1_0'",
    ),
    "empty cell": (
        "a,b,kind\n1,2,x\n3, ,y\n",
        ", column 'b', row 2: expected a finite number, got an empty cell",
    ),
    "nan": (
        "a,b,kind\n1,2,x\n3,NaN,y\n",
        ", column 'b', row 2: expected a finite number, got 'NaN'",
    ),
    "infinity": (
        "a,b,kind\n1,2,x\n-inf,4,y\n",
        ", column 'a', row 2: expected a finite number, got '-inf'",
    ),
    "overflow": (
        "a,kind\n1,x\n1e999,y\n",
        ", column 'a', row 2: expected a finite number, got '1e999'",
    ),
    "empty label": (
        "a,kind\n1,x\n2,\n",
        ", column 'kind', row 2: expected a label, got an empty cell",
    ),
    "nan label": ("a,kind\n1,x\n2,NaN\n", ", column 'kind', row 2: expected a label, got 'NaN'"),
    "measured target": (
        "a,price\n1,3\n2,3.25\n3,4.5\n",
        ", column 'price', row 2: expected text, integers or booleans as labels, got 3.25",
    ),
    "one class": (
        "a,kind\n1,x\n2,x\n",
        ", column 'kind': expected two classes or more, got only 'x'",
    ),
    "a class of one": (
        "a,kind\n1,x\n2,x\n3,y\n4,z\n",
        ", column 'kind', row 3: expected two rows or more of each class, got one of 'y'",
    ),
    "short row, not UTF-8": (b"a,b,kind\n1,2,x\n3,\xe9\n", ", row 2: expected 3 cells, got 2"),
    "short row": ("a,b,kind\n1,2,x\n\n3,4\n", ", row 2: expected 3 cells, got 2"),
    "long row below blanks": ("\n\na,b,kind\n1,2,x\n3,4,y,5\n", ", row 2: expected 3 cells, got 4"),
    "latin-1": (b"a,kind\n1,x\n2,caf\xe9\n", ", column 'kind', row 2: expected UTF-8 text"),
    "latin-1 name": (
        b"a,esp\xe8ce\n1,x\n2,y\n",
        ": expected UTF-8 text, got other bytes in the column names",
    ),
    "utf-16": (GOOD.encode("utf-16"), ": expected UTF-8 text, got other bytes in the column names"),
    "endless header": (
        '"' + "a" * 200_000,
        ": expected column names, got a bad row: field larger than field limit (131072)",
    ),
}

BAD_PARQUET = {
    "empty parquet": (b"", ": the file is empty"),
    "no rows": (
        {"a": pa.array([], pa.int64()), "kind": pa.array([], pa.string())},
        ": there are no rows below the column names",
    ),
    "same names in parquet": (
        pa.Table.from_arrays([pa.array([1, 2])] * 3, names=["a", "a", "kind"]),
        ": 2 columns have the same name 'a'",
    ),
    "text in parquet": (
        {"a": [1, 2], "city": ["Paris", "Rome"], "kind": ["x", "y"]},
        ", column 'city', row 1: expected a finite number, got 'Paris'",
    ),
    "null in parquet": (
        {"a": [1, None], "kind": ["x", "y"]},
        ", column 'a', row 2: expected a finite number, got an empty cell",
    ),
    "nothing but null": (
        {"a": [None, None], "kind": ["x", "y"]},
        ", column 'a', row 1: expected a finite number, got an empty cell",
    ),
    "nan in parquet": (
        {"a": [1.0, np.nan], "kind": ["x", "y"]},
        ", column 'a', row 2: expected a finite number, got nan",
    ),
    "infinity in parquet": (
        {"a": [1.0, -np.inf], "kind": ["x", "y"]},
        ", column 'a', row 2: expected a finite number, got -inf",
    ),
    "dates": (
        {"day": [datetime.date(2024, 1, 1)] * 2, "kind": ["x", "y"]},
        ", column 'day', row 1: expected a finite number, got a cell of type date32[day]",
    ),
    "null label": (
        {"a": [1, 2, 3], "kind": [1, 0, None]},
        ", column 'kind', row 3: expected a label, got an empty cell",
    ),
    "nan among whole labels": (
        {"a": [1, 2, 3], "kind": [1.0, 0.0, np.nan]},
        ", column 'kind', row 3: expected a label, got nan",
    ),
    "list labels": (
        {"a": [1, 2], "kind": [[1], [2]]},
        ", column 'kind': expected text, integers or booleans as labels, got list<element: int64>",
    ),
    "measured target in parquet": (
        {"a": [1, 2], "price": [3.0, 4.5]},
        ", column 'price', row 2: expected text, integers or booleans as labels, got 4.5",
    ),
    "not parquet": (GOOD, ": the file is damaged, cut short or not Parquet"),
}


@pytest.mark.parametrize(("content", "complaint"), BAD_CSV.values(), ids=BAD_CSV)
def test_a_bad_csv_is_refused_in_one_line(folder, content, complaint):
    with pytest.raises(UsageError) as caught:
        load(write("d.csv", content))
    assert str(caught.value) == "d.csv" + complaint


@pytest.mark.parametrize(("content", "complaint"), BAD_PARQUET.values(), ids=BAD_PARQUET)
def test_a_bad_parquet_file_is_refused_in_one_line(folder, content, complaint):
    with pytest.raises(UsageError) as caught:
        load(write("d.parquet", content))
    assert str(caught.value) == "d.parquet" + complaint


@pytest.mark.parametrize(
    ("header", "listed"),
    [
        ("a,b,kind", "'a', 'b', 'kind'"),
        (",".join("abcdefghijkl"), "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j' and 2 more"),
    ],
)
def test_a_missing_column_is_answered_with_those_there_are(folder, header, listed):
    write("d.csv", f"{header}\n{','.join('1' for _ in header.split(','))}\n")
    message = f"d.csv: there is no column 'Kind'; the columns are {listed}"
    for read in (lambda: load("d.csv", target="Kind"), lambda: load_features("d.csv", ["Kind"])):
        with pytest.raises(UsageError) as caught:
            read()
        assert str(caught.value) == message


UNKNOWN = "expected digits, iris, wine, breast-cancer or the path of a .csv or .parquet file"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.csv", "none.csv: no such file or directory"),
        ("none/d.parquet", "none/d.parquet: no such file or directory"),
        ("dir", "dir: expected a file, got a directory"),
        ("dir.csv", "dir.csv: expected a file, got a directory"),
        ("digit", f"{UNKNOWN}, got 'digit'"),
        ("d.xlsx", f"{UNKNOWN}, got 'd.xlsx'"),
    ],
)
@pytest.mark.parametrize("read", [load, lambda source: load_features(source, ["a"])])
def test_a_source_that_is_no_table_is_refused(folder, source, message, read):
    (folder / "dir").mkdir()
    (folder / "dir.csv").mkdir()
    write("d.xlsx", b"PK")
    with pytest.raises(UsageError) as caught:
        read(source)
    assert str(caught.value) == message


def test_a_built_in_data_set_takes_no_target():
    with pytest.raises(UsageError, match=r"^iris has its own target; expected none, got 'kind'$"):
        load("iris", target="kind")


def test_a_missing_feature_of_a_built_in_data_set_is_named():
    with pytest.raises(UsageError, match=r"^iris: there is no column 'a'; the columns are 'sepal"):
        load_features("iris", ["a"])


def test_a_source_that_is_no_path_is_a_type_error():
    with pytest.raises(TypeError, match=r"^`source` must be a name or a path, got 5$"):
        load(5)


@pytest.mark.parametrize(
    ("labels", "row", "first", "second"),
    [
        ("1 2 1.0 2", 3, "1", "1.0"),
        ("7 2 2 007", 4, "7", "007"),
        ("0 1 true 0", 3, "1", "true"),
        ("True true 0 0", 2, "True", "true"),
        ("0 1 -0 1", 3, "0", "-0"),
    ],
)
def test_a_label_written_in_two_ways_is_refused(folder, labels, row, first, second):
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels.split()))
    with pytest.raises(UsageError) as caught:
        load(write("d.csv", f"a,kind\n{rows}"))
    got = f"expected one way to write a label, got {first!r} and {second!r}"
    assert str(caught.value) == f"d.csv, column 'kind', row {row}: {got}"


@pytest.mark.parametrize("features", ["petal width (cm)", 5, None])
def test_features_that_are_no_sequence_of_names_are_a_type_error(features):
    with pytest.raises(TypeError, match=r"^`features` must be a sequence of names, got "):
        load_features("iris", features)


def test_no_features_are_a_value_error():
    with pytest.raises(ValueError, match=r"^`features` must be the names of columns, got none$"):
        load_features("iris", [])


def test_bad_features_for_prediction_are_named_with_their_row(folder):
    write("d.csv", "b,a\n1,2\n3,\n")
    message = "^d.csv, column 'a', row 2: expected a finite number, got an empty cell$"
    with pytest.raises(UsageError, match=message):
        load_features("d.csv", ["a"])


def test_a_row_beyond_the_block_is_refused(folder):
    with pytest.raises(UsageError, match=r"^d.csv: expected rows of 2 cells and at most 4 MiB; "):
        load(write("d.csv", 'a,kind\n1,x\n2,"' + "y\n" * (1 << 24)))


def test_truncated_parquet_is_refused_wherever_it_is_cut(folder):
    write("d.parquet", {"a": np.arange(2000.0), "kind": np.arange(2000) % 2})
    whole = (folder / "d.parquet").read_bytes()
    for end in np.linspace(1, len(whole) - 1, 20).astype(int):
        with pytest.raises(UsageError, match=r"^e\.parquet: the file is damaged, cut short or not"):
            load(write("e.parquet", whole[:end]))


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        (b"PAR1\x15", b"PAR1\x00"),  # the first page's header
        (b"name", b"nam\xff"),  # the name of a column
        (b"zzzz", b"zzz\xff"),  # a label
        (b"\x16\xa0\x1f\x19", b"\x16\xa2\x1f\x19"),  # 2000 rows promised, as 2001
    ],
    ids=["page", "name", "label", "rows"],
)
def test_damaged_parquet_is_refused(folder, sound, damaged):
    columns = {"name": np.arange(2000.0), "kind": ["yyyy", "zzzz"] * 1000}
    pq.write_table(pa.table(columns), "d.parquet", compression="none")
    whole = (folder / "d.parquet").read_bytes()
    assert sound in whole
    with pytest.raises(UsageError, match=r"^e\.parquet: the file is damaged, cut short or not"):
        load(write("e.parquet", whole.replace(sound, damaged)))


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("sklearn", "iris", r"^scikit-learn is needed here: pip install 'softgrad\[learn\]'$"),
        ("pyarrow", "d.csv", r"^pyarrow is needed here: pip install 'softgrad\[learn\]'$"),
        ("pyarrow", "d.parquet", r"^pyarrow is needed here: pip install 'softgrad\[learn\]'$"),
    ],
)
def test_an_absent_reader_is_answered_with_the_line_that_installs_it(
    folder, monkeypatch, module, source, message
):
    write("d.csv", GOOD)
    write("d.parquet", {"a": [1]})
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=message):
        load(source)


def test_importing_the_room_loads_no_reader():
    code = "import sys, softgrad.learn; print(sorted({'sklearn', 'pyarrow'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
