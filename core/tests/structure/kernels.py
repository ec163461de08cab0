"""What each kind of neutral operation computes, in NumPy and float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

EPS = 1e-2
"""Added to variances: large, so that rounding is not amplified."""

FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "add": np.add,
    "clone": np.copy,
    "exp": lambda x: np.exp(np.clip(x, -4, 4)),  # nothing overflows
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.8 * (x + 0.04 * x**3))),
    "log": np.log,
    "maximum": np.maximum,
    "mul": np.multiply,
    "neg": np.negative,
    "relu": lambda x: np.maximum(x, 0),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sub": np.subtract,
    "tanh": np.tanh,
    "where": np.where,
}


def convolve(x: np.ndarray, weight: np.ndarray, groups: int, options: Mapping[str, Any]) -> np.ndarray:
    """Return ``(batch, out, ...)``; the weight is ``(out, in / groups, ...)``."""
    kernel = weight.shape[2:]
    stride, padding, dilation = (options[name] for name in ("stride", "padding", "dilation"))
    x = np.pad(x, [(0, 0), (0, 0), *((amount, amount) for amount in padding)])
    sizes = [
        (length - far * (side - 1) - 1) // step + 1
        for length, side, step, far in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    out = np.zeros((len(x), groups, weight.shape[0] // groups, *sizes))
    table = weight.reshape(groups, -1, *weight.shape[1:])
    for place in product(*map(range, kernel)):
        at = [
            slice(index * far, index * far + step * (size - 1) + 1, step)
            for index, far, step, size in zip(place, dilation, stride, sizes, strict=True)
        ]
        seen = x[(slice(None), slice(None), *at)].reshape(len(x), groups, -1, *sizes)
        out += np.einsum("bgi...,goi->bgo...", seen, table[(..., *place)])
    return out.reshape(len(x), -1, *sizes)


def convolve_transposed(
    x: np.ndarray, weight: np.ndarray, groups: int, options: Mapping[str, Any]
) -> np.ndarray:
    """Return ``(batch, out, ...)``; the weight is ``(in, out / groups, ...)``; no padding, no dilation."""
    kernel, stride = weight.shape[2:], options["stride"]
    sizes = [
        (length - 1) * step + side for length, step, side in zip(x.shape[2:], stride, kernel, strict=True)
    ]
    out = np.zeros((len(x), groups, weight.shape[1], *sizes))
    table = weight.reshape(groups, -1, *weight.shape[1:])
    parted = x.reshape(len(x), groups, -1, *x.shape[2:])
    for place in product(*map(range, kernel)):
        at = [
            slice(index, index + step * (length - 1) + 1, step)
            for index, step, length in zip(place, stride, x.shape[2:], strict=True)
        ]
        out[(..., *at)] += np.einsum("bgi...,gio->bgo...", parted, table[(..., *place)])
    return out.reshape(len(x), -1, *sizes)


def softmax(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    raised = np.exp(x - x.max(tuple(axes), keepdims=True, initial=-np.inf))
    return raised / raised.sum(tuple(axes), keepdims=True)


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None, scale: float) -> np.ndarray:
    """Return softmax(q k' scale + mask) v; several query heads may share one key head."""
    k, v = (np.repeat(each, q.shape[-3] // each.shape[-3], axis=-3) for each in (k, v))
    logits = np.einsum("...ld,...md->...lm", q, k) * scale
    shares = softmax(logits if mask is None else logits + mask, (logits.ndim - 1,))
    return np.einsum("...lm,...md->...ld", shares, v)


def standardise(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    if not x.size:
        return x
    mean = x.mean(tuple(axes), keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(tuple(axes), keepdims=True) + EPS)


def along_axis(vector: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Return a vector laid along one axis."""
    return vector.reshape([-1 if each == axis else 1 for each in range(ndim)])


def batch_norm(x: np.ndarray, given: Mapping[str, np.ndarray], batch_statistics: bool) -> np.ndarray:
    """Normalise over all axes but the second, or by running statistics; then scale and shift."""
    laid = {name: along_axis(vector, 1, x.ndim) for name, vector in given.items()}
    if batch_statistics:
        x = standardise(x, [axis for axis in range(x.ndim) if axis != 1])
    else:
        x = (x - laid["running_mean"]) / np.sqrt(laid["running_var"] + EPS)
    return x * laid.get("weight", 1.0) + laid.get("bias", 0.0)


def layer_norm(
    x: np.ndarray, given: Mapping[str, np.ndarray], axes: Sequence[int], function: str
) -> np.ndarray:
    """Normalise over the last axes."""
    if function == "rms_norm":
        x = x / np.sqrt((x**2).mean(tuple(axes), keepdims=True) + EPS)
    else:
        x = standardise(x, axes)
    return x * given.get("weight", 1.0) + given.get("bias", 0.0)


def group_norm(x: np.ndarray, given: Mapping[str, np.ndarray], groups: int) -> np.ndarray:
    """Normalise each group of channels of each example."""
    if x.size:
        x = standardise(x.reshape(len(x), groups, -1), (2,)).reshape(x.shape)
    laid = {name: along_axis(vector, 1, x.ndim) for name, vector in given.items()}
    return x * laid.get("weight", 1.0) + laid.get("bias", 0.0)


def average_pool(x: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Average pairs of neighbours along some axes."""
    for axis in axes:
        shape = (*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
        x = x.reshape(shape).mean(axis + 1)
    return x


def pixel_shuffle(x: np.ndarray, factor: int) -> np.ndarray:
    """Move channels into space, or back where the factor is negative."""
    batch, channels, height, width = x.shape
    if factor > 0:
        x = x.reshape(batch, channels // factor**2, factor, factor, height, width)
        return x.transpose(0, 1, 4, 2, 5, 3).reshape(batch, -1, height * factor, width * factor)
    side = -factor
    x = x.reshape(batch, channels, height // side, side, width // side, side)
    return x.transpose(0, 1, 3, 5, 2, 4).reshape(batch, channels * side**2, height // side, width // side)


def unfold(x: np.ndarray, kernel: int) -> np.ndarray:
    """Return ``(batch, channel * kernel**2, place)``: what a square window sees at each place."""
    batch, channels, height, width = x.shape
    seen = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))
    return seen.transpose(0, 1, 4, 5, 2, 3).reshape(batch, channels * kernel**2, -1)


def fold(x: np.ndarray, kernel: int, size: Sequence[int]) -> np.ndarray:
    """Add what `unfold` parted back into pictures of a size."""
    places = [length - kernel + 1 for length in size]
    parted = x.reshape(len(x), -1, kernel, kernel, *places)
    out = np.zeros((len(x), parted.shape[1], *size))
    for i, j in product(range(kernel), repeat=2):
        out[:, :, i : i + places[0], j : j + places[1]] += parted[:, :, i, j]
    return out


def multiplications(weight: np.ndarray, over: np.ndarray, *, skip: int = 1) -> int:
    """Return the MACs of a convolution: each number of `over` meets the weight, but for its first axis."""
    return over.size * math.prod(weight.shape[skip:])
