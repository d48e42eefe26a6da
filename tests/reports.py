"""Reading the reports of checks."""

from __future__ import annotations


def said(report):
    """Return all sentences of a report, to be searched."""
    return " ".join(finding.message for finding in report.findings)
