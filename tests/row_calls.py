"""What the ranks do in the tests of a classifier whose rows are spread over them."""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import torch.distributed as dist
from scipy import sparse
from sklearn.model_selection import GridSearchCV

import softgrad as sg

__all__ = [
    "calibrated",
    "called",
    "ended",
    "fitted",
    "huge",
    "in_parts",
    "pickled",
    "refused",
    "searched",
    "separated",
    "stopped",
    "struck",
    "summarised",
    "unseeded",
]

ATTRIBUTES = (
    "classes_", "coef_", "intercept_", "coefs_", "intercepts_", "solver_", "n_iter_", "objective_",
    "optimality_", "n_features_in_", "feature_names_in_", "temperature_", "covariance_",
)  # fmt: skip


class Stopped(Exception):
    """What stands for a kill here."""


def found(model: Any) -> dict[str, Any]:
    """Return all that a fit found."""
    told = {name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)}
    separation = getattr(model, "separation_", None)
    told["separation"] = None if separation is None else separation.sentence
    return told | {"history": [str(record) for record in model.history_]}


def own(group: Any, sizes: tuple[int, ...]) -> slice:
    """Return the own rows."""
    rank = dist.get_rank(group)
    start = sum(sizes[:rank])
    return slice(start, start + sizes[rank])


def as_form(form: str, X: Any, y: Any, weights: Any) -> tuple[Any, ...]:
    """Return rows in another form, with their labels and weights as it brings them."""
    if form == "CSR":
        return sparse.csr_array(X), y, weights
    if form == "float32":
        return X.astype(np.float32), y, weights
    if form == "pairs":
        parts = [slice(0, 7), slice(7, None)] if len(X) else []
        return ((X[part], y[part], weights[part]) for part in parts), None, None
    if form == "batches":
        columns = {**{f"c{d}": X[:, d] for d in range(X.shape[1])}, "kind": y, "w": weights}
        return iter(pa.table(columns).to_batches() if len(X) else []), "kind", "w"
    return X, y, weights


def fitted(
    group: Any,
    sizes: tuple[int, ...],
    settings: dict[str, Any],
    data: tuple[Any, ...],
    form: str = "dense",
) -> dict[str, Any]:
    """Return what a fit finds where each rank has its rows, in some form."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sg.SoftmaxClassifier(**settings, group=group)
        return found(model.fit(*as_form(form, X, y, weights)))


def of_file(group: Any, path: str, y: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what a fit finds in a file that all ranks read."""
    return found(sg.SoftmaxClassifier(**settings, group=group).fit(path, y))


def mapped(group: Any, sizes: tuple[int, ...], path: str, y: Any, settings: Any) -> dict[str, Any]:
    """Return what a fit finds where each rank has a slice of a mapped array."""
    X, mine = np.load(path, mmap_mode="r"), own(group, sizes)
    return found(sg.SoftmaxClassifier(**settings, group=group).fit(X[mine], y[mine]))


def in_parts(group: Any, settings: dict[str, Any], parts: Any) -> dict[str, Any]:
    """Return what calls of `partial_fit` find."""
    model = sg.SoftmaxClassifier(**settings, group=group)
    for sizes, X, y in parts:
        mine = own(group, sizes)
        model.partial_fit(X[mine], y[mine])
    return found(model)


def summarised(group: Any, sizes: tuple[int, ...], data: tuple[Any, ...]) -> Any:
    """Return what the statistics are."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    model = sg.SoftmaxClassifier(C=np.inf, group=group).fit(X, y, weights)
    summary = model.summary(X, y, weights)
    ratio = model.likelihood_ratio(X, y, weights, columns=[0, 2])
    numbers = (summary.log_likelihood, summary.null_log_likelihood, ratio.statistic)
    return found(model), numbers


def calibrated(group: Any, sizes: tuple[int, ...], data: tuple[Any, ...]) -> Any:
    """Return what the temperature is."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    model = sg.SoftmaxClassifier(C=0.01, group=group).fit(X, y)
    return found(model.calibrate(X, y, weights))


