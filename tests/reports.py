"""Reading the reports of checks, and asking what they must say."""

from __future__ import annotations

from functools import partial

import pytest

import softgrad as sg


def said(report):
    """Return all sentences of a report, to be searched."""
    return " ".join(finding.message for finding in report.findings)


def assert_named(report, code, words=""):
    """Ask that a check fails with a name, and a sentence that has some words."""
    assert report.verdict == "fail"
    assert report.diagnosis.code == code, str(report)
    assert words in report.diagnosis.message


def assert_unnamed(report):
    """Ask that a check fails and that no name is given."""
    assert_named(report, "unnamed")


def of_mistakes(forwards, named, near_misses, allowed=("unnamed",)):
    """Return three tests: right backwards pass, mistakes have names, and near misses have none.

    `forwards` are functions with their backward and inputs. `named` are a forward, what makes its
    backward wrong, a code and words; `near_misses` a forward and what makes its backward wrong.
    """

    def report(forward, **wrong):
        backward, *inputs = forwards[forward]
        return sg.check(forward, partial(backward, **wrong), *inputs)

    @pytest.mark.parametrize("forward", forwards)
    def right(forward):
        assert report(forward).verdict == "pass"

    @pytest.mark.parametrize("name", named)
    def mistake(name):
        forward, wrong, code, words = named[name]
        assert_named(report(forward, **wrong), code, words)

    @pytest.mark.parametrize("name", near_misses)
    def near_miss(name):
        forward, wrong = near_misses[name]
        found = report(forward, **wrong)
        assert (found.verdict, found.diagnosis.code in allowed) == ("fail", True), str(found)

    return right, mistake, near_miss
