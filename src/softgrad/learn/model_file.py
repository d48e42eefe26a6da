"""Model files: a trained network or language model with all that it needs, as safetensors.

A model is a tree of objects whose fields are settings, arrays or further objects. The settings and
the kinds of the objects are JSON in the file's header; the arrays are the file's tensors, named by
their place in the tree, such as ``network.layers.0.W``. Reading builds nothing but the kinds listed
here, by their own constructors, which check what they are given.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softgrad import losses, maps
from softgrad.arrays import Array, describe, quiet
from softgrad.errors import mismatch
from softgrad.files import write_atomically
from softgrad.learn.language import LanguageModel, Vocabulary
from softgrad.learn.standardizer import Standardizer
from softgrad.learn.tensor_file import HEADER_KEY, file_complaint, read_tensors
from softgrad.nn import Activation, Linear, Network
from softgrad.nn.arguments import check_kind, check_names
from softgrad.nn.blocks import by_blocks

if TYPE_CHECKING:
    from softgrad.learn.predictor import Predictor

__all__ = ["SCHEMA", "Model", "load_language_model", "load_model", "predict", "save_model"]

SCHEMA = "softgrad.model/1"


@dataclass(frozen=True, eq=False)
class Model:
    """A network with what its inputs and outputs mean.

    Parameters
    ----------
    network : Network
        From D standardised features to the scores of K classes.
    classes : tuple of str, length K
        The names of the classes.
    features : tuple of str, length D
        The names of the columns, in their order.
    standardizer : Standardizer
        Applied to the features first.

    Raises
    ------
    TypeError
        A part is of another kind.
    ValueError
        The parts do not belong together, or the network gives no finite probabilities.
    """

    network: Network
    classes: tuple[str, ...]
    features: tuple[str, ...]
    standardizer: Standardizer

    @classmethod
    def of(
        cls, classifier: Predictor, classes: tuple[str, ...], features: tuple[str, ...]
    ) -> Model:
        """Return a trained classifier as a network, which sees the columns as they come."""
        trained, D = classifier._coefficients.model(np.float64), len(features)
        linear = Linear.of(trained.W, trained.b)
        network = Network([*trained.hidden, linear, maps.softmax], losses.cross_entropy)
        return cls(network, classes, features, Standardizer(np.zeros(D), np.ones(D)))

    def __post_init__(self) -> None:
        check_kind("network", self.network, Network, "a Network")
        check_kind("standardizer", self.standardizer, Standardizer, "a Standardizer")
        for name in ("classes", "features"):
            check_names(name, getattr(self, name))
        mean, scale = self.standardizer.mean, self.standardizer.scale
        shape = (len(self.features),)
        for name, array in (("mean", mean), ("scale", scale)):
            if not isinstance(array, np.ndarray) or array.shape != shape:
                expected = f"an array of shape {shape}"
                raise ValueError(mismatch(f"standardizer.{name}", expected, describe(array)))
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(mismatch("standardizer", "finite, with positive scales", "another"))
        with quiet():
            p = predict(self, mean[None])
        if p.shape != (1, len(self.classes)):
            expected = f"one of {p.shape[-1]} names, one for each output"
            raise ValueError(mismatch("classes", expected, len(self.classes)))
        if not np.isfinite(p).all():
            raise ValueError(mismatch("network", "one with finite parameters", "NaN or infinity"))


def predict(model: Model, X: Any) -> Array:
    """Return the probability of each class for rows of raw features.

    Parameters
    ----------
    model : Model
    X : array [N, D]

    Returns
    -------
    array [N, K]
        From a sigmoid head each class is decided by itself, and a row need not sum to one.

    Raises
    ------
    TypeError
        `model` is no model, or `X` no array of real numbers.
    ValueError
        `X` has another number of columns.
    """
    check_kind("model", model, Model, "a Model")
    return by_blocks(lambda rows: model.network.probabilities(model.standardizer(rows)), X)


def save_model(path: str | os.PathLike[str], model: Model | LanguageModel) -> None:
    """Write a model; the file is either whole or as it was before.

    Raises
    ------
    TypeError
        `path` is no path, `model` is no model, or its network has a layer, a map or a loss that is
        not softgrad's own.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from softgrad.nn import build_mlp
    >>> standardizer = Standardizer(np.zeros(2), np.ones(2))
    >>> model = Model(build_mlp(2, 3, seed=0), ("a", "b", "c"), ("x", "y"), standardizer)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(f"{folder}/model.safetensors", model)
    ...     same = load_model(f"{folder}/model.safetensors")
    >>> bool((predict(same, np.eye(2)) == predict(model, np.eye(2))).all())
    True
    """
    _check_path(path)
    check_kind("model", model, (Model, LanguageModel), "a Model or a LanguageModel")
    from safetensors.numpy import save

    tensors: dict[str, Array] = {}
    tree = {"schema": SCHEMA, "model": _encode(model, "", tensors)}
    header = {HEADER_KEY: json.dumps(tree, ensure_ascii=False, allow_nan=False)}
    write_atomically(path, save(tensors, metadata=header))


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that `save_model` wrote.

    Raises
    ------
    TypeError
        `path` is no path.
    UsageError
        There is no such file, it is damaged, or it is no model of this version of softgrad, or
        a language model.
    """
    model: Model = _load(path, Model)
    return model


