"""`import softgrad` loads NumPy and nothing heavier."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = [
    "torch",
    "jax",
    "numba",
    "sklearn",
    "scipy",
    "matplotlib",
    "rich",
    "click",
    "jinja2",
    "pyarrow",
    "safetensors",
    "ml_dtypes",
]


def modules_after(code: str) -> set[str]:
    """Run code in a fresh interpreter and return the packages that are loaded afterwards."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


USES = {
    "import": "import softgrad",
    "maps": "import softgrad as sg; p, J = sg.softmax.linearize([1.0, 2.0]); J.mv([1.0, 0.0])",
    "losses": "import softgrad as sg; sg.cross_entropy.value_and_gradient([[1.0, 2.0]], [0])",
}


@pytest.mark.parametrize("code", USES.values(), ids=USES)
def test_nothing_heavier_than_numpy_is_loaded(code: str) -> None:
    loaded = modules_after(code)
    assert {"softgrad", "numpy"} <= loaded
    assert not loaded & set(HEAVY)


def test_pytorch_is_used_without_its_compiler() -> None:
    """It takes seconds to load, and keeps a process group that there is already alive."""
    pytest.importorskip("torch")
    loaded = modules_after(
        "import torch, softgrad as sg, softgrad.torch\n"
        "x = torch.zeros(3, 4, requires_grad=True)\n"
        "sg.softmax(x).sum().backward()\n"
        "sg.linear_cross_entropy(x, torch.ones(5, 4), torch.tensor([0, 1, 2])).backward()"
    )
    assert "torch" in loaded
    assert "sympy" not in loaded  # which the compiler needs


def test_every_public_name_is_there() -> None:
    import softgrad

    assert len(softgrad.__all__) == len(set(softgrad.__all__))
    for name in softgrad.__all__:
        assert getattr(softgrad, name) is not None, name


def test_every_public_object_has_a_docstring() -> None:
    import softgrad

    for name in softgrad.__all__:
        thing = getattr(softgrad, name)
        text = (thing if isinstance(thing, type) or callable(thing) else type(thing)).__doc__
        assert text, name
        assert not text.startswith("This"), name
