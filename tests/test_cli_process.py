"""The command line as a process: streams, signals, pipes, encodings, what it imports."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

PYTHON = [sys.executable, "-m", "softgrad"]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes as on POSIX")


def start(*args, **options):
    pipe = subprocess.PIPE
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen([*PYTHON, *args], stdout=pipe, stderr=pipe, env=environment, **options)


def finish(*args, **options):
    return subprocess.run([*PYTHON, *args], capture_output=True, timeout=60, **options)


def test_the_entry_point_and_the_module_are_the_same_program():
    script = Path(sys.executable).with_name("softgrad")
    if not script.exists():
        pytest.skip("softgrad is not installed as a script here")
    by_script = subprocess.run([script, "--version"], capture_output=True, timeout=60)
    assert by_script.stdout == finish("--version").stdout
    assert by_script.returncode == 0


def test_result_and_complaint_do_not_mix():
    good = finish("jacobian", "2,1,0", "--json")
    assert (good.returncode, good.stderr) == (0, b"")
    assert json.loads(good.stdout)["schema"] == "softgrad.jacobian/1"
    bad = finish("train", "nope.csv")
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert bad.stderr.count(b"\n") == 1


@posix
@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_in_training_is_130_and_leaves_a_whole_model(tmp_path):
    process = start("train", "digits", "--epochs", "100000", "-o", "m", cwd=tmp_path)
    patience = Timer(60, process.kill)
    patience.start()
    try:
        # The verdicts are printed before the training; then there is time for an epoch.
        for line in process.stdout:
            if "cross_entropy" in line.decode():
                break
        patience.cancel()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err
    if b"nothing was written" in err:  # a machine on which an epoch takes three seconds
        assert list(tmp_path.iterdir()) == []
    else:
        assert b"of 100000" in err
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        assert finish("predict", "m", "digits", cwd=tmp_path).returncode == 0


@posix
@pytest.mark.parametrize("module", ["click", "softgrad.cli.fitting"])
def test_ctrl_c_while_modules_are_loaded_is_130_and_quiet(module):
    code = f"""
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
import softgrad
sys.meta_path.insert(0, Interrupt())
sys.argv = ["softgrad", "demo"]
from softgrad.cli import main
main()
"""
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert outcome.returncode == 130
    assert outcome.stderr.strip() in (b"", b"softgrad: interrupted")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full as on Linux")
@pytest.mark.parametrize("args", [["compare"], ["jacobian", "1,2", "--json"], ["--help"]])
def test_a_stdout_that_is_full_is_one_line(args):
    with open("/dev/full", "w") as full:
        outcome = subprocess.run([*PYTHON, *args], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert outcome.returncode == 2
    words = b"softgrad: standard output: cannot be written: no space left on device\n"
    assert outcome.stderr == words


@posix
def test_a_reader_that_leaves_ends_it_quietly():
    process = start("follow", "--steps", "3000", "--json")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == -signal.SIGPIPE
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_narrow_encoding_breaks_nothing():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    outcome = finish("compare", env=environment)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    as_json = finish("compare", "--json", env=environment)
    assert json.loads(as_json.stdout)["schema"] == "softgrad.compare/1"


def test_no_color_and_no_terminal_mean_no_escapes():
    assert b"\x1b" not in finish("jacobian", "2,1,0").stdout
    forced = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert b"\x1b[" in finish("jacobian", "2,1,0", env=forced).stdout
    # NO_COLOR leaves bold and italics, and takes every colour.
    without = finish("jacobian", "2,1,0", env=forced | {"NO_COLOR": "1"}).stdout
    assert b"38;" not in without
    assert b"48;" not in without


def test_help_imports_nothing_heavy():
    heavy = {"sklearn", "pyarrow", "torch", "jax", "scipy", "rich.progress", "jinja2"}
    code = (
        "import sys\nfrom softgrad.cli.main import run\nrun(['--help'])\n"
        f"print(sorted(set(sys.modules) & {heavy!r}), file=sys.stderr)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert outcome.stderr.decode().strip() == "[]"