def load_language_model(path: str | os.PathLike[str]) -> LanguageModel:
    """Read a language model that `save_model` wrote; what it raises is what `load_model` does."""
    model: LanguageModel = _load(path, LanguageModel)
    return model


def _load(path: str | os.PathLike[str], kind: type) -> Any:
    _check_path(path)
    tree, tensors = read_tensors(path, SCHEMA, "model")
    unused = set(tensors)
    try:
        model = _decode(tree, tensors, unused)
        if type(model) not in _MODELS:
            raise ValueError(mismatch("model", "a model", type(model).__name__))
        if unused:
            raise ValueError(f"nothing uses the tensors {', '.join(sorted(unused))}")
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise file_complaint(path, f"not a valid model: {error}") from error
    if type(model) is not kind:
        raise file_complaint(path, f"expected {_MODELS[kind]}, got {_MODELS[type(model)]}")
    return model


def _check_path(path: Any) -> None:
    check_kind("path", path, (str, os.PathLike), "a path")


def _classes_in(room: Any) -> dict[str, Callable[..., Any]]:
    """Return the final classes that a room lists: its dataclasses, by name."""
    public = {name: getattr(room, name) for name in room.__all__}
    return {
        name: kind
        for name, kind in public.items()
        if dataclasses.is_dataclass(kind) and inspect.isclass(kind) and not inspect.isabstract(kind)
    }


_MODELS: Mapping[type, str] = {
    Model: "a model of rows, which predicts DATA",
    LanguageModel: "a language model, which goes on with a --prompt",
}

_KINDS: Mapping[str, Callable[..., Any]] = {
    "Activation": Activation,
    "LanguageModel": LanguageModel,
    "Linear": Linear.of,
    "Model": Model,
    "Network": Network,
    "Standardizer": Standardizer,
    "Vocabulary": Vocabulary,
    **_classes_in(maps),
    **_classes_in(losses),
}
"""What a file may hold, and how it is built from its fields."""


def _encode(value: Any, place: str, tensors: dict[str, Array]) -> Any:
    """Return a value as JSON, with its arrays put among the tensors."""
    if isinstance(value, np.ndarray):
        tensors[place] = np.ascontiguousarray(value)
        return {"tensor": place}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return [_encode(item, _inside(place, str(i)), tensors) for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ not in _KINDS or not dataclasses.is_dataclass(value):
        where = f"model.{place}"
        raise TypeError(mismatch(where, "one of softgrad's own kinds", type(value).__name__))
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {"kind": type(value).__name__} | {
        name: _encode(item, _inside(place, name), tensors) for name, item in fields.items()
    }


def _decode(value: Any, tensors: Mapping[str, Array], unused: set[str]) -> Any:
    """Build what `_encode` took apart."""
    if isinstance(value, list):
        return tuple(_decode(item, tensors, unused) for item in value)
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tensor"}:
        unused.discard(value["tensor"])
        return _look_up(tensors, value["tensor"], "tensor")
    name = value.get("kind")
    build = _look_up(_KINDS, name, "kind")
    fields = {k: _decode(v, tensors, unused) for k, v in value.items() if k != "kind"}
    try:
        inspect.signature(build).bind(**fields)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
    return build(**fields)


def _look_up(table: Mapping[str, Any], name: Any, what: str) -> Any:
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"there is no {what} {name!r}")
    return table[name]


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
