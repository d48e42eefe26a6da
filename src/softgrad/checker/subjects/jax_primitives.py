"""The operations of JAX in NumPy: at small sizes they take no compiler, and complex numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import dtypes
from jax.extend import core

try:
    from jax import enable_x64
except ImportError:  # before JAX 0.8
    from jax.experimental import enable_x64

from softgrad.checker.subject import AnyArray

__all__ = ["ELEMENTWISE", "as_numpy", "called", "enable_x64", "evaluated", "run"]

Rule = Callable[..., Any]
Params = Mapping[str, Any]

_ONE_TO_ONE: dict[str, Rule] = {
    "abs": np.abs, "add": np.add, "add_any": np.add, "and": np.bitwise_and, "atan2": np.arctan2,
    "cbrt": np.cbrt, "ceil": np.ceil, "cos": np.cos, "cosh": np.cosh, "div": np.divide,
    "eq": np.equal, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "floor": np.floor,
    "ge": np.greater_equal, "gt": np.greater, "is_finite": np.isfinite, "le": np.less_equal,
    "log": np.log, "log1p": np.log1p, "logistic": lambda x: 1 / (1 + np.exp(-x)), "lt": np.less,
    "max": np.maximum, "min": np.minimum, "mul": np.multiply, "ne": np.not_equal,
    "neg": np.negative, "not": np.bitwise_not, "or": np.bitwise_or, "pow": np.power,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sign": np.sign, "sin": np.sin, "sinh": np.sinh,
    "sqrt": np.sqrt, "square": np.square, "sub": np.subtract, "tan": np.tan, "tanh": np.tanh,
    "xor": np.bitwise_xor, "copy": np.copy, "copy_p": np.copy, "stop_gradient": np.copy,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "select_n": lambda which, *cases: np.choose(np.asarray(which, np.intp), cases),
}  # fmt: skip
ELEMENTWISE = frozenset(
    [*_ONE_TO_ONE, "integer_pow", "erf", "erfc", "erf_inv", "lgamma", "digamma",
     "convert_element_type", "reduce_precision"]
)  # fmt: skip
"""Operations whose every entry comes from the operands' entries at the same place."""


def _converted(params: Params, x: AnyArray) -> AnyArray:
    # The complex step goes through whatever is real.
    stays = x.dtype.kind == "c" and np.dtype(params["new_dtype"]).kind == "f"
    return x if stays else x.astype(params["new_dtype"])


def _broadcast(params: Params, x: AnyArray, *sizes: AnyArray) -> AnyArray:
    shape = [1] * len(params["shape"])
    for axis, length in zip(params["broadcast_dimensions"], x.shape, strict=True):
        shape[axis] = length
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _product(params: Params, a: AnyArray, b: AnyArray) -> AnyArray:
    (of_a, of_b), (batch_a, batch_b) = params["dimension_numbers"]
    left = list(range(a.ndim))
    right = list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip((*of_a, *batch_a), (*of_b, *batch_b), strict=True):
        right[j] = left[i]
    kept = [left[i] for i in batch_a]
    kept += [n for i, n in enumerate(left) if i not in (*of_a, *batch_a)]
    kept += [n for j, n in enumerate(right) if j not in (*of_b, *batch_b)]
    return np.asarray(np.einsum(a, left, b, right, kept))


def _slice(params: Params, x: AnyArray) -> AnyArray:
    steps = params["strides"] or [1] * x.ndim
    ends = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return x[tuple(slice(*end) for end in ends)]


def _window(x: AnyArray, starts: Sequence[AnyArray], sizes: Sequence[int]) -> tuple[slice, ...]:
    """Return where a window lies, which is moved so that it lies inside."""
    lengths = zip(starts, sizes, x.shape, strict=True)
    firsts = [min(max(int(start), 0), n - size) for start, size, n in lengths]
    return tuple(slice(first, first + size) for first, size in zip(firsts, sizes, strict=True))


def _updated(x: AnyArray, part: AnyArray, *starts: AnyArray) -> AnyArray:
    found = np.array(x, np.result_type(x, part))
    found[_window(x, starts, part.shape)] = part
    return found


