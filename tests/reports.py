"""Reading the reports of checks, and asking what they must say."""

from __future__ import annotations


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
