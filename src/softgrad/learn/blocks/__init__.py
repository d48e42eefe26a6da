"""Data that need not fit into memory: blocks of rows, read once and kept in a file."""

from softgrad.learn.blocks.features import feature_blocks
from softgrad.learn.blocks.gather import gather, is_stream, reader_of
from softgrad.learn.blocks.readers import AbstractReader

__all__ = ["AbstractReader", "feature_blocks", "gather", "is_stream", "reader_of"]
