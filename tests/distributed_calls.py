"""What the ranks do in the tests of heads whose classes are spread over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from softgrad import promises
from softgrad.heads import LinearCrossEntropy, SelectedLogProbs
from softgrad.losses import CrossEntropy, TopK
from softgrad.torch import SoftmaxHead

__all__ = [
    "apart",
    "autograd",
    "compiled",
    "conformance",
    "cross_entropy",
    "differently",
    "dtensors",
    "forward_mode",
    "fully_sharded",
    "gradients",
    "on_two_axes",
    "own",
    "selected",
    "spread_logits",
    "tied",
    "to_numpy",
    "to_tensors",
    "verbs",
    "verbs_of_dtensors",
    "wrongly",
]


def own(group: Any, sizes: tuple[int, ...]) -> slice:
    """Return the own classes."""
    rank = dist.get_rank(group)
    start = sum(sizes[:rank])
    return slice(start, start + sizes[rank])


def to_tensors(x: Any, dtype: torch.dtype) -> Any:
    """Return arrays as tensors, floats in a dtype; all else as it is."""
    if isinstance(x, TopK):
        return TopK(*(to_tensors(part, dtype) for part in x))
    if isinstance(x, dict):
        return {name: to_tensors(part, dtype) for name, part in x.items()}
    if not isinstance(x, np.ndarray):
        return x
    tensor = torch.from_numpy(x.copy())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def to_numpy(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(to_numpy(part) for part in x)
    if isinstance(x, torch.Tensor):
        return x.detach().to(torch.float64 if x.is_floating_point() else x.dtype).numpy()
    return x


def shard(options: dict[str, Any], mine: slice) -> dict[str, Any]:
    """Take the own part of what moves weights and bias."""
    parts = {"W_dot", "bias_dot"}
    return {name: v[mine] if name in parts else v for name, v in options.items()}


def verbs(
    group: Any,
    sizes: tuple[int, ...],
    settings: dict[str, Any],
    arguments: tuple[Any, ...],
    weights: dict[str, Any],
    bar: Any,
    directions: dict[str, Any],
    dtype: str = "float64",
    part_of_targets: bool = False,
) -> dict[str, Any]:
    """Return what every verb gives at x, W, targets and bias; the others' parts are cut off."""
    mine, kind = own(group, sizes), getattr(torch, dtype)
    x, W, targets, bias = (to_tensors(v, kind) for v in arguments)
    W, bias = W[mine].clone(), None if bias is None else bias[mine].clone()
    if part_of_targets:
        targets = targets[:, mine].clone()
    head = LinearCrossEntropy(**settings)
    given = {**to_tensors(weights, kind), "group": group}
    moves, bar = shard(to_tensors(directions, kind), mine), {"loss_bar": to_tensors(bar, kind)}
    other = {"x_dot": moves["x_dot"].flip(0), "W_dot": moves["W_dot"] ** 2}
    call = (x, W, targets, bias)
    loss, gradients = head.value_and_gradient(*call, **given, **bar)
    found = {
        "value": head.value(*call, **given),
        "loss": loss,
        "gradients": tuple(gradients),
        "jvp": head.jvp(*call, **given, **moves),
        "hvp": tuple(head.hvp(*call, **given, **bar, **moves)),
        "ggn": tuple(head.ggn(*call, **given, **bar, **moves)),
        "second": head.second_derivative(*call, **given, **moves, other=other),
    }
    return {name: to_numpy(v) for name, v in found.items()}


def autograd(
    group: Any, sizes: tuple[int, ...], settings: dict[str, Any], arguments: Any, bar: Any
) -> Any:
    """Return the gradients that `backward` leaves, and those of a penalty on the gradients."""
    mine = own(group, sizes)
    x, W, targets, bias = (to_tensors(v, torch.float64) for v in arguments)
    parts = [x, W[mine].clone(), bias[mine].clone()]
    for part in parts:
        part.requires_grad_()
    head, bar = LinearCrossEntropy(**settings), to_tensors(bar, torch.float64)
    loss = head(parts[0], parts[1], targets, parts[2], group=group)
    bars = torch.autograd.grad(loss, parts, bar, create_graph=True)
    first = to_numpy(tuple(bars))
    sum((b**3).sum() for b in bars).backward()
    return to_numpy((loss, *first)), to_numpy(tuple(part.grad for part in parts))


