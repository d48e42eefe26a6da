"""Implementations of each library, called with NumPy arrays and differentiated by the library."""
