"""The explorer in a notebook: what is seen there is known in Python, and the other way round."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import softgrad as sg
from explorer_browser import MODULE, chromium, launch
from softgrad.errors import MissingExtraError
from softgrad.report import explorer as room

pytest.importorskip("anywidget", reason="anywidget is not installed")

VIEW = "application/vnd.jupyter.widget-view+json"


# --- Python's half --------------------------------------------------------------------------


def test_a_notebook_finds_the_widget_and_the_frame() -> None:
    shown = sg.explore([1.0, 3.0, 0.0], target=0)
    faces = shown._repr_mimebundle_()
    assert faces[VIEW]["model_id"] == shown.widget.model_id
    assert faces["text/html"] == shown._repr_html_()
    assert faces["text/plain"] == repr(shown)
    assert shown.widget._esm == MODULE.read_text("utf-8")
    assert shown.widget.page == shown.page


def test_without_the_extra_there_is_the_frame_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    assert set(sg.explore()._repr_mimebundle_()) == {"text/html", "text/plain"}
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "softgrad.report.explorer_widget", raising=False)
    with pytest.raises(MissingExtraError, match=r"anywidget .*softgrad\[notebook\]"):
        _ = sg.explore().widget


@pytest.mark.parametrize("is_shown", [True, False])
def test_what_is_set_can_be_read(is_shown: bool) -> None:
    shown = sg.explore()
    if is_shown:
        shown._repr_mimebundle_()
    shown.logits = [9, 1, 0.5, -2]
    shown.target = 3
    shown.view = "heads"
    assert (shown.logits, shown.target, shown.view) == ((9.0, 1.0, 0.5, -2.0), 3, "heads")
    assert shown.address == shown.widget.address == "view=heads&z=9.0,1.0,0.5,-2.0&t=3"
    assert html.escape(shown.address) in shown.page


def test_a_target_whose_class_goes_is_the_last_one_that_stays() -> None:
    shown = sg.explore([1.0, 2.0, 3.0, 0.0])
    assert shown.target == 3
    shown.logits = [1.0, 2.0]
    assert (shown.logits, shown.target) == ((1.0, 2.0), 1)


def test_what_the_address_does_not_name_stays() -> None:
    shown = sg.explore([3.0, 1e-7, 0.0], target=0)
    shown.address = "view=follow&objective=entropy"
    assert (shown.logits, shown.target, shown.view) == ((3.0, 1e-7, 0.0), 0, "follow")
    assert shown.address == "view=follow&z=3.0,1e-07,0.0&t=0&objective=entropy"


def test_what_the_page_says_is_read_and_heard_of() -> None:
    shown = sg.explore()
    heard: list[Any] = []
    shown.widget.observe(lambda change: heard.append(shown.logits), "address")
    shown.widget.set_state({"address": "view=hidden&z=2,-1.5&t=1&g=0.5,-1"})
    assert (shown.logits, shown.target, shown.view) == ((2.0, -1.5), 1, "hidden")
    assert heard == [(2.0, -1.5)]
    shown.target = 0
    assert shown.widget.address == "view=hidden&z=2,-1.5&t=0&g=0.5,-1"


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("logits", [1.0], ValueError, "`logits` must be 2 to 8 numbers, got 1"),
        ("logits", [1.0, float("nan")], ValueError, "`logits` must be finite"),
        ("target", 3, IndexError, "`target` must be a class index from 0 to 2, got 3"),
        ("target", 0.5, TypeError, "`target` must be a class index"),
        ("view", "pie", ValueError, "`view` must be one of forward"),
        ("address", "z=1", ValueError, r"`address` must be readable \(`logits` .*, got 'z=1'"),
        ("address", "z=1,x", ValueError, "`address` must be readable"),
        ("address", "t=3", ValueError, r"`address` must be readable \(`target`"),
        ("address", 3, TypeError, "`address` must be a string, got 3"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_changes_nothing(
    name: str, value: Any, error: type, words: str
) -> None:
    shown = sg.explore()
    before = shown.widget.address
    with pytest.raises(error, match=words):
        setattr(shown, name, value)
    assert shown.address == shown.widget.address == before


@pytest.mark.parametrize("address", ["z=nan,1,0", "t=7", "view=pie"])
def test_a_widget_refuses_what_cannot_be_shown_and_stays(address: str) -> None:
    shown = sg.explore()
    widget, before = shown.widget, shown.address
    with pytest.raises(ValueError, match="`address` must be readable"):
        widget.address = address
    assert shown.address == widget.address == before
    with pytest.raises(ValueError, match="`address` must be readable"):
        widget.set_state({"address": address})  # as from a page
    assert shown.address == widget.address == before


# --- the page's half, in a browser ----------------------------------------------------------

# What anywidget gives a widget: a model that tells its listeners of changes, and sends new ones.
STUB = """async ([code, page, address]) => {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }))
  const { default: widget } = await import(url)
  const state = { page, address }
  const listeners = new Set()
  let known = address
  window.model = {
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return
      state[name] = value
      for (const heard of listeners) heard()
    },
    save_changes() {
      if (state.address !== known) toPython((known = state.address))
    },
    on: (event, heard) => listeners.add(heard),
    off: (event, heard) => listeners.delete(heard),
  }
  window.receive = (address) => model.set("address", (known = address))
  window.render = () => {
    const el = document.body.appendChild(document.createElement("div"))
    return widget.render({ model, el })
  }
  window.end = render()
  window.listening = () => listeners.size
}"""


class Notebook:
    """A page that shows a widget, and the wire between it and Python."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.shown = sg.explore([2.0, 1.0, 0.0], target=2)
        self.said: list[str] = []
        page.expose_function("toPython", self._hear)
        widget = self.shown.widget
        page.evaluate(STUB, [widget._esm, widget.page, widget.address])
        self.until("shown.address.includes('theme=')")

    def _hear(self, address: str) -> None:
        self.said.append(address)
        self.shown.widget.set_state({"address": address})

    def until(self, condition: str) -> None:
        """Wait until the page has said something, or is something."""
        self.page.wait_for_function(f"(shown => {condition})({{address: model.get('address')}})")

    def tell(self) -> None:
        """Send what Python has to the page, as anywidget does at every change."""
        self.page.evaluate("receive", self.shown.widget.address)

    def frame(self, index: int = 0) -> Any:
        return self.page.frame_locator("iframe").nth(index)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def notebook(browser: Any) -> Iterator[Notebook]:
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield Notebook(page)
    page.close()
    assert complaints == []


