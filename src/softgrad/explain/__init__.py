"""Explanations: what happens, as dataclasses whose words are computed from their numbers."""

from softgrad.explain.compare import Comparison, HeadGradient, compare
from softgrad.explain.follow import Followed, Trajectory, follow
from softgrad.explain.shapes import Shapes, shapes
from softgrad.explain.structure import Structure

__all__ = [
    "Comparison",
    "Followed",
    "HeadGradient",
    "Shapes",
    "Structure",
    "Trajectory",
    "compare",
    "follow",
    "shapes",
]
