"""pytest's fixture `gradcheck`: a wrong gradient fails its test, and the failure is the diagnosis.

pytest loads this module in every session of everyone who has softgrad installed. So it stands
outside the package, and imports nothing of it, nor NumPy, before a test or an option asks for it.

PYTEST_DONT_REWRITE: there is no assert here.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shlex
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from softgrad.checker import Report
    from softgrad.checker.jacobians import Jacobians
    from softgrad.explain.layer_checks import LayerCheck

__all__ = ["GradCheck", "VacuousTestWarning"]

_CHECKS = pytest.StashKey["list[tuple[Report, Jacobians | None]]"]()
_SCHEMA = "softgrad.pytest/1"
_CANNOT_TELL = (
    "An inconclusive check shows nothing, and passes no test; "
    "softgrad.check returns the report where that will do."
)
_BROKEN = (
    "softgrad's checker did not reject a backward that is known to be wrong (softmax with only the "
    "diagonal of its Jacobian; verdict {!r}), so no verdict of this session can be trusted. "
    "Is softgrad.check replaced, or the installation damaged?"
)
_CONSTANT = (
    "this check cannot fail for a backward of zeros: the forward is constant, so its gradient is "
    "zero. The outputs of a softmax have a constant sum; check them before they are summed"
)
_UNIFORM = (
    "the cotangent is uniform along axis {}, where this gradient sums to zero: softmax and the "
    "like take such a cotangent to zero, or cannot tell its sum from its entries. Draw it at random"
)
_LOOSE = (
    "a gradient of zeros passes this comparison: no expected entry is larger than {:.2g}, and the "
    "tolerance is atol={:.2g}, rtol={:.2g}"
)


class VacuousTestWarning(pytest.PytestWarning):
    """A test of a gradient that a wrong one passes, a gradient of zeros above all."""


class GradCheck:
    """What the fixture `gradcheck` is: the gradient checks of one test."""

    def __init__(
        self,
        defaults: dict[str, Any],
        checks: list[tuple[Report, Jacobians | None]],
        draws: bool,
    ) -> None:
        self._defaults = defaults
        self._checks = checks
        self._draws = draws

    def __call__(self, forward: Any, backward: Any = None, *inputs: Any, **options: Any) -> Report:
        """Check a backward; the test fails unless the verdict is ``"pass"``.

        Parameters
        ----------
        forward, backward, *inputs, **options
            As for `softgrad.check`. An option that is left out is that of the marker
            ``@pytest.mark.gradcheck``; the seed, where none has it, that of ``--softgrad-seed``.

        Returns
        -------
        Report

        Raises
        ------
        AssertionError
            The verdict is ``"fail"`` or ``"inconclusive"``; the message is the report.
        TypeError, ValueError
            As for `softgrad.check`.

        Warns
        -----
        VacuousTestWarning
            The check passed, and the forward is constant: so zeros are its gradient.
        """
        __tracebackhide__ = True
        import softgrad

        try:
            options = self._defaults | options
            report = softgrad.check(forward, backward, *inputs, **options)
        except (TypeError, ValueError) as error:
            # About an argument: the line that matters is the test's own.
            raise error.with_traceback(None) from None
        jacobians = None
        if self._draws and report.verdict == "fail":
            from softgrad.checker.jacobians import jacobians_of

            jacobians = jacobians_of(report, forward, backward, *inputs, **options)
        self._checks.append((report, jacobians))
        if not report.passed:
            hint = f"\n{_CANNOT_TELL}" if report.verdict == "inconclusive" else ""
            raise AssertionError(f"{report}{hint}")
        if report.relative_error is None:
            warnings.warn(_CONSTANT, VacuousTestWarning, stacklevel=2)
        return report

    def assert_close(
        self,
        actual: ArrayLike,
        expected: ArrayLike,
        *,
        rtol: float = 1e-7,
        atol: float = 0.0,
        cotangent: ArrayLike | None = None,
    ) -> None:
        """Compare two gradients with a tolerance of your own, and tell when that shows nothing.

        Parameters
        ----------
        actual, expected : array
            A gradient, and what it should be.
        rtol, atol : float
            Passed are entries with |actual − expected| ≤ atol + rtol·|expected|.
        cotangent : array, optional
            What the gradient was computed from, to be looked at as well.

        Raises
        ------
        AssertionError
            As by `numpy.testing.assert_allclose`.

        Warns
        -----
        VacuousTestWarning
            The comparison passed, and zeros would pass too; or the cotangent is uniform along an
            axis, and the gradient sums to zero there.
        """
        __tracebackhide__ = True
        import numpy as np

        right = _array(expected)
        np.testing.assert_allclose(_array(actual), right, rtol=rtol, atol=atol)
        right = right.astype(np.float64)
        if not np.isfinite(right).all():
            return  # that has no size
        size = np.abs(right)
        # What is no larger than this is zero, by the standard of the test itself.
        allowed = atol + rtol * size
        axis = None if cotangent is None else _idle_axis(right, allowed, _array(cotangent))
        if axis is not None:
            warnings.warn(_UNIFORM.format(axis), VacuousTestWarning, stacklevel=2)
        elif (size <= allowed).all():
            text = _LOOSE.format(size.max(initial=0.0), atol, rtol)
            warnings.warn(text, VacuousTestWarning, stacklevel=2)


def _array(values: Any) -> NDArray[Any]:
    import numpy as np

    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _idle_axis(
    gradient: NDArray[Any], allowed: NDArray[Any], cotangent: NDArray[Any]
) -> int | None:
    """Return an axis along which the cotangent is uniform and the gradient sums to zero."""
    import numpy as np

    if cotangent.shape != gradient.shape or not gradient.size:
        return None
    # Differences have some seven digits: where nothing is allowed a sum is still not quite zero.
    allowed = np.maximum(allowed, 1e-7 * np.abs(gradient))
    for axis in reversed(range(gradient.ndim)):
        if gradient.shape[axis] < 2 or np.ptp(cotangent, axis=axis).any():
            continue
        if (np.abs(gradient.sum(axis=axis)) <= allowed.sum(axis=axis)).all():
            return axis
    return None


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest, _softgrad_control: None) -> GradCheck:
    """Check a backward: gradcheck(forward, backward, *inputs, **options of softgrad.check).

    The test fails unless the check passes; the failure is the diagnosis. Also a comparison of two
    gradients that warns where it shows nothing: gradcheck.assert_close(actual, expected, atol=…).
    """
    defaults = {"seed": request.config.getoption("softgrad_seed"), **_marked(request.node)}
    checks: list[tuple[Report, Jacobians | None]] = []
    request.node.stash[_CHECKS] = checks
    draws = request.config.getoption("softgrad_report") is not None
    return GradCheck(defaults, checks, draws)


@pytest.fixture(scope="session")
def _softgrad_control(request: pytest.FixtureRequest) -> None:
    """Stop the session if the checker passes what is known to be wrong."""
    import softgrad
    from softgrad.checker.diagnosis.examples import diagonal_only, softmax

    seed = request.config.getoption("softgrad_seed")
    verdict = softgrad.check(softmax, diagonal_only, [2.0, 1.0, 0.0], seed=seed).verdict
    if verdict != "fail":
        text = _BROKEN.format(verdict)
        request.session.shouldfail = text
        pytest.fail(text, pytrace=False)


def _marked(item: pytest.Item) -> dict[str, Any]:
    """Return the options of the markers around a test; the nearest one decides."""
    import softgrad

    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = inspect.signature(softgrad.check).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is kind]
    options: dict[str, Any] = {}
    for marker in item.iter_markers("gradcheck"):
        unknown = [repr(value) for value in marker.args]
        unknown += [name for name in marker.kwargs if name not in known]
        if unknown:
            text = f"the marker gradcheck takes {', '.join(known)} by name"
            pytest.fail(f"{item.nodeid}: {text}, got {', '.join(unknown)}", pytrace=False)
        options = dict(marker.kwargs) | options
    return options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that pytest lists under softgrad."""
    group = parser.getgroup("softgrad", "gradient checks by softgrad")
    group.addoption(
        "--softgrad-report", metavar="PATH", help="write all gradient checks as one HTML page"
    )
    group.addoption("--softgrad-json", metavar="PATH", help="write all gradient checks as JSON")
    group.addoption(
        "--softgrad-seed",
        metavar="N",
        type=_seed,
        default=0,
        help="seed of the checks that are given none (default: 0)",
    )


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer that is not negative, got {text!r}")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and where a file is asked for, what writes it."""
    text = "gradcheck(**options): options of softgrad.check for the gradient checks of a test."
    config.addinivalue_line("markers", text)
    names = ("--softgrad-report", "--softgrad-json")
    if any(config.getoption(name) is not None for name in names):
        # A worker of pytest-xdist writes nothing: its checks go to the controller.
        is_worker = hasattr(config, "workerinput")
        page, document = (None if is_worker else _file(config, name) for name in names)
        if page and document and page.resolve() == document.resolve():
            raise pytest.UsageError(f"{names[1]}: {document}: expected a file of its own")
        config.pluginmanager.register(_Recorder(config, page, document))


