"""Segmentation networks of torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entry import CLASSES, Entry, Size
from ..torchvision_operators import install


def created(name: str, **options: Any) -> Callable[[Size], nn.Module]:
    """Return what builds one of torchvision's segmentation networks."""

    def create(size: Size) -> nn.Module:
        install()
        from torchvision.models import segmentation

        every = {"num_classes": CLASSES, **options}
        return getattr(segmentation, name)(weights=None, weights_backbone=None, **every)

    return create


def network(family: str, name: str, representative: bool = False, **options: Any) -> Entry:
    return Entry(
        name=f"torchvision/{name}",
        family=family,
        create=created(name, **options),
        size=128,
        small=64,
        representative=representative,
    )


SEGMENTATION = (
    network("FCN", "fcn_resnet50", aux_loss=True),
    network("DeepLab v3", "deeplabv3_resnet50", aux_loss=True),
    network("DeepLab v3", "deeplabv3_mobilenet_v3_large"),
    network("LR-ASPP", "lraspp_mobilenet_v3_large", representative=True),
)
