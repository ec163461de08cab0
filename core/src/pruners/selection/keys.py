"""Floats as unsigned integers of the same order, written chunk by chunk into small buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen

if TYPE_CHECKING:
    from .ranking import Ranking

CHUNK = 1 << 18
"""Weights per chunk: its buffers stay in a core's own cache, or nearly, and calls cost little."""

# Bit pattern of +inf; above it, with the sign bit cleared, lie only NaNs.
_INFINITY = {
    "float16": 0x7C00,
    "bfloat16": 0x7F80,
    "float32": 0x7F80_0000,
    "float64": 0x7FF0_0000_0000_0000,
}
_BITS = {"float16": 16, "bfloat16": 16, "float32": 32, "float64": 64}


@frozen
class Scratch:
    """Buffers for the keys of one chunk, reused from chunk to chunk."""

    keys: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, form: Form, size: int) -> Scratch:
        """Return buffers for `size` keys."""
        return cls(np.empty(size, form.unsigned), np.empty(size, form.unsigned))


@frozen
class Form:
    """How the scores of one pool become integers: the float type whose bits are compared.

    A key is ``sign bit + |x|`` for positive and ``sign bit - |x|`` for negative numbers, on
    their bit patterns: both zeros give the same key, magnitudes and signed scores can be
    pooled, and 0 is left free for weights that are not alive.
    """

    name: str
    unsigned: np.dtype[Any] = field(init=False, repr=False)
    """The unsigned integer type of the keys."""
    top: int = field(init=False, repr=False)
    """The largest key there can be, that of plus infinity."""

    @unsigned.default
    def _unsigned(self) -> np.dtype[Any]:
        return np.dtype(f"uint{_BITS[self.name]}")

    @top.default
    def _top(self) -> int:
        return (1 << (_BITS[self.name] - 1)) + _INFINITY[self.name]

    def keys(
        self,
        scores: np.ndarray,
        alive: np.ndarray | None,
        magnitude: bool,
        scale: float,
        scratch: Scratch,
    ) -> np.ndarray | None:
        """Write the keys of one block into `scratch`; None if there is a NaN among the scores."""
        keys = scratch.keys[: scores.size].reshape(scores.shape)
        other = scratch.other[: scores.size].reshape(scores.shape)
        bits = self._bits(scores, magnitude, scale, keys)
        sign = self.unsigned.type(1 << (_BITS[self.name] - 1))
        if magnitude:
            np.bitwise_or(bits, sign, out=keys)
        else:
            _signed_order(bits, _BITS[self.name], keys, other)
        if keys.size and (keys.max() > self.top or (not magnitude and keys.min() < int(sign) * 2 - self.top)):
            return None
        if alive is not None:
            np.multiply(keys, alive, out=keys)
        return keys

    def _bits(self, scores: np.ndarray, magnitude: bool, scale: float, out: np.ndarray) -> np.ndarray:
        """Return the bit patterns of the scores in this form, without a copy where nothing is computed."""
        if scores.dtype.name == self.name and scale == 1.0:
            return scores.view(self.unsigned)
        floats = out.view(self.name)
        if scores.dtype.name == "bfloat16":
            wide = out if self.name == "float32" else np.empty(scores.shape, np.uint32)
            np.left_shift(scores.view(np.uint16), np.uint32(16), out=wide, dtype=np.uint32)
            scores = wide.view(np.float32)
        with np.errstate(over="ignore", under="ignore"):
            np.divide(scores, floats.dtype.type(scale), out=floats, dtype=floats.dtype)
        return out


def _signed_order(bits: np.ndarray, width: int, keys: np.ndarray, other: np.ndarray) -> None:
    """Write ``sign bit +- |x|`` to `keys`; `bits` may be `keys` itself."""
    signed = np.dtype(f"int{width}")
    low = signed.type((1 << (width - 1)) - 1)
    x, k, s = bits.view(signed), keys.view(signed), other.view(signed)
    np.right_shift(x, signed.type(width - 1), out=s)  # 0, or -1 where negative
    np.bitwise_and(x, low, out=k)
    np.bitwise_xor(k, s, out=k)
    np.subtract(k, s, out=k)
    np.bitwise_xor(keys, keys.dtype.type(1 << (width - 1)), out=keys)


def form_of(rankings: Sequence[Ranking]) -> Form:
    """Return the form in which all `rankings` can be compared.

    Their own type where it is one and no scale has to be divided out; otherwise float64 if any
    is float64 or a scale is at the ends of float32's range, else float32.
    """
    names = {ranking.scores.dtype.name for ranking in rankings}
    if len(names) == 1 and all(ranking.scale == 1.0 for ranking in rankings):
        return Form(names.pop())
    wide = "float64" in names or not all(1e-30 < ranking.scale < 1e30 for ranking in rankings)
    return Form("float64" if wide else "float32")
