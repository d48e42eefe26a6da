"""Solvers of the classifier's convex problem: each yields iterates, one function stops them."""

from softgrad.learn.solvers.certificate import certified_gap
from softgrad.learn.solvers.choice import SOLVERS, choose_solver
from softgrad.learn.solvers.iterate import Point, Settings, Solution, Step
from softgrad.learn.solvers.solve import solve

__all__ = [
    "SOLVERS",
    "Point",
    "Settings",
    "Solution",
    "Step",
    "certified_gap",
    "choose_solver",
    "solve",
]