def forward_mode(
    group: Any, sizes: tuple[int, ...], arguments: Any, directions: dict[str, Any]
) -> Any:
    """Return the loss's rate of change, and that of its gradients, by torch.func."""
    mine = own(group, sizes)
    x, W, targets, bias = (to_tensors(v, torch.float64) for v in arguments)
    moves = shard(to_tensors(directions, torch.float64), mine)
    parts = (x, W[mine].clone(), bias[mine].clone())
    dots = tuple(moves[name] for name in ("x_dot", "W_dot", "bias_dot"))

    def loss(x: Any, W: Any, bias: Any) -> Any:
        return LinearCrossEntropy()(x, W, targets, bias, group=group)

    rate = torch.func.jvp(loss, parts, dots)[1]
    rates = torch.func.jvp(torch.func.grad(loss, argnums=(0, 1, 2)), parts, dots)[1]
    return to_numpy((rate, *rates))


def gradients(
    group: Any,
    sizes: tuple[int, ...],
    settings: dict[str, Any],
    arguments: tuple[Any, ...],
    dtype: str,
    options: dict[str, Any],
) -> Any:
    """Return loss and gradients."""
    mine, kind = own(group, sizes), getattr(torch, dtype)
    x, W, targets, bias = (to_tensors(v, kind) for v in arguments)
    bias = None if bias is None else bias[mine].clone()
    head, options = LinearCrossEntropy(**settings), to_tensors(options, kind)
    loss, bars = head.value_and_gradient(x, W[mine].clone(), targets, bias, group=group, **options)
    return to_numpy((loss, *bars))


def differently(
    group: Any,
    settings: list[dict[str, Any]],
    arguments: list[tuple[Any, ...]],
    options: list[dict[str, Any]],
) -> Any:
    """Call the head with what each rank has for itself; what was refused may be called again."""
    rank = dist.get_rank(group)
    x, W, targets = (to_tensors(v, torch.float64) for v in arguments[rank])
    head = LinearCrossEntropy(**settings[rank])
    return to_numpy(head(x, W, targets, group=group, **to_tensors(options[rank], torch.float64)))


def wrongly(group: Any, what: str, arguments: tuple[Any, ...]) -> Any:
    """Call with arguments of which rank 1 has a wrong one; then call once more, without."""
    x, W, targets = (to_tensors(v, torch.float64) for v in arguments)
    head, chosen = LinearCrossEntropy(), SelectedLogProbs()
    wrong, leaf = dist.get_rank(group) == 1, x.clone().requires_grad_()
    weights = torch.ones(len(x), dtype=x.dtype, requires_grad=wrong)
    bar = torch.linspace(0, 1, len(x) - wrong, dtype=x.dtype)
    features = x > 0 if wrong else x
    soft = torch.ones(len(x), 5 if wrong else 6, dtype=x.dtype) / 6
    c = torch.linspace(1, 2, 6, dtype=x.dtype)
    faults: dict[str, Callable[[], Any]] = {
        "weights of a taped head": lambda: head(leaf, W, targets, row_weights=weights, group=group),
        "weights of a taped loss": lambda: CrossEntropy()(
            leaf, targets % 3, row_weights=weights, group=group
        ),
        "ids of a taped head": lambda: chosen(leaf, W, [0] if wrong else targets, group=group),
        "a bar": lambda: chosen.vjp(x, W, targets, entropy_bar=bar, group=group),
        "features": lambda: head.entropy(features, W, group=group),
        "directions": lambda: head.second_derivative(
            x, W, targets, x_dot=x, other=3 if wrong else {"x_dot": x}, group=group
        ),
        "targets beside class weights": lambda: head(x, W, soft, class_weights=c, group=group),
        "targets that are validated": lambda: LinearCrossEntropy(validate=True)(
            x, W, soft, group=group
        ),
        "targets of a loss": lambda: CrossEntropy()(x, soft, class_weights=c, group=group),
        "a verb that stays at home": lambda: (
            head.approximate_value_and_gradient(x, W, targets, skip_below=0.1, group=group)
            if wrong
            else head.value_and_gradient(x, W, targets, group=group)
        ),
        "an option of a loss": lambda: CrossEntropy().gradient(
            x, targets % 3, group=group, **({"weight": 1} if wrong else {})
        ),
        "a bar of a loss": lambda: CrossEntropy().vjp(
            x, targets % 3, "1" if wrong else torch.ones((), dtype=x.dtype), group=group
        ),
    }
    try:
        return faults[what]()
    except (TypeError, ValueError) as error:
        return error, float(head(x, W, targets, group=group))


