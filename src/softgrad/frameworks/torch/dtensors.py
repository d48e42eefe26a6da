"""DTensors at heads and losses: their classes are spread, and all ranks have what else there is.

A DTensor says of which ranks it is and what each has. So the group is that of its mesh, heads
see plain tensors, and what comes out is a DTensor that every rank has whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from softgrad.arrays import Array, describe
from softgrad.errors import mismatch
from softgrad.heads import LinearCrossEntropy, Selected, SelectedLogProbs
from softgrad.losses import AbstractLoss, TopK
from softgrad.losses.base import Options

__all__ = ["head_value", "loss_value", "selected_value"]


def head_value(
    head: LinearCrossEntropy, x: Any, W: Any, targets: Any, bias: Any, options: Mapping[str, Any]
) -> Array:
    """Return the value of a head as a DTensor."""
    own = local(x, W, targets, bias, options)
    return own.whole(head.value(own.x, own.W, own.targets, own.bias, **own.options))


def selected_value(
    head: SelectedLogProbs, x: Any, W: Any, ids: Any, bias: Any, options: Mapping[str, Any]
) -> Selected:
    """Return the outputs of a head as DTensors."""
    own = local(x, W, ids, bias, options)
    found = head.value(own.x, own.W, own.targets, own.bias, **own.options)
    return Selected(*map(own.whole, found))


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
        targets = TopK(*(_taken(mesh, v, Replicate()) for v in targets))
    else:
        a_class = targets.ndim == x.ndim
        targets = _taken(mesh, targets, placement if a_class else Replicate())
    given = {name: _taken(mesh, v, Replicate()) for name, v in given.items()}
    value = loss.value(_taken(mesh, x, placement), targets, **cast(Options, given))
    return DTensor.from_local(value, mesh, [Replicate()], run_check=False)


class Local(NamedTuple):
    """The arguments of a head as this rank has them."""

    x: Any
    W: Any
    targets: Any
    bias: Any
    options: dict[str, Any]
    mesh: DeviceMesh

    def whole(self, y: Array) -> Array:
        """Return what all ranks have alike as a DTensor."""
        return DTensor.from_local(y, self.mesh, [Replicate()], run_check=False)


def local(x: Any, W: Any, targets: Any, bias: Any, options: Mapping[str, Any]) -> Local:
    """Take DTensors apart; PyTorch puts their gradients together again.

    W is spread over its rows or whole on every rank; what else is a DTensor may be spread in any
    way, and is brought to where it is needed.

    Raises
    ------
    TypeError, ValueError
        W is no DTensor, is spread in another way, or there is a group as well.
    """
    if not isinstance(W, DTensor):
        raise TypeError(mismatch("W", "a DTensor where another argument is one", describe(W)))
    if options.get("group") is not None:
        raise ValueError(mismatch("group", "None: a DTensor knows its own", "a group"))
    mesh, placements = W.device_mesh, tuple(W.placements)
    if mesh.ndim != 1 or placements[0] not in (Shard(0), Replicate()):
        expected = "spread over its rows, or whole, on a mesh of one dimension"
        raise ValueError(mismatch("W", expected, f"{placements} on {mesh.ndim} dimensions"))

    taken, placement = partial(_taken, mesh), placements[0]
    if bias is not None and not isinstance(bias, DTensor):
        bias = DTensor.from_local(bias, mesh, [Replicate()], run_check=False)
    given = {name: taken(v, Replicate()) for name, v in options.items()}
    if placement == Shard(0):
        given["group"] = mesh.get_group()
    if isinstance(targets, TopK):
        targets = TopK(*(taken(v, Replicate()) for v in targets))
    elif placement == Shard(0) and targets.ndim == x.ndim:  # a number a class
        targets = taken(targets, Shard(x.ndim - 1))
    else:
        targets = taken(targets, Replicate())
    return Local(
        taken(x, Replicate()), taken(W, placement), targets, taken(bias, placement), given, mesh
    )


def _taken(mesh: DeviceMesh, v: Any, placement: Any) -> Any:
    """Return the local part of a DTensor that is placed so; plain tensors are whole."""
    if not isinstance(v, DTensor):
        return v
    if v.device_mesh != mesh:
        raise ValueError(mismatch("W", "on the same mesh as all DTensors", "another mesh"))
    return v.redistribute(placements=[placement]).to_local()
