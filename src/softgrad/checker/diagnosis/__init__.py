"""The name of the mistake behind a failed check, with its evidence and its place."""

from softgrad.checker.diagnosis.explain import diagnose
from softgrad.checker.diagnosis.second import diagnose_second

__all__ = ["CODES", "diagnose", "diagnose_second"]

CODES = (
    "diagonal-only",
    "zero",
    "identity",
    "severed",
    "projection-term",
    "scale",
    "sign",
    "cotangent",
    "axis",
    "unreduced-broadcast",
    "wrong-variable",
    "subset",
    "arithmetic",
    "aliasing",
    "chain-term",
    "second-order",
    "unnamed",
)
