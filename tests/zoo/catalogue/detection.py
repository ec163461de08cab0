"""Detectors: torchvision's, and those it does not ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entry import CLASSES, Entry, Size, image_list
from ..torchvision_operators import install

SIZE, SMALL = 320, 128
FEW = {"rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 20}
"""Proposals and boxes of the two-stage detectors."""
DENSE = {"topk_candidates": 100, "detections_per_img": 20}
"""Boxes of the one-stage detectors."""


def created(name: str, head: str, sized: bool, **options: Any) -> Callable[[Size], nn.Module]:
    """Return what builds one of torchvision's detectors, its head `head` drawn anew."""

    def create(size: Size) -> nn.Module:
        install()
        from torchvision.models import detection

        known = {"min_size": size, "max_size": size} if sized else {}
        every = {"num_classes": CLASSES, **known, **options}
        return awake(getattr(detection, name)(weights=None, weights_backbone=None, **every), head)

    return create


def awake(model: nn.Module, head: str) -> nn.Module:
    """Let a detector's head see: as built, its bias outweighs what the image says a hundred times."""
    for module in model.get_submodule(head).modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
    return model


def two_stage(family: str, name: str, representative: bool = False, **options: Any) -> Entry:
    return Entry(
        name=f"torchvision/{name}",
        family=family,
        create=created(name, "rpn.head", True, box_score_thresh=0.0, **FEW, **options),
        size=SIZE,
        small=SMALL,
        inputs=image_list,
        heads=("rpn.head",),
        representative=representative,
    )


def one_stage(family: str, name: str, size: int = SIZE, small: int = SMALL, sized: bool = True) -> Entry:
    return Entry(
        name=f"torchvision/{name}",
        family=family,
        create=created(name, "head", sized, score_thresh=0.0, **DENSE),
        size=size,
        small=small,
        inputs=image_list,
        heads=("head",),
    )


def c4(size: Size) -> nn.Module:
    install()
    from ..models.faster_rcnn_c4 import faster_rcnn_c4

    return awake(faster_rcnn_c4(CLASSES, size if isinstance(size, int) else max(size)), "rpn.head")


def rfcn(size: Size) -> nn.Module:
    install()
    from ..models.rfcn import RFCN

    return RFCN(CLASSES)


def fpn(size: Size) -> nn.Module:
    install()
    from ..models.fpn_detector import FPNDetector

    return FPNDetector(CLASSES)


DETECTION = (
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_resnet50_fpn"),
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_resnet50_fpn_v2"),
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_mobilenet_v3_large_320_fpn", representative=True),
    Entry(
        name="paper/faster_rcnn_c4",
        family="Faster R-CNN, C4 head",
        create=c4,
        size=SIZE,
        small=SMALL,
        inputs=image_list,
        heads=("rpn.head",),
    ),
    Entry(
        name="paper/rfcn",
        family="R-FCN",
        create=rfcn,
        size=SIZE,
        small=SMALL,
        heads=("proposals.objectness",),
        representative=True,
    ),
    Entry(
        name="paper/fpn_detector",
        family="FPN",
        create=fpn,
        size=SIZE,
        small=SMALL,
        heads=("proposals.objectness",),
    ),
    one_stage("RetinaNet", "retinanet_resnet50_fpn"),
    one_stage("RetinaNet", "retinanet_resnet50_fpn_v2"),
    two_stage("Mask R-CNN", "maskrcnn_resnet50_fpn"),
    one_stage("FCOS", "fcos_resnet50_fpn"),
    one_stage("SSD", "ssd300_vgg16", 300, 300, sized=False),
    one_stage("SSD", "ssdlite320_mobilenet_v3_large", 320, 320, sized=False),
)
