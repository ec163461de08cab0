"""Faster R-CNN whose second stage is the last stage of the backbone (the "C4" head), of torchvision's parts.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, appendix A.
arXiv:1512.03385.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign


class Front(nn.Module):
    """A ResNet-50 up to C4: what the whole image goes through."""

    out_channels = 1024

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
        self.layers = nn.Sequential(OrderedDict((part, network.get_submodule(part)) for part in parts))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Back(nn.Module):
    """C5 and the mean over its pixels: what every region goes through."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.layer4 = network.get_submodule("layer4")

    def forward(self, regions: Tensor) -> Tensor:
        return self.layer4(regions).mean((2, 3))


def faster_rcnn_c4(classes: int, size: int) -> FasterRCNN:
    network = resnet50(norm_layer=FrozenBatchNorm2d)
    return FasterRCNN(
        Front(network),
        rpn_anchor_generator=AnchorGenerator(((32, 64, 128),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        box_head=Back(network),
        box_predictor=FastRCNNPredictor(2048, classes),
        min_size=size,
        max_size=size,
        rpn_pre_nms_top_n_test=100,
        rpn_post_nms_top_n_test=20,
        box_score_thresh=0.0,
        box_detections_per_img=20,
    )
