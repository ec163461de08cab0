"""One network of the zoo, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from pruners.protocols import Form

from .settling import settle

SEED = 0
CLASSES = 10


def images(size: int | tuple[int, int], batch: int = 2) -> Callable[[], tuple[Any, ...]]:
    """Return what makes a batch of noise images (batch, 3, height, width) in [0, 1]."""
    height, width = (size, size) if isinstance(size, int) else size
    return lambda: (noise(batch, 3, height, width),)


def image_list(size: int, batch: int = 2) -> Callable[[], tuple[Any, ...]]:
    """Return what makes the list of images that a detector takes."""
    return lambda: (list(noise(batch, 3, size, size)),)


def noise(*shape: int) -> Tensor:
    """Return smooth noise in [0, 1]: what is next to each other is alike, as in photographs."""
    generator = torch.Generator().manual_seed(SEED)
    coarse = torch.rand(*shape[:2], 8, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return 0.7 * smooth + 0.3 * torch.rand(shape, generator=generator)


@frozen
class Entry:
    """A network, what it is run on, and what is known about it."""

    name: str
    """Where it comes from and what it is called: ``"torchvision/resnet18"``."""
    family: str
    create: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Any, ...]]
    """Makes the positional arguments of one forward pass: a batch of two."""
    form: Form = "module"
    """The form tried first."""
    heads: tuple[str, ...] = ()
    """Modules whose outputs are compared, too: what boxes are later chosen from, in place only."""
    options: Mapping[str, Any] = field(factory=dict)
    """Further arguments of `pruners.remove`."""
    exception: str = ""
    """Why this network may miss the mark; empty: it must not."""
    representative: bool = False
    """Whether the test suite runs it."""

    def build(self) -> tuple[nn.Module, tuple[Any, ...]]:
        """Return the network in eval mode, its weights random yet alive, and example inputs."""
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            model = self.create().eval()
            inputs = self.inputs()
            settle(model, inputs, SEED)
        return model, inputs
