"""The gradient checker: a backward against the derivative of its forward.

It shares no code with what it checks.
"""

from softgrad.checker.check import check
from softgrad.checker.report import Cost, Diagnosis, Finding, Formula, Report, Where

__all__ = ["Cost", "Diagnosis", "Finding", "Formula", "Report", "Where", "check"]