def test_what_is_dragged_is_known_in_python(notebook: Notebook) -> None:
    frame = notebook.frame()
    frame.locator("#tab-heads").click()
    frame.locator('[role=slider][aria-label="z[0]"]').press("PageUp")
    notebook.until("shown.address.includes('z=3,1,0')")
    assert (notebook.shown.logits, notebook.shown.view) == ((3.0, 1.0, 0.0), "heads")
    frame.locator("#tab-follow").click()
    frame.locator('[name="Objective"][value="entropy"]').check(force=True)
    notebook.until("shown.address.includes('objective=entropy')")
    assert "objective=entropy" in notebook.shown.address


def test_what_python_sets_is_seen(notebook: Notebook) -> None:
    notebook.shown.logits = [0.0, 4.0]
    notebook.shown.view = "jacobian"
    notebook.tell()
    notebook.frame().locator('#tab-jacobian[aria-selected="true"]').wait_for()
    assert notebook.frame().locator("#z").input_value() == "0, 4"
    notebook.shown.address = "lift=2&view=hidden&g=1,2"
    notebook.tell()
    notebook.frame().locator("text=The 2 that was added everywhere has changed nothing").wait_for()
    notebook.frame().locator("#tab-check").click()
    notebook.until("shown.address.includes('view=check')")
    assert notebook.shown.logits == (0.0, 4.0)
    assert "lift=2" in notebook.shown.address


def test_the_page_does_not_answer_itself(notebook: Notebook) -> None:
    notebook.shown.target = 0
    notebook.tell()
    notebook.frame().locator('[name="Target class"][value="0"]:checked').wait_for()
    notebook.page.wait_for_timeout(400)
    assert len(notebook.said) == 1  # all of its state, at first


def test_two_views_of_one_widget_are_alike(notebook: Notebook) -> None:
    notebook.page.evaluate("() => void render()")
    notebook.frame(1).locator("#tab-hidden").click()
    notebook.frame(0).locator('#tab-hidden[aria-selected="true"]').wait_for()
    notebook.frame(0).locator("#add").click()
    notebook.frame(1).locator('[role=slider][aria-label="g[3]"]').wait_for()


def test_a_frame_that_is_moved_shows_what_it_showed(notebook: Notebook) -> None:
    notebook.frame().locator("#tab-check").click()
    notebook.until("shown.address.includes('view=check')")
    notebook.page.evaluate("document.body.append(document.querySelector('iframe'))")
    notebook.frame().locator('#tab-check[aria-selected="true"]').wait_for()


def test_the_frame_is_as_tall_as_the_page(notebook: Notebook) -> None:
    heights = set()
    for view in ("forward", "check"):
        notebook.frame().locator(f"#tab-{view}").click()
        notebook.until(f"shown.address.includes('view={view}')")
        notebook.page.wait_for_timeout(100)
        whole = notebook.frame().locator("html").evaluate("page => page.scrollHeight")
        heights.add(notebook.page.locator("iframe").bounding_box()["height"])
        assert whole == notebook.page.locator("iframe").bounding_box()["height"]
    assert len(heights) == 2


def test_a_widget_that_is_gone_hears_nothing(notebook: Notebook) -> None:
    assert notebook.page.evaluate("listening()") == 1
    assert notebook.page.evaluate("(end(), listening())") == 0


def test_a_page_that_is_framed_by_its_address_says_nothing(browser: Any, tmp_path: Any) -> None:
    """Any site may frame an address, and would learn what somebody looks at."""
    own = sg.explore().page
    page = browser.new_page()
    heard = """async (how) => {
      const frame = Object.assign(document.createElement("iframe"), how)
      document.body.append(frame)
      await new Promise((loaded) => (frame.onload = loaded))
      const { port1, port2 } = new MessageChannel()
      const said = []
      port1.onmessage = ({ data }) => said.push(data)
      frame.contentWindow.postMessage(null, "*", [port2])
      port1.postMessage("view=heads")
      await new Promise((later) => setTimeout(later, 500))
      return said.length
    }"""
    (tmp_path / "page.html").write_text(own, "utf-8")
    (tmp_path / "site.html").write_text("<!doctype html><title>site</title>", "utf-8")
    page.goto((tmp_path / "site.html").as_uri())
    assert page.evaluate(heard, {"src": (tmp_path / "page.html").as_uri()}) == 0
    assert page.evaluate(heard, {"srcdoc": own}) > 0
    page.close()
