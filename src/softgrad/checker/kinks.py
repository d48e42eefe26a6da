"""Kinks and ties at the point itself: which entries sit on one, and what is asked of them there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from softgrad.checker.differences import Differences
from softgrad.checker.report import Finding
from softgrad.checker.richardson import rms
from softgrad.checker.subject import Subject, Vector, flat
from softgrad.checker.ties import alike, only
from softgrad.results import number

__all__ = ["Kinks"]

Places = NDArray[np.intp]
_SUSPECT, _SHARE = 2.0**-9, 2.0**-10
"""Parts of the slopes: the larger is one that curvature rarely bends at the coarse step."""
_WHAT = "a kink or a tie, and slopes that differ on its two sides"
_LOOSE = 2.0**-5
"""One-sided slopes are held to this part of their size: what is asked for lies between two."""
_KEPT = 8
"""Calls that are left for the differences along the entries that sit on no kink."""


@dataclass(frozen=True, eq=False)
class _Look:
    """Entries that are moved together, to both sides, and what the outputs do."""

    places: Places
    u: Vector  # [places]: the direction in which they are moved
    slope: Vector  # [outputs]
    bend: Vector  # [outputs]: the slope ahead less the slope behind
    seen: bool = True
    """Whether they were moved; else this is what is left of others, and true unless they tie."""


@dataclass
class Kinks:
    """The entries at which one-sided slopes differ, found by group testing.

    The bend f₊ + f₋ − 2f falls with the square of the step where a function is smooth, and with the
    step on a kink. Entries that do not bend the outputs are judged as ever. At the others the
    gradient must lie between the slopes on both sides. Entries of one value are moved together as
    well: a maximum has a slope there, which shows who gives each that ties the whole gradient.
    """

    subject: Subject
    differences: Differences
    gradients: Vector  # [C, inputs]
    epsilon: float
    """The coarsest spacing at 1 in the backward's arithmetic."""
    findings: list[Finding] = field(default_factory=list)
    curved: bool = False
    """Whether the outputs bend at small steps, on no kink."""

    def __post_init__(self) -> None:
        self._values = flat(self.subject.points)

    def found(self, direction: Vector) -> Places:
        """Return the places of the entries on kinks, and of those that were not told apart."""
        none = np.zeros(0, np.intp)
        everything = np.flatnonzero(direction)
        coarse, fine = self.differences.kink_steps
        first = self._look(everything, direction, coarse, cached=True)
        if first is None or not self._large(first, coarse, _SUSPECT).any():
            return none
        self.curved = True
        second = self._look(everything, direction, fine)
        if second is None:
            return none
        # Where outputs vary within the steps, bends are alike by luck, and the slopes are not.
        if rms(second.slope - first.slope) > max(rms(first.slope), rms(first.bend)) / 4:
            return none
        alike = np.abs(second.bend - first.bend) <= np.abs(first.bend) / 4
        alike &= np.abs(second.slope - first.slope) <= np.abs(first.slope) / 4 + np.abs(first.bend)
        self._bent = np.flatnonzero(alike & self._large(second, fine, _SHARE))
        if self._bent.size == 0:
            return none
        # Signs that let every wrong entry of the first gradient add to the others.
        signs = np.sign(self.gradients[0])
        self._direction = np.abs(direction) * np.where(signs, signs, np.sign(direction))
        self._step = fine
        blocks = self._search(everything)
        self._judge(blocks)
        return np.sort(np.concatenate([block.places for block in blocks]))

    def _search(self, everything: Places) -> list[_Look]:
        """Return the blocks that bend the outputs, as small as the calls allow."""
        special = self._special(everything)
        whole = self._look(everything, self._direction, self._step)
        if whole is None:
            return []
        self._whole = whole
        blocks = self._split(whole, special) if 0 < special.sum() < special.size else [whole]
        while self.differences.spare >= _KEPT + 2:
            wrong = [block for block in blocks if self._outside(block)]
            if any(block.places.size == 1 and block.seen for block in wrong):
                break
            # Down to one entry that is wrong, first of all: it settles the check.
            unseen = [block for block in wrong if not block.seen]
            several = [block for block in wrong or blocks if block.places.size > 1]
            several = [block for block in several if block not in unseen]
            if self.differences.spare < _KEPT + (4 if wrong else 8):
                several = []  # the last calls are for what seems wrong
            if not (several or unseen):
                break
            block = (min if wrong else max)(several or unseen, key=lambda its: its.places.size)
            blocks = [its for its in blocks if its is not block]
            if several:
                half = np.arange(block.places.size) < block.places.size // 2
                blocks += self._split(block, half)
            else:
                blocks += self._seen(block)
        return blocks

    def _seen(self, block: _Look) -> list[_Look]:
        look = self._look(block.places, self._direction, self._step)
        return [block] if look is None else [look] if self._bends(look) else []

    def _split(self, block: _Look, chosen: NDArray[np.bool_]) -> list[_Look]:
        """Return the parts of a block that bend the outputs."""
        rest = self._look(block.places[~chosen], self._direction, self._step)
        if rest is None:
            return [block]
        # What is left by smooth entries is exact: they add their slopes, and nothing to the bend.
        smooth = not self._bends(rest)
        slope, bend = block.slope - rest.slope, block.bend - (0.0 if smooth else rest.bend)
        part = _Look(block.places[chosen], block.u[chosen], slope, bend, smooth and block.seen)
        if smooth:
            return [part]
        return [rest, part] if self._bends(part) else [rest, *self._seen(part)]

    def _special(self, places: Places) -> NDArray[np.bool_]:
        """Return which entries are of 8 bits, as 0 is, or twice there: kinks are often there.

        The entries are brought into the order of their values first.
        """
        values = self._values[places]
        order = np.argsort(values, kind="stable")
        places[:] = places[order]
        values = values[order]
        same = values[1:] == values[:-1]
        twice = np.append(same, False) | np.append(False, same)
        single = values.astype(np.float32)
        short = (single == values) & ((single.view(np.uint32) & 0xFFFF) == 0)
        return np.asarray(twice | short)

    def _look(
        self, places: Places, direction: Vector, step: float, cached: bool = False
    ) -> _Look | None:
        if cached:
            seen = self.differences.first_sides(step)
        else:
            seen = self.differences.sides(only(direction, places), step)
        return None if seen is None else _Look(places, direction[places], *seen)

    def _large(self, look: _Look, step: float, share: float) -> NDArray[np.bool_]:
        """Whether each output's bend is more than rounding, and no small part of the slopes."""
        least = max(64 * self.differences.rounding / step, share * rms(look.slope))
        return np.asarray(np.abs(look.bend) > least)

    def _bends(self, look: _Look) -> bool:
        bend, whole = np.abs(look.bend[self._bent]), np.abs(self._whole.bend[self._bent])
        rounding = 16 * self.differences.rounding / self._step
        return bool((bend > np.maximum(_SHARE * whole, rounding)).any())

    def _outside(self, block: _Look, of_each: bool = False) -> bool:
        """Whether the gradient cannot lie between the slopes on both sides.

        With `of_each`, not even if every output took a side of its own, as it may where an entry
        moves several kinks inside.
        """
        weights = self.differences.weights
        given = self.gradients[:, block.places] @ block.u
        middle = weights @ block.slope
        # Several entries may bend one projected output both ways; each output by itself, seldom.
        single = block.places.size == 1 and not of_each
        reach = np.abs(weights @ block.bend) if single else np.abs(weights) @ np.abs(block.bend)
        reach = reach / 2
        rounding = 8 * self.differences.epsilon * self.differences.scale / self._step
        its_own = 64 * self.epsilon * (np.abs(self.gradients[:, block.places]) @ np.abs(block.u))
        excess = np.abs(given - middle) - reach - rounding - its_own
        return bool((excess > _LOOSE * (np.abs(middle) + reach)).any())

    def _together(self, groups: list[Places]) -> Iterator[tuple[list[Places], _Look | None]]:
        """Move the entries of each group as one; None for a group that bends the outputs then.

        Those that tie bend them no more: a maximum of them is what each of them is.
        """
        if not groups or self.differences.spare < _KEPT:
            return
        move = np.zeros_like(self._direction)
        for group in groups:
            move[group] = self._direction[group[0]]
        look = self._look(np.concatenate(groups), move, self._step)
        if look is None:
            return
        if not self._large(look, self._step, _SHARE).any():
            yield groups, look
        elif len(groups) == 1:
            yield groups, None
        else:
            half = len(groups) // 2
            yield from self._together(groups[:half])
            yield from self._together(groups[half:])

    def _judge(self, blocks: list[_Look]) -> None:
        places = np.concatenate([block.places for block in blocks])
        groups = alike(self._values, places)
        seen = list(self._together(groups))
        ties = [look for _, look in seen if look is not None]
        wrong = [block for block in blocks if self._outside(block)]
        # The middle one of three that tie, as in a sorted array, has neither side's slope.
        apart = [group for its, look in seen if look is None for group in its]
        doubtful = [group for group in groups if group.size > 2 and _is_new(group, apart)]
        # Where an entry moves several kinks inside, as in a layer without biases at a row
        # of zeros, zero at each of them is right by itself, and may be outside together.
        single = [
            block
            for block in wrong
            if block.places.size == 1
            and block.seen
            and self.gradients[:, block.places].any()
            and _is_new(block.places, doubtful)
            and self._outside(block, of_each=True)
        ]
        unequal = [look for look in ties if self._outside(look, of_each=True)]
        if unequal:
            self.findings.append(self._of_ties(unequal[0]))
        elif single:
            self.findings.append(self._of_one(single[0]))
        elif wrong:
            text = (
                f"Among {places.size} entries the forward has {_WHAT}, and there the gradient "
                "seems not to lie between them: check with these entries apart."
            )
            self.findings.append(Finding("doubt", text))
        elif places.size < np.count_nonzero(self._direction):
            where = f"{places.size} entries, {self._name(places[0])} among them,"
            where = self._name(places[0]) if places.size == 1 else where
            text = f"At {where} the forward has {_WHAT}: it is not differentiable there."
            self.findings.append(Finding("note", f"{text} The gradient lies between those slopes."))

    def _of_one(self, block: _Look) -> Finding:
        weights = self.differences.weights
        low, high = sorted(
            float((weights[0] @ (block.slope + side * block.bend / 2) / block.u)[0])
            for side in (-1, 1)
        )
        given = float(self.gradients[0, block.places][0])
        text = (
            f"At {self._name(block.places[0])} the forward has {_WHAT}; the gradient must lie "
            f"between them: {number(given)} is not between {number(low)} and {number(high)}."
        )
        return Finding("fail", text)

    def _of_ties(self, look: _Look) -> Finding:
        slopes = self.differences.weights @ look.slope
        given = self.gradients[:, look.places] @ look.u
        worst = int(np.argmax(np.abs(given - slopes)))
        first, second, *_ = look.places
        text = (
            f"At entries of one value, such as {self._name(first)} and {self._name(second)}, the "
            "forward has a kink or a tie, and none where those of one value move together; there "
            f"the gradient must agree with it: its slope is {number(float(given[worst]))}, and the "
            f"forward's is {number(float(slopes[worst]))}."
        )
        return Finding("fail", text)

    def _name(self, place: int) -> str:
        for name, point in zip(self.subject.floating_names, self.subject.points, strict=True):
            if place < point.size:
                index = ", ".join(map(str, np.unravel_index(place, point.shape)))
                return f"{name}[{index}]" if index else name
            place -= point.size
        raise AssertionError("there are as many places as entries")


def _is_new(places: Places, groups: list[Places]) -> bool:
    """Whether the places are in none of the groups."""
    return not any(np.isin(places, group).any() for group in groups)
