"""Plots for papers: the report's pictures on axes of matplotlib, which is imported on first use."""

from softgrad.report.plots.field import plot_simplex_field
from softgrad.report.plots.heads import plot_heads
from softgrad.report.plots.jacobian import plot_jacobian
from softgrad.report.plots.path import plot_path
from softgrad.report.plots.training import plot_training

__all__ = ["plot_heads", "plot_jacobian", "plot_path", "plot_simplex_field", "plot_training"]
