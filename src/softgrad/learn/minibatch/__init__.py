"""Training by mini-batches: the classifier's way for hidden layers, streams and huge problems."""

from softgrad.learn.minibatch.batches import Batch, Batches, Scattered, Shuffled, shuffled
from softgrad.learn.minibatch.early_stopping import hold_out
from softgrad.learn.minibatch.epoch import TrainingEpoch
from softgrad.learn.minibatch.model import Model
from softgrad.learn.minibatch.training import Plan, Training

__all__ = [
    "Batch",
    "Batches",
    "Model",
    "Plan",
    "Scattered",
    "Shuffled",
    "Training",
    "TrainingEpoch",
    "hold_out",
    "shuffled",
]
