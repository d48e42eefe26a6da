"""Row kernels for the CPU, compiled by Numba; `operations` is what the rooms above call."""
