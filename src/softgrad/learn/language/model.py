"""The model: the rows of the last T tokens, a context layer, and the fused head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import DTypeLike

from softgrad.arrays import Array, describe, quiet
from softgrad.errors import mismatch
from softgrad.heads import LinearCrossEntropy
from softgrad.learn.language.rows import add_rows
from softgrad.learn.language.vocabulary import Ids, Vocabulary
from softgrad.maps import relu
from softgrad.nn import Linear, Network
from softgrad.nn.arguments import check_kind, float_dtype, positive_integer, random_generator

__all__ = ["LanguageModel"]

_SPREAD = 0.1
"""The standard deviation of W's entries at the start."""


_head = LinearCrossEntropy(memory=2**28)
"""It takes a thousand rows of fifty thousand logits at once: with a quarter of that memory a step
takes a sixth longer."""


@final
@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A distribution of the next token, from the last T ones.

    Every type has a row of W. The rows of the last T tokens, side by side, go through a network to
    x [D], and p = softmax(W x + b): W is how tokens are read and how they are predicted.

    Parameters
    ----------
    vocabulary : Vocabulary
        V types.
    context : int
        T, at least 1.
    network : Network
        From T·D numbers to D.
    W : array [V, D]
        float32 or float64.
    bias : array [V]
        Of W's dtype.

    Raises
    ------
    TypeError, ValueError
        The parts are of another kind or do not belong together, or are not finite.

    References
    ----------
    Bengio et al., 2003, "A neural probabilistic language model"; Press & Wolf, 2017, "Using the
    output embedding to improve language models" (one W for both).
    """

    vocabulary: Vocabulary
    context: int
    network: Network
    W: Array
    bias: Array

    def __post_init__(self) -> None:
        check_kind("vocabulary", self.vocabulary, Vocabulary, "a Vocabulary")
        check_kind("network", self.network, Network, "a Network")
        V, T = len(self.vocabulary), positive_integer("context", self.context)
        W, bias = self.W, self.bias
        if not _is_array(W, 2) or len(W) != V or W.shape[1] == 0:
            raise ValueError(mismatch("W", f"floats of shape ({V}, D)", describe(W)))
        if not _is_array(bias, 1) or (bias.shape, bias.dtype) != ((V,), W.dtype):
            raise ValueError(mismatch("bias", f"{W.dtype} of shape ({V},)", describe(bias)))
        D = W.shape[1]
        with quiet():
            x = self.network(np.zeros((1, T * D), W.dtype))
        if (x.shape, x.dtype) != ((1, D), W.dtype):
            expected = f"one from {T * D} numbers to {D}, in {W.dtype}"
            raise ValueError(mismatch("network", expected, describe(x)))
        for name, parameter in self.parameters.items():
            if not np.isfinite(parameter).all():
                raise ValueError(mismatch(name, "finite", "NaN or infinity"))

    @classmethod
    def start(
        cls,
        vocabulary: Vocabulary,
        *,
        context: int = 16,
        dim: int = 64,
        hidden: int = 256,
        seed: int | np.random.Generator = 0,
        dtype: DTypeLike = np.float32,
    ) -> LanguageModel:
        """Return a model that knows nothing but how frequent types are.

        Examples
        --------
        >>> vocabulary = Vocabulary(("<unknown>", "<end>", "x"), np.array([0, 1, 9]))
        >>> model = LanguageModel.start(vocabulary, context=2, dim=4, hidden=8)
        >>> model.network
        Network(layers=(Linear(8, 8), ReLU(), Linear(8, 4)), ...)
        """
        check_kind("vocabulary", vocabulary, Vocabulary, "a Vocabulary")
        T, D = positive_integer("context", context), positive_integer("dim", dim)
        rng, dtype = random_generator(seed), float_dtype(dtype)
        W = (_SPREAD * rng.standard_normal((len(vocabulary), D))).astype(dtype)
        inner = Linear(T * D, positive_integer("hidden", hidden), seed=rng, dtype=dtype)
        outer = Linear(hidden, D, seed=rng, dtype=dtype)
        bias = np.log(vocabulary.unigram()).astype(dtype)
        return cls(vocabulary, T, Network([inner, relu, outer]), W, bias)

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The arrays that training moves, by name."""
        of_network = {f"network.{name}": p for name, p in self.network.parameters.items()}
        return of_network | {"W": self.W, "bias": self.bias}

    def features(self, contexts: Ids) -> Array:
        """Return x, which the head sees, for the last tokens [N, T]."""  # [N, D]
        return self.network(self._read(contexts))

    def loss(self, contexts: Ids, targets: Ids) -> float:
        """Return the mean of −log p of the tokens [N] that follow contexts [N, T]."""
        return float(_head.value(self.features(contexts), self.W, targets, self.bias))

    def loss_and_gradients(self, contexts: Ids, targets: Ids) -> tuple[float, dict[str, Array]]:
        """Return the mean loss, and its gradient in every parameter by name."""
        x, pull = self.network.linearize(self._read(contexts))  # [N, D]
        loss, bars = _head.value_and_gradient(x, self.W, targets, self.bias)
        rows_bar, of_network = pull(bars.x)  # [N, T·D]
        add_rows(bars.W, contexts.reshape(-1), rows_bar.reshape(-1, self.W.shape[1]))
        gradients = {f"network.{name}": bar for name, bar in of_network.items()}
        return float(loss), gradients | {"W": bars.W, "bias": bars.bias}

    def _read(self, contexts: Ids) -> Array:
        """Return the tokens' rows of W side by side: [N, T] -> [N, T·D]."""
        return self.W[contexts].reshape(len(contexts), -1)


def _is_array(value: object, ndim: int) -> bool:
    floats = isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64)
    return floats and value.ndim == ndim  # type: ignore[attr-defined]
