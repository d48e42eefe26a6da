"""Images: a convolution with a pooling, and a class for every pixel.

What is wrong here is met in an issue on a pooling layer that returns too early, and in threads on
labels and weights of pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.checker.ninth_batch.parts import (
    drawn,
    edited,
    ids,
    log_softmax,
    matrix,
    one,
    one_hot,
    positive,
    relu,
    softmax,
)
from benchmarks.checker.subject import Array, Function, Rng, Shape, Subject

__all__ = ["SUBJECTS"]


def _corners(image: Array) -> list[tuple[int, int]]:
    """Return where a window of 2 × 2 has its upper left corner."""
    return [(i, j) for i in range(image.shape[1] - 1) for j in range(image.shape[2] - 1)]


def _convolved(images: Array, filters: Array, bias: Array) -> Any:
    """Return the maps [N, C, H − 1, W − 1] of images [N, H, W] by filters [C, 2, 2]."""
    N, H, W = images.shape
    maps = np.zeros((N, len(filters), H - 1, W - 1), images.dtype)
    for i, j in _corners(images):
        window = images[:, i : i + 2, j : j + 2].reshape(N, 4)
        maps[:, :, i, j] = window @ filters.reshape(-1, 4).T + bias
    return maps


def _windows(maps: Array) -> list[tuple[slice, slice, int, int]]:
    """Return the windows of 2 × 2 side by side, and their places."""
    return [
        (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2), i, j)
        for i in range(maps.shape[2] // 2)
        for j in range(maps.shape[3] // 2)
    ]


def _pooled(maps: Array) -> Any:
    N, C, H, W = maps.shape
    pooled = np.zeros((N, C, H // 2, W // 2), maps.dtype)
    for rows, columns, i, j in _windows(maps):
        pooled[:, :, i, j] = maps[:, :, rows, columns].max(axis=(2, 3))
    return pooled


def _of_image(images: Array, filters: Array, bias: Array, W: Array, b: Array) -> Any:
    """Return the maps, what goes into the dense layer, and the classes' scores."""
    maps = _convolved(images, filters, bias)
    flat = _pooled(relu(maps)).reshape(len(images), -1)
    return maps, flat, flat @ W + b


def _images(*arrays: Any) -> Any:
    """Return the mean loss of a convolution, ReLU, a pooling and a dense layer."""
    *inputs, y = arrays
    return -np.mean(log_softmax(_of_image(*inputs)[-1])[np.arange(len(y)), y])


def _largest(window: Array) -> Any:
    """Return a one at the first of the largest in every window of [N, C, 2, 2]."""
    first = window.reshape(*window.shape[:2], -1).argmax(axis=-1)
    return (first[..., None] == np.arange(4)).reshape(window.shape).astype(window.dtype)


def _images_backward(
    images: Array,
    filters: Array,
    bias: Array,
    W: Array,
    b: Array,
    y: Array,
    g: Array,
    error: Function = lambda p, t: p - t,
    shaped: Function = lambda flat, shape: flat.reshape(shape),
    share: Function = _largest,
    pools: Function = _windows,
    relu_slope: Function = positive,
    of_filters: Function = lambda so_far, part: so_far + part,
    turned: Function = lambda filters: filters,
    of_bias: Function = lambda d: np.sum(d, axis=(0, 2, 3)),
    count: Function = len,
) -> Any:
    maps, flat, scores = _of_image(images, filters, bias, W, b)
    active = relu(maps)
    d = g * error(softmax(scores), one_hot(y, scores)) / count(y)
    d_pooled = shaped(d @ W.T, _pooled(active).shape)
    d_maps = np.zeros_like(maps)
    for rows, columns, i, j in pools(maps):
        mask = share(active[:, :, rows, columns])
        d_maps[:, :, rows, columns] = mask * d_pooled[:, :, i, j][:, :, None, None]
    d_maps = d_maps * relu_slope(maps)
    d_images, d_filters = np.zeros_like(images), np.zeros_like(filters)
    for i, j in _corners(images):
        window, own = images[:, i : i + 2, j : j + 2], d_maps[:, :, i, j]
        part = (own.T @ window.reshape(len(images), 4)).reshape(filters.shape)
        d_filters = of_filters(d_filters, part)
        spread = (own @ turned(filters).reshape(-1, 4)).reshape(window.shape)
        d_images[:, i : i + 2, j : j + 2] += spread
    return d_images, d_filters, of_bias(d_maps), flat.T @ d, np.sum(d, axis=0)


