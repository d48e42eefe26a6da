"""The explorer in a browser: found on this machine, driven, and listened to."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import softgrad

FILE = Path(softgrad.__file__).parent / "report" / "explorer.html"
MODULE = FILE.with_suffix(".js")
AXE = Path(__file__).parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = ("forward", "heads", "jacobian", "follow", "hidden", "check")


def chromium() -> str | None:
    """Return where a Chromium is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Any) -> Any:
    """Start the browser; its sandbox needs a user other than root."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=chromium(), args=arguments)


class Explorer:
    """One page, and all that it complained of or asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((FILE.as_uri(), "data:")):
            self.complaints.append(f"asked for {url}")

    def open(self, address: str = "") -> None:
        """Load the page anew."""
        self.page.goto("about:blank")
        self.page.goto(f"{FILE.as_uri()}#{address}")
        self.page.wait_for_selector("#summary")

    def hold_time(self) -> None:
        """From now on the page's time goes on by ``page.clock.run_for`` alone."""
        self.page.clock.install(time=0)
        self.page.clock.pause_at(1000)

    @property
    def summary(self) -> str:
        return str(self.page.inner_text("#summary"))

    @property
    def address(self) -> str:
        """The address, once it has been written."""
        # A timer of the page's that is due earlier has run when this one does.
        self.page.evaluate("new Promise(done => setTimeout(done, 110))")
        return str(self.page.evaluate("decodeURIComponent(location.hash.slice(1))"))

    def at(self, python: str) -> float:
        """Return the number of the page that is called so in Python."""
        found = self.numbers[python]
        assert len(set(map(repr, found))) == 1, python
        return found[0]

    @property
    def numbers(self) -> dict[str, list[float]]:
        """All numbers that have a name in Python."""
        script = "all => all.map(e => [e.dataset.python, e.value ?? e.dataset.value])"
        numbers: dict[str, list[float]] = {}
        for name, value in self.page.eval_on_selector_all("[data-python]", script):
            value = value or self.page.get_attribute(f'[data-python="{name}"]', "data-value")
            numbers.setdefault(name, []).append(float(value.replace("Infinity", "inf")))
        return numbers

    def program(self) -> dict[str, Any]:
        """Run the page's program, which ends with something to read; return its names."""
        names: dict[str, Any] = {"__name__": "__main__"}
        text, printed = self.page.inner_text("#program"), io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, "<copied>", "exec"), names)
        assert text.splitlines()[-1].startswith("print(")
        assert printed.getvalue().strip()
        return names

    def assert_numbers_are_python_s(self) -> dict[str, Any]:
        """Raise unless every number is what its expression gives after the program."""
        names, numbers = self.program(), self.numbers
        assert len(numbers) >= 3
        for expression, found in numbers.items():
            wanted = float(eval(expression, names))
            for value in found:
                close = abs(value - wanted) <= 1e-12 * abs(wanted) + 1e-15
                assert close or repr(value) == repr(wanted), (expression, value, wanted)
        return names

    def handle(self, selector: str) -> tuple[float, float]:
        """Return the middle of an element."""
        self.page.locator(selector).scroll_into_view_if_needed()
        box = self.page.locator(selector).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, selector: str, right: float, down: float = 0.0) -> None:
        """Drag an element by some pixels."""
        x, y = self.handle(selector)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right / 2, y + down / 2)
        self.page.mouse.move(x + right, y + down)
        self.page.mouse.up()

    def press(self, selector: str, *keys: str) -> None:
        """Press keys on an element that has the focus and keeps it."""
        self.page.focus(selector)
        for key in keys:
            self.page.keyboard.press(key)
        assert self.page.locator(selector).evaluate("element => element === document.activeElement")


def logits_of(address: str) -> list[float]:
    """Return the logits of an address."""
    (text,) = re.findall(r"(?:^|&)z=([^&]*)", address)
    return np.array(text.split(","), dtype=float).tolist()
