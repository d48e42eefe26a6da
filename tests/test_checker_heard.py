"""What the user's functions do besides: warnings, exits, and what they overwrite."""

from __future__ import annotations

import sys
import threading
import warnings

import numpy as np
import pytest

from reports import said
from softgrad.checker import check

X = np.random.default_rng(0).normal(size=(4, 5))


def right(x, g):
    return g * np.cos(x)


@pytest.mark.parametrize("action", ["always", "default", "once"])
@pytest.mark.parametrize("backward", [right, lambda x, g: g * np.sin(x)])
def test_each_warning_is_heard_once(backward, action):
    def forward(x):
        warnings.warn("first", UserWarning, stacklevel=1)
        warnings.warn("second", UserWarning, stacklevel=1)
        return np.sin(x)

    for _ in range(2):
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter(action)
            check(forward, backward, X)
        assert sorted(str(w.message) for w in given) == ["first", "second"]
        assert {w.filename for w in given} == {__file__}


def test_warnings_that_are_errors_are_sentences():
    def forward(x):
        warnings.warn("mine", UserWarning, stacklevel=1)
        return np.sin(x)

    report = check(forward, right, X)
    assert report.verdict == "inconclusive"
    assert "UserWarning: mine (test_checker_heard.py:" in said(report)


def test_filters_stay_as_they_were():
    before = list(warnings.filters)
    thread = threading.Thread(target=check, args=(np.sin, right, X))
    thread.start()
    check(np.sin, right, X)
    thread.join()
    assert warnings.filters == before


def test_what_the_forward_overwrites_is_not_the_backward_s_doing():
    class Layer:
        def forward(self, x):
            x *= 2
            self.x = x.copy()
            return np.sin(x)

        def backward(self, g):
            return 2 * g * np.cos(self.x)

    report = check(Layer(), X)
    assert report.verdict == "fail"
    assert report.diagnosis.message == "The forward overwrites its input 0."
    assert "The backward overwrites" not in said(report)


def test_a_program_that_is_ended_later_is_a_sentence():
    calls = []

    def forward(x):
        calls.append(None)
        if len(calls) > 3:
            sys.exit(0)
        return np.sin(x)

    report = check(forward, right, X)
    assert report.verdict == "inconclusive"
    assert "SystemExit: 0 (test_checker_heard.py:" in said(report)
