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

_BLOCK = 128
"""The most columns of class blocks: each of them costs as much as D/4 passes over its logits."""


def choose_solver(N: int, K: int, D: int) -> str:
    """Return the solver for N rows of D columns and K classes.

    >>> choose_solver(N=150, K=3, D=4), choose_solver(N=1797, K=10, D=64)
    ('newton', 'newton-cg')
    >>> choose_solver(N=60000, K=10, D=784)
    'lbfgs'
    """
    if (K - 1) * (D + 1) <= _HESSIAN:
        return "newton"
    return "newton-cg" if D <= _BLOCK and K <= D else "lbfgs"
