"""Networks of torchvision and timm, small, where they are installed."""

from __future__ import annotations

import importlib

import pytest
import torch

torch.set_num_threads(1)

SIZES = {"vit_b_16": 224, "maxvit_t": 224, "swin_t": 64, "vit_tiny_patch16_224": 32, "efficientvit_m0": 32}
OPTIONS = {
    "deeplabv3_mobilenet_v3_large": {"weights_backbone": None},
    "vit_tiny_patch16_224": {"img_size": 32},
    "efficientvit_m0": {"img_size": 32},
}


@pytest.fixture(scope="session")
def detection(torchvision):
    """Return torchvision's detection models, if the operators they need are there."""
    if getattr(torch.ops.torchvision, "roi_align", None) is None:
        pytest.skip("torchvision has no operators here")
    return importlib.import_module("torchvision.models.detection")


@pytest.fixture(scope="session")
def network(torchvision):
    """Return what makes a network and its example inputs by name."""

    def build(name):
        torch.manual_seed(0)
        size = SIZES.get(name, 64)
        inputs = (torch.randn(2, 3, size, size),)
        if name in torchvision.models.list_models():
            return torchvision.models.get_model(name, weights=None, **OPTIONS.get(name, {})).eval(), inputs
        timm = pytest.importorskip("timm")
        return timm.create_model(name, **OPTIONS.get(name, {})).eval(), inputs

    return build


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)
