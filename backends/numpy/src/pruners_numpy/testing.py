"""Models for conformance checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def model_from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a model whose weights are copies of `arrays`, under the same names."""
    return {name: np.array(array) for name, array in arrays.items()}
