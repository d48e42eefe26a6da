"""Mistakes in the derivative of one step of a forward."""
