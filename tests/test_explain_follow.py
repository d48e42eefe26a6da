"""follow: steps against differences of the objective, and words that match what happened."""

from __future__ import annotations

import json

import numpy as np
import pytest

import softgrad as sg
from softgrad.explain import follow

START = [0.3, -0.4, 1.1]


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


OBJECTIVES = {
    "output": (lambda p: p[1], {"index": 1}),
    "weighted": (lambda p: 2 * p[0] - p[2], {"weights": [2.0, 0.0, -1.0]}),
    "sum": (lambda p: p.sum(), {}),
    "log": (lambda p: np.log(p[1]), {"index": 1}),
    "entropy": (lambda p: -(p * np.log(p)).sum(), {}),
}


def differences(function, z):
    slopes = []
    for unit in np.eye(z.size):
        slopes.append((function(z + 1e-5 * unit) - function(z - 1e-5 * unit)) / 2e-5)
    return np.array(slopes)


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("ascend", [True, False])
def test_every_step_is_the_gradient_of_the_objective(kind, ascend):
    objective, options = OBJECTIVES[kind]
    result = follow(sg.softmax, kind, start=START, steps=3, lr=0.7, ascend=ascend, **options)
    for seen, f in ((result.trajectory, softmax), (result.sigmoid, sigmoid)):
        for step in range(3):
            z = seen.pre_activations[step]
            slope = differences(lambda z, f=f: objective(f(z)), z)
            move = seen.pre_activations[step + 1] - z
            np.testing.assert_allclose(move, (0.7 if ascend else -0.7) * slope, atol=1e-9)
            np.testing.assert_allclose(seen.outputs[step], f(z), rtol=1e-12)
            assert seen.objective[step] == pytest.approx(objective(f(z)), rel=1e-12)
            size = np.linalg.norm(slope)
            assert seen.gradient_size[step] == pytest.approx(size, rel=1e-7, abs=1e-9)


def test_temperature_reaches_the_gradient_and_the_logarithm():
    for kind in ("output", "log", "entropy"):
        objective, options = OBJECTIVES[kind]
        seen = follow(sg.Softmax(temperature=0.5), kind, start=START, steps=1, **options).trajectory
        slope = differences(lambda z, o=objective: o(softmax(z / 0.5)), np.array(START))
        np.testing.assert_allclose(np.diff(seen.pre_activations, axis=0)[0], slope, atol=1e-8)


def test_a_layer_moves_its_weights_and_bias():
    rng = np.random.default_rng(3)
    x, W, b = rng.normal(size=4), rng.normal(size=(3, 4)), rng.normal(size=3)
    seen = follow(sg.softmax, "output", index=0, x=x, W=W, b=b, steps=2, lr=0.5).trajectory
    slope = differences(lambda z: softmax(z)[0], W @ x + b)
    np.testing.assert_allclose(seen.W[1] - W, 0.5 * np.outer(slope, x), atol=1e-9)
    np.testing.assert_allclose(seen.b[1] - b, 0.5 * slope, atol=1e-9)
    np.testing.assert_allclose(seen.pre_activations, seen.W @ x + seen.b, rtol=1e-12)
    size = np.sqrt(np.sum(np.outer(slope, x) ** 2) + np.sum(slope**2))
    assert seen.gradient_size[0] == pytest.approx(size, rel=1e-8)
    without_bias = follow(sg.softmax, "output", index=0, x=x, W=W, steps=2).trajectory
    assert without_bias.b is None
    assert "parameter" in str(follow(sg.softmax, "output", index=0, x=x, W=W, b=b))


@pytest.mark.parametrize("f", [sg.softmax, sg.sparsemax, sg.entmax15, sg.Softmax(temperature=3.0)])
@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0, 1e4])
def test_the_plain_sum_moves_nothing_at_all(f, scale):
    rng = np.random.default_rng(8)
    x, W, b = rng.normal(size=5), scale * rng.normal(size=(7, 5)), rng.normal(size=7)
    result = follow(f, "sum", x=x, W=W, b=b, steps=20)
    assert not result.trajectory.gradient_size.any()
    np.testing.assert_array_equal(result.trajectory.W, np.broadcast_to(W, (21, 7, 5)))
    assert "exactly zero at each of the 20 steps, so nothing moves" in result.words[0]
    assert any("sum to 1 for every z" in sentence for sentence in result.words)


