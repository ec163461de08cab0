"""What the demo of channels trains: ResNet-20, made for images of 8 x 8 pixels in grey."""

from __future__ import annotations

from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

WIDTHS = (16, 32, 64)
"""Channels of the three stages; the second and third halve the image."""
BLOCKS = 3
CLASSES = 10


class Block(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Return the features after this block."""
        inner = torch.relu(self.norm1(self.conv1(images)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(images))


class ResNet20(nn.Module):
    """Three stages of three blocks, and a linear layer on the mean of the last features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        inputs = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, start=1):
            blocks = [Block(inputs if index == 0 else width, width) for index in range(BLOCKS)]
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
            inputs = width
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return one number per class."""
        features = torch.relu(self.norm(self.conv(images)))
        for stage in range(1, len(WIDTHS) + 1):
            features = self.get_submodule(f"stage{stage}")(features)
        found: Tensor = self.fc(features.mean((2, 3)))
        return found


@frozen
class Size:
    """What a network weighs, counted in the network itself."""

    parameters: int
    macs: int
    """Multiplications with an addition in convolutions and linear layers, for one image."""
    channels: dict[str, int]
    """Output channels of each layer, by the name of its weight, in the order in which they run."""


def count(model: nn.Module, images: Tensor) -> Size:
    """Run one image through a network and count at every layer; independent of `pruners`."""
    macs, channels = 0, {}
    names = {module: f"{name}.weight" for name, module in model.named_modules()}

    def watch(module: Any, _: Any, output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()
        channels[names[module]] = len(module.weight)

    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(watch) for layer in layers]
    with torch.inference_mode():
        model.eval()(images[:1])
    for handle in handles:
        handle.remove()
    return Size(sum(parameter.numel() for parameter in model.parameters()), macs, channels)
