"""Tensors as NumPy arrays and back, without a copy where both lie in host memory."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def to_host(tensor: Tensor) -> np.ndarray:
    """Return a tensor as NumPy; bfloat16 becomes ml_dtypes.bfloat16, bit for bit."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def to_tensor(array: np.ndarray) -> Tensor:
    """Return a NumPy array as a tensor in host memory."""
    array = np.asarray(array)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def bits(tensor: Tensor) -> Tensor:
    """Return the same memory as integers of the same width."""
    return tensor.detach().view(_BITS[tensor.element_size()])
