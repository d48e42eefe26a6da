"""What a fit is worth: standard errors and tests, separated classes, calibration."""

from softgrad.learn.statistics.likelihood import LikelihoodRatio, PseudoR2
from softgrad.learn.statistics.reliability import (
    Reliability,
    expected_calibration_error,
    reliability,
)
from softgrad.learn.statistics.separation import Separation, SeparationWarning
from softgrad.learn.statistics.summary import Summary

__all__ = [
    "LikelihoodRatio",
    "PseudoR2",
    "Reliability",
    "Separation",
    "SeparationWarning",
    "Summary",
    "expected_calibration_error",
    "reliability",
]