def _file(config: pytest.Config, name: str) -> Path | None:
    """Return where an option wants its file, once it is known that it can be written there."""
    from click import BadParameter

    from softgrad.cli.parameters import file_to_write

    given = config.getoption(name)
    if given is None:
        return None
    try:
        return file_to_write(str(config.invocation_params.dir / given))
    except BadParameter as error:
        raise pytest.UsageError(f"{name}: {error.message}") from None


class _Recorder:
    """Takes every test's checks from the process that ran it to the one that writes the files.

    They travel with the reports of pytest, which pytest-xdist hands from worker to controller.
    """

    def __init__(self, config: pytest.Config, page: Path | None, document: Path | None) -> None:
        self._config = config
        self._page = page
        self._document = document
        self._places: dict[pytest.Item, int] = {}
        self._tests: dict[int, tuple[str, list[Any]]] = {}
        self._problem = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._places = {item: place for place, item in enumerate(session.items)}

    # The old kind of wrapper: every pytest has it.
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, None]:
        outcome = yield
        found = item.stash.get(_CHECKS, [])
        if call.when == "teardown" and found:
            place = self._places.setdefault(item, len(self._places))
            checks = [(report.to_dict(), _fields(jacobians)) for report, jacobians in found]
            outcome.get_result().softgrad_checks = [place, checks]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "softgrad_checks"):
            place, checks = report.softgrad_checks
            self._tests[place] = (report.nodeid, checks)  # a test that runs again replaces itself

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._config.getoption("collectonly") or not (self._page or self._document):
            return
        from softgrad.errors import UsageError

        try:
            self._write()
        except UsageError as error:
            self._problem = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files = [str(file) for file in (self._page, self._document) if file is not None]
        text = self._problem or ", ".join(files)
        if text and not self._config.getoption("collectonly"):
            terminalreporter.write_sep("-", f"gradient checks: {text}")

    def _write(self) -> None:
        """Write the files, in the order in which the tests were collected."""
        from softgrad.cli.parameters import writing
        from softgrad.files import write_atomically
        from softgrad.report.page import write
        from softgrad.report.session import session_page

        tests = [self._tests[place] for place in sorted(self._tests)]
        if self._document is not None:
            found = [
                {"nodeid": name, "report": report} for name, all_ in tests for report, _ in all_
            ]
            document = {"schema": _SCHEMA, "checks": found}
            text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
            with writing(self._document):
                write_atomically(self._document, text)
        if self._page is not None:
            checks = [check for name, found in tests for check in _named(name, found)]
            command = shlex.join(["pytest", *map(os.fspath, self._config.invocation_params.args)])
            drawn = {check.name: jacobians for check, jacobians in checks if jacobians is not None}
            with writing(self._page):
                write(session_page([check for check, _ in checks], command, drawn), self._page)


def _fields(jacobians: Jacobians | None) -> dict[str, Any] | None:
    """Return what a worker can hand to the controller: no arrays, and no numbers of NumPy's."""
    if jacobians is None:
        return None
    matrices = {"analytic": jacobians.analytic.tolist(), "measured": jacobians.measured.tolist()}
    return vars(jacobians) | matrices | {"bar": float(jacobians.bar)}


def _named(test: str, checks: list[Any]) -> Iterator[tuple[LayerCheck, Jacobians | None]]:
    """Yield the checks of a test under its name; several of them are counted."""
    import numpy as np

    from softgrad.checker import Report
    from softgrad.checker.jacobians import Jacobians
    from softgrad.explain.layer_checks import LayerCheck

    for place, (report, fields) in enumerate(checks, 1):
        name = f"{test}, check {place}" if len(checks) > 1 else test
        jacobians = None
        if fields is not None:
            matrices = {key: np.array(fields[key]) for key in ("analytic", "measured")}
            jacobians = Jacobians(**fields | matrices)
        yield LayerCheck(name, Report.from_dict(report)), jacobians
