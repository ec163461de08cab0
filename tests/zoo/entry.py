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

Size = int | tuple[int, int]
"""Of an image, in pixels: its side, or height and width."""


def images(size: Size) -> tuple[Any, ...]:
    """Return a batch of two noise images (batch, 3, height, width) in [0, 1]."""
    height, width = (size, size) if isinstance(size, int) else size
    return (noise(2, 3, height, width),)


def image_list(size: Size) -> tuple[Any, ...]:
    """Return the list of two images that a detector takes."""
    return (list(*images(size)),)


def noise(*shape: int) -> Tensor:
    """Return smooth noise in [0, 1]: what is next to each other is alike, as in photographs."""
    generator = torch.Generator().manual_seed(SEED)
    coarse = torch.rand(*shape[:2], 8, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    return 0.7 * smooth + 0.3 * torch.rand(shape, generator=generator)


@frozen(kw_only=True)
class Entry:
    """A network, what it is run on, and what is known about it."""

    name: str
    """Where it comes from and what it is called: ``"torchvision/resnet18"``."""
    family: str
    create: Callable[[Size], nn.Module]
    """Builds the network for images of a size."""
    size: Size
    """The size its paper or package names, or one near to it."""
    small: Size
    """The size at which it is tested where time is short."""
    inputs: Callable[[Size], tuple[Any, ...]] = images
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

    def image(self, small: bool = False) -> str:
        """Return the size of the example images as text."""
        size = self.small if small else self.size
        return f"{size}x{size}" if isinstance(size, int) else f"{size[0]}x{size[1]}"

    def build(self, small: bool = False) -> tuple[nn.Module, tuple[Any, ...]]:
        """Return the network in eval mode, its weights random yet alive, and example inputs."""
        size = self.small if small else self.size
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            model = self.create(size).eval()
            inputs = self.inputs(size)
            settle(model, inputs, SEED)
        return model, inputs
