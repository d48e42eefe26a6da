"""Rows whose classes come in parts: tiles of one process, shards of several, or both.

Of every row, a part says its maximum m_s, the sum of the others r_s, the sum T_s of its targets,
and how far the targets' logits are below m_s. They merge as exponentials do: with m = max m_s, a
part adds (1 + r_s)·exp(m_s − m), the one with the maximum r_s alone. So r is what it is for whole
rows, and keeps its digits; the distances grow by T_s·(m − m_s), and all terms of the loss have one
sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from types import ModuleType

from softgrad.arithmetic import accurate_sum, first_max, log1p
from softgrad.arrays import Array, cuts, namespace
from softgrad.kernels import How
from softgrad.linear.rows import weighted
from softgrad.maps.centred import CentredRows, centre

__all__ = [
    "MergedRows",
    "Parts",
    "centred_on",
    "maxima_and_others",
    "merged_maxima",
    "scale",
    "targets_of_part",
    "tile_kernels",
]

_BLOCK = 2**16
"""Logits that the array formulas see at a time."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What the parts say of every row, in their order; numbers are as wide as there are."""

    m: Array  # [n, parts], −inf where a part has no classes
    r: Array  # [n, parts], −1 there
    total: Array  # [n, parts], T_s = Σ t
    distance: Array  # [n, parts], Σ t·(m_s − z) after the temperature

    def merged(self, temperature: float, z_loss: float) -> MergedRows:
        """Return what is known of the whole rows."""
        xp, (m, r) = namespace(self.m), merged_maxima(self.m, self.r, temperature)
        r = xp.where(xp.isinf(m), xp.zeros_like(r) + xp.nan, r)
        rows = centre(self.m, None, temperature)
        total = accurate_sum(self.total)[:, None]
        distance = accurate_sum(self.distance + weighted(self.total, 0 - (rows.d + rows.e)))
        return MergedRows(m, r, total, distance, temperature, z_loss)


@dataclass(frozen=True, eq=False)
class MergedRows:
    """Whole rows, known by their maximum and sums."""

    m: Array  # [n, 1]
    r: Array  # [n, 1]
    total: Array  # [n, 1], T = Σ t
    distance: Array  # [n], Σ t·(m − z)/T
    temperature: float
    z_loss: float

    @cached_property
    def logsumexp(self) -> Array:
        return self.m / self.temperature + log1p(self.r)  # [n, 1]

    @cached_property
    def pull(self) -> Array | float:
        """What the z-loss adds to T."""
        return 2 * self.z_loss * self.logsumexp if self.z_loss else 0.0

    def value(self, factor: Array) -> Array:
        """Return factor times loss, T·log1p(r) + distance, whose terms have one sign: [n]."""
        value = self.total[:, 0] * log1p(self.r)[:, 0] + self.distance
        if self.z_loss:
            value = value + self.z_loss * self.logsumexp[:, 0] ** 2
        return weighted(factor, value)

    def slope(self, factor: Array) -> Array:
        """Return what E is multiplied by where there is no target, for a factor [n, 1]: [n, 1]."""
        return weighted(factor, (self.total + self.pull) / (1 + self.r) / self.temperature)

    def at_top(self, factor: Array, t: Array, others: Array) -> Array:
        """Return the gradient at the maximum, whose target is t [n, 1], Σ of the others' `others`.

        p·T − t is p·others − t·r/S there: nothing cancels.
        """
        S = 1 + self.r
        g = (others - t * self.r + self.pull) / S
        return weighted(factor, g / self.temperature)

    def at_targets(self, factor: Array, ids: Array, masses: Array, picked: Array) -> Array:
        """Return the gradient at the few classes that have a target: [n, k].

        `picked` are the logits at the ids; no two numbers close to each other subtract.
        """
        xp = namespace(self.m)
        same = ids[:, :, None] == ids[:, None, :]  # an id may stand several times
        masses = xp.broadcast_to(masses[:, None, :], same.shape)
        t = xp.sum(xp.where(same, masses, xp.zeros_like(masses)), axis=-1)
        others = xp.sum(xp.where(same, xp.zeros_like(masses), masses), axis=-1)
        p = centred_on(self.m, picked, self.temperature).E / (1 + self.r)
        g = weighted(factor, (self.total * p - t + self.pull * p) / self.temperature)
        top = (picked == self.m) & (self.r < 1)
        return xp.where(top, self.at_top(factor, t, others), g)


def merged_maxima(tops: Array, others: Array, temperature: float) -> tuple[Array, Array]:
    """Return the maximum and the sum of the others [n, 1] from those of all parts [n, parts].

    Parts of −inf alone are such a part together.
    """
    xp = namespace(tops)
    m, here, _ = first_max(tops)
    E = centre(tops, None, temperature).E
    r = accurate_sum(xp.where(here, others, weighted(E, 1 + others)))[:, None]
    return m, xp.where(m == -xp.inf, xp.zeros_like(r) - 1, r)


def maxima_and_others(z: Array, temperature: float, how: How) -> tuple[Array, Array]:
    """Return m and r of a part's rows; a part of −inf alone has r = −1, and adds nothing."""  # [n]
    xp = namespace(z)
    if how.compiled(z) is not None:
        m, r = map(xp.asarray, tile_kernels().maxima_and_others(z, temperature))
    else:
        parts = [
            (rows.m[:, 0], rows.r[:, 0])
            for cut in cuts(z.shape[0], max(1, _BLOCK // max(1, z.shape[1])))
            for rows in [centre(z[cut], None, temperature)]
        ]
        m, r = (xp.concat(list(v)) for v in zip(*parts, strict=True))
    lowest = m == -xp.inf
    if bool(xp.any(lowest)):
        nan = xp.any(xp.isnan(z), axis=-1)
        r = xp.where(lowest & ~nan, xp.zeros_like(r) - 1, r)
    return m, r


def scale(z: Array, m: Array, slope: Array, temperature: float, how: How) -> None:
    """Turn logits [n, k] into slope·exp((z − m)/T), in place, for m and slope [n, 1]."""
    if how.compiled(z) is not None:
        tile_kernels().scaled_exponentials(z, m, slope, temperature)
        return
    for cut in cuts(z.shape[0], max(1, _BLOCK // max(1, z.shape[1]))):
        z[cut] = weighted(slope[cut], centred_on(m[cut], z[cut], temperature).E)


def centred_on(m: Array, z: Array, temperature: float) -> CentredRows:
    """Return rows z [n, k] less m [n, 1], which is no smaller than any of their entries."""
    rows = centre(namespace(z).concat([m, z], axis=-1), None, temperature)
    return replace(rows, d=rows.d[:, 1:], e=rows.e[:, 1:], E=rows.E[:, 1:])


def targets_of_part(m: Array, masses: Array, z: Array, temperature: float) -> tuple[Array, Array]:
    """Return T_s and the distance of a part: for its maxima m, and targets at some logits z [n, k].

    A part of −inf alone has nothing to measure from: its targets are infinitely far.
    """  # [n]
    xp, near = namespace(m), centred_on(m[:, None], z, temperature)
    distances = weighted(masses, 0 - (near.d + near.e))
    lost = (m == -xp.inf)[:, None] & (masses != 0)
    distances = xp.where(lost, xp.zeros_like(distances) + xp.inf, distances)
    return accurate_sum(masses), accurate_sum(distances)


def tile_kernels() -> ModuleType:
    """Return the compiled operations on tiles of logits."""
    return import_module("softgrad.kernels.numba.tiles")
