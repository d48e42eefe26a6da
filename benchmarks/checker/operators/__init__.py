"""Mistakes that can be made in any backward, by name."""

from benchmarks.checker.operators import answers, contracts, cotangents, points
from benchmarks.checker.operators.operator import Operator

__all__ = ["OPERATORS", "Operator"]

OPERATORS = {
    operator.name: operator
    for room in (answers, cotangents, points, contracts)
    for operator in room.OPERATORS
}
