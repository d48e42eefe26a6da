"""Optimisers against torch.optim, and from a saved state."""

from __future__ import annotations

import numpy as np
import pytest

from softgrad.nn import SGD, Adam

STEPS = 7


def _gradients(dtype):
    """Gradients of very different sizes: [STEPS, 2, 3]."""
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.integers(-4, 5, (STEPS, 2, 3))
    return (scales * rng.normal(size=(STEPS, 2, 3))).astype(dtype)


def _rules():
    torch = pytest.importorskip("torch")
    return {
        "sgd": (SGD(lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
        "momentum": (
            SGD(lr=0.1, momentum=0.9),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        ),
        "adam": (Adam(), lambda p: torch.optim.Adam(p)),
        "adam, own betas": (
            Adam(lr=0.01, betas=(0.5, 0.9), eps=1e-3),
            lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-3),
        ),
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam", "adam, own betas"])
def test_steps_match_torch(rule, dtype):
    torch = pytest.importorskip("torch")
    ours, make_theirs = _rules()[rule]
    W = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], dtype=dtype)
    theirs = torch.tensor(W.copy(), requires_grad=True)
    optimiser = make_theirs([theirs])
    for gradient in _gradients(dtype):
        before = W.copy()
        ours.step({"W": W}, {"W": gradient})
        theirs.grad = torch.tensor(gradient)
        optimiser.step()
        assert np.any(before != W)
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(W, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert W.dtype == dtype
    assert all(array.dtype == dtype for name, array in ours.state.items() if name != "W.t")


@pytest.mark.parametrize("make", [lambda s: SGD(0.1, 0.9, s), lambda s: Adam(0.1, state=s)])
def test_saved_state_goes_on_where_it_was(make):
    gradients = _gradients(np.float64)
    W, through = np.ones((2, 3)), make({})
    for gradient in gradients:
        through.step({"W": W}, {"W": gradient})
    V, first = np.ones((2, 3)), make({})
    for gradient in gradients[:3]:
        first.step({"W": V}, {"W": gradient})
    second = make({name: np.array(array) for name, array in first.state.items()})
    for gradient in gradients[3:]:
        second.step({"W": V}, {"W": gradient})
    np.testing.assert_array_equal(V, W)
    assert np.any(W != 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_moves_a_large_parameter_as_it_moves_its_parts(dtype):
    rng = np.random.default_rng(0)
    W = rng.normal(size=(70_001, 3)).astype(dtype)  # for the kernel, in several threads
    rows = [slice(0, 5), slice(21_840, 21_850), slice(69_990, None)]
    few, whole, parts = [W[part].copy() for part in rows], Adam(lr=0.1), Adam(lr=0.1)
    for _ in range(3):
        gradient = rng.normal(size=W.shape).astype(dtype)
        whole.step({"W": W}, {"W": gradient})
        names = [str(i) for i in range(len(rows))]
        pieces = [gradient[part] for part in rows]
        parts.step(dict(zip(names, few, strict=True)), dict(zip(names, pieces, strict=True)))
    for part, moved in zip(rows, few, strict=True):
        np.testing.assert_array_equal(W[part], moved)


def test_adam_goes_on_from_a_large_state_that_it_may_not_write():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(2, 140_000)).astype(np.float32)
    W, first = np.zeros(140_000, np.float32), Adam()
    first.step({"W": W}, {"W": gradients[0]})
    kept = {name: array.copy() for name, array in first.state.items()}
    for array in kept.values():
        array.flags.writeable = False
    V, second = W.copy(), Adam(state=dict(kept))
    first.step({"W": W}, {"W": gradients[1]})
    second.step({"W": V}, {"W": gradients[1]})
    np.testing.assert_array_equal(V, W)
    assert (second.state["W.m"] != kept["W.m"]).any()


def test_optimisers_share_no_state():
    one, two = Adam(), Adam()
    one.step({"W": np.ones(1)}, {"W": np.ones(1)})
    assert not two.state
    assert one.state


def test_a_step_with_one_bad_gradient_moves_nothing():
    parameters = {"V": np.zeros(2), "W": np.zeros(2)}
    with pytest.raises(TypeError, match=r"`gradients\['W'\]` must be real numbers"):
        SGD().step(parameters, {"V": [1.0, 2.0], "W": ["a", "b"]})
    assert not parameters["V"].any()
    SGD(lr=1.0).step(parameters, {"V": [1.0, 2.0], "W": [3.0, 4.0]})
    assert parameters["W"].tolist() == [-3, -4]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SGD(lr=0.0), ValueError, "`lr` must be positive and finite, got 0.0"),
        (lambda: Adam(lr=float("nan")), ValueError, "`lr` must be positive and finite, got nan"),
        (lambda: Adam(lr="fast"), ValueError, "`lr` must be positive and finite, got 'fast'"),
        (lambda: SGD(momentum=1.0), ValueError, "`momentum` must be at least 0 and below 1"),
        (lambda: Adam(betas=(0.9, 1.0)), ValueError, r"`betas\[1\]` must be at least 0"),
        (lambda: Adam(betas=0.9), TypeError, "`betas` must be a pair of numbers, got 0.9"),
        (lambda: Adam(eps=0), ValueError, "`eps` must be positive"),
        (
            lambda: SGD().step({"W": np.ones(2)}, {"V": np.ones(2)}),
            ValueError,
            "`gradients` must be of W, got those of V",
        ),
        (
            lambda: SGD().step({"W": np.ones(2)}, {"W": np.ones(3)}),
            ValueError,
            r"`gradients\['W'\]` must be of shape \(2,\), got float64 \(3,\)",
        ),
        (
            lambda: SGD().step({"W": np.ones(2)}, {"W": [1.0, 2.0, 3.0]}),
            ValueError,
            r"`gradients\['W'\]` must be of shape \(2,\), got float64 \(3,\)",
        ),
        (
            lambda: SGD().step({"W": [1.0]}, {"W": [1.0]}),
            TypeError,
            r"`parameters\['W'\]` must be a NumPy array of floats",
        ),
        (
            lambda: SGD().step([np.ones(2)], {}),
            TypeError,
            "`parameters` must be a mapping of names to arrays, got list",
        ),
        (
            lambda: SGD().step({}, [np.ones(2)]),
            TypeError,
            "`gradients` must be a mapping of names to arrays, got list",
        ),
    ],
)
def test_bad_settings_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
