"""jacobian, compare, follow, shapes on the command line."""

import json

import numpy as np
import pytest

import softgrad as sg
from cli_runs import assert_refused, softgrad


def test_jacobian_is_the_library_s():
    document = softgrad("jacobian", "2,1,0", "--cotangent", "1,0,-2", "--json").document
    z, g = np.array([2.0, 1.0, 0.0]), np.array([1.0, 0.0, -2.0])
    np.testing.assert_array_equal(document["outputs"], sg.softmax(z))
    np.testing.assert_array_equal(document["jacobian"], sg.softmax.jacobian(z))
    np.testing.assert_array_equal(document["vjp"], sg.softmax.vjp(z, g))
    np.testing.assert_array_equal(document["row_sums"], [0, 0, 0])


def test_jacobian_shows_outputs_slopes_and_the_product():
    out = softgrad("jacobian", "2,1,0", "--cotangent", "1,0,0").out
    for shown in ("0.6652", "0.2227", "-0.1628", "(0.2227, -0.1628, -0.05989)", "row sum"):
        assert shown in out


@pytest.mark.parametrize(
    "args", [["-1,2,0.5"], ["--", "-1,2,0.5"], ["--temperature", "1", "-1,2,0.5"]]
)
def test_numbers_may_begin_with_a_minus(args):
    document = softgrad("jacobian", *args, "--json") if "--" not in args else None
    if document is None:
        document = softgrad("jacobian", "--json", *args)
    assert document.document["logits"] == [-1.0, 2.0, 0.5]


def test_temperature_divides_the_logits():
    document = softgrad("jacobian", "2,1,0", "--temperature", "4", "--json").document
    np.testing.assert_array_equal(document["outputs"], sg.Softmax(temperature=4.0)([2.0, 1.0, 0]))


@pytest.mark.parametrize("name", ["logsumexp", "relu", "sparsemax", "log_softmax"])
def test_jacobian_of_every_shape_is_a_matrix(name):
    document = softgrad("jacobian", "2,1,0", "--map", name, "--json").document
    outputs = np.atleast_1d(getattr(sg, name)([2.0, 1.0, 0.0]))
    assert np.shape(document["jacobian"]) == (outputs.size, 3)
    assert softgrad("jacobian", "2,1,0", "--map", name).code == 0


def test_a_wide_jacobian_is_cut_and_says_so(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    logits = ",".join(map(str, range(40)))
    out = softgrad("jacobian", logits).out
    assert "of 40 × 40" in out
    assert max(map(len, out.splitlines())) <= 80
    table = out[out.index("j = 0") : out.index("of 40 × 40")]
    assert "…" not in table
    document = softgrad("jacobian", logits, "--json").document
    assert np.shape(document["jacobian"]) == (40, 40)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["1,x"], ["LOGITS", "numbers with commas", "'1,x'"]),
        (["1,nan"], ["finite"]),
        (["1,2", "--map", "nope"], ["--map", "nope", "softmax"]),
        (["1,2", "--cotangent", "1,2,3"], ["--cotangent", "2 outputs", "got 3"]),
        (["1,2", "--temperature", "0"], ["temperature", "0"]),
        (["1,2", "--temperature", "2", "--map", "relu"], ["--temperature", "relu"]),
    ],
)
def test_jacobian_refuses(args, words):
    assert_refused(softgrad("jacobian", *args), *words)


def test_compare_reproduces_the_published_tables():
    softmax, sigmoid = softgrad("compare", "--json").document["heads"]
    expected_softmax = [
        [0.5393, 1.0346, 0.6731, 0.5868, 0.6552],
        [-0.5576, -1.0697, -0.6959, -0.6066, -0.6775],
        [0.0183, 0.0351, 0.0228, 0.0199, 0.0222],
    ]
    expected_sigmoid = [[0] * 5, [-0.0452, -0.0867, -0.0564, -0.0492, -0.0549], [0] * 5]
    np.testing.assert_array_equal(np.round(softmax["W_bar"], 4), expected_softmax)
    np.testing.assert_array_equal(np.round(sigmoid["W_bar"], 4), expected_sigmoid)
    assert not np.any(np.array(sigmoid["W_bar"])[[0, 2]])


