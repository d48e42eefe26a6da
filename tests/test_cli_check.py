"""`softgrad check`: verdicts, exit codes, and errors in the user's own code."""

import os
import sys

import numpy as np
import pytest

from cli_runs import assert_refused, softgrad

CODE = """
import numpy as np

def softmax(z):
    print("noise")
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def right(z, g):
    p = softmax(z)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))

def diagonal(z, g):
    p = softmax(z)
    return g * p * (1 - p)

def noisy(z):
    return z + np.random.default_rng().normal(size=z.shape)

def one(z, g):
    return g

def product(a, b):
    return a * b

def product_backward(a, b, g):
    return g * b, g * a

class Layer:
    def forward(self, z):
        self.p = softmax(z)
        return self.p

    def backward(self, g):
        return self.p * (g - (g * self.p).sum(axis=-1, keepdims=True))

class NeedsArguments(Layer):
    def __init__(self, size):
        pass

layer = Layer()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(
    ("forward", "backward", "verdict", "code"),
    [
        ("softmax", "right", "pass", 0),
        ("softmax", "diagonal", "fail", 1),
        ("noisy", "one", "inconclusive", 4),
    ],
)
def test_the_verdict_is_the_exit_code(file, forward, backward, verdict, code):
    args = ["check", f"{file}:{forward}", f"{file}:{backward}"]
    outcome = softgrad(*args)
    assert outcome.code == code
    assert outcome.out.startswith(verdict.upper())
    assert "seed 0" in outcome.out
    in_json = softgrad(*args, "--json")
    assert in_json.code == code
    assert in_json.document["verdict"] == verdict


def test_what_the_user_s_code_prints_is_not_in_the_result(file):
    outcome = softgrad("check", f"{file}:softmax", f"{file}:right", "--json")
    assert "noise" in outcome.err
    assert "noise" not in outcome.out


@pytest.mark.parametrize("name", ["Layer", "layer"])
def test_a_layer_and_its_class_need_no_backward(file, name):
    assert softgrad("check", f"{file}:{name}").code == 0


def test_a_module_is_found_beside_the_working_directory(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (file.parent / "mine_as_module.py").write_text(CODE)
    assert softgrad("check", "mine_as_module:softmax", "mine_as_module:right").code == 0


def test_one_shape_for_each_input(file):
    args = ["check", f"{file}:product", f"{file}:product_backward"]
    assert softgrad(*args, "--shape", "3,2", "--shape", "3,2").code == 0
    assert softgrad(*args, "--shape", "3,2", "--shape", "2").code != 0


def test_options_reach_the_inputs_and_the_checker(file):
    # A diagonal alone at a small scale is the bug that is hardest to see.
    args = ["check", f"{file}:softmax", f"{file}:diagonal", "--shape", "2,400", "--scale", "0.02"]
    document = softgrad(*args, "--dtype", "float32", "--seed", 5, "--json").document
    assert document["verdict"] == "fail"
    assert (document["dtype"], document["seed"]) == ("float32", 5)


def test_the_same_seed_gives_the_same_numbers(file):
    def numbers(seed):
        args = ["check", f"{file}:softmax", f"{file}:diagonal", "--seed", seed, "--json"]
        return softgrad(*args).document["relative_error"]

    assert numbers(1) == numbers(1) != numbers(2)


def test_the_report_is_written(file, tmp_path):
    report = tmp_path / "report.html"
    args = ["check", f"{file}:softmax", f"{file}:diagonal", "--report", report]
    assert softgrad(*args).code == 1
    page = report.read_text("utf-8")
    assert "The gradient of diagonal is wrong" in page
    assert "--shape=4,37 --dtype=float64 --scale=1 --seed=0" in page


def test_errors_in_the_user_s_file_are_one_line_with_their_place(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def f(x:\n    pass\n")
    assert_refused(softgrad("check", f"{broken}:f", f"{broken}:g"), "broken.py, line 1")
    raising = tmp_path / "raising.py"
    raising.write_text("import json\n\ndef load():\n    json.loads('{')\n\nload()\n")
    outcome = softgrad("check", f"{raising}:f", f"{raising}:g")
    assert_refused(outcome, "raising.py, line 4", "JSONDecodeError")
    leaving = tmp_path / "leaving.py"
    leaving.write_text("import sys\nsys.exit(0)\n")
    assert_refused(softgrad("check", f"{leaving}:f"), "leaving.py, line 2", "SystemExit")


def test_a_missing_name_is_named_with_the_nearest_one(file):
    outcome = softgrad("check", f"{file}:softmx", f"{file}:right")
    assert_refused(outcome, "mine.py", "'softmx'", "did you mean 'softmax'?")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["no/such.py:f", "no/such.py:g"], ["no/such.py", "no such file"]),
        (["no_such_module_here:f"], ["no_such_module_here"]),
        (["softmax"], ["FILE.py:NAME", "'softmax'"]),
        (["FILE:softmax"], ["forward and backward", "BACKWARD"]),
        (["FILE:NeedsArguments"], ["cannot be made without arguments", "size"]),
        (["FILE:softmax", "FILE:layer"], ["`backward`", "callable"]),
        (["FILE:softmax", "FILE:right", "--shape", "4,x"], ["--shape", "'4,x'"]),
        (["FILE:softmax", "FILE:right", "--shape", "0"], ["--shape", "positive"]),
        (["FILE:softmax", "FILE:right", "--dtype", "int8"], ["--dtype", "int8"]),
        (["FILE:softmax", "FILE:right", "--scale", "inf"], ["--scale", "inf"]),
        (["FILE:softmax", "FILE:right", "--report", "no/such/r.html"], ["--report", "no/such"]),
    ],
)
def test_check_refuses(file, args, words):
    assert_refused(softgrad("check", *(arg.replace("FILE", str(file), 1) if arg.startswith("FILE:")
                                       else arg for arg in args)), *words)  # fmt: skip


def test_a_failed_import_leaves_nothing_behind(tmp_path):
    file = tmp_path / "twice.py"
    file.write_text("raise RuntimeError('first')\n")
    assert_refused(softgrad("check", f"{file}:Layer"), "first")
    file.write_text(CODE)
    # A second passes, and within it the modification time may be the same.
    os.utime(file, (2e9, 2e9))
    assert softgrad("check", f"{file}:Layer").code == 0


def test_a_forward_that_raises_is_a_finding(tmp_path):
    file = tmp_path / "raises.py"
    file.write_text("def f(x):\n    raise ValueError('odd')\n\ndef g(x, c):\n    return c\n")
    outcome = softgrad("check", f"{file}:f", f"{file}:g")
    assert outcome.code == 4
    assert "odd" in outcome.out


@pytest.mark.parametrize(
    ("args", "code", "verdict"),
    [(["leave", "one"], 4, "INCONCLUSIVE"), (["same", "leave_too"], 1, "FAIL")],
)
def test_code_that_ends_the_process_does_not_pass(tmp_path, args, code, verdict):
    file = tmp_path / "leaves.py"
    file.write_text(
        "import sys\n"
        "def leave(x):\n    sys.exit(0)\n"
        "def same(x):\n    return x\n"
        "def leave_too(x, g):\n    sys.exit(0)\n"
        "def one(x, g):\n    return g\n"
        "class Leaves:\n    def __init__(self):\n        sys.exit(0)\n"
    )
    outcome = softgrad("check", *(f"{file}:{name}" for name in args))
    assert outcome.code == code
    assert outcome.out.startswith(verdict)
    assert "SystemExit: 0 (leaves.py:" in outcome.out
    assert_refused(softgrad("check", f"{file}:Leaves"), "SystemExit: 0")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit(0)", ["SystemExit: 0", "mine.py:3"]),
        ("raise KeyError('odd')", ["f raised KeyError: 'odd'", "mine.py:3"]),
        ("np.zeros(2) @ np.zeros(3)", ["ValueError", "mine.py:3"]),
    ],
)
def test_what_a_function_raises_in_shapes_is_one_line_with_its_place(tmp_path, body, words):
    file = tmp_path / "mine.py"
    file.write_text(f"import numpy as np, sys\ndef f(x):\n    {body}\n")
    assert_refused(softgrad("shapes", f"{file}:f", "1,2"), *words)


def test_a_function_of_two_arguments_is_named_where_it_begins(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("\n\ndef f(x, y):\n    return x\n")
    assert_refused(softgrad("shapes", f"{file}:f", "1,2"), "TypeError", "mine.py:3")


def test_inputs_are_random_numbers_of_the_scale(tmp_path):
    file = tmp_path / "sees.py"
    file.write_text(
        "import numpy as np\nseen = []\n"
        "def f(x):\n    seen.append(x)\n    return x.sum()\n"
        "def g(x, c):\n    return np.full_like(x, c)\n"
        "def spread():\n    return seen[0].std()\n"
    )
    softgrad("check", f"{file}:f", f"{file}:g", "--shape", "50,40", "--scale", "30")
    from softgrad.cli.user_code import load_object

    assert 25 < load_object(f"{file}:spread")() < 35
    assert np.shape(load_object(f"{file}:seen")[0]) == (50, 40)


def test_examples_are_listed_and_shown(tmp_path):
    listed = softgrad("check", "--list-examples", "--json")
    assert listed.code == 0
    names = [name for name, _ in listed.document["examples"]]
    assert "diagonal-only" in names
    report = tmp_path / "example.html"
    outcome = softgrad("check", "--example", "diagonal-only", "--report", report)
    assert outcome.code == 1
    assert "[diagonal-only]" in outcome.out
    assert "--example diagonal-only --seed=0" in report.read_text("utf-8")
    assert (
        softgrad("check", "--example", "scale", "--json").document["diagnosis"]["code"] == "scale"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["FORWARD", "--example"]),
        (["FILE:softmax", "--example", "zero"], ["--example alone", "FORWARD"]),
        (["--example", "zero", "--shape", "3"], ["--example alone", "--shape"]),
        (["--example", "zero", "--scale", "1"], ["--example alone", "--scale"]),
        (["FILE:softmax", "--torch", "--jax"], ["--torch or --jax"]),
        (["--example", "nothing"], ["'nothing'", "diagonal-only"]),
    ],
)
def test_an_example_takes_the_place_of_the_code(file, args, words):
    args = [arg.replace("FILE", str(file), 1) for arg in args]
    assert_refused(softgrad("check", *args), *words)
