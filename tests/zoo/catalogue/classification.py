"""All classification families of torchvision, and residual networks from their papers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..entry import CLASSES, Entry, Size
from ..models.cifar_resnet import CifarResNet
from ..models.resnet_v2 import Basic, Bottleneck, ResNetV2
from ..torchvision_operators import install


def created(name: str, sized: str = "", **options: Any) -> Callable[[Size], nn.Module]:
    """Return what builds one of torchvision's networks; `sized` names the argument that takes the size."""

    def create(size: Size) -> nn.Module:
        install()
        from torchvision import models

        known = {sized: size} if sized else {}
        return getattr(models, name)(weights=None, num_classes=CLASSES, **known, **options)

    return create


def network(
    family: str,
    name: str,
    small: Size = 64,
    *,
    size: Size = 224,
    sized: str = "",
    representative: bool = False,
    **options: Any,
) -> Entry:
    return Entry(
        name=f"torchvision/{name}",
        family=family,
        create=created(name, sized, **options),
        size=size,
        small=small,
        representative=representative,
    )


def paper(name: str, family: str, create: Callable[[], nn.Module], representative: bool = False) -> Entry:
    """Return an entry of a network for images as those of CIFAR."""
    return Entry(
        name=f"paper/{name}",
        family=family,
        create=lambda size: create(),
        size=32,
        small=32,
        representative=representative,
    )


def alexnet(size: Size) -> nn.Module:
    """Build AlexNet with He's initialisation: with its own, little of the image reaches the output."""
    model = created("alexnet")(size)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


CLASSIFICATION = (
    Entry(name="torchvision/alexnet", family="AlexNet", create=alexnet, size=224, small=96),
    network("VGG", "vgg11"),
    network("VGG", "vgg16_bn"),
    # The auxiliary head needs a feature map of 17 x 17, which takes an image of 299 x 299.
    network("Inception", "inception_v3", 299, size=299, init_weights=False),
    network("GoogLeNet", "googlenet", 96, representative=True, init_weights=False),
    network("ResNet", "resnet18", representative=True),
    network("ResNet", "resnet50"),
    network("ResNet", "resnet101"),
    network("ResNeXt", "resnext50_32x4d"),
    network("ResNeXt", "resnext101_64x4d"),
    network("Wide ResNet", "wide_resnet50_2"),
    network("Wide ResNet", "wide_resnet101_2"),
    network("DenseNet", "densenet121"),
    network("DenseNet", "densenet161"),
    network("SqueezeNet", "squeezenet1_0", 96),
    network("SqueezeNet", "squeezenet1_1", 96),
    network("MobileNet v2", "mobilenet_v2", 96),
    network("MobileNet v3", "mobilenet_v3_small", 96, representative=True),
    network("MobileNet v3", "mobilenet_v3_large", 96),
    network("MNASNet", "mnasnet0_5", 96),
    network("MNASNet", "mnasnet1_3", 96),
    network("ShuffleNet v2", "shufflenet_v2_x0_5", 96, representative=True),
    network("ShuffleNet v2", "shufflenet_v2_x2_0", 96),
    network("EfficientNet v1", "efficientnet_b0", 96),
    network("EfficientNet v1", "efficientnet_b3", 96),
    network("EfficientNet v2", "efficientnet_v2_s", 96),
    network("EfficientNet v2", "efficientnet_v2_m", 96),
    network("RegNet", "regnet_x_400mf"),
    network("RegNet", "regnet_y_400mf", representative=True),
    network("RegNet", "regnet_y_3_2gf"),
    network("ConvNeXt", "convnext_tiny"),
    network("ConvNeXt", "convnext_small"),
    network("ViT", "vit_b_32", 96, sized="image_size"),
    network("ViT", "vit_b_16", sized="image_size"),
    network("Swin v1", "swin_t"),
    network("Swin v1", "swin_s"),
    network("Swin v2", "swin_v2_t"),
    network("Swin v2", "swin_v2_s"),
    network("MaxViT", "maxvit_t", 224),
    paper("resnet_v2_20", "ResNet v2", lambda: ResNetV2(Basic, 3, CLASSES), representative=True),
    paper("resnet_v2_56", "ResNet v2", lambda: ResNetV2(Bottleneck, 6, CLASSES)),
    paper("cifar_resnet20", "ResNet, option A", lambda: CifarResNet(3, CLASSES), representative=True),
)