def test_compare_takes_a_layer_of_one_s_own():
    args = ["--x", "1,2", "--w=-1,2;3,4;5,6", "--b", "0,1,0", "--target", "2"]
    document = softgrad("compare", *args, "--heads", "sigmoid,softmax-squared", "--json").document
    own = sg.compare([1.0, 2.0], [[-1, 2.0], [3, 4], [5, 6]], 2, [0, 1.0, 0],
                     heads=("sigmoid", "softmax-squared"))  # fmt: skip
    assert document == json.loads(own.to_json())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--x", "1,2"], ["--x and --w"]),
        (["--x", "1,2", "--w", "1;2"], ["`W`", "(K, 2)"]),
        (["--w", "1,2;3"], ["--w", "one length"]),
        (["--target", "3"], ["`target`", "0 to 2", "3"]),
        (["--heads", "softmax,nope"], ["`heads`", "nope"]),
    ],
)
def test_compare_refuses(args, words):
    assert_refused(softgrad("compare", *args), *words)


def test_follow_one_output_rises_and_the_plain_sum_stays():
    one = softgrad("follow", "--index", "0", "--json").document["trajectory"]
    assert one["outputs"][-1][0] > 0.95 > one["outputs"][0][0]
    plain_sum = softgrad("follow", "--objective", "sum", "--json").document
    assert set(plain_sum["trajectory"]["gradient_size"]) == {0.0}
    assert min(plain_sum["sigmoid"]["outputs"][-1]) > 0.9


def test_follow_hands_every_option_on():
    args = ["--map", "sigmoid", "--objective", "weighted", "--weights=-1,2", "--logits=-3,1"]
    document = softgrad("follow", *args, "--steps", 7, "--lr", "0.5", "--descend", "--json")
    own = sg.follow(
        sg.sigmoid, "weighted", weights=[-1, 2.0], start=[-3.0, 1], steps=7, lr=0.5, ascend=False
    )
    assert document.document == json.loads(own.to_json())


def test_follow_moves_a_layer_of_one_s_own():
    args = ["--x", "1,2", "--w", "1,2;3,4;5,6", "--b", "0,1,0", "--steps", "3", "--json"]
    document = softgrad("follow", *args).document
    own = sg.follow(
        sg.softmax, "output", 3, index=0, x=[1.0, 2], W=[[1, 2.0], [3, 4], [5, 6]], b=[0, 1.0, 0]
    )
    assert document == json.loads(own.to_json())
    assert np.shape(document["trajectory"]["W"]) == (4, 3, 2)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--index", "7"], ["`index`", "7"]),
        (["--objective", "nope"], ["--objective", "nope"]),
        (["--objective", "weighted"], ["`weights`"]),
        (["--map", "logsumexp"], ["--map", "logsumexp"]),
        (["--map", "log_softmax"], ["--map", "log_softmax"]),
        (["--x", "1,2"], ["--x and --w together"]),
        (["--b", "1,2"], ["--b"]),
        (["--x", "1", "--w", "1;2", "--logits", "1,2"], ["--logits", "got both"]),
        (["--x", "1", "--w", "1;2", "--b", "1"], ["`b`", "(2,)"]),
        (["--steps", "0"], ["--steps"]),
        (["--lr", "nan"], ["`lr`"]),
    ],
)
def test_follow_refuses(args, words):
    assert_refused(softgrad("follow", *args), *words)


def test_shapes_explains_a_map_a_batch_and_a_function_of_one_s_own(tmp_path):
    assert softgrad("shapes", "softmax", "2,1,0", "--json").document["kind"] == "Jacobian"
    batch = softgrad("shapes", "sigmoid", "2,1;-1,0", "--json").document
    assert batch["x_shape"] == [2, 2]
    file = tmp_path / "mine.py"
    file.write_text("def total(x):\n    print('noise')\n    return (x**2).sum()\n")
    own = softgrad("shapes", f"{file}:total", "2,1,0", "--json")
    assert own.document["kind"] == "gradient"
    assert "noise" in own.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope", "1,2"], ["MAP", "nope"]),
        (["softmax", "1,2;3"], ["LOGITS", "one length"]),
        (["no.py:f", "1,2"], ["no.py", "no such file"]),
    ],
)
def test_shapes_refuses(args, words):
    assert_refused(softgrad("shapes", *args), *words)