def apart(group: Any, what: str, arguments: tuple[Any, ...]) -> Any:
    """Call something else on rank 1 than on rank 0; then call alike."""
    x, W, targets = (to_tensors(v, torch.float64) for v in arguments)
    head, chosen, loss, of = (
        LinearCrossEntropy(),
        SelectedLogProbs(),
        CrossEntropy(),
        {"group": group},
    )
    call, wrong, logits = (x, W, targets), dist.get_rank(group) == 1, x @ W.T
    c, few = torch.linspace(1, 2, 6, dtype=x.dtype), torch.stack([targets, (targets + 1) % 6], 1)
    p = torch.linspace(0.1, 0.4, few.numel(), dtype=x.dtype).reshape(few.shape)
    move, still = {"x_dot": x}, {"W_dot": W}
    leaf, plain = x.clone().requires_grad_(), x.clone()

    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "hvp and ggn": (
            lambda: head.hvp(*call, **move, **of),
            lambda: head.ggn(*call, **move, **of),
        ),
        "jvp and second": (
            lambda: head.jvp(*call, **move, **of),
            lambda: head.second_derivative(*call, **move, other=move, **of),
        ),
        "verbs of a loss": (
            lambda: loss.value_and_gradient(logits, targets, **of),
            lambda: loss.hessian(logits, targets, **of).mv(logits),
        ),
        "incoming gradients": (
            lambda: CrossEntropy(reduction="none").vjp(logits, targets, logits[:, 0], **of),
            lambda: CrossEntropy(reduction="none").vjp(logits, targets, logits[1:, 0], **of),
        ),
        "head and loss": (lambda: head(*call, **of), lambda: loss(logits, targets, **of)),
        "x_dot": (lambda: head.jvp(*call, **move, **of), lambda: head.jvp(*call, **still, **of)),
        "other": (
            lambda: head.second_derivative(*call, **move, other=move, **of),
            lambda: head.second_derivative(*call, **move, other=still, **of),
        ),
        "class weights": (
            lambda: head(*call, class_weights=c, **of),
            lambda: head(*call, class_weights=c.flip(0), **of),
        ),
        "class weights of a loss": (
            lambda: loss(logits, targets, class_weights=c, **of),
            lambda: loss(logits, targets, class_weights=c[:5], **of),
        ),
        "top k": (
            lambda: head(x, W, TopK(few, p), **of),
            lambda: head(x, W, TopK(few, p.flip(0)), **of),
        ),
        "impl of a loss": (
            lambda: loss(logits, targets, impl="numba", **of),
            lambda: loss(logits, targets, impl="reference", **of),
        ),
        "features that need a gradient": (
            lambda: head(leaf, W, targets, **of),
            lambda: head(plain, leaf[:3], targets, **of),
        ),
        "selected": (lambda: chosen(*call, **of), lambda: chosen.jvp(*call, **move, **of)),
    }
    try:
        return pairs[what][wrong]()
    except ValueError as error:
        return error, float(head(*call, **of))


