"""`make bench`, and the README's table of what it measured; the benchmarks are softgrad.bench."""
