"""Classes in columns: labels, probabilities and the sums over a batch are along other axes."""

import numpy as np
import pytest

import softgrad as sg

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(4, 7))
LABELS = np.eye(4)[[1, 0, 3, 2, 2, 0, 1]].T


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def loss(z, t):
    return -(t * np.log(softmax(z))).sum() / z.shape[1]


@pytest.mark.parametrize("dtype", [float, int, bool])
def test_labels_in_columns_stay_labels_on_a_twin(dtype):
    def wrong(z, t, g):
        return g * (softmax(z) - t)

    report = sg.check(loss, wrong, Z, LABELS.astype(dtype))
    assert report.diagnosis.code == "scale", str(report)
    assert "axis 1" in report.diagnosis.message


def test_probabilities_in_columns_stay_so_on_a_twin():
    p, seen = softmax(RNG.normal(size=(4, 7))), []

    def forward(q):
        if q.shape != p.shape and not np.iscomplexobj(q):
            seen.append(q.sum(axis=0))
        return np.log(q)

    sg.check(forward, lambda q, g: g / q + g * q, p)
    assert any(np.allclose(sums, 1) for sums in seen)