def _accumulated(function: Rule, params: Params, x: AnyArray) -> AnyArray:
    order = slice(None, None, -1 if params["reverse"] else 1)
    x = np.moveaxis(x, params["axis"], 0)[order]
    return np.moveaxis(function(x, axis=0)[order], 0, params["axis"])


def _split(params: Params, x: AnyArray) -> list[AnyArray]:
    return np.split(x, np.cumsum(params["sizes"])[:-1], axis=params["axis"])


def _reduction(function: Rule) -> Rule:
    return lambda params, x: function(x, axis=tuple(params["axes"]))


_RULES: dict[str, Rule] = {
    **{name: lambda params, *x, f=f: f(*x) for name, f in _ONE_TO_ONE.items()},
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *x: np.concatenate(x, axis=params["dimension"]),
    "convert_element_type": _converted,
    "cummax": lambda params, x: _accumulated(np.maximum.accumulate, params, x),
    "cumprod": lambda params, x: _accumulated(np.cumprod, params, x),
    "cumsum": lambda params, x: _accumulated(np.cumsum, params, x),
    "dot_general": _product,
    "dynamic_slice": lambda params, x, *at: x[_window(x, at, params["slice_sizes"])],
    "dynamic_update_slice": lambda params, *x: _updated(*x),
    "expand_dims": lambda params, x: np.expand_dims(x, params["dimensions"]),
    "integer_pow": lambda params, x: x ** params["y"],
    "reduce_and": _reduction(np.all),
    "reduce_max": _reduction(np.max),
    "reduce_min": _reduction(np.min),
    "reduce_or": _reduction(np.any),
    "reduce_precision": lambda params, x: x,
    "reduce_prod": _reduction(np.prod),
    "reduce_sum": _reduction(np.sum),
    "reshape": lambda params, x: x.reshape(params["new_sizes"]),
    "rev": lambda params, x: np.flip(x, params["dimensions"]),
    "slice": _slice,
    "split": _split,
    "squeeze": lambda params, x: np.squeeze(x, tuple(params["dimensions"])),
    "stack": lambda params, *x: np.stack(x, axis=params["axis"]),
    "transpose": lambda params, x: np.transpose(x, params["permutation"]),
}


def called(equation: Any) -> Any:
    """Return the program that an equation does nothing but run; None where it is an operation."""
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if inner is None or equation.primitive.name in ("scan", "while", "cond"):
        return None
    return inner if hasattr(inner, "consts") else core.ClosedJaxpr(inner, [])


def run(program: Any, values: Sequence[AnyArray]) -> list[AnyArray]:
    """Return what a program returns."""
    jaxpr = program.jaxpr
    known = dict(zip(jaxpr.constvars, map(as_numpy, program.consts), strict=True))
    known.update(zip(jaxpr.invars, values, strict=True))

    def read(variable: Any) -> AnyArray:
        is_literal = isinstance(variable, core.Literal)
        return np.asarray(variable.val) if is_literal else known[variable]

    for equation in jaxpr.eqns:
        results = evaluated(equation, [read(variable) for variable in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def evaluated(equation: Any, values: Sequence[AnyArray]) -> list[AnyArray]:
    """Return what an equation returns; what has no rule here is left to JAX."""
    program = called(equation)
    if program is not None:
        return run(program, values)
    rule = _RULES.get(equation.primitive.name)
    if rule is None:
        if any(np.iscomplexobj(value) for value in values):
            raise TypeError(equation.primitive.name)  # its program is one of real numbers
        with enable_x64(True):
            found = equation.primitive.bind(*map(jnp.asarray, values), **equation.params)
    else:
        with np.errstate(all="ignore"):
            found = rule(equation.params, *values)
    several = isinstance(found, (list, tuple))
    return [as_numpy(part) for part in (found if several else [found])]


def as_numpy(value: Any) -> Any:
    """Return an array as one of NumPy; the keys of random numbers stay what they are."""
    dtype = getattr(value, "dtype", None)
    is_key = dtype is not None and jnp.issubdtype(dtype, dtypes.prng_key)
    return value if is_key else np.asarray(value)
