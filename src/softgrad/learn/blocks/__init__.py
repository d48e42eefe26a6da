"""Data that need not fit into memory: blocks of rows, read once and kept in a file."""

from softgrad.learn.blocks.features import feature_blocks
from softgrad.learn.blocks.gather import gather, is_stream

__all__ = ["feature_blocks", "gather", "is_stream"]
