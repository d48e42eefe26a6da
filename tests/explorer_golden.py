"""What the explorer's formulas must give: `python tests/explorer_golden.py` writes the file.

The page has its own formulas, in another language. Values come from mpmath where they are a few
operations, and from the library, which is tested against mpmath elsewhere, where they are many.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import mpmath
import numpy as np

import softgrad as sg
from softgrad.explain.heads import HEADS
from softgrad.report.colours import PALETTE, diverging
from softgrad.report.scales import pretty
from softgrad.results import plain

GOLDEN = Path(__file__).parent.parent / "web" / "golden.json"

LOGITS = (
    [2.0, 1.0, 0.0],
    [0.0, 0.0, 0.0],
    [-8.0, 1.0, 2.0],
    [40.0, 0.0, -3.0],
    [-300.0, -301.5, -299.0],
    [0.5, -1.0],
    [0.3, -1.2, 2.5, 0.7, -0.1, 2.5],
)
DTYPES = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
DIRECTION = np.array([0.58, -0.81, 0.37, 0.92, -0.44, 0.66, -0.29, 0.73])
COTANGENT = np.array([1.0, -0.5, 0.25, -0.75, 0.6, -0.35, 0.85, -0.15])
BACKWARDS = {
    "right": "p * (g - p @ g)",
    "diagonal-only": "p * (1 - p) * g",
    "identity": "g",
    "projection-term": "p * (g - g.sum())",
    "scale": "2 * p * (g - p @ g)",
    "sign": "p * (p @ g - g)",
    "zero": "np.zeros_like(z)",
    "wrong-variable": "z * (g - z @ g)",
    "unnamed": "h * (g - h @ g)",
}

Case = dict[str, Any]


def softmax_cases() -> Iterator[Case]:
    for z in LOGITS:
        with mpmath.workdps(40):
            e = [mpmath.exp(x) for x in z]
            total = mpmath.fsum(e)
            p = [float(x / total) for x in e]
            log_p = [float(x - mpmath.log(total)) for x in z]
            lse = float(mpmath.log(total))
        yield {
            "z": z,
            "p": p,
            "log_p": log_p,
            "logsumexp": lse,
            "jacobian": sg.softmax.jacobian(z),
        }


def vjp_cases() -> Iterator[Case]:
    for z in LOGITS:
        p = sg.softmax(z)
        for g in (COTANGENT[: len(z)], np.arange(len(z)) == 0, np.ones(len(z))):
            g = g.astype(np.float64)
            yield {
                "z": z,
                "g": g,
                "z_bar": sg.softmax.vjp(z, g),
                "diagonal_only": np.diag(sg.softmax.jacobian(z)) * g,
                "p": p,
            }


def head_cases() -> Iterator[Case]:
    for (name, head), z in itertools.product(HEADS.items(), LOGITS):
        for t in range(len(z)):
            loss, z_bar = head.value_and_gradient(np.array(z), t)
            if name == "softmax-squared":
                loss, z_bar = squared_error_of_softmax(z, t)
            p = head.outputs(np.array(z))
            yield {"head": name, "z": z, "t": t, "p": p, "loss": loss, "z_bar": z_bar}


def squared_error_of_softmax(z: list[float], t: int) -> tuple[float, list[float]]:
    """Return ½‖p − t‖² and J·(p − t), of which float64 loses the digits where p[t] is near 1."""
    with mpmath.workdps(60):
        e = [mpmath.exp(x) for x in z]
        p = [x / mpmath.fsum(e) for x in e]
        p_bar = [x - (k == t) for k, x in enumerate(p)]
        mean = mpmath.fdot(p, p_bar)
        z_bar = [float(x * (g - mean)) for x, g in zip(p, p_bar, strict=True)]
        return float(mpmath.fdot(p_bar, p_bar) / 2), z_bar


def path_cases() -> Iterator[Case]:
    for start, steps, lr in (([0.0, 1.0, 2.0], 200, 1.0), ([-8.0, 1.0, 2.0], 25, 0.5)):
        at = [0, steps // 2, steps]
        for objective, index in (("output", 0), ("log", 0), ("sum", None), ("entropy", None)):
            seen = sg.follow(sg.softmax, objective, steps, lr, index=index, start=start).trajectory
            name, sign = ("cross-entropy", -1) if objective == "log" else (objective, 1)
            yield {
                "objective": name,
                "k": index or 0,
                "start": start,
                "lr": lr,
                "steps": steps,
                "z": seen.pre_activations[at],
                "p": seen.outputs[at],
                "value": sign * seen.objective[at],
                "size": seen.gradient_size[at],
            }
        yield squared_error_path(np.array(start), steps, lr, at)


def squared_error_path(start: Any, steps: int, lr: float, at: list[int]) -> Case:
    head, z, seen = HEADS["softmax-squared"], start, []
    for _ in range(steps + 1):
        value, z_bar = head.value_and_gradient(z, 2)
        seen.append((z, sg.softmax(z), value, float(np.linalg.norm(z_bar))))
        z = z - lr * z_bar
    z, p, value, size = zip(*(seen[i] for i in at), strict=True)
    case = {"objective": "squared-error", "k": 2, "start": start, "lr": lr, "steps": steps}
    return case | {"z": z, "p": p, "value": value, "size": size}


def rounded_cases() -> Iterator[Case]:
    numbers = (1.0, 1.0009765625, 1.00048828125, 1.00146484375, 1 / 3, -2.7, 65504.0, 65519.9)
    numbers += (65520.0, 6.1e-5, 5.9e-8, 2.9e-8, 3.0e-8, 3.4e38, 3.5e38, 1e-45, 0.0, 1e300, 1e-300)
    for x, (name, dtype) in itertools.product(numbers, DTYPES.items()):
        with np.errstate(over="ignore", under="ignore"):
            yield {"x": x, "format": name, "y": float(dtype(x))}


def format_cases() -> Iterator[Case]:
    logits = (*LOGITS, [12.0, 11.0, 3.0], [100.0, 99.0, 0.0], [800.0, 799.0, 790.0])
    for z, name, subtract in itertools.product(logits, DTYPES, (True, False)):
        exponentials, total, p = rounded_softmax(np.array(z), DTYPES[name], subtract)
        yield {
            "z": z,
            "format": name,
            "subtract": subtract,
            "exponentials": exponentials.astype(float),
            "total": float(total),
            "p": p.astype(float),
        }


def rounded_softmax(z: Any, dtype: Any, subtract: bool) -> Any:
    """Return exponentials, their sum and their shares, every operation rounded to the dtype."""
    with np.errstate(all="ignore"):
        z = z.astype(dtype)
        shifted = (z - z.max()) if subtract else z
        exponentials = np.exp(shifted.astype(np.float64)).astype(dtype)
        total = dtype(0)
        for e in exponentials:
            total = dtype(total + e)
        return exponentials, total, (exponentials / total).astype(dtype)


def backward_cases() -> Iterator[Case]:
    for (name, code), z in itertools.product(BACKWARDS.items(), LOGITS):
        p = sg.softmax(z)
        names = {"np": np, "z": np.array(z), "p": p, "h": p.astype(np.float16).astype(float)}
        rows = [eval(code, names | {"g": g}) for g in np.eye(len(z))]
        answer = eval(code, names | {"g": COTANGENT[: len(z)]})
        yield {"name": name, "z": z, "matrix": rows, "slope": answer @ DIRECTION[: len(z)]}


def quotient_cases() -> Iterator[Case]:
    for z, name, exponent in itertools.product(LOGITS[:4], ("float64", "float32"), (1, 8, 17, 30)):
        h = 2.0**-exponent
        up, down = (weighted_softmax(np.array(z), step, DTYPES[name]) for step in (h, -h))
        yield {"z": z, "h": h, "format": name, "value": (up - down) / (2 * h)}


def weighted_softmax(z: Any, step: float, dtype: Any) -> float:
    u, g = DIRECTION[: len(z)], COTANGENT[: len(z)].astype(dtype)
    p = rounded_softmax(z + step * u, dtype, True)[2]
    total = dtype(0)
    for term in p * g:
        total = dtype(total + term)
    return float(total)


def pretty_cases() -> Iterator[Case]:
    numbers = (
        0.0,
        1.0,
        -0.557612,
        0.09003057,
        1234.25,
        12346.0,
        -4.2e-7,
        9999.96,
        1e-4,
        3e300,
        100.0,
    )
    for value, figures in itertools.product(numbers, (2, 3, 4)):
        yield {"value": value, "figures": figures, "text": pretty(value, figures)}


def colour_cases() -> Iterator[Case]:
    for value in (0.0, 0.013, -0.013, 0.25, -0.41, 0.5, -0.77, 1.0, 3.0):
        colour = " ".join(map(str, diverging(value, 1.0).tolist()))
        yield {"value": value, "limit": 1.0, "colour": f"rgb({colour})"}


def golden() -> str:
    """Return the content of the file."""
    with np.errstate(all="ignore"):
        cases = {
            "softmax": list(softmax_cases()),
            "vjp": list(vjp_cases()),
            "heads": list(head_cases()),
            "paths": list(path_cases()),
            "rounded": list(rounded_cases()),
            "formats": list(format_cases()),
            "backwards": list(backward_cases()),
            "quotients": list(quotient_cases()),
            "pretty": list(pretty_cases()),
            "palette": list(PALETTE),
            "colours": list(colour_cases()),
        }
    lines = [
        f'"{name}": [\n'
        + ",\n".join(json.dumps(plain(case), ensure_ascii=False) for case in of)
        + "\n]"
        for name, of in cases.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