def test_the_plain_sum_drives_every_sigmoid_to_one():
    result = follow(sg.softmax, "sum", start=START, steps=400)
    assert (np.diff(result.sigmoid.outputs, axis=0) > 0).all()
    assert (result.sigmoid.outputs[-1] > 0.99).all()
    assert "Every output rises" in result.words[-1]


def test_one_output_goes_to_one_and_its_gradient_dies():
    result = follow(sg.softmax, "output", index=0, start=START, steps=300)
    seen = result.trajectory
    assert seen.outputs[-1, 0] > 0.99
    peak = int(seen.gradient_size.argmax())
    faded = next(
        step
        for step in range(peak, 301)
        if seen.gradient_size[step] < seen.gradient_size[peak] / 100
    )
    words = " ".join(result.words)
    assert f"at step {faded} it falls below a hundredth of that" in words
    assert "p[0] goes to 1, and its gradient dies as it does" in words
    assert "Adding 1 to every pre-activation changes no output" in words
    assert "their mean stayed at 0.3333" in words
    assert result.words[-1].endswith("Outputs 1 and 2 did not move at all.")


def test_nothing_is_said_that_did_not_happen():
    result = follow(sg.softmax, "output", index=0, start=START, steps=1, lr=0.01)
    words = " ".join(result.words)
    assert "goes to 1" not in words
    assert "hundredth" not in words
    assert "exactly zero" not in words
    near = follow(sg.softmax, "output", index=0, start=[4.0, 0.0, 0.0], steps=1)
    assert near.trajectory.outputs[0, 0] > 0.95
    assert not any("goes to 1" in sentence for sentence in near.words)
    own = follow(sg.sigmoid, "sum", start=START)
    assert own.sigmoid is None
    words = " ".join(own.words)
    assert "changes no output" not in words
    assert "sum to 1" not in words
    assert "their mean went from" in words


def test_descent_drives_an_output_to_zero():
    result = follow(sg.softmax, "output", index=2, start=START, steps=300, ascend=False)
    assert result.trajectory.outputs[-1, 2] < 0.01
    assert "falls from" in result.words[0]
    assert any("p[2] goes to 0" in sentence for sentence in result.words)


def test_the_logarithm_leaves_a_small_output_unstuck():
    start = [-800.0, 0.0, 1.0]
    stuck = follow(sg.softmax, "output", index=0, start=start, steps=5)
    moving = follow(sg.softmax, "log", index=0, start=start, steps=5)
    assert stuck.trajectory.gradient_size.max() < 1e-300
    assert moving.trajectory.gradient_size[0] > 1
    assert any("is not stuck" in sentence for sentence in moving.words)
    easy = follow(sg.softmax, "log", index=0, start=[2.0, 0.0, 1.0], steps=5)
    assert not any("is not stuck" in sentence for sentence in easy.words)


def test_entropy_is_finite_where_outputs_underflow():
    seen = follow(sg.softmax, "entropy", start=[0.0, -800.0], steps=3).trajectory
    assert np.isfinite(seen.objective).all()
    assert np.isfinite(seen.pre_activations).all()


