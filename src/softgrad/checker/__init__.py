"""The gradient checker: a backward against the derivative of its forward.

It shares no code with what it checks.
"""

from softgrad.checker.check import check
from softgrad.checker.report import Cost, Finding, Report

__all__ = ["Cost", "Finding", "Report", "check"]
