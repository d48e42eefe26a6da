"""`softgrad.check`: a backward against the derivative of its forward, in a few dozen calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from softgrad.checker.arguments import make_subject
from softgrad.checker.calls import Ended
from softgrad.checker.diagnosis import diagnose, diagnose_second
from softgrad.checker.draws import draws_alike
from softgrad.checker.examination import Examination, fluctuation
from softgrad.checker.guards import NEXT_TO_NOTHING, SLIGHT, in_words, unguarded
from softgrad.checker.heard import heard_once
from softgrad.checker.report import Cost, Finding, Report, verdict_of
from softgrad.checker.second_order import demand_second, second_order
from softgrad.checker.subject import Subject
from softgrad.errors import mismatch
from softgrad.results import number

__all__ = ["check"]

_LEFT = 1 / 16
"""The part of an error that may be left where its cause is taken away."""


@heard_once()
@draws_alike
def check(
    forward: Any,
    backward: Any = None,
    *inputs: Any,
    dtype: DTypeLike | None = None,
    reference: Callable[..., Any] | None = None,
    where: Any = None,
    seed: int = 0,
    thorough: bool = False,
    order: int = 1,
    second: Callable[..., Any] | None = None,
) -> Report:
    """Check a backward against the derivative of its forward.

    The backward is probed with random cotangents along random directions, so the cost does not
    grow with the number of entries: at most 37 forward and 9 backward calls, and one more of the
    backward where random numbers are drawn. The verdict compares the error with a measured error
    bar; there is no tolerance to choose.

    Where the check fails, the report names the mistake and says where it is. That takes further
    calls, about a hundred, most of them on a small twin of the inputs: both functions are called
    with arrays of other shapes, and what they raise there is passed over.

    Parameters
    ----------
    forward : callable or layer
        ``forward(*inputs)`` returns an array or a tuple of arrays; a scalar is fine. Or an object
        with ``forward(*inputs)`` and ``backward(cotangent)``: then all that follows are inputs.
        Such a layer may keep weights and leave their gradients beside them, as ``W`` and ``dW``, or
        in ``params`` and ``grads``: those are checked with the inputs, and the report says which. A
        copy of the layer is called, and your own stays as it is. A forward that returns nothing may
        leave its value in ``output``, and the backward in ``dinputs``.
        So it is for what PyTorch or JAX differentiate: ``check(MyFunction.apply, *tensors)``, a
        module, whose parameters are inputs as well, or a `jax.custom_vjp` or any other function
        of JAX's arrays.
    backward : callable
        ``backward(*inputs, cotangent)`` returns the gradient, or a tuple with one entry for each
        floating-point input (or for each input, None at the others). `cotangent` has the shape
        and dtype of the output, and is a tuple when `forward` returns one. It is left out where
        the library differentiates.
        Labels and masks that are floats may be given none: what holds 0 and 1 alone and has no
        gradient (None, or left out) is taken for a constant, and the report says so; what may be
        one for another reason leaves the check inconclusive.
    *inputs : array or other
        Where to check. Arrays, lists and numbers of float16, float32 or float64, or of bfloat16
        where ml_dtypes is installed, are differentiated; all else is handed on as it is. So are
        numbers and lists to functions of PyTorch and JAX, which differentiate arrays alone.
    dtype : dtype, optional
        Cast the floating-point inputs to this dtype first.
    reference : callable, optional
        A forward that is right in float64. It is compared with `forward` and then takes its
        place in the differences.
    where : array of bool, or tuple of them, optional
        True where the first floating-point input is probed, or one mask (or None) for each of
        them. The other entries are neither moved nor compared, and may be infinite.
    seed : int
        Seed of the probes.
    thorough : bool
        Use 6 × 6 probes in place of 3 × 3; at most 74 forward and 12 backward calls.
    order : 1 or 2
        2 checks second derivatives: those of the backward in its inputs and its cotangent. Where
        they are wrong, the first ones are checked as well, and named first.
    second : callable, optional
        For `order` 2 of a pair, where no library differentiates the backward:
        ``second(*inputs, cotangent, tangent)`` returns the gradients of ⟨backward(*inputs,
        cotangent), tangent⟩ in the floating-point inputs and in the cotangent.

    Returns
    -------
    Report
        Verdict ``"pass"``, ``"fail"`` or ``"inconclusive"``, the relative error with its bar, and
        what was found, a sentence each. An exception in `forward` or `backward` is a finding, and
        so is what cannot be differentiated: integers alone, no entries, outputs that are no array.

    Raises
    ------
    TypeError
        `forward` or `backward` cannot be called, an input is of a format that is not checked; or
        `order` is 2, and `second` is missing, or `forward` is a layer.
    ValueError
        There is no input, a probed entry is not finite, or `where` does not fit.

    Notes
    -----
    The report's `oracle` is what the backward was compared with, the first of these that applies:

    1. forward mode in float64, of PyTorch and JAX, past the rules for derivatives that the function
       itself brings;
    2. the complex step, for NumPy functions that take complex numbers;
    3. differences of the forward in float64, extrapolated after Richardson until they settle;
    4. the same in the forward's own dtype, where it cannot be run in float64.

    The first two take 3 calls besides 5 or 6 of the forward. Four of these are for differences in
    one direction, and where those do not agree, because a part is detached or is not analytic, the
    third is taken.

    Weights of a layer are found by name: an array `W` on which the forward depends, and beside it
    one of its shape that the backward writes, called ``dW``, ``d_W``, ``grad_W``, ``W_grad``,
    ``gradient_W``, ``W_gradient`` or ``W_bar``; or ``params`` and ``grads`` with the same keys; or
    ``value`` (``data``) and ``grad``. None is guessed. That takes 4 further calls of the forward
    and 3 of the backward, and 2 of the forward for each weight.

    PyTorch and JAX run the forward in every backward call as well. A module's mode and its state,
    such as running statistics, stay as they are, and its random numbers are the same in every call.
    JAX's 64 bits are enabled for the float64 runs alone.

    A warning that your functions give is given once, at the end.

    A small constant that one of the two functions adds and the other does not, as in ``log(p +
    1e-8)``, is no mistake where it alone explains an error below 1e-6: the check passes, and the
    report says so. An error up to 1e-3 that constants below 1e-6 alone explain, as where p is next
    to 0, leaves it inconclusive.

    On a kink or a tie, as of relu at 0, a function has no derivative. Entries that sit on one are
    found by moving parts of the inputs; their gradient must lie between the slopes on both sides,
    and the rest is judged without them. Those that tie are moved together as well. Where nothing is
    left, the check is inconclusive.

    All probes mix all entries. An error in a part of the gradient whose size is below the error
    bar of the whole is out of sight: in float64 a part 1e-10 times as large as the rest, in
    float32 one 1e-5 times as large. Saturated rows of softmax are such parts; check them alone.

    In float16 and bfloat16 an error of some per cent looks like rounding. A pass there needs a run
    of the same backward in float64 that agrees with the oracle; without one the check is
    inconclusive. So is one of a function that varies within the smallest step, 1e-5 of its input's
    scale.

    Examples
    --------
    >>> import numpy as np
    >>> from softgrad.checker import check
    >>> def softmax(z):
    ...     e = np.exp(z - z.max(axis=-1, keepdims=True))
    ...     return e / e.sum(axis=-1, keepdims=True)
    >>> def diagonal_only(z, g):
    ...     p = softmax(z)
    ...     return g * p * (1 - p)
    >>> def backward(z, g):
    ...     p = softmax(z)
    ...     return p * (g - (g * p).sum(axis=-1, keepdims=True))
    >>> z = np.random.default_rng(0).normal(size=(4, 37))
    >>> check(softmax, backward, z).verdict, check(softmax, diagonal_only, z).verdict
    ('pass', 'fail')
    """
    started = time.perf_counter()
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(mismatch("seed", "an integer that is not negative", repr(seed)))
    if order not in (1, 2):
        raise ValueError(mismatch("order", "1 or 2", repr(order)))
    for name, function in (("reference", reference), ("second", second)):
        if function is not None and not callable(function):
            raise TypeError(mismatch(name, "callable", type(function).__name__))
    given = subject = make_subject(forward, backward, inputs, dtype, where, reference)
    if order == 2:
        demand_second(given, second)
    elif second is not None:
        raise ValueError(mismatch("second", "left out where `order` is 1", "a function"))
    examination = Examination(int(seed), 6 if thorough else 3)
    try:
        # A non-finite number is found by looking at it; a warning about it would only repeat that.
        with np.errstate(all="ignore"):
            given.demand_inputs()
            if order == 2:
                subject = second_order(given, second, int(seed))
            examination.run(subject)
    except Ended as end:
        examination.findings.append(end.finding)
    findings = examination.findings + [Finding("fail", text) for text in sorted(subject.damage)]
    findings += [Finding("doubt", text) for text in subject.doubts]
    findings += [Finding("note", text) for text in subject.remarks]
    if order == 2:
        findings = [Finding(found.level, f"Second order: {found.message}") for found in findings]
        text = "what is called the forward is the backward, of inputs and cotangent together."
        findings.append(Finding("note", f"Second order: {text}"))
    findings.sort(key=lambda finding: ("fail", "doubt", "note").index(finding.level))
    verdict = verdict_of(findings)
    forward_calls, backward_calls = subject.forward_calls, subject.backward_calls
    before_forward, before_backward = subject.calls_before
    forward_mode_calls = subject.forward_mode_calls
    diagnosis = place = None
    if verdict == "fail" and (cause := fluctuation(given) or examination.excuse()):
        verdict, findings = "inconclusive", [Finding("doubt", cause)]
    if verdict == "fail" and (examination.relative[0] or 1.0) < SLIGHT:
        said = _of_small_constants(subject, examination, int(seed))
        if said is not None:
            findings = [said, *(found for found in findings if found.level == "note")]
            verdict = verdict_of(findings)
    if verdict == "fail":
        with np.errstate(all="ignore"):
            if order == 2:
                diagnosis, place = diagnose_second(given, subject, int(seed))
            else:
                diagnosis, place = diagnose(subject, int(seed))
    return Report(
        verdict=verdict,
        subject=subject.name,
        relative_error=examination.relative[0],
        error_bar=examination.relative[1],
        oracle=examination.oracle,
        findings=tuple(findings),
        cost=Cost(
            forward_calls + before_forward,
            backward_calls + before_backward,
            time.perf_counter() - started,
            forward_mode_calls,
            subject.forward_calls - forward_calls,
            subject.backward_calls - backward_calls,
        ),
        dtype=", ".join(dict.fromkeys(str(point.dtype) for point in subject.points)),
        seed=int(seed),
        order=order,
        diagnosis=diagnosis,
        where=place,
    )


def _of_small_constants(subject: Subject, examination: Examination, seed: int) -> Finding | None:
    """Say that a small error is that of constants which one function does without, if it is."""
    if sum(found.level == "fail" for found in examination.findings) != 1:
        return None
    found = unguarded(subject)
    before = examination.relative[0] or 0.0
    if found is None or not (found.only_guards or before < NEXT_TO_NOTHING):
        return None
    bare = replace(found.subject, forward_calls=0, backward_calls=0)
    again = Examination(seed, 3)
    try:
        with np.errstate(all="ignore"):
            again.run(bare)
    except Ended:
        return None
    finally:
        subject.forward_calls += bare.forward_calls
        subject.backward_calls += bare.backward_calls
    after = again.relative[0] or 0.0
    if any(found.level != "note" for found in again.findings) or after > _LEFT * before:
        return None
    said = f"{in_words(bare)}: the relative error of {number(before)} is gone where 0 stands there."
    if before < NEXT_TO_NOTHING:
        return Finding("note", f"The backward agrees with the forward but for {said}")
    return Finding(
        "doubt",
        f"Forward and backward differ by {said} That is right where the constant only keeps a "
        "logarithm or a division finite. Here what it keeps from 0 is so near to 0 that the "
        "difference shows: check away from it, or give both functions the constant.",
    )
