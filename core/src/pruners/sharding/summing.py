"""Whole numbers of any size, and the largest of floats, over all ranks."""

from __future__ import annotations

import numpy as np

from ..protocols.ranks import Peers

_LIMBS = 4
_WIDTH = 32


def total(peers: Peers, number: int) -> int:
    """Return the sum over all ranks of a whole number below 2**126, exactly."""
    limbs = [number >> _WIDTH * place & 0xFFFF_FFFF for place in range(_LIMBS - 1)]
    limbs.append(number >> _WIDTH * (_LIMBS - 1))
    summed = peers.sum(np.array(limbs, np.int64))
    return sum(int(limb) << _WIDTH * place for place, limb in enumerate(summed))


def largest(peers: Peers, number: float) -> float:
    """Return the largest of the ranks' numbers."""
    return max(float(each[0]) for each in peers.gather(np.array([number], np.float64)))
