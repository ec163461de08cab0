"""Detectors: torchvision's, and those it does not ship."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entry import CLASSES, Entry, image_list, images
from ..torchvision_operators import install

FEW = {"rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 20, "box_detections_per_img": 20}
"""Proposals and boxes of the two-stage detectors."""
DENSE = {"topk_candidates": 100, "detections_per_img": 20}
"""Boxes of the one-stage detectors."""
REGION_HEADS = ("rpn.head",)


def created(name: str, **options: Any) -> Callable[[], nn.Module]:
    """Return what builds one of torchvision's detectors."""

    def create() -> nn.Module:
        install()
        from torchvision.models import detection

        return getattr(detection, name)(
            weights=None, weights_backbone=None, **{"num_classes": CLASSES, **options}
        )

    return create


def detector(
    family: str, name: str, size: int, heads: tuple[str, ...], representative: bool = False, **options: Any
) -> Entry:
    return Entry(
        f"torchvision/{name}",
        family,
        created(name, **options),
        image_list(size),
        heads=heads,
        representative=representative,
    )


def two_stage(family: str, name: str, size: int = 128, **options: Any) -> Entry:
    sizes = {"min_size": size, "max_size": size, "box_score_thresh": 0.0}
    return detector(family, name, size, REGION_HEADS, **sizes, **FEW, **options)


def one_stage(family: str, name: str, size: int = 128, **options: Any) -> Entry:
    sizes = {"min_size": size, "max_size": size, "score_thresh": 0.0}
    return detector(family, name, size, ("head",), **sizes, **DENSE, **options)


def c4() -> nn.Module:
    install()
    from ..models.faster_rcnn_c4 import faster_rcnn_c4

    return faster_rcnn_c4(CLASSES, 128)


def rfcn() -> nn.Module:
    install()
    from ..models.rfcn import RFCN

    return RFCN(CLASSES)


def fpn() -> nn.Module:
    install()
    from ..models.fpn_detector import FPNDetector

    return FPNDetector(CLASSES)


DETECTION = (
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_resnet50_fpn"),
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_resnet50_fpn_v2"),
    two_stage("Faster R-CNN, FPN head", "fasterrcnn_mobilenet_v3_large_320_fpn"),
    Entry("paper/faster_rcnn_c4", "Faster R-CNN, C4 head", c4, image_list(128), heads=REGION_HEADS),
    Entry("paper/rfcn", "R-FCN", rfcn, images(128), heads=("proposals.objectness",), representative=True),
    Entry("paper/fpn_detector", "FPN", fpn, images(128), heads=("proposals.objectness",)),
    one_stage("RetinaNet", "retinanet_resnet50_fpn"),
    one_stage("RetinaNet", "retinanet_resnet50_fpn_v2"),
    two_stage("Mask R-CNN", "maskrcnn_resnet50_fpn"),
    one_stage("FCOS", "fcos_resnet50_fpn"),
    detector("SSD", "ssd300_vgg16", 300, ("head",), score_thresh=0.0, **DENSE),
    detector("SSD", "ssdlite320_mobilenet_v3_large", 320, ("head",), score_thresh=0.0, **DENSE),
)
