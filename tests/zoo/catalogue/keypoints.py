"""Key-point networks."""

from __future__ import annotations

from ..entry import Entry
from ..models.cascaded_pyramid import CascadedPyramid
from ..models.hourglass import StackedHourglass
from ..models.simple_baselines import SimpleBaseline
from .detection import two_stage

JOINTS = 17

KEYPOINTS = (
    Entry(
        name="paper/hourglass",
        family="Stacked Hourglass",
        create=lambda size: StackedHourglass(2, JOINTS),
        size=256,
        small=128,
    ),
    Entry(
        name="paper/cascaded_pyramid",
        family="Cascaded pyramid",
        create=lambda size: CascadedPyramid(JOINTS),
        size=(256, 192),
        small=(128, 96),
    ),
    Entry(
        name="paper/simple_baselines",
        family="Simple Baselines",
        create=lambda size: SimpleBaseline(JOINTS),
        size=(256, 192),
        small=(128, 96),
        representative=True,
    ),
    two_stage("Keypoint R-CNN", "keypointrcnn_resnet50_fpn", num_classes=2),
)
