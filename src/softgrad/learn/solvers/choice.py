"""Which solver `"auto"` takes: a pure function of the size of the problem."""

from __future__ import annotations

from collections.abc import Mapping

from softgrad.learn.solvers.iterate import Solver
from softgrad.learn.solvers.lbfgs import lbfgs
from softgrad.learn.solvers.newton import newton
from softgrad.learn.solvers.newton_cg import newton_cg

__all__ = ["SOLVERS", "choose_solver"]

SOLVERS: Mapping[str, Solver] = {"newton": newton, "newton-cg": newton_cg, "lbfgs": lbfgs}

_HESSIAN = 300
"""The most unknowns whose Hessian is built: it costs N (K−1)² (D+1)² operations."""

_BLOCKS = 64
"""The most columns, and classes, of blocks: these cost as much as D/4 passes over the rows."""


def choose_solver(K: int, D: int) -> str:
    """Return the solver for K classes and D columns; how many rows there are changes nothing.

    >>> choose_solver(K=3, D=4), choose_solver(K=10, D=64), choose_solver(K=10, D=784)
    ('newton', 'newton-cg', 'lbfgs')
    """
    if (K - 1) * (D + 1) <= _HESSIAN:
        return "newton"
    return "newton-cg" if max(K, D) <= _BLOCKS else "lbfgs"
