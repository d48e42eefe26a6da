"""Kernels for CUDA tensors: imported when the first one is wanted."""
