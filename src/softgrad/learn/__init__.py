"""Learning from data: built-in data sets, CSV and Parquet files, splits, standardised columns."""

from softgrad.learn.datasets import Dataset, split
from softgrad.learn.sources import BUILT_IN, load, load_features
from softgrad.learn.standardizer import Standardizer

__all__ = ["BUILT_IN", "Dataset", "Standardizer", "load", "load_features", "split"]
