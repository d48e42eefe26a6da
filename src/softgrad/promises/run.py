"""`softgrad.conformance`: anybody's implementation against a battery of promises."""

from __future__ import annotations

import math
import warnings
from importlib import metadata
from typing import Any

import numpy as np

from softgrad.errors import mismatch
from softgrad.promises.adapters import load_adapter
from softgrad.promises.battery import PROMISES
from softgrad.promises.guess import implementation_of
from softgrad.promises.implementations.base import NotOffered, Threads
from softgrad.promises.promise import Measured, Promise
from softgrad.promises.result import Conformance, Outcome, Verdict
from softgrad.promises.subject import Subject
from softgrad.promises.suites import SUITES

__all__ = ["conformance", "outcome_of"]

_LONGEST = 200


def conformance(
    suite: str,
    implementation: Any,
    *,
    framework: str | None = None,
    threads: Threads | None = None,
) -> Conformance:
    """Run a battery on an implementation of softmax, or of its losses, and say what it promises.

    Every promise is measured at points where implementations are known to fail, against decimal
    arithmetic with 200 digits. The points are the same in every run.

    Parameters
    ----------
    suite : {"softmax", "log_softmax", "cross_entropy", "linear_cross_entropy"}
    implementation : callable, pair, or str
        A function in its own framework:

        - ``f(z)`` of logits [N, K], over the last axis, for the first two suites;
        - ``f(logits, targets)`` of logits [N, K] and class indices [N];
        - ``f(x, W, targets)`` or ``f(x, W, targets, bias)`` of features [N, D], weights [K, D] and
          biases [K].

        A loss has one number a row, or their mean. Of the options `reduction` ("none", "mean"),
        `ignore_index`, `label_smoothing` and `weight` [K] it is given those that are parameters of
        it; a promise about another one counts as not offered.

        PyTorch and JAX differentiate it themselves. A function of NumPy arrays may come as a pair
        ``(f, vjp)``, or have the methods ``vjp(*inputs, cotangent)``, ``jvp(*inputs, tangent)``
        and ``hvp(*inputs, cotangent, tangent)``; they take the options that `f` takes. For a
        linear layer gradients and tangents are tuples, for x, W and a bias that is given.

        Or the name of an implementation that is shipped: "softgrad", "softgrad-torch",
        "softgrad-jax", "torch", "torch-fused", "jax", "optax" or "scipy".
    framework : {"numpy", "torch", "jax"}, optional
        Whose arrays it takes. By default the function is called with each kind to find out.
    threads : callable, optional
        ``threads(n)`` is a context manager that limits the threads, such as
        `threadpoolctl.threadpool_limits`. PyTorch's own are known.

    Returns
    -------
    Conformance
        The outcome of every promise: kept, broken, not offered, or could not run; with the worst
        figure, the point where it was measured, and the largest figure that is allowed.

    Raises
    ------
    TypeError
        `implementation` is no function, or takes no arrays.
    ValueError
        There is no such suite, framework, or shipped implementation; or a pair is not NumPy's.
    ImportError, UsageError
        The framework, or what the shipped implementation needs, is not installed.

    Notes
    -----
    One ulp is the distance between neighbouring numbers: of the input's format, at the size of the
    exact answer. An exception of the implementation is an outcome, but where a label is out of
    range: there it is right.

    Examples
    --------
    >>> import numpy as np, softgrad as sg
    >>> def softmax(z):
    ...     E = np.exp(z - z.max(axis=-1, keepdims=True))
    ...     return E / E.sum(axis=-1, keepdims=True)
    >>> def vjp(z, g):
    ...     p = softmax(z)
    ...     return p * (g - (g * p).sum(axis=-1, keepdims=True))
    >>> result = sg.conformance("softmax", (softmax, vjp))
    >>> [outcome.promise for outcome in result.of("broken")][:2]
    ['confident-gradients', 'wide-range']
    """
    if suite not in SUITES:
        raise ValueError(mismatch("suite", f"among {', '.join(SUITES)}", repr(suite)))
    name, distributions = _name_of(implementation), ["softgrad", "numpy"]
    if isinstance(implementation, str):
        adapter = load_adapter(implementation)
        if suite not in adapter.functions:
            expected = f"among {', '.join(adapter.functions)} for {implementation!r}"
            raise ValueError(mismatch("suite", expected, repr(suite)))
        implementation, framework = adapter.functions[suite], adapter.framework
        threads = threads or adapter.threads
        distributions.append(adapter.distribution)
    # What it warns of, and what NumPy says of infinite numbers, is what the battery is about.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        framework, made = implementation_of(implementation, framework, threads, SUITES[suite])
        subject = Subject(SUITES[suite], made)
        asked = [promise for promise in PROMISES if suite in promise.suites]
        outcomes = tuple(outcome_of(promise, subject) for promise in asked)
    versions = {name: _version(name) for name in dict.fromkeys([*distributions, framework])}
    return Conformance(suite, name, framework, versions, outcomes)


def outcome_of(promise: Promise, subject: Subject) -> Outcome:
    """Measure one promise; what the implementation raises is an outcome as well."""
    found: list[Measured] = []
    stopped: Verdict | None = None
    reason = ""
    try:
        for measured in promise.measure(subject):
            found.append(measured)
    except NotOffered as missing:
        stopped, reason = "not offered", str(missing)
    except (Exception, SystemExit) as error:
        stopped, reason = "could not run", _in_a_line(error)
    worst = max(found, key=lambda m: math.inf if math.isnan(m.figure) else m.figure, default=None)
    broken = worst is not None and not worst.figure <= promise.at_most
    if worst is None or (stopped == "could not run" and not broken):
        assert stopped is not None, f"{promise.name} measures nothing"
        return _said(promise, stopped, None, reason)
    return _said(promise, "broken" if broken else "kept", worst.figure, worst.at, reason)


def _said(
    promise: Promise, verdict: Verdict, figure: float | None, at: str, note: str = ""
) -> Outcome:
    says, at_most, unit = promise.says, promise.at_most, promise.unit
    return Outcome(promise.name, says, verdict, figure, at_most, unit, at, note)


def _in_a_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _name_of(implementation: Any) -> str:
    if isinstance(implementation, str):
        return implementation
    first = implementation[0] if isinstance(implementation, tuple) else implementation
    return getattr(first, "__name__", type(first).__name__)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of unknown version"
