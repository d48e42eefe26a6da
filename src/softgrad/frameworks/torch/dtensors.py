"""DTensors at heads and losses: their classes are spread, and all ranks have what else there is.

A DTensor says of which ranks it is and what each has. So the group is that of its mesh, heads
see plain tensors, and what comes out is placed like the argument that it belongs to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.heads import Gradients
from softgrad.losses import AbstractLoss, TopK
from softgrad.losses.base import Options

__all__ = ["at_head", "loss_value"]

_SPREAD_WITH_W = ("W", "bias", "W_dot", "bias_dot")


def at_head(verb: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Return what a verb of a head gives at DTensors.

    W is spread over its rows, or whole on every rank. What else is a DTensor may be placed in any
    way, and is brought to where it is needed; plain tensors are whole. PyTorch puts the gradients
    together again.

    Parameters
    ----------
    verb : function
        Of the head, x, W and what the verb takes beside them.
    args, named
        What it is called with.

    Returns
    -------
    object
        What the verb returns. Gradients are placed like x, W and bias; all else every rank has
        whole, as a DTensor.

    Raises
    ------
    TypeError, ValueError
        W is no DTensor, is spread in another way, or there is a group as well.
    """
    given = inspect.signature(verb).bind(*args, **named).arguments
    options = given.pop("options", {})
    place = _Places.of(given["W"], options.get("group"))
    x_ndim = given["x"].ndim
    own, own_options = (
        {name: place.taken(name, v, x_ndim) for name, v in some.items()}
        for some in (given, options)
    )
    if place.is_spread:
        own_options["group"] = place.mesh.get_group()
    return place.given_back(verb(**own, **own_options), given)


def loss_value(loss: AbstractLoss, x: Any, targets: Any, options: Options) -> Array:
    """Return the value of a loss of logits that are spread over their classes, as a DTensor.

    Logits that are spread in another way are brought together.
    """
    mesh, axis, given = x.device_mesh, options.get("axis", -1) % x.ndim, dict(options)
    if mesh.ndim != 1 or options.get("group") is not None:
        expected = "a DTensor on a mesh of one dimension, without a group beside it"
        raise ValueError(mismatch("x", expected, f"one on {mesh.ndim} dimensions"))
    placement = Replicate()
    if tuple(x.placements) == (Shard(axis),):
        placement, given["group"] = Shard(axis), mesh.get_group()
    if isinstance(targets, TopK):
        targets = TopK(*(_local(mesh, v, Replicate()) for v in targets))
    else:
        a_class = targets.ndim == x.ndim
        targets = _local(mesh, targets, placement if a_class else Replicate())
    given = {name: _local(mesh, v, Replicate()) for name, v in given.items()}
    value = loss.value(_local(mesh, x, placement), targets, **cast(Options, given))
    return DTensor.from_local(value, mesh, [Replicate()], run_check=False)


@dataclass(frozen=True)
class _Places:
    """Where arguments and results of a head belong."""

    mesh: DeviceMesh
    placement: Any
    """Of W: over its rows, or whole."""

    @classmethod
    def of(cls, W: Any, group: Any) -> _Places:
        if not isinstance(W, DTensor):
            raise TypeError(mismatch("W", "a DTensor where another argument is one", describe(W)))
        if group is not None:
            raise ValueError(mismatch("group", "None: a DTensor knows its own", "a group"))
        mesh, placements = W.device_mesh, tuple(W.placements)
        if mesh.ndim != 1 or placements[0] not in (Shard(0), Replicate()):
            expected = (
                "spread over its rows, or whole, on a mesh of one dimension "
                "(of more, give W.to_local() and group=mesh[the dimension of the classes])"
            )
            raise ValueError(mismatch("W", expected, f"{placements} on {mesh.ndim} dimensions"))
        return cls(mesh, placements[0])

    @property
    def is_spread(self) -> bool:
        return bool(self.placement != Replicate())

    def taken(self, name: str, v: Any, x_ndim: int) -> Any:
        """Return what this rank has of an argument."""
        if isinstance(v, TopK):
            return TopK(*(_local(self.mesh, part, Replicate()) for part in v))
        if isinstance(v, dict):  # directions
            return {name: self.taken(name, part, x_ndim) for name, part in v.items()}
        if name in _SPREAD_WITH_W and v is not None:
            return _local(self.mesh, _placed(self.mesh, v), self.placement)
        a_class = name == "targets" and isinstance(v, DTensor) and v.ndim == x_ndim
        return _local(
            self.mesh, v, Shard(x_ndim - 1) if a_class and self.is_spread else Replicate()
        )

    def given_back(self, found: Any, arguments: Mapping[str, Any]) -> Any:
        """Return a result as DTensors; gradients as their arguments are."""
        if isinstance(found, Gradients):
            named = zip(found._fields, found, strict=True)
            return Gradients(*(self._like(arguments.get(name), v, name) for name, v in named))
        if isinstance(found, tuple):
            parts = [self.given_back(part, arguments) for part in found]
            return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)
        if isinstance(found, torch.Tensor):
            return DTensor.from_local(found, self.mesh, [Replicate()], run_check=False)
        return found

    def _like(self, argument: Any, v: Any, name: str) -> Any:
        """Return a gradient placed like its argument; a plain one for a plain one."""
        if v is None:
            return None
        placement = self.placement if name in _SPREAD_WITH_W else Replicate()
        shape, stride = argument.shape, argument.stride()
        v = DTensor.from_local(
            v, self.mesh, [placement], run_check=False, shape=shape, stride=stride
        )
        if not isinstance(argument, DTensor):
            return v.full_tensor()
        return v.redistribute(placements=argument.placements)


def _placed(mesh: DeviceMesh, v: Any) -> DTensor:
    """Return a DTensor as it is, and what is plain as one that is whole."""
    if isinstance(v, DTensor):
        return v
    return DTensor.from_local(v, mesh, [Replicate()], run_check=False)


def _local(mesh: DeviceMesh, v: Any, placement: Any) -> Any:
    """Return the local part of a DTensor that is placed so; what is none is as it is."""
    if not isinstance(v, DTensor):
        return v
    if v.device_mesh != mesh:
        raise ValueError(mismatch("W", "on the same mesh as all DTensors", "another mesh"))
    return v.redistribute(placements=[placement]).to_local()