def selected(
    group: Any,
    sizes: tuple[int, ...],
    settings: dict[str, Any],
    arguments: tuple[Any, ...],
    bars: dict[str, Any],
    directions: dict[str, Any],
    k: int,
) -> dict[str, Any]:
    """Return what every verb of selected log-probabilities gives, and the predictions."""
    mine = own(group, sizes)
    x, W, ids, bias = (to_tensors(v, torch.float64) for v in arguments)
    W, bias = W[mine].clone(), bias[mine].clone()
    head, call = SelectedLogProbs(**settings), (x, W, ids, bias)
    bars = to_tensors(bars, torch.float64)
    moves = shard(to_tensors(directions, torch.float64), mine)
    parts = [v.clone().requires_grad_() for v in (x, W, bias)]
    taped = head(parts[0], parts[1], ids, parts[2], group=group)
    total = sum((bars[f"{name}_bar"] * v).sum() for name, v in taped._asdict().items())
    total.backward()
    predicting = LinearCrossEntropy(**settings)
    best = predicting.top_k(x, W, k, bias, group=group)
    found = {
        "value": tuple(head.value(*call, group=group)),
        "vjp": tuple(head.vjp(*call, **bars, group=group)),
        "autograd": tuple(part.grad for part in parts),
        "jvp": tuple(head.jvp(*call, **moves, group=group)),
        "hvp": tuple(head.hvp(*call, **bars, **moves, group=group)),
        "argmax": predicting.argmax(x, W, bias, group=group),
        "top k": tuple(best),
        "entropy": predicting.entropy(x, W, bias, group=group),
        "log_probs": predicting.log_probs(x, W, ids, bias, group=group),
    }
    return {name: to_numpy(v) for name, v in found.items()}


def _mesh(group: Any) -> DeviceMesh:
    return DeviceMesh.from_group(group, "cpu")


def dtensors(group: Any, arguments: tuple[Any, ...], frozen: str, spread_x: bool) -> Any:
    """Return loss and gradients of DTensors, as all ranks have them together."""
    mesh = _mesh(group)
    x, W, targets, bias = (to_tensors(v, torch.float64) for v in arguments)
    rows, whole = Shard(0), Replicate()
    x = distribute_tensor(x, mesh, [rows if spread_x else whole])
    W, bias = (distribute_tensor(v, mesh, [rows]) for v in (W, bias))
    targets = distribute_tensor(targets, mesh, [whole])
    parts = {"x": x, "W": W, "bias": bias}
    for name, part in parts.items():
        part.requires_grad_(name != frozen)
    loss = LinearCrossEntropy()(x, W, targets, bias)
    loss.backward()
    assert isinstance(loss, DTensor)
    assert all(p.grad is None or p.grad.placements == p.placements for p in parts.values())
    found = [None if p.grad is None else p.grad.full_tensor() for p in parts.values()]
    chosen = SelectedLogProbs()(x, W, targets, bias).log_probs
    return tuple(to_numpy(v) for v in (loss.full_tensor(), *found, chosen.full_tensor()))


