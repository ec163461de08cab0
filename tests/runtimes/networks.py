"""Small networks of the kinds that are pruned, and what tests ask of them."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import nn


class Residual(nn.Module):
    """Convolutions with batch norms and a shortcut; two outputs in a dict."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Dropout(0.5))
        self.head = nn.Linear(16, 10)

    def forward(self, images):
        features = self.stem(images)
        features = torch.relu(features + self.body(features)).mean((2, 3))
        classes = self.head(features)
        return {"classes": classes, "shares": classes.softmax(-1)}


class Named(nn.Module):
    """Takes inputs by name, one of them no tensor, in another order than they are given in."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.second = nn.Linear(32, 16)

    def forward(self, left, *, right, scale=1.0):
        return self.second(torch.relu(self.first(left))) * scale, left - right


class NoBatch(nn.Module):
    """Its code holds for a batch of one only."""

    def forward(self, given):
        return given.reshape(1, 16).flip(-1)


class Unwritable(nn.Module):
    """Has an operation that ONNX does not have."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, given):
        self.calls += 1
        return torch.linalg.eigvals(self.layer(given)).real


def mlp(width=64, classes=10):
    return nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
    )


def expected(model, *inputs):
    """Return what a model gives in evaluation mode as a list of arrays, by PyTorch alone."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    with torch.no_grad():
        given = model(*inputs)
    for module, flag in training.items():
        module.training = flag
    found = given.values() if isinstance(given, dict) else given if isinstance(given, tuple) else [given]
    return [tensor.numpy() for tensor in found]


def state(model):
    """Return all there is to a model, and PyTorch's random state, as one text."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    for module in model.modules():
        digest.update(bytes([module.training]))
    digest.update(torch.get_rng_state().numpy().tobytes())
    return digest.hexdigest()


def close(found, wanted):
    assert len(found) == len(wanted)
    for mine, other in zip(found, wanted, strict=True):
        assert mine.shape == other.shape
        assert np.abs(mine - other).max() <= 1e-5 * np.abs(other).max()
