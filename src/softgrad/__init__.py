"""softgrad: the softmax layer and its gradient, computed, checked, shown and scaled."""

__version__ = "0.1.0"
