"""Benchmarks: side by side in one process, interleaved, medians; nothing wrong is timed."""
