"""Networks of torchvision and timm, small, where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
ROOT = Path(__file__).parents[4]

SIZES = {"vit_b_16": 224, "maxvit_t": 224, "swin_t": 64, "vit_tiny_patch16_224": 32, "efficientvit_m0": 32}
OPTIONS = {
    "deeplabv3_mobilenet_v3_large": {"weights_backbone": None},
    "vit_tiny_patch16_224": {"img_size": 32},
    "efficientvit_m0": {"img_size": 32},
}


@pytest.fixture(scope="session")
def vision():
    """Return torchvision; its compiled operators are not needed."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    if getattr(torch.ops.torchvision, "nms", None) is None:
        if str(ROOT) not in sys.path:
            sys.path.append(str(ROOT))
        importlib.import_module("tests.zoo.torchvision_operators").install()
    return importlib.import_module("torchvision")


@pytest.fixture(scope="session")
def detection(vision):
    """Return torchvision's detection models, if the operators they need are there."""
    if getattr(torch.ops.torchvision, "roi_align", None) is None:
        pytest.skip("torchvision has no operators here")
    return importlib.import_module("torchvision.models.detection")


@pytest.fixture(scope="session")
def network(vision):
    """Return what makes a network and its example inputs by name."""

    def build(name):
        torch.manual_seed(0)
        size = SIZES.get(name, 64)
        inputs = (torch.randn(2, 3, size, size),)
        if name in vision.models.list_models():
            return vision.models.get_model(name, weights=None, **OPTIONS.get(name, {})).eval(), inputs
        timm = pytest.importorskip("timm")
        return timm.create_model(name, **OPTIONS.get(name, {})).eval(), inputs

    return build


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)
