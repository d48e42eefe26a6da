"""Data that need not fit into memory: blocks of rows, read once and kept in a file."""

from softgrad.learn.blocks.stored import StoredRows

__all__ = ["StoredRows"]
