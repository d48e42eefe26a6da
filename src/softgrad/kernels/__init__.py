"""Compiled loops over rows, the threads that share them, and the choice to use them."""

from softgrad.kernels.choice import Choice, Impl, check_impl, choose, explain_impl, kernels
from softgrad.kernels.how import AUTO, How, Wanted
from softgrad.kernels.threads import get_num_threads, set_num_threads

__all__ = [
    "AUTO",
    "Choice",
    "How",
    "Impl",
    "Wanted",
    "check_impl",
    "choose",
    "explain_impl",
    "get_num_threads",
    "kernels",
    "set_num_threads",
]