def unseeded(group: Any, data: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return what a fit finds that draws its own seed, and one of rows that come in parts."""
    X, y, _ = (part[own(group, (90, len(data[1]) - 90))] for part in data)
    settings = {"solver": "adam", "max_iter": 2, "hidden": (3,), "group": group}
    part = sg.SoftmaxClassifier(**settings).partial_fit(X, y, classes=np.unique(data[1]))
    return found(sg.SoftmaxClassifier(**settings).fit(X, y)), found(part)


def separated(group: Any, sizes: tuple[int, ...], data: tuple[Any, ...]) -> Any:
    """Return how the classes are separated, where nothing holds the coefficients."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sg.SoftmaxClassifier(C=np.inf, group=group).fit(X, y, weights).separation_


def ended(group: Any, data: tuple[Any, ...]) -> int:
    """Return how many steps a fit takes that the second rank ends."""
    X, y, _ = (part[own(group, (90, len(data[1]) - 90))] for part in data)

    def stop(step: Any) -> bool:
        return dist.get_rank(group) == 1 and step.number == 2

    return sg.SoftmaxClassifier(solver="lbfgs", callbacks=stop, group=group).fit(X, y).n_iter_


def huge(group: Any, data: tuple[Any, ...]) -> str:
    """Return the solver of rows that are huge where all are counted, and not on any rank."""
    X, y, _ = (part[own(group, (90, len(data[1]) - 90))] for part in data)
    entries = data[0].size * len(np.unique(data[1]))
    with mock.patch("softgrad.learn.options._HUGE", 0.9 * entries), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sg.SoftmaxClassifier(random_state=0, max_iter=1, group=group).fit(X, y).solver_


def called(group: Any, one: str, other: str, data: tuple[Any, ...]) -> str:
    """Return the error of ranks that call different methods, or the same one differently."""
    X, y, _ = (part[own(group, (90, len(data[1]) - 90))] for part in data)
    likely = sg.SoftmaxClassifier(C=np.inf, group=group).fit(X, y)
    model, new = (sg.SoftmaxClassifier(solver="adam", group=group) for _ in range(2))
    methods = {
        "fit": lambda: model.fit(X, y),
        "partial_fit": lambda: model.partial_fit(X, y),
        "partial_fit of 3": lambda: new.partial_fit(X, y, classes=np.unique(data[1])),
        "partial_fit of 4": lambda: new.partial_fit(X, y, classes=["a", "b", "c", "d"]),
        "summary": lambda: likely.summary(X, y),
        "summary to 2": lambda: likely.summary(X, y, level=2),
        "ratio of 0": lambda: likely.likelihood_ratio(X, y, columns=0),
        "ratio of 1": lambda: likely.likelihood_ratio(X, y, columns=1),
        "calibrate": lambda: likely.calibrate(X, y),
    }
    try:
        methods[other if dist.get_rank(group) == 1 else one]()
    except ValueError as error:
        return str(error)
    return "nothing was refused"


def stopped(
    group: Any, sizes: tuple[int, ...], settings: Any, data: Any, path: str, steps: list[int]
) -> Any:
    """Fit in pieces: a checkpoint after every step, and an end after so many of them."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    for left in steps:

        def stop(record: Any, left: list[int] = [left]) -> None:  # noqa: B006
            left[0] -= 1
            if left[0] < 0:
                raise Stopped

        told = {"checkpoint": path, "checkpoint_every": 0, "callbacks": stop}
        model = sg.SoftmaxClassifier(**settings, **told, group=group)
        try:
            model.fit(X, y, weights)
        except Stopped:
            continue
        return found(model)
    return None


def struck(
    group: Any, sizes: tuple[int, ...], settings: Any, data: Any, path: str, how: str
) -> Any:
    """Fit until rank 1 is killed, or rank 0 finds no folder for its checkpoint."""
    X, y, weights = (part[own(group, sizes)] for part in data)
    rank = dist.get_rank(group)

    def strike(step: Any) -> None:
        if step.number < 3:
            return
        if how == "killed" and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "no folder" and rank == 0:
            shutil.rmtree(os.path.dirname(path))

    told = {"checkpoint": path, "checkpoint_every": 0, "callbacks": strike}
    model = sg.SoftmaxClassifier(**settings, **told, group=group)
    return found(model.fit(X, y, weights))


def refused(group: Any, settings: list[dict[str, Any]], rows: list[tuple[Any, ...]]) -> str:
    """Return the error of a fit with other settings and rows on every rank."""
    rank = dist.get_rank(group)
    try:
        sg.SoftmaxClassifier(**settings[rank], group=group).fit(*rows[rank])
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def searched(group: Any, data: tuple[Any, ...]) -> Any:
    """Return the scores of a search where all ranks have all rows, and whether copies do so too."""
    X, y, _ = data
    model = sg.SoftmaxClassifier(group=group)
    C = [c / dist.get_world_size(group) for c in (0.01, 1.0)]  # which goes with the sum of weights
    search = GridSearchCV(model, {"C": C}, cv=2).fit(X, y)
    return search.cv_results_["mean_test_score"], search.best_estimator_.group is group


def pickled(group: Any, data: tuple[Any, ...]) -> Any:
    """Return a model, which goes through a pipe."""
    X, y, _ = data
    return sg.SoftmaxClassifier(group=group).fit(X, y)