def verbs_of_dtensors(
    group: Any, arguments: tuple[Any, ...], ids: Any, directions: dict[str, Any], spread_x: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what every verb gives at DTensors, as all ranks have it together, and placements."""
    mesh = _mesh(group)
    x, W, targets, bias = (to_tensors(v, torch.float64) for v in arguments)
    rows, whole = [Shard(0)], [Replicate()]
    x = distribute_tensor(x, mesh, rows if spread_x else whole)
    W, ids = (
        distribute_tensor(W, mesh, rows),
        distribute_tensor(to_tensors(ids, W.dtype), mesh, whole),
    )
    moves = to_tensors(directions, torch.float64)  # W_dot is whole, and plain, as the bias is
    other = {
        "x_dot": moves["x_dot"].flip(0),
        "W_dot": distribute_tensor(moves["W_dot"] ** 2, mesh, rows),
    }
    call, head, chosen = (x, W, targets, bias), LinearCrossEntropy(), SelectedLogProbs()
    bars = {"log_probs_bar": torch.linspace(-1, 2, ids.numel(), dtype=W.dtype).reshape(ids.shape)}
    loss, gradients = head.value_and_gradient(*call, loss_bar=torch.tensor(-0.7, dtype=W.dtype))
    found = {
        "loss": (loss,),
        "gradients": tuple(gradients),
        "jvp": (head.jvp(*call, **moves),),
        "second": (head.second_derivative(*call, **moves, other=other),),
        "hvp": tuple(head.hvp(*call, **moves)),
        "ggn": tuple(head.ggn(*call, **moves)),
        "argmax": (head.argmax(x, W, bias),),
        "top k": tuple(head.top_k(x, W, 3, bias)),
        "entropy": (head.entropy(x, W, bias),),
        "log_probs": (head.log_probs(x, W, ids, bias),),
        "selected vjp": tuple(chosen.vjp(x, W, ids, bias, **bars)),
        "selected jvp": tuple(chosen.jvp(x, W, ids, bias, **moves)),
        "selected hvp": tuple(chosen.hvp(x, W, ids, bias, **bars, **moves)),
    }
    places = {
        name: tuple(str(v.placements[0]) if isinstance(v, DTensor) else "plain" for v in parts)
        for name, parts in found.items()
    }
    return {name: to_numpy(tuple(map(_whole, parts))) for name, parts in found.items()}, places


def _local(v: Any) -> Any:
    return v.to_local() if isinstance(v, DTensor) else v


def _whole(v: Any) -> Any:
    return v.full_tensor() if isinstance(v, DTensor) else v


def tied(group: Any, W: Any, tokens: Any, targets: Any) -> Any:
    """Return loss and gradient of one spread matrix that reads tokens and predicts the next."""
    mesh = _mesh(group)
    W = distribute_tensor(to_tensors(W, torch.float64), mesh, [Shard(0)]).requires_grad_()
    tokens = distribute_tensor(to_tensors(tokens, torch.float64), mesh, [Replicate()])
    x = torch.nn.functional.embedding(tokens, W).redistribute(mesh, [Replicate()])
    loss = LinearCrossEntropy()(torch.tanh(x), W, to_tensors(targets, torch.float64))
    loss.backward()
    return to_numpy((loss.full_tensor(), W.grad.full_tensor()))


def compiled(group: Any, sizes: tuple[int, ...], arguments: tuple[Any, ...]) -> Any:
    """Return loss and gradients as they are, and of whole programs that PyTorch has compiled."""
    x, W, targets = (to_tensors(v, torch.float64) for v in arguments)
    mesh, mine, head = _mesh(group), own(group, sizes), LinearCrossEntropy(label_smoothing=0.1)
    matrices = {
        "group": W[mine].clone(),
        "DTensor": distribute_tensor(W, mesh, [Shard(0)]),
    }
    found = {}
    for name, matrix in matrices.items():
        options = {"group": group} if name == "group" else {}
        parts = (x.clone().requires_grad_(), matrix.requires_grad_())

        def loss(x: Any, W: Any, options: dict[str, Any] = options) -> Any:
            return _local(head(torch.tanh(x), W, targets, **options))

        for program in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
            value = program(*parts)
            bars = torch.autograd.grad(value, parts)
            found.setdefault(name, []).append(to_numpy((value, *map(_local, bars))))
    return found


def on_two_axes(group: Any, arguments: tuple[Any, ...]) -> Any:
    """Return loss and gradients on four ranks, of which pairs have the rows and the classes."""
    x, W, targets = (to_tensors(v, torch.float64) for v in arguments)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("rows", "classes"))
    row, column = mesh.get_coordinate()
    rows, mine = slice(3 * row, 3 * row + 3), slice(4 * column, 4 + 3 * column)
    head = LinearCrossEntropy(reduction="sum")
    call = (x[rows], W[mine].clone(), targets[rows])
    loss, bars = head.value_and_gradient(*call, group=mesh["classes"])
    for v in (loss, bars.W):
        dist.all_reduce(v, group=mesh.get_group("rows"))
    return to_numpy((loss, bars.x, bars.W)), (rows, mine)


def fully_sharded(group: Any, x: Any, W: Any, targets: Any) -> Any:
    """Return the gradient of a head under FSDP2, of which every rank has its own rows."""
    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    head = SoftmaxHead(W.shape[1], W.shape[0], bias=False, dtype=torch.float64)
    head.weight.data.copy_(torch.from_numpy(W))
    fully_shard(head, mesh=_mesh(group))
    mine = slice(rank * len(x) // ranks, (rank + 1) * len(x) // ranks)
    loss = head(torch.from_numpy(x[mine]), torch.from_numpy(targets[mine]))
    loss.backward()
    return to_numpy((loss, head.weight.grad.full_tensor()))


class _Shared(torch.autograd.Function):
    """W itself, of whose gradient every rank has a part: these add up."""

    @staticmethod
    def forward(W: Any, group: Any) -> Any:
        return W.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, ctx.group = inputs

    @staticmethod
    def backward(ctx: Any, W_bar: Any) -> Any:
        return _Summed.apply(W_bar, ctx.group), None

    @staticmethod
    def jvp(ctx: Any, W_dot: Any, _: None) -> Any:
        return W_dot.clone()


class _Summed(torch.autograd.Function):
    """The sum over the ranks, whose gradient is the same on all of them."""

    @staticmethod
    def forward(ctx: Any, part: Any, group: Any) -> Any:
        ctx.group, total = group, part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, total_bar: Any) -> Any:
        return _Shared.apply(total_bar, ctx.group), None


def conformance(group: Any, way: str) -> dict[str, tuple[str, str]]:
    """Return what the battery says of the head whose classes are spread: verdicts and figures."""
    mesh, rank, ranks = _mesh(group), dist.get_rank(group), dist.get_world_size(group)

    def spread(
        x: Any,
        W: Any,
        targets: Any,
        bias: Any = None,
        *,
        reduction: Any = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        weight: Any = None,
    ) -> Any:
        head = LinearCrossEntropy(
            reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing
        )
        if way == "DTensor":
            W = DTensor.from_local(W, mesh, [Replicate()], run_check=False)
            W = W.redistribute(placements=[Shard(0)])
            return head(x, W, targets, bias, class_weights=weight).to_local()
        mine = slice(rank * len(W) // ranks, (rank + 1) * len(W) // ranks)
        W, bias = (v if v is None else _Shared.apply(v, group)[mine] for v in (W, bias))
        return head(x, W, targets, bias, class_weights=weight, group=group)

    found = promises.conformance("linear_cross_entropy", spread, framework="torch")
    return {
        o.promise: (o.verdict, f"{o.figure} where {o.at_most} is allowed, at {o.at}")
        for o in found.outcomes
    }


def cross_entropy(
    group: Any,
    sizes: tuple[int, ...],
    settings: dict[str, Any],
    z: Any,
    targets: Any,
    weights: dict[str, Any],
    bar: Any,
    z_dot: Any,
    axis: int,
) -> Any:
    """Return what the loss of logits gives that are spread over their classes."""
    mine = own(group, sizes)
    z, targets, z_dot, bar = (to_tensors(v, torch.float64) for v in (z, targets, z_dot, bar))
    z, z_dot = (v.narrow(axis, mine.start, mine.stop - mine.start).clone() for v in (z, z_dot))
    given = {**to_tensors(weights, torch.float64), "group": group, "axis": axis}
    loss = CrossEntropy(**settings)
    value, gradient = loss.value_and_gradient(z, targets, **given)
    leaf = z.clone().requires_grad_()
    (taped,) = torch.autograd.grad(loss(leaf, targets, **given), leaf, bar, create_graph=True)
    (curved,) = torch.autograd.grad(taped, leaf, z_dot)

    def of(z: Any) -> Any:
        return loss(z, targets, **given)

    def rate(z: Any) -> Any:
        return torch.func.jvp(of, (z,), (z_dot,))[1]

    found = {
        "value": value,
        "gradient": gradient,
        "vjp": loss.vjp(z, targets, bar, **given),
        "autograd": taped,
        "curved": curved,
        "rate": torch.func.jvp(of, (z,), (z_dot,))[1],
        "second": torch.func.jvp(lambda z: torch.func.jvp(of, (z,), (z_dot,))[1], (z,), (z_dot,))[
            1
        ],
    }
    return {name: to_numpy(v) for name, v in found.items()}


def spread_logits(group: Any, z: Any, targets: Any, axis: int) -> Any:
    """Return loss and gradient of logits that are a DTensor."""
    mesh = _mesh(group)
    z = distribute_tensor(to_tensors(z, torch.float64), mesh, [Shard(axis)]).requires_grad_()
    loss = CrossEntropy()(z, to_tensors(targets, torch.float64))
    loss.backward()
    return to_numpy((loss.full_tensor(), z.grad.full_tensor()))
