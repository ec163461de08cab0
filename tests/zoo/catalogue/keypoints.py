"""Key-point networks."""

from __future__ import annotations

from torch import nn

from ..entry import Entry, images
from ..models.cascaded_pyramid import CascadedPyramid
from ..models.hourglass import StackedHourglass
from ..models.simple_baselines import SimpleBaseline
from .detection import two_stage

JOINTS = 17


def hourglass() -> nn.Module:
    return StackedHourglass(2, JOINTS)


def cascaded_pyramid() -> nn.Module:
    return CascadedPyramid(JOINTS)


def simple_baselines() -> nn.Module:
    return SimpleBaseline(JOINTS)


KEYPOINTS = (
    Entry("paper/hourglass", "Stacked Hourglass", hourglass, images(128)),
    Entry("paper/cascaded_pyramid", "Cascaded pyramid", cascaded_pyramid, images((128, 96))),
    Entry(
        "paper/simple_baselines",
        "Simple Baselines",
        simple_baselines,
        images((128, 96)),
        representative=True,
    ),
    two_stage("Keypoint R-CNN", "keypointrcnn_resnet50_fpn", num_classes=2),
)
