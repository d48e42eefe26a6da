"""Plots for papers: axes of matplotlib in, the same axes out, and no setting is changed."""

from softgrad.report.plots import (
    plot_heads,
    plot_jacobian,
    plot_path,
    plot_simplex_field,
    plot_training,
)

__all__ = ["plot_heads", "plot_jacobian", "plot_path", "plot_simplex_field", "plot_training"]
