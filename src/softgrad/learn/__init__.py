"""Learning from data: readers of data sets, splits, standardised columns, and model files."""

from softgrad.learn.datasets import Dataset, split
from softgrad.learn.model_file import (
    Model,
    load_language_model,
    load_model,
    predict,
    save_model,
)
from softgrad.learn.sources import BUILT_IN, load, load_features
from softgrad.learn.standardizer import Standardizer
from softgrad.learn.statistics import Separation, SeparationWarning, Summary, reliability

__all__ = [
    "BUILT_IN",
    "Dataset",
    "Model",
    "Separation",
    "SeparationWarning",
    "Standardizer",
    "Summary",
    "load",
    "load_features",
    "load_language_model",
    "load_model",
    "predict",
    "reliability",
    "save_model",
    "split",
]
