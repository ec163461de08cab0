"""The term that training for network slimming adds to the loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def penalty(scales: Mapping[str, Any] | Iterable[Any], strength: float = 1e-4) -> Any:
    r"""
    Return the term :math:`\lambda \sum |\gamma|` to add to a loss, so that scales become zero.

    Parameters
    ----------
    scales : {str: array} or iterable of arrays
        Live scales, in whatever framework computes the loss: `pruners.scales` finds them.
    strength : float, default 1e-4
        :math:`\lambda`, in units of the loss; the paper's value is 1e-4 or 1e-5.

    Returns
    -------
    scalar of the same framework
        With a gradient of :math:`\lambda \operatorname{sign}(\gamma)`.

    Raises
    ------
    ValueError
        If there are no scales.

    Notes
    -----
    Uses the operators of the arrays only, so any framework will do.

    Examples
    --------
    >>> import numpy as np
    >>> float(penalty({"bn.weight": np.array([0.5, -1.5])}, strength=0.1))
    0.2
    """
    arrays = list(scales.values() if isinstance(scales, Mapping) else scales)
    if not arrays:
        raise ValueError("there are no scales to penalise: the model has no batch norm with a scale")
    total = abs(arrays[0]).sum()
    for array in arrays[1:]:
        total = total + abs(array).sum()
    return strength * total
