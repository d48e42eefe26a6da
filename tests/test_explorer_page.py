"""The explorer in a real browser: every view with mouse and keyboard, its numbers, its silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import softgrad as sg
from explorer_browser import AXE, FILE, VIEWS, Explorer, chromium, launch, logits_of

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if chromium() is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def options() -> dict[str, Any]:
    return {"viewport": {"width": 1400, "height": 900}}


@pytest.fixture
def explorer(browser: Any, options: dict[str, Any]) -> Iterator[Explorer]:
    context = browser.new_context(**options)
    made = Explorer(context.new_page())
    made.open()
    yield made
    context.close()
    assert made.complaints == []


def slider(k: int, letter: str = "z") -> str:
    return f'[role="slider"][aria-label="{letter}[{k}]"]'


def range_of(label: str) -> str:
    return f'label.range:has-text("{label}") input'


# --- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
def test_every_story_has_python_s_numbers(explorer: Explorer, view: str) -> None:
    explorer.open(f"view={view}")
    explorer.assert_numbers_are_python_s()
    stories = explorer.page.locator(".preset")
    told = {explorer.summary}
    for index in range(stories.count()):
        stories.nth(index).click()
        names = explorer.assert_numbers_are_python_s()
        told.add(explorer.summary)
        if "report" in names:
            assert_named_as_on_the_page(explorer, names["report"])
    assert len(told) >= stories.count()


def assert_named_as_on_the_page(explorer: Explorer, report: Any) -> None:
    """Raise unless the checker says of a backward what the page says."""
    (name,) = explorer.page.eval_on_selector_all(
        "[name=mistake]:checked", "all => all.map(e => e.value)"
    )
    assert report.verdict == ("pass" if name == "right" else "fail")
    assert (report.diagnosis.code if report.diagnosis else "right") == name


@pytest.mark.parametrize("state", ["z=0.3,-1.2,2.5,0.7,-0.1,1.1&t=4", "z=0.5,-1.5&t=1"])
@pytest.mark.parametrize("view", [view for view in VIEWS if view != "follow"])
def test_numbers_for_other_sizes(explorer: Explorer, view: str, state: str) -> None:
    explorer.open(f"view={view}&{state}&g=1,-0.5,2")
    explorer.assert_numbers_are_python_s()


@pytest.mark.parametrize("name", ["identity", "projection-term", "scale", "sign", "wrong-variable"])
def test_every_mistake_has_the_checker_s_name(explorer: Explorer, name: str) -> None:
    explorer.open("view=check&z=1.3,0.4,-0.9,0.2")
    explorer.page.check(f'[name=mistake][value="{name}"]', force=True)
    assert_named_as_on_the_page(explorer, explorer.assert_numbers_are_python_s()["report"])
    assert f"calls it {name}" in explorer.summary


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("subtract", [0, 1])
def test_numbers_of_few_digits(explorer: Explorer, dtype: str, subtract: int) -> None:
    explorer.open(f"z=3.3,1.7,-2.2,0.1&format={dtype}&subtract={subtract}&shift=2")
    names = explorer.assert_numbers_are_python_s()
    assert names["p"].dtype.name == dtype
    assert explorer.at("p[0]") != sg.softmax([3.3, 1.7, -2.2, 0.1])[0]


def test_copy_as_python_copies_the_program(explorer: Explorer) -> None:
    explorer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.page.click("#copy")
    explorer.page.wait_for_selector("text=Copied")
    copied = explorer.page.evaluate("navigator.clipboard.readText()")
    assert copied == explorer.page.inner_text("#program")
    explorer.press(slider(0), "ArrowRight")
    assert explorer.page.inner_text("#copy") == "Copy as Python"


# --- logits and views -----------------------------------------------------------------------


def test_logits_are_dragged(explorer: Explorer) -> None:
    box = explorer.page.locator(slider(2)).bounding_box()
    before = explorer.summary
    explorer.drag(slider(2), 0.4 * box["width"])
    assert logits_of(explorer.address) == [2, 1, 4]
    assert explorer.at("p[2]") == pytest.approx(sg.softmax([2.0, 1.0, 4.0])[2], rel=1e-12)
    assert explorer.summary != before
    assert "class 2 is likeliest" in explorer.summary


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("view=forward&z=3,3,0", "classes 0 and 1 are likeliest"),
        ("view=forward&z=1,1,1", "all classes are equally likely"),
        ("view=jacobian&z=3,3,-3", "The largest, those of classes 0 and 1, are p[k](1 − p[k])"),
        ("view=jacobian&z=1000,0,0", "are negative or 0"),
        ("view=heads&z=9,1,0&t=0", "has p = 1 but for 0.00046"),
        ("view=heads&z=9,1,0&t=2", "Cross-entropy sends −1 but for 0.00012"),
        ("view=heads&z=800,0,0&t=2", "squared error sends nothing at all"),
    ],
)
def test_ties_and_what_is_nearly_1_are_told_apart(
    explorer: Explorer, address: str, words: str
) -> None:
    explorer.open(address)
    assert words in explorer.summary


def test_a_drag_keeps_its_axis_and_ends_at_it(explorer: Explorer) -> None:
    explorer.drag(slider(0), 700)
    assert logits_of(explorer.address) == [5, 1, 0]


def test_a_drag_in_one_column_leaves_the_axis_of_others(explorer: Explorer) -> None:
    explorer.open("view=hidden")
    explorer.page.mouse.move(*explorer.handle(slider(0, "g")))
    explorer.page.mouse.down()
    assert explorer.page.get_attribute(slider(0, "g"), "aria-valuemax") == "2"
    assert explorer.page.get_attribute(slider(0), "aria-valuemax") == "5"
    explorer.page.mouse.up()


def test_logits_end_where_they_can_be_read_again(explorer: Explorer) -> None:
    explorer.open("z=1000000,0,-1000000")
    explorer.press(slider(0), "PageUp")
    explorer.press(slider(2), "PageDown")
    assert logits_of(explorer.address) == [1e6, 0, -1e6]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["ArrowRight", "ArrowUp"], 2.2),
        (["ArrowLeft", "ArrowDown", "ArrowLeft"], 1.7),
        (["PageUp"], 3),
        (["PageDown"], 1),
        (["Home"], -5),
        (["End"], 5),
    ],
)
def test_logits_are_moved_by_keys(explorer: Explorer, keys: list[str], value: float) -> None:
    explorer.press(slider(0), *keys)
    assert logits_of(explorer.address) == [value, 1, 0]
    assert float(explorer.page.get_attribute(slider(0), "aria-valuenow")) == value


def test_logits_are_typed_as_on_the_command_line(explorer: Explorer) -> None:
    explorer.page.fill("#z", "1e1, -2.5")
    explorer.page.keyboard.press("Enter")
    assert logits_of(explorer.address) == [10, -2.5]
    assert explorer.page.get_attribute("#z", "aria-invalid") is None


@pytest.mark.parametrize("text", ["", "1", "1,x", "1,2,", "1,NaN", "1,2e6", ",".join("123456789")])
def test_what_is_no_row_of_logits_is_said_to_be_none(explorer: Explorer, text: str) -> None:
    before = explorer.summary
    explorer.page.fill("#z", text)
    explorer.page.keyboard.press("Enter")
    assert explorer.page.get_attribute("#z", "aria-invalid") == "true"
    assert explorer.page.input_value("#z") == text
    assert explorer.summary == before


def test_classes_come_and_go(explorer: Explorer) -> None:
    for _ in range(5):
        explorer.page.click("#add")
    assert logits_of(explorer.address) == [2, 1, 0, 0, 0, 0, 0, 0]
    assert explorer.page.is_disabled("#add")
    for _ in range(6):
        explorer.page.click("#remove")
    assert explorer.address == "z=2,1&t=1&g=0.5,-1"
    assert explorer.page.is_disabled("#remove")


def test_the_target_is_chosen(explorer: Explorer) -> None:
    explorer.open("view=heads")
    explorer.press('[name="Target class"]:checked', "ArrowLeft")
    assert explorer.address == "view=heads&t=1"
    assert "Class 1 is right" in explorer.summary


def test_views_are_changed_by_mouse_and_by_keys(explorer: Explorer) -> None:
    titles = set()
    for view in VIEWS:
        explorer.page.click(f"#tab-{view}")
        assert explorer.page.get_attribute(f"#tab-{view}", "aria-selected") == "true"
        titles.add(explorer.page.inner_text("#view h2"))
    assert len(titles) == len(VIEWS)
    seen = []
    for _ in VIEWS:
        explorer.page.keyboard.press("ArrowRight")
        seen.append(explorer.page.evaluate("document.activeElement.id"))
    assert seen == [f"tab-{view}" for view in VIEWS]
    explorer.page.keyboard.press("Home")
    assert explorer.address == ""
    explorer.page.keyboard.press("End")
    assert explorer.address == "view=check"


def test_everything_is_reached_by_the_tab_key(explorer: Explorer) -> None:
    for view in VIEWS:
        explorer.open(f"view={view}")
        wanted = explorer.page.evaluate(
            "[...document.querySelectorAll('button, input, [role=slider]')].filter("
            "e => e.tabIndex >= 0 && !e.disabled && (e.type !== 'radio' || e.checked)).length"
        )
        reached = set()
        for _ in range(3 * wanted):
            explorer.page.keyboard.press("Tab")
            reached.add(
                explorer.page.evaluate(
                    "[...document.querySelectorAll('button, input, [role=slider]')]"
                    ".indexOf(document.activeElement)"
                )
            )
        assert len(reached - {-1}) == wanted, view
        # Arrow keys lead to the other tabs and cells.
        assert explorer.page.locator("button[tabindex='-1'][aria-selected='true']").count() == 0
        assert explorer.page.locator("button[tabindex='-1'][aria-pressed='true']").count() == 0
        assert explorer.page.locator("button[tabindex='-1']:not([role=tab], td *)").count() == 0


# --- the address ----------------------------------------------------------------------------


def test_the_address_brings_everything_back(explorer: Explorer) -> None:
    explorer.open("view=follow&z=3,-1,0.5&t=0&objective=entropy&lr=0.5&steps=7")
    told = explorer.summary
    assert "In 7 steps" in told
    explorer.page.reload()
    assert explorer.summary == told


def test_what_an_address_asks_in_vain_is_not_left_in_it(explorer: Explorer) -> None:
    explorer.open("view=nowhere&z=1,x&t=1&who=me")
    assert explorer.address == "t=1"
    explorer.page.evaluate("location.hash = 'view=heads&t=9'")
    explorer.page.wait_for_selector("#tab-heads[aria-selected=true]")
    assert explorer.address == "view=heads"


def test_an_address_that_is_typed_is_gone_to(explorer: Explorer) -> None:
    explorer.page.locator(".question button").first.click()
    explorer.page.evaluate("location.hash = 'view=jacobian&elementwise=1'")
    explorer.page.wait_for_selector("#tab-jacobian[aria-selected=true]")
    assert explorer.page.inner_text(".answer") == ""
    assert "Treated elementwise" in explorer.summary


@pytest.mark.parametrize(
    "address",
    [
        "view=nope&z=1&t=99&format=int8&steps=-1&lr=nan&g=x&mistake=constructor&objective=toString",
        "__proto__=1&constructor=2&view=__proto__",
        "z=1,Infinity,2&shift=1e99&subtract=yes",
        "%E0%A4%A&=&&==",
        "<script>alert(1)</script>",
    ],
)
def test_what_cannot_be_read_in_an_address_is_as_at_first(explorer: Explorer, address: str) -> None:
    told = explorer.summary
    explorer.open(address)
    assert explorer.summary == told


def test_a_page_of_somebody_s_logits_begins_there(explorer: Explorer, tmp_path: Any) -> None:
    sg.explore([3.0, 1e-7, -1.0], target=0).write(tmp_path / "page.html")
    explorer.page.goto((tmp_path / "page.html").as_uri())
    assert explorer.complaints.pop().startswith("asked for file:")  # this page itself
    assert explorer.at("p[1]") == pytest.approx(sg.softmax([3.0, 1e-7, -1.0])[1], rel=1e-12)
    assert explorer.address == ""
    explorer.page.fill("#z", "2,1,0")
    explorer.page.keyboard.press("Enter")
    assert explorer.address == "z=2,1,0"  # not what this page begins with
    explorer.page.reload()
    explorer.complaints.clear()
    assert explorer.page.input_value("#z") == "2, 1, 0"


def test_the_first_page_tells_what_a_difference_becomes(explorer: Explorer) -> None:
    factor = np.exp(1.0)
    assert f"{factor:.4g} times as likely as class 1, whose logit is 1 less" in explorer.summary
    shown = explorer.page.inner_text("#body-forward")
    assert "2 below the largest" in shown
    assert f"the largest ÷ {factor**2:.4g}" in shown
    explorer.press(range_of("Add to every logit"), "End")
    assert f"{factor:.4g} times as likely as class 1" in explorer.summary
    assert f"the largest ÷ {factor**2:.4g}" in explorer.page.inner_text("#body-forward")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("z=1,1,1", []),
        ("z=3,3,0", ["20.09 times as likely as class 2, whose logit is 3 less"]),
        ("z=0,1000", ["class 1 is likeliest. The"]),
        ("z=12,11,9&format=float16&subtract=0", ["overflow", "= ∞ ÷ ∞"]),
        ("z=0,-20&format=float16", ["too small for float16"]),
        ("z=100000,0&format=float16&subtract=0", ["overflow", "= ∞ ÷ ∞"]),
        ("z=100000,0&format=float16", ["a logit is itself too large for it"]),
    ],
)
def test_where_a_difference_becomes_no_factor_none_is_told(
    explorer: Explorer, address: str, words: list[str]
) -> None:
    explorer.open(address)
    told = explorer.summary + explorer.page.inner_text("#body-forward")
    assert all(each in told for each in words)
    assert "times as likely" in told or not any("times" in each for each in words)
    assert "undefined" not in told
    assert "÷ NaN" not in told
    assert "NaN ÷" not in told


# --- what happens in each view --------------------------------------------------------------


def test_a_shift_moves_nothing(explorer: Explorer) -> None:
    explorer.open("z=2,0.5,-1")
    before = [explorer.at(f"p[{k}]") for k in range(3)]
    explorer.press(range_of("Add to every logit"), "End")
    assert explorer.at("z[1]") == 100.5
    assert [explorer.at(f"p[{k}]") for k in range(3)] == before


def test_without_the_maximum_float16_overflows(explorer: Explorer) -> None:
    explorer.open("z=12,0,0")
    explorer.page.check('[name="Numbers"][value="float16"]', force=True)
    assert "Broken" not in explorer.summary
    explorer.press('.toggle:has-text("Subtract") input', "Space")
    assert "Broken in float16" in explorer.summary
    assert np.isnan(explorer.at("p[0]"))
    assert explorer.at("e[0]") == np.inf


def test_squared_error_dies_where_cross_entropy_does_not(explorer: Explorer) -> None:
    explorer.open("view=heads")
    explorer.page.click("text=Confidently wrong")
    assert explorer.at("heads[0].logits_bar[2]") < -0.99
    assert abs(explorer.at("heads[2].logits_bar[2]")) < 1e-3
    assert explorer.at("heads[1].logits_bar[0]") == 0
    explorer.page.check('.toggle:has-text("Every sigmoid cell") input')
    assert explorer.at("heads[1].logits_bar[0]") > 0.99


@pytest.mark.parametrize("logits", ["2,1,0", "0.5,-1.5", "3,3,3,3,-2", "-40,9,2"])
def test_the_curve_of_squared_error_dies_where_the_answer_is_certain_and_wrong(
    explorer: Explorer, logits: str
) -> None:
    explorer.open(f"view=heads&z={logits}&t=0")
    drawn = explorer.page.eval_on_selector_all(
        ".chart svg[role=img] .line", "all => all.map(e => e.getAttribute('d'))"
    )
    ends = [float(re.match(r"M\S+ ([\d.]+)L", d)[1]) for d in drawn]
    zero = max(float(y) for d in drawn for y in re.findall(r" ([\d.]+)", d))
    cross_entropy, sigmoid, squared = (zero - y for y in ends)
    assert cross_entropy > 50 * squared + 50
    assert sigmoid > 50 * squared + 50


def test_a_gradient_that_is_zero_is_said_and_not_drawn(explorer: Explorer) -> None:
    explorer.open("view=follow")
    assert explorer.page.locator(".chart").count() == 1
    explorer.page.click("text=The sum goes nowhere")
    assert explorer.page.locator(".chart").count() == 0
    assert "exactly zero at every step" in explorer.page.inner_text("#body-follow")


def test_a_cell_says_its_formula(explorer: Explorer) -> None:
    explorer.open("view=jacobian")
    reading = explorer.page.locator(".reading")
    explorer.page.hover('[data-python="M[2, 1]"]')
    assert "−p[2]·p[1]" in reading.inner_text()
    assert explorer.at("M[2, 1]") < 0
    explorer.press('.cells button[aria-pressed="true"]', "ArrowUp")
    explorer.page.keyboard.press("ArrowLeft")
    assert "p[1]·p[0]" in reading.inner_text()
    explorer.page.keyboard.press("ArrowDown")
    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("ArrowUp")
    assert "p[1]·(1 − p[1])" in reading.inner_text()
    assert explorer.address == "view=jacobian&row=1"


def test_treated_elementwise_the_rest_is_lost(explorer: Explorer) -> None:
    explorer.open("view=jacobian")
    assert [explorer.at(f"row_sums[{i}]") for i in range(3)] == [0, 0, 0]
    lost = explorer.at("M[0, 1]")
    explorer.press('.toggle:has-text("Treat it elementwise") input', "Space")
    assert explorer.at("M[0, 1]") == 0 != lost
    assert explorer.at("row_sums[0]") == explorer.at("M[0, 0]") > 0
    explorer.assert_numbers_are_python_s()


def test_steps_are_taken_and_taken_back(explorer: Explorer) -> None:
    explorer.open("view=follow")
    explorer.page.click("#reset")
    assert explorer.at("p[2]") == pytest.approx(sg.softmax([2.0, 1.0, 0.0])[2], rel=1e-12)
    explorer.press("#step", "Enter", "Enter", "Space")
    assert "steps=3" in explorer.address
    explorer.assert_numbers_are_python_s()
    explorer.press(range_of("Learning rate"), "End")
    assert "lr=5" in explorer.address
    explorer.assert_numbers_are_python_s()


def test_play_walks_until_it_is_stopped(explorer: Explorer) -> None:
    explorer.hold_time()
    explorer.open("view=follow&steps=0")
    explorer.page.click("#play")
    explorer.page.clock.run_for(500)
    assert "In 12 steps" in explorer.summary  # 40 ms each, seen by the next frame, every 16
    assert explorer.page.inner_text("#play") == "Pause"
    explorer.page.click("#play")
    explorer.page.clock.run_for(200)
    assert "In 12 steps" in explorer.summary
    assert explorer.page.inner_text("#play") == "Play"


def test_play_ends_where_the_story_does_and_then_walks_again(explorer: Explorer) -> None:
    explorer.hold_time()
    explorer.open("view=follow&steps=57")
    explorer.page.click("#play")
    explorer.page.clock.run_for(1000)
    assert explorer.page.inner_text("#play") == "Play"
    assert "In 60 steps" in explorer.summary
    explorer.page.click("#play")
    explorer.page.clock.run_for(500)
    assert "In 12 steps" in explorer.summary


def test_play_goes_as_far_as_somebody_wanted(explorer: Explorer) -> None:
    explorer.hold_time()
    explorer.open("view=follow&steps=70&objective=entropy")
    explorer.page.click("#play")
    explorer.page.clock.run_for(500)
    assert "In 12 steps" in explorer.summary
    explorer.page.click("#play")  # a pause is no new end
    explorer.page.click("#play")
    explorer.page.clock.run_for(5000)
    assert explorer.page.inner_text("#play") == "Play"
    assert "In 70 steps" in explorer.summary


def test_reset_ends_the_walk(explorer: Explorer) -> None:
    explorer.hold_time()
    explorer.open("view=follow&steps=0")
    explorer.page.click("#play")
    explorer.page.clock.run_for(500)
    assert "In 12 steps" in explorer.summary
    explorer.page.click("#reset")
    explorer.page.clock.run_for(200)
    assert "Press play" in explorer.summary
    assert explorer.page.inner_text("#play") == "Play"


@pytest.mark.parametrize("options", [{"reduced_motion": "reduce"}])
def test_who_wants_no_motion_gets_the_end(explorer: Explorer) -> None:
    explorer.open("view=follow&steps=0")
    explorer.press("#play", "Enter")
    assert "In 60 steps" in explorer.summary


@pytest.mark.parametrize("title", ["Probabilities", "Logits"])
def test_the_start_is_moved_in_the_triangle_and_in_the_plane(
    explorer: Explorer, title: str
) -> None:
    explorer.open("view=follow&steps=5")
    start = f'[aria-label="{title}: the start"]'
    explorer.drag(start, 30, -40)
    dragged = logits_of(explorer.address)
    assert sum(dragged) == pytest.approx(3, rel=1e-11)  # the plane is not left
    assert dragged[2] > 0  # up is towards class 2
    explorer.press(start, *["ArrowRight"] * 4)
    pressed = logits_of(explorer.address)
    assert pressed[1] > dragged[1]
    assert pressed[0] < dragged[0]
    explorer.assert_numbers_are_python_s()


def test_the_plane_keeps_its_size_while_it_is_held(explorer: Explorer) -> None:
    explorer.open("view=follow&steps=5")
    caption = explorer.page.locator("figcaption", has_text="middle to the edge")
    x, y = explorer.handle('[aria-label="Logits: the start"]')
    explorer.page.mouse.move(x, y)
    explorer.page.mouse.down()
    explorer.page.mouse.move(x, y + 150)
    assert caption.inner_text().endswith("edge: 4.")
    explorer.page.mouse.up()
    assert caption.inner_text().endswith("edge: 8.")


@pytest.mark.parametrize("options", [{"has_touch": True}], ids=["touch"])
def test_a_finger_beside_the_start_scrolls_and_moves_nothing(explorer: Explorer) -> None:
    explorer.open("view=follow&steps=5")
    x, y = explorer.handle('[aria-label="Logits: the start"]')
    explorer.page.touchscreen.tap(x + 60, y + 60)
    assert "z=" not in explorer.address
    explorer.page.touchscreen.tap(x + 12, y)
    assert "z=" in explorer.address


@pytest.mark.parametrize(
    "options",
    [{"has_touch": True, "is_mobile": True, "viewport": {"width": 400, "height": 800}}],
    ids=["touch"],
)
@pytest.mark.parametrize(("view", "letter"), [("forward", "z"), ("hidden", "g")])
def test_a_finger_that_scrolls_over_a_bar_leaves_its_value(
    explorer: Explorer, view: str, letter: str
) -> None:
    explorer.open(f"view={view}")
    bar = explorer.page.locator(slider(0, letter))
    bar.scroll_into_view_if_needed()
    box, before = bar.bounding_box(), explorer.address
    x, y = box["x"] + 0.85 * box["width"], box["y"] + box["height"] / 2
    device = explorer.page.context.new_cdp_session(explorer.page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": y})
    for k in range(1, 16):
        touch("touchMove", {"x": x, "y": y - 12 * k})
        explorer.page.wait_for_timeout(16)
    touch("touchEnd")
    explorer.page.wait_for_timeout(300)
    assert explorer.page.evaluate("scrollY") > 0
    assert explorer.address == before


@pytest.mark.parametrize("corner", [(-900, 900), (900, 900), (0, -900)])
def test_a_start_past_the_corners_stays_finite(explorer: Explorer, corner: tuple[int, int]) -> None:
    explorer.open("view=follow&steps=3")
    explorer.drag('[aria-label="Probabilities: the start"]', *corner)
    assert np.isfinite(logits_of(explorer.address)).all()
    explorer.assert_numbers_are_python_s()


def test_the_sum_goes_nowhere(explorer: Explorer) -> None:
    explorer.open("view=follow")
    explorer.press('[name="Objective"]:checked', "ArrowRight", "ArrowRight", "ArrowRight")
    assert "exactly zero, so nothing moves" in explorer.summary
    assert [explorer.at(f"z[{k}]") for k in range(3)] == [2, 1, 0]


def test_two_classes_have_no_triangle(explorer: Explorer) -> None:
    explorer.open("view=follow&z=1,0")
    assert "three classes" in explorer.summary
    explorer.page.click("#add")
    explorer.assert_numbers_are_python_s()


@pytest.mark.parametrize("objective", ["output", "cross-entropy", "squared-error", "entropy"])
@pytest.mark.parametrize(("target", "third"), [(0, 2), (2, 2), (4, 4)])
def test_of_many_classes_three_are_followed_the_target_among_them(
    explorer: Explorer, target: int, third: int, objective: str
) -> None:
    explorer.open(f"view=follow&z=2,1,0,5,-1&t={target}&steps=5&objective={objective}")
    assert f"Only classes 0, 1 and {third} of 5 are followed" in explorer.summary
    if objective == "output":
        assert f"In 5 steps p[{target}] rises" in explorer.summary
    body = explorer.page.inner_text("#body-follow")
    assert f"p[{third}] = 1" in body
    assert f"z[{third}] largest" in body
    names = explorer.assert_numbers_are_python_s()
    assert len(names["p"]) == 3
    start = [2, 1, {2: 0, 4: -1}[third]]
    assert explorer.page.inner_text(f"tr:has(th:text-is('z[{third}]')) td").strip() == str(
        start[2]
    ).replace("-", "−")
    if objective != "entropy":
        moved = names["z"] - start
        assert np.abs(moved).max() > 0
        assert moved[[0, 1, third].index(target) if target < 2 else 2] > 0


def test_the_start_that_is_moved_is_that_of_the_followed_classes(explorer: Explorer) -> None:
    explorer.open("view=follow&z=2,1,0,5,-1&t=4&steps=5")
    explorer.press('[aria-label="Logits: the start"]', "ArrowUp")
    z = logits_of(explorer.address)
    assert z[2:4] == [0, 5]
    assert z[4] > -1
    assert sum(z) == pytest.approx(7, rel=1e-11)


def test_a_constant_in_g_moves_nothing(explorer: Explorer) -> None:
    explorer.open("view=hidden")
    before = [explorer.at(f"z_bar[{k}]") for k in range(3)]
    explorer.press(range_of("Add to every entry of g"), "ArrowRight", "PageUp")
    assert explorer.at("g[0]") > 0.5
    assert [explorer.at(f"z_bar[{k}]") for k in range(3)] == pytest.approx(before, rel=1e-12)
    assert "has changed nothing" in explorer.summary


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("z=2,1,0&g=3,3,3", "the same everywhere"),
        ("z=2,1,0&g=0,0,0", "nothing arrives"),
        ("z=0,5000,0&g=1,0,2", "so certain of class 1"),
    ],
)
def test_where_nothing_passes_the_reason_is_the_right_one(
    explorer: Explorer, state: str, reason: str
) -> None:
    explorer.open(f"view=hidden&{state}")
    assert reason in explorer.summary
    assert [explorer.at(f"z_bar[{k}]") for k in range(3)] == [0, 0, 0]


def test_what_arrives_is_dragged(explorer: Explorer) -> None:
    explorer.open("view=hidden")
    box = explorer.page.locator(slider(0, "g")).bounding_box()
    explorer.drag(slider(0, "g"), 0.25 * box["width"])
    assert "g=1,-1,0.25" in explorer.address
    explorer.press(slider(1, "g"), "End")
    assert explorer.at("g[1]") == 2
    explorer.assert_numbers_are_python_s()


def test_a_mistake_is_a_floor(explorer: Explorer) -> None:
    explorer.open("view=check&mistake=right")
    assert "agree with it" in explorer.summary
    lines = explorer.page.locator(".chart .line[d*='L']").count()
    explorer.press('[name="mistake"]:checked', "ArrowDown")
    assert "diagonal-only" in explorer.summary
    assert explorer.page.locator(".chart .line[d*='L']").count() == lines + 2
    assert explorer.at("yours[0, 1] - J[0, 1]") > 0


@pytest.mark.parametrize("view", VIEWS)
def test_predictions_are_answered_by_what_happens(explorer: Explorer, view: str) -> None:
    explorer.open(f"view={view}")
    before = explorer.summary
    options = explorer.page.locator(".question button")
    said = []
    for index in range(options.count()):
        explorer.open(f"view={view}")
        assert explorer.page.inner_text(".answer") == ""
        options.nth(index).click()
        said.append(explorer.page.inner_text(".answer"))
        assert explorer.summary != before or view == "jacobian"
        explorer.assert_numbers_are_python_s()
    assert [text.startswith("Yes") for text in said].count(True) == 1
    assert [text.startswith("No:") for text in said].count(True) == len(said) - 1


# --- how it looks, and to whom --------------------------------------------------------------


def paper(explorer: Explorer) -> int:
    colour = explorer.page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))


@pytest.mark.parametrize("options", [{"color_scheme": "dark"}, {"color_scheme": "light"}], ids=str)
def test_the_theme_follows_the_system_or_the_switch(
    explorer: Explorer, options: dict[str, Any]
) -> None:
    assert (paper(explorer) < 200) == (options["color_scheme"] == "dark")
    explorer.page.check('[name="Theme"][value="dark"]', force=True)
    assert paper(explorer) < 200
    explorer.page.check('[name="Theme"][value="light"]', force=True)
    assert paper(explorer) > 700
    assert "theme=light" in explorer.address


@pytest.mark.parametrize("options", [{"viewport": {"width": 320, "height": 800}}], ids=["320"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_phone(explorer: Explorer, view: str) -> None:
    for state in ("", "&z=2,1,0,-1,-2,-3,-4,-5", "&z=123456.7,-0.000123,3"):
        explorer.open(f"view={view}{state}")
        assert explorer.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.skipif(not AXE.exists(), reason="web/node_modules is missing: npm ci in web/")
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_accessibility(explorer: Explorer, view: str, theme: str) -> None:
    explorer.open(f"view={view}&theme={theme}")
    explorer.page.locator(".question button").first.click()
    explorer.page.evaluate(AXE.read_text("utf-8"))
    for width in (1400, 400):
        explorer.page.set_viewport_size({"width": width, "height": 900})
        found = explorer.page.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        told = [(v["id"], [node["html"] for node in v["nodes"]]) for v in found["violations"]]
        assert told == []


def test_the_summary_is_read_out_when_a_drag_has_ended(explorer: Explorer) -> None:
    live = explorer.page.locator("#summary")
    assert live.get_attribute("aria-live") == "polite"
    explorer.page.mouse.move(*explorer.handle(slider(0)))
    explorer.page.mouse.down()
    explorer.page.mouse.move(*explorer.handle(slider(1)))
    assert live.get_attribute("aria-busy") == "true"
    explorer.page.mouse.up()
    assert live.get_attribute("aria-busy") == "false"


@pytest.mark.parametrize("view", VIEWS)
def test_the_frame_of_a_page_of_text_shows_the_picture(explorer: Explorer, view: str) -> None:
    explorer.page.goto("about:blank")
    explorer.page.set_viewport_size({"width": 736, "height": 1010})
    explorer.page.set_content(sg.explore([2.0, 1.0, 0.0], view=view)._repr_html_())
    frame = explorer.page.frame_locator("iframe")
    picture = frame.locator(".body :is(figure, .cells)").first.bounding_box()
    assert picture["y"] + picture["height"] < 1000
    assert frame.locator("header").is_hidden()
    assert frame.locator("#z").is_visible()


def test_the_page_works_in_a_notebook_s_frame(explorer: Explorer) -> None:
    shown = sg.explore([1.0, 3.0, 0.0], target=0)._repr_html_()
    explorer.page.goto("about:blank")
    explorer.page.set_content(shown)
    frame = explorer.page.frame_locator("iframe")
    assert "class 1 is likeliest" in frame.locator("#summary").inner_text()
    frame.locator("#tab-hidden").click()
    frame.locator("text=A constant: nothing passes").click()
    assert "Nothing passes" in frame.locator("#summary").inner_text()
    frame.locator("#copy").click()
    frame.locator("text=Copied").wait_for()
    explorer.page.wait_for_timeout(300)  # it would write an address now
    explorer.complaints = [
        words for words in explorer.complaints if words != "asked for about:srcdoc"
    ]


def test_the_page_has_no_address_to_ask(explorer: Explorer) -> None:
    """Else silence would prove nothing: what is asked for is heard."""
    explorer.page.evaluate("new Image().src = 'data:image/gif;base64,R0lGOD'")
    assert explorer.complaints == []
    explorer.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert any("Content Security Policy" in words for words in explorer.complaints)
    explorer.complaints.clear()
    assert FILE.exists()
