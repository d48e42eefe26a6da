"""The conformance battery: it sees every fault that it is for, and softgrad keeps all promises."""

from __future__ import annotations

import json
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import oracles
import softgrad as sg
from broken_promises import BREAKERS, GOOD, Changed, one_thread, usual_softmax
from softgrad.errors import UsageError
from softgrad.promises import ADAPTERS, SUITES, load_adapter
from softgrad.promises.battery import PROMISES
from softgrad.promises.exact import CROSS_ENTROPY, LOG_SOFTMAX, SOFTMAX, one_hot
from softgrad.promises.guess import implementation_of
from softgrad.promises.measures import differing, ulps
from softgrad.promises.page import END, START, markdown
from softgrad.promises.rows import Rows, exactly, random_rows
from softgrad.promises.run import outcome_of
from softgrad.promises.subject import Subject

BY_NAME = {promise.name: promise for promise in PROMISES}


def outcome(name: str, suite: str, implementation: Any, **options: Any) -> Any:
    """Measure one promise alone."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        given = {"framework": None, "threads": one_thread} | options
        _, made = implementation_of(
            implementation, given["framework"], given["threads"], SUITES[suite]
        )
        return outcome_of(BY_NAME[name], Subject(SUITES[suite], made))


def usual_vjp(z: Any, g: Any) -> Any:
    p = usual_softmax(z)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


# --- every promise can be broken -------------------------------------------------------------


def test_every_promise_has_an_implementation_that_breaks_it() -> None:
    assert set(BREAKERS) == set(BY_NAME)
    assert len(BY_NAME) == len(PROMISES)


@pytest.mark.parametrize("name", BREAKERS)
def test_fault_breaks_its_promise_and_the_same_without_it_does_not(name: str) -> None:
    breaker = BREAKERS[name]
    found = outcome(name, breaker.suite, breaker.implementation)
    assert found.verdict == "broken"
    assert found.figure > found.at_most
    right = outcome(name, breaker.suite, Changed(GOOD[breaker.suite]))
    assert right.verdict == "kept"
    assert right.figure <= right.at_most
    assert right.at


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", ["softgrad", "softgrad-torch"])
def test_softgrad_keeps_every_promise(name: str, suite: str) -> None:
    result = sg.conformance(suite, name)
    assert {o.promise for o in result.outcomes} == {p.name for p in PROMISES if suite in p.suites}
    assert [(o.promise, o.verdict, o.at) for o in result.outcomes if o.verdict != "kept"] == []
    assert result.verdict == "kept"


@pytest.mark.parametrize("suite", SUITES)
def test_softgrad_keeps_every_promise_that_jax_arrays_can_have(suite: str) -> None:
    """They have no strides, cannot be written to, and JAX does not change its threads."""
    result = sg.conformance(suite, "softgrad-jax")
    verdicts = {o.promise: o.verdict for o in result.outcomes}
    assert {p.name for p in PROMISES if suite in p.suites} == verdicts.keys()
    absent = {"strided-input", "inputs-unchanged", "thread-invariance"} & verdicts.keys()
    assert {name for name, verdict in verdicts.items() if verdict == "not offered"} == absent
    assert [(o.promise, o.at) for o in result.outcomes if o.verdict == "broken"] == []
    assert result.verdict == "kept"


# --- the oracle ------------------------------------------------------------------------------

LOGITS = [1.25, -3.0, 0.5, 17.0]
PRIMALS = {
    "softmax": (SOFTMAX, oracles.softmax),
    "log_softmax": (LOG_SOFTMAX, oracles.log_softmax),
    "cross_entropy": (CROSS_ENTROPY, lambda z: [oracles.cross_entropy(z, TARGET)]),
}
TARGET = [mpmath.mpf(v) for v in (0, 0.25, 0.75, 0)]


@pytest.mark.parametrize("name", PRIMALS)
def test_oracle_is_that_of_mpmath_and_its_derivatives_are_those_of_its_value(name: str) -> None:
    exact, primal = PRIMALS[name]
    z, t = exactly(np.array(LOGITS)), exactly(np.array(TARGET, float))
    x = oracles.row(LOGITS)
    value = exact.value(z, t)
    y_bar = exactly(np.linspace(-1, 2, len(value)) + 0.125)
    z_dot = exactly(np.array([0.5, -1.0, 2.0, 0.75]))
    bar, dot = [mpmath.mpf(str(v)) for v in y_bar], [mpmath.mpf(str(v)) for v in z_dot]
    pairs = [
        (value, primal(x)),
        (exact.vjp(z, t, y_bar), oracles.vjp(primal, x, bar)),
        (exact.jvp(z, t, z_dot), oracles.jvp(primal, x, dot)),
        (exact.hvp(z, t, y_bar, z_dot), oracles.hvp(primal, x, bar, dot)),
    ]
    for ours, theirs in pairs:
        assert any(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert abs(mpmath.mpf(str(a)) - b) <= mpmath.mpf(10) ** -25 * abs(b)


def test_oracle_has_probability_zero_at_minus_infinity() -> None:
    z, t = [Decimal("-Infinity"), Decimal(0), Decimal(0)], one_hot(1, 3)
    assert SOFTMAX.value(z, t) == [0, Decimal("0.5"), Decimal("0.5")]
    assert LOG_SOFTMAX.value(z, t)[0] == Decimal("-Infinity")
    assert CROSS_ENTROPY.vjp(z, t, [Decimal(2)]) == [0, -1, 1]


def test_ulps_count_places_of_the_format() -> None:
    exact = [exactly(np.array([1.0, 2.0**-10]))]
    answer = np.array([[1.0, 2.0**-10 + 2.0**-30]])
    assert ulps(answer, exact, "float32") == 2.0**-7
    assert ulps(answer, exact, "float32", own_size=True) == 2.0**3
    assert ulps(answer, exact, "float64", own_size=True) == 2.0**32
    assert ulps(answer, exact, "bfloat16", own_size=True) == 2.0**-13
    assert ulps(answer + np.nan, exact, "float32") == np.inf
    assert ulps(np.array([[-np.inf]]), [[Decimal("-Infinity")]], "float32") == 0
    assert ulps(np.array([[1.0, 1e-20]]), [[Decimal(1), Decimal(0)]], "float32") > 1e20


def test_differing_counts_bits() -> None:
    a = np.array([0.0, np.nan, 1.0])
    assert differing(a, np.array([-0.0, np.nan, 1.0 + 2**-52])) == 2
    assert differing(a, a.copy()) == 0
    assert differing(a, a[:2]) == differing(a, a.astype(np.float32)) == np.inf


# --- what may be given -----------------------------------------------------------------------


def test_a_pair_of_numpy_functions_is_measured_in_all_that_it_has() -> None:
    result = sg.conformance("softmax", (usual_softmax, usual_vjp))
    verdicts = {outcome.promise: outcome.verdict for outcome in result.outcomes}
    assert verdicts["confident-gradients"] == verdicts["wide-range"] == "broken"
    assert verdicts["ordinary-rows"] == verdicts["strided-input"] == verdicts["tails"] == "kept"
    assert verdicts["forward-mode"] == verdicts["thread-invariance"] == "not offered"
    assert result.verdict == "broken"
    assert result.implementation == "usual_softmax"


def test_a_function_without_derivatives_is_measured_in_its_values() -> None:
    found = outcome("ordinary-rows", "softmax", usual_softmax)
    assert found.verdict == "kept"
    assert found.note == "it has no vjp"
    assert outcome("confident-gradients", "softmax", usual_softmax).verdict == "not offered"


def mean_loss(logits: Any, targets: Any) -> Any:
    return GOOD["cross_entropy"](logits, targets, reduction="mean")


def mean_vjp(logits: Any, targets: Any, loss_bar: Any) -> Any:
    return GOOD["cross_entropy"].vjp(logits, targets, loss_bar, reduction="mean")


@pytest.mark.parametrize("name", ["ordinary-rows", "confident-gradients", "tails"])
def test_a_mean_is_measured_row_by_row(name: str) -> None:
    assert outcome(name, "cross_entropy", (mean_loss, mean_vjp)).verdict == "kept"
    p_minus_t = BREAKERS["confident-gradients"].implementation.vjp

    def usual(z: Any, t: Any, bar: Any) -> Any:
        return p_minus_t(z, t, bar[None]) / len(z)

    usually = outcome(name, "cross_entropy", (mean_loss, usual))
    assert (usually.verdict == "broken") == (name == "confident-gradients")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("batch-invariance", "one number for all rows"),
        ("upstream-of-rows", "one number for all rows"),
        ("ignored-rows", "no ignore_index"),
        ("label-smoothing", "no label_smoothing"),
        ("class-weights", "no weight"),
    ],
)
def test_what_a_mean_without_options_has_not_is_not_offered(name: str, reason: str) -> None:
    found = outcome(name, "cross_entropy", (mean_loss, mean_vjp))
    assert found.verdict == "not offered"
    assert reason in found.at
    assert found.figure is None


def test_one_loss_a_row_has_no_mean() -> None:
    def losses(logits: Any, targets: Any) -> Any:
        return GOOD["cross_entropy"](logits, targets, reduction="none")

    assert "no mean" in outcome("upstream-of-the-mean", "cross_entropy", losses).at
    assert outcome("common-offset", "cross_entropy", losses).verdict == "kept"


def test_an_exception_is_an_outcome() -> None:
    def picky(z: Any) -> Any:
        if z.shape[-1] > 6:
            raise OverflowError("too\nmany classes")
        return GOOD["softmax"](z)

    found = outcome("ordinary-rows", "softmax", picky)
    assert (found.verdict, found.at) == ("could not run", "OverflowError: too many classes")
    assert outcome("masked-classes", "softmax", picky).verdict == "kept"


def test_what_raises_for_every_label_does_not_keep_the_promise_about_wrong_ones() -> None:
    def never(logits: Any, targets: Any) -> Any:
        raise IndexError("label out of range")

    found = outcome("label-range", "cross_entropy", never, framework="numpy")
    assert found.verdict == "could not run"


@pytest.mark.parametrize(
    ("suite", "wrong"),
    [
        ("softmax", lambda z: usual_softmax(z)[0]),
        ("cross_entropy", lambda logits, targets: np.zeros((len(logits), 7))),
    ],
)
def test_a_result_of_another_shape_cannot_be_measured(suite: str, wrong: Any) -> None:
    found = outcome("ordinary-rows", suite, wrong)
    assert found.verdict == "could not run"
    assert "shape" in found.at


def test_a_gradient_of_another_shape_or_none_cannot_be_measured() -> None:
    head = GOOD["linear_cross_entropy"]
    forgets_bias = Changed(head, vjp=lambda *a, **o: head.vjp(*a, **o)[:2])
    found = outcome("layer-gradients", "linear_cross_entropy", forgets_bias)
    assert found.verdict == "could not run"
    assert "gradients of the shapes [(4, 3), (6, 3), (6,)] were expected" in found.at
    for wrong in (lambda z, g: None, lambda z, g: g.T, lambda z, g: g[0]):
        found = outcome("ordinary-rows", "softmax", (usual_softmax, wrong))
        assert (found.verdict, found.figure) == ("could not run", None)
        assert "a gradient of the shape (5, 7) was expected" in found.at


def test_a_bias_masks_classes_of_a_linear_layer() -> None:
    def without_bias(x: Any, W: Any, targets: Any, reduction: str = "mean") -> Any:
        return GOOD["linear_cross_entropy"](x, W, targets, reduction=reduction)

    found = outcome("masked-classes", "linear_cross_entropy", without_bias)
    assert (found.verdict, found.at) == ("not offered", "it takes no bias, which masks a class")


@pytest.mark.parametrize(
    ("suite", "given", "options", "error", "words"),
    [
        ("soft", usual_softmax, {}, ValueError, "`suite` must be among softmax, log_softmax"),
        ("softmax", 3, {}, TypeError, "`implementation` must be a function, a pair"),
        ("softmax", (usual_softmax, 3), {}, TypeError, "got tuple"),
        ("softmax", lambda a, b: a, {}, TypeError, "say which by framework="),
        ("softmax", "tensorfloat", {}, ValueError, "softgrad-torch, softgrad-jax, torch"),
        ("softmax", "torch-fused", {}, ValueError, "`suite` must be among linear_cross_entropy"),
        ("softmax", (usual_softmax, usual_vjp), {"framework": "jax"}, ValueError, "for a pair"),
        ("softmax", usual_softmax, {"framework": "mlx"}, ValueError, "`framework` must be among"),
    ],
)
def test_wrong_arguments_are_named(
    suite: str, given: Any, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        sg.conformance(suite, given, **options)
    assert words in str(raised.value)


def test_a_shipped_implementation_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.delitem(sys.modules, "softgrad.promises.adapters.optax", raising=False)
    with pytest.raises(UsageError, match="pip install optax"):
        sg.conformance("cross_entropy", "optax")


# --- PyTorch, JAX, SciPy ---------------------------------------------------------------------

FEW = [
    "ordinary-rows",
    "masked-classes",
    "strided-input",
    "forward-mode",
    "second-order",
    "bfloat16",
]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", ["torch", "jax"])
def test_shipped_implementations_run(name: str, suite: str) -> None:
    adapter = load_adapter(name)
    found = {
        promise: outcome(promise, suite, adapter.functions[suite], framework=adapter.framework)
        for promise in FEW
    }
    assert found["ordinary-rows"].verdict == "kept"
    assert found["second-order"].verdict == "kept"
    expected = {"kept", "broken"} | ({"not offered"} if name == "jax" else set())
    assert {o.verdict for o in found.values()} <= expected


@pytest.mark.parametrize("name", ADAPTERS)
def test_shipped_implementations_are_of_suites_that_there_are(name: str) -> None:
    adapter = load_adapter(name)
    assert set() < set(adapter.functions) <= set(SUITES)


def test_the_framework_is_found_out() -> None:
    import jax
    import torch

    def of_numpy(z: Any) -> Any:
        return usual_softmax(z)

    for function, framework in (
        (of_numpy, "numpy"),
        (lambda z: torch.softmax(z, dim=-1), "torch"),
        (torch.nn.Softmax(dim=-1), "torch"),
        (jax.nn.softmax, "jax"),
    ):
        assert implementation_of(function, None, None, SUITES["softmax"])[0] == framework


def test_a_module_is_asked_for_nothing_that_its_forward_does_not_take() -> None:
    import torch

    module = torch.nn.CrossEntropyLoss()
    assert outcome("ordinary-rows", "cross_entropy", module).verdict == "kept"
    assert outcome("label-smoothing", "cross_entropy", module).verdict == "not offered"


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_wrong_rule_of_a_library_breaks_what_it_is_about(framework: str) -> None:
    wrong = _wrong_torch() if framework == "torch" else _wrong_jax()
    assert outcome("ordinary-rows", "softmax", wrong).verdict == "broken"
    assert outcome("wide-range", "softmax", wrong).figure < 200


def _wrong_torch() -> Any:
    import torch

    class Diagonal(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Any) -> Any:
            p = torch.softmax(z, dim=-1)
            ctx.save_for_backward(p)
            return p

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (p,) = ctx.saved_tensors
            return g * p * (1 - p)

    return Diagonal.apply


def _wrong_jax() -> Any:
    import jax

    @jax.custom_vjp
    def softmax(z: Any) -> Any:
        return jax.nn.softmax(z)

    def forward(z: Any) -> Any:
        p = jax.nn.softmax(z)
        return p, p

    softmax.defvjp(forward, lambda p, g: (g * p * (1 - p),))
    return softmax


def test_what_a_tensor_shares_is_seen_to_change() -> None:
    import torch

    def in_place(z: Any) -> Any:
        with torch.no_grad():
            z -= z.max()
        return torch.softmax(z, dim=-1)

    found = outcome("inputs-unchanged", "softmax", in_place, framework="torch")
    assert (found.verdict, found.at) == ("broken", "the arguments, after the value")


# --- the result ------------------------------------------------------------------------------


def test_result_has_all_its_faces() -> None:
    result = sg.conformance("softmax", usual_softmax)
    document = json.loads(result.to_json())
    assert document["schema"] == "softgrad.conformance/1"
    assert (document["suite"], document["framework"]) == ("softmax", "numpy")
    assert document["versions"]["numpy"] == np.__version__
    first = document["outcomes"][0]
    assert first["promise"] == "ordinary-rows"
    assert first["verdict"] == "kept"
    assert 0 < first["figure"] <= first["at_most"] == 16
    text = str(result)
    assert "softmax by usual_softmax: 19 promises" in text
    assert "• wide-range: Logits that are far apart cost no digit" in text
    assert "measured in part (it has no vjp): ordinary-rows, common-offset" in text
    assert "confident-gradients" in result._repr_html_()
    assert {o.promise for o in result.of("broken")} >= {"wide-range"}


def test_page_says_for_every_promise_who_keeps_it() -> None:
    right = sg.conformance("softmax", usual_softmax)
    text = markdown([right], "a machine", ["optax"])
    assert "Measured on a machine." in text
    assert "`optax` is not installed there" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == "| promise | at most | usual_softmax |"
    assert {line.count("|") for line in rows} == {4}
    cells = {line.split(" | ")[0].strip("| `"): line.split(" | ")[2] for line in rows[2:]}
    assert cells["wide-range"].startswith("**broken**, ")
    assert cells["confident-gradients"] == "– |"
    assert cells["spoilt-row"] == "kept ¹ |"
    assert "- usual_softmax, `wide-range`: " in text


def test_committed_page_has_the_promises_and_the_suites_of_today() -> None:
    page = (Path(__file__).parents[1] / "docs" / "conformance.md").read_text(encoding="utf-8")
    table = page.split(START)[1].split(END)[0]
    for promise in PROMISES:
        assert f"- `{promise.name}` ({promise.unit}): {promise.says}" in table
        assert table.count(f"| `{promise.name}` |") == len(promise.suites)
    for suite in SUITES:
        assert f"### {suite}\n" in table


def test_points_are_written_as_they_are() -> None:
    assert str(Rows.of((1e8, 100000008.0))) == "z = (100000000, 100000008), float32"
    assert str(random_rows(3, 2)) == "3 × 2 logits, float32"