def _images_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, H, W, C, K = shape
    images, filters, bias, b = drawn(rng, (N, H, W), (C, 2, 2), (C,), (K,), scale=scale)
    units = C * ((H - 1) // 2) * ((W - 1) // 2)
    return images, filters, bias, matrix(rng, units, K), b, ids(rng, N, K)


IMAGES = Subject(
    "convolution-pool-and-softmax-of-images", _images, _images_backward, _images_sample,
    ((2, 5, 3, 2, 3), (3, 3, 5, 2, 4), (2, 5, 5, 3, 4), (4, 5, 7, 3, 5), (6, 7, 9, 4, 10)),
    scales=(0.3, 1.0, 2.0), extremes=(), kinked=True,
    edits=edited(_images_backward, {
        "pool-to-the-whole-window": ("chain-term subset", {
            "share": lambda window: 0 * window + 1}),
        # An issue: the return stands within the loop.
        "pool-left-after-its-first-window": ("subset unreduced-broadcast", {
            "pools": lambda maps: _windows(maps)[:1]}),
        "relu-forgotten": ("chain-term", {"relu_slope": one}),
        "filters-turned-for-the-input": ("axis", {
            "turned": lambda filters: filters[:, ::-1, ::-1]}),
        "filters-by-the-last-window": ("unreduced-broadcast", {
            "of_filters": lambda so_far, part: part}),
        "unflattened-in-another-order": ("axis", {
            "shaped": lambda flat, shape: flat.reshape(shape, order="F")}),
        "bias-over-samples-alone": ("unreduced-broadcast", {
            "of_bias": lambda d: np.sum(d, axis=0)}),
        "bias-one-sum": ("axis unreduced-broadcast", {"of_bias": np.sum}),
        "label-minus-output": ("sign", {"error": lambda p, t: t - p}),
        "label-not-subtracted": ("subset chain-term", {"error": lambda p, t: p}),
        "not-averaged": ("scale", {"count": one}),
    }),
)  # fmt: skip

IGNORED = -1


def _class_weights(K: int, like: Array) -> Any:
    """Return a weight for every class."""
    return (0.5 + 0.5 * np.arange(K)).astype(like.dtype)


def _known(y: Array, like: Array) -> Any:
    """Return ones at the pixels that have a label, and labels without the others' mark."""
    return (y != IGNORED).astype(like.dtype), np.where(y != IGNORED, y, 0)


def _map_of(labels: Array, like: Array) -> Any:
    """Return a one at every pixel's label, with the classes second."""
    return (labels[:, None] == np.arange(like.shape[1])[:, None, None]).astype(like.dtype)


def _pixel_weights(z: Array, y: Array) -> Any:
    known, labels = _known(y, z)
    return known * _class_weights(z.shape[1], z)[labels]


def _pixels(z: Array, y: Array) -> Any:
    """Return the weighted mean loss of logits [N, C, H, W], over pixels that have a label."""
    weights, labels = _pixel_weights(z, y), _known(y, z)[1]
    own = np.sum(_map_of(labels, z) * log_softmax(z, 1), axis=1)
    return -np.sum(weights * own) / np.sum(weights)


def _pixels_backward(
    z: Array,
    y: Array,
    g: Array,
    probabilities: Function = lambda z: softmax(z, 1),
    targets: Function = lambda z, y: _map_of(_known(y, z)[1], z),
    error: Function = lambda p, t: p - t,
    weights: Function = lambda z, y: _pixel_weights(z, y)[:, None],
    count: Function = lambda z, y: np.sum(_pixel_weights(z, y)),
) -> Any:
    d = error(probabilities(z), targets(z, y)) * weights(z, y)
    return g * d / count(z, y)


def _pixels_sample(rng: Rng, shape: Shape, scale: float) -> tuple[Array, ...]:
    N, C, H, W = shape
    (z,) = drawn(rng, shape, scale=scale)
    places = np.arange(N)[:, None, None] + 2 * np.arange(H)[:, None] + 3 * np.arange(W)
    return z, np.where(places % 5 == 1, IGNORED, (places + rng.integers(C)) % C)


PIXELS = Subject(
    "weighted-cross-entropy-of-pixels", _pixels, _pixels_backward, _pixels_sample,
    ((2, 4, 3, 2), (3, 4, 2, 5), (2, 3, 4, 5), (2, 5, 6, 4), (3, 8, 7, 6)), scales=(0.1, 1.0, 4.0),
    edits=edited(_pixels_backward, {
        "softmax-along-the-last-axis": ("axis wrong-variable", {
            "probabilities": lambda z: softmax(z)}),
        "pixels-without-a-label-learnt": ("subset", {
            "weights": lambda z, y: _class_weights(z.shape[1], z)[_known(y, z)[1]][:, None]}),
        # The weight of the class whose logit it is, not of the pixel's label.
        "every-class-by-its-own-weight": ("wrong-variable chain-term", {
            "weights": lambda z, y: (
                _known(y, z)[0][:, None] * _class_weights(z.shape[1], z)[:, None, None])}),
        "weights-forgotten": ("chain-term", {
            "weights": lambda z, y: _known(y, z)[0][:, None]}),
        "averaged-over-labelled-pixels": ("scale", {
            "count": lambda z, y: np.sum(_known(y, z)[0])}),
        "averaged-over-all-pixels": ("scale", {"count": lambda z, y: y.size}),
        "averaged-over-images": ("scale", {"count": lambda z, y: len(z)}),
        "labels-flipped-from-left-to-right": ("axis wrong-variable subset", {
            "targets": lambda z, y: _map_of(_known(y, z)[1][:, :, ::-1], z)}),
        "label-not-subtracted": ("subset chain-term", {"error": lambda p, t: p}),
        "label-minus-output": ("sign", {"error": lambda p, t: t - p}),
    }),
)  # fmt: skip

SUBJECTS = (IMAGES, PIXELS)
"""What is checked."""
