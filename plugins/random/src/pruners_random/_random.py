"""Random pruning, independent of framework, layer order and process."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from attrs import field, frozen, validators

import pruners
from pruners.options import integer, whole


@frozen(kw_only=True)
class Random:
    r"""
    Score every weight, or channel, by a random number that depends on seed, name and position only.

    The score of weight (or channel) :math:`i` of parameter `name` is :math:`u_i \sim U[0, 1)`,
    from a generator seeded with a hash of `seed` and `name`. At sparsity :math:`s` the
    :math:`\lfloor sn \rfloor` smallest of a layer's :math:`n` scores go.

    Parameters
    ----------
    seed : int, default 0
        Chooses the draw; any integer from 0.
    unit : {"weight", "channel"}, default "weight"
        What is drawn for: single weights, or whole output channels.

    Raises
    ------
    ValueError
        If `seed` is negative, or `unit` is not one of its choices.
    TypeError
        If `seed` is not an integer.

    Notes
    -----
    Needs no data, and does not read the weights either, only their names and shapes.

    Scores are the same at every call, so masks are nested: what is gone at 0.5 is gone at 0.6.
    They do not depend on other layers, on the framework, on the process or on the NumPy
    version: they are the upper 24 bits of the raw output of PCG64.

    Ties: two scores are equal with probability :math:`2^{-24}`; the lower index goes first.

    Published code mostly draws from the framework's global generator, so that a mask depends
    on what was drawn before; here no global state is read or changed. The paper gives each
    layer a sparsity of its own, ERK among others; here that is the rule's ``budget``.

    References
    ----------
    .. [1] S. Liu, T. Chen, X. Chen, L. Shen, D. C. Mocanu, Z. Wang, M. Pechenizkiy, "The
           Unreasonable Effectiveness of Random Pruning: Return of the Most Naive Baseline for
           Sparse Training", ICLR 2022. arXiv:2202.02643.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.ones((10, 10))}
    >>> int(pruners.masks(model, pruners.pruner("random", seed=3), sparsity=0.37)["w"].sum())
    63
    """

    seed: int = field(default=0, converter=integer, validator=whole(0))

    unit: Literal["weight", "channel"] = field(
        default="weight", validator=validators.in_(("weight", "channel"))
    )

    reach: ClassVar[Literal["shape"]] = "shape"

    def scores(self, view: pruners.View) -> Mapping[str, np.ndarray]:
        """Return uniform float32 numbers in [0, 1): one per weight, or one per output channel."""
        axes = None if self.unit == "weight" else 1
        return {
            name: _uniform(self.seed, name, tuple(weight.shape[:axes]))
            for name, weight in view.weights.items()
        }


def _uniform(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    # Raw bits: NumPy promises them for ever, and its floats from the same generator it does not.
    bits = np.random.PCG64(int.from_bytes(digest[:16], "little")).random_raw(math.prod(shape))
    scores: np.ndarray = (bits >> np.uint64(40)).astype(np.float32).reshape(shape)
    scores *= np.float32(2.0**-24)
    return scores
