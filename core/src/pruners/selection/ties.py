"""Ties too many to list: found by halving, and written in the order memory has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from .keys import CHUNK, Form, Scratch
from .parts import Part


@frozen
class Settle:
    """Decides ties too many to list: `value` for the first in C order, its opposite for the others.

    The masks hold ``key > self.key``. Layers are halved along their first axis, and each half is
    counted or written as a whole, in memory order; only about one chunk is looked at in C order.
    """

    form: Form
    key: int
    value: bool

    def run(self, parts: Sequence[Part], counts: Sequence[int], first: int) -> None:
        """Settle the `counts` ties of `parts`, `first` of them together."""
        for part, count in zip(parts, counts, strict=True):
            if count <= first or first <= 0:
                self._write(part, count <= first)
            else:
                self._split(part, first)
            first -= count

    def _split(self, part: Part, first: int) -> None:
        while part.size > CHUNK:
            if part.scores.shape[0] == 1:
                part = part.piece(0)
                continue
            middle = part.scores.shape[0] // 2
            head, tail = part.piece(slice(middle)), part.piece(slice(middle, None))
            count = self._count(head)
            self._write(head if count <= first else tail, count <= first)
            part = tail if count <= first else head
            first -= count if count <= first else 0
        keys = np.concatenate([np.empty(0, self.form.unsigned), *self._in_order(part)])
        tied = np.flatnonzero(keys == self.key)
        part.mask.flat[tied[:first] if self.value else tied[first:]] = True

    def _in_order(self, part: Part) -> list[np.ndarray]:
        scratch = Scratch.of(self.form, part.size)
        own = part.ranking
        keys = self.form.keys(part.scores, part.alive, own.magnitude, own.scale, scratch)
        return [] if keys is None else [keys.reshape(-1)]

    def _count(self, part: Part) -> int:
        scratch = Scratch.of(self.form, min(CHUNK, part.size))
        chunks = part.chunks(self.form, scratch)
        return sum(int(np.count_nonzero(keys == self.key)) for keys, _, _ in chunks)

    def _write(self, part: Part, is_first: bool) -> None:
        if is_first is not self.value:
            return
        scratch = Scratch.of(self.form, min(CHUNK, part.size))
        for keys, mask, _ in part.chunks(self.form, scratch):
            np.greater_equal(keys, self.form.unsigned.type(self.key), out=mask)
