"""Benchmarks: side by side in one process, taking turns, medians; nothing wrong is timed."""

from softgrad.bench.result import Benchmark
from softgrad.bench.run import SUITES, bench

__all__ = ["SUITES", "Benchmark", "bench"]