def test_json_round_trip_and_faces():
    result = follow(sg.softmax, "output", index=0, start=START, steps=7)
    back = json.loads(result.to_json())
    assert back == result.to_dict()
    assert back["schema"] == "softgrad.follow/1"
    assert len(back["trajectory"]["objective"]) == 8
    np.testing.assert_array_equal(back["sigmoid"]["outputs"], result.sigmoid.outputs)
    assert max(map(len, str(result).splitlines())) <= 100
    assert "Gradient ascent on p[0]" in result._repr_html_()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"objective": "mean"}, ValueError, "`objective` must be 'output' or"),
        ({"index": None}, TypeError, "`index` must be given for the objective 'output'"),
        ({"index": 3}, IndexError, "`index` must be a class index from 0 to 2, got 3"),
        ({"weights": [1, 2, 3]}, TypeError, "`weights` must be left out"),
        ({"objective": "weighted", "index": None, "weights": [1.0]}, ValueError, "`weights` must"),
        ({"start": None}, TypeError, "`start` must be the pre-activations"),
        ({"start": [[1.0]]}, ValueError, r"`start` must be of shape \(K,\)"),
        ({"start": [np.inf, 0.0]}, ValueError, r"`start` must be finite, got inf at \[0\]"),
        ({"W": [[1.0]]}, TypeError, "`W` must be left out where `start` is given"),
        ({"steps": 0}, ValueError, "`steps` must be a positive integer, got 0"),
        ({"steps": 2.5}, TypeError, "`steps` must be a positive integer, got 2.5"),
        ({"lr": 0.0}, ValueError, "`lr` must be a finite number above 0"),
        ({"lr": "1"}, TypeError, "`lr` must be a finite number above 0"),
        ({"subject": sg.logsumexp}, TypeError, "`subject` must be a map to the simplex"),
        ({"subject": sg.log_softmax}, TypeError, "`subject` must be a map to the simplex"),
        ({"ascend": "no"}, TypeError, "`ascend` must be True or False, got 'no'"),
        ({"subject": sg.tanh, "objective": "log"}, TypeError, "`subject` must be softmax or"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    arguments = {"subject": sg.softmax, "objective": "output", "index": 0, "start": START}
    arguments |= options
    with pytest.raises(error, match=message):
        follow(arguments.pop("subject"), arguments.pop("objective"), **arguments)


def test_steps_and_rate_may_be_given_by_place():
    by_place = follow(sg.softmax, "sum", 3, 0.5, start=START)
    assert by_place.to_json() == follow(sg.softmax, "sum", start=START, steps=3, lr=0.5).to_json()
    assert "3 steps at rate 0.5" in str(by_place)
    assert "1 step at rate" in str(follow(sg.softmax, "sum", 1, start=START))


def test_pre_activations_are_shown_where_they_fit():
    table = follow(sg.softmax, "output", index=0, start=START, steps=20)._repr_html_()
    assert all(f"z[{k}]" in table for k in range(3))
    wide = follow(sg.softmax, "output", index=0, start=[0.3, -0.4, 1.1, 0.7], steps=20)
    assert "z[1]" not in wide._repr_html_()


def test_steps_that_overflow_name_the_rate():
    with pytest.raises(ValueError, match=r"`lr` must be small enough .* got 1\.5e\+308"):
        follow(sg.relu, "sum", start=[1.0, 1.0], lr=1.5e308)


def test_network_is_followed_as_its_layer_and_stays_as_it_is() -> None:
    W, b, x = [[1.0, -0.5], [0.25, 2.0]], [0.1, -0.2], [0.5, 1.5]
    network = sg.nn.Network([sg.nn.Linear.of(W, b), sg.softmax])
    by_network = follow(network, "output", index=0, x=x, steps=5)
    by_layer = follow(sg.softmax, "output", index=0, x=x, W=W, b=b, steps=5)
    assert by_network.to_json() == by_layer.to_json()
    assert network.parameters["0.W"].tolist() == W
    assert by_network.trajectory.W[-1].tolist() != W


@pytest.mark.parametrize("layers", [[sg.softmax], [sg.nn.Linear.of([[1.0]]), sg.relu, sg.softmax]])
def test_network_of_other_layers_is_refused(layers: list[object]) -> None:
    with pytest.raises(TypeError, match="one linear layer and one map"):
        follow(sg.nn.Network(layers), "sum", x=[1.0])


def test_network_and_weights_together_are_refused() -> None:
    network = sg.nn.Network([sg.nn.Linear.of([[1.0]]), sg.softmax])
    with pytest.raises(TypeError, match="`subject` must be a map"):
        follow(network, "sum", x=[1.0], W=[[1.0]])
