"""Solvers of the classifier's convex problem: each yields iterates, one function stops them."""

from softgrad.learn.solvers.choice import SOLVERS, choose_solver
from softgrad.learn.solvers.iterate import Settings, Solution
from softgrad.learn.solvers.solve import solve

__all__ = ["SOLVERS", "Settings", "Solution", "choose_solver", "solve"]
