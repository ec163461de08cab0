"""Numbers that each rank got from its own data, averaged: the same bits on every rank."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from ..errors import ScoreError
from ..protocols.ranks import Peers

_HELD = 64 << 20
"""Bytes of gathered numbers that are held at a time."""


def averaged(peers: Peers, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """
    Return float64 arrays averaged over all ranks, the same bits on every rank.

    The sum is taken in the order of ranks: what a reduction gives could differ between ranks in the
    last bit, and a tie would then fall differently.
    """
    _check_same(peers, arrays)
    if not arrays:
        return {}
    step = max(1, _HELD // 8 // peers.size)
    if sum(array.size for array in arrays.values()) <= step:
        return _at_once(peers, arrays)
    found = {}
    for name, array in arrays.items():
        flat, mean = array.reshape(-1), np.empty(array.size)
        for start in range(0, array.size, step):
            mean[start : start + step] = _mean(peers, flat[start : start + step])
        found[name] = mean.reshape(array.shape)
    return found


def averaged_numbers(peers: Peers, numbers: Mapping[str, float]) -> dict[str, float]:
    """Return numbers averaged over all ranks, the same on every rank."""
    found = averaged(peers, {name: np.array(number, np.float64) for name, number in numbers.items()})
    return {name: float(each) for name, each in found.items()}


def _at_once(peers: Peers, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    flat = [array.reshape(-1).astype(np.float64) for array in arrays.values()]
    mean = _mean(peers, np.concatenate([np.empty(0), *flat]))
    cut = np.split(mean, np.cumsum([each.size for each in flat])[:-1])
    return {name: part.reshape(array.shape) for (name, array), part in zip(arrays.items(), cut, strict=True)}


def _mean(peers: Peers, numbers: np.ndarray) -> np.ndarray:
    first, *others = peers.gather(numbers.astype(np.float64))
    total: np.ndarray = np.array(first)
    for other in others:
        total += other
    total /= peers.size
    return total


def _check_same(peers: Peers, arrays: Mapping[str, np.ndarray]) -> None:
    shapes = json.dumps([(name, array.shape) for name, array in arrays.items()])
    digest = np.frombuffer(hashlib.sha256(shapes.encode()).digest(), np.uint8).copy()
    first, *others = peers.gather(digest)
    if any(not np.array_equal(first, other) for other in others):
        raise ScoreError("ranks scored different layers: every rank must hold the same model")
