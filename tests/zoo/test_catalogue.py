"""What the zoo holds, and that its own networks compute something."""

from __future__ import annotations

import pytest
import torch

from .catalogue import REPRESENTATIVE, ZOO, find, matching
from .tensors import leaves

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")

FAMILIES = """AlexNet, VGG, Inception, GoogLeNet, ResNet, ResNeXt, Wide ResNet, DenseNet, SqueezeNet,
MobileNet v2, MobileNet v3, MNASNet, ShuffleNet v2,
EfficientNet v1, EfficientNet v2, RegNet, ConvNeXt, ViT, Swin v1, Swin v2,
MaxViT, ResNet v2, Faster R-CNN/FPN head, Faster R-CNN/C4 head, R-FCN, RetinaNet, FPN, Mask R-CNN, FCOS, SSD,
Stacked Hourglass, Cascaded pyramid, Simple Baselines, Keypoint R-CNN, FCN, DeepLab v3, LR-ASPP"""


def test_every_promised_family_is_there():
    here = {entry.family.replace(", ", "/") for entry in ZOO if not entry.name.startswith("timm/")}
    assert {name.strip() for name in FAMILIES.split(",")} <= here


def test_there_are_many_different_timm_architectures():
    assert len({entry.family for entry in ZOO if entry.name.startswith("timm/")}) >= 45


def test_names_are_unique_and_found():
    assert len({entry.name for entry in ZOO}) == len(ZOO)
    assert find("torchvision/resnet18").family == "ResNet"
    assert [entry.name for entry in matching(["*/resnet1?"])] == ["torchvision/resnet18"]
    assert matching([]) == ZOO
    with pytest.raises(KeyError, match="no network 'resnet' in the zoo"):
        find("resnet")


def test_the_representative_part_is_varied():
    assert len({entry.family for entry in REPRESENTATIVE}) == len(REPRESENTATIVE) >= 10


@pytest.mark.parametrize("entry", [e for e in ZOO if e.name.startswith("paper/")], ids=lambda e: e.name)
def test_networks_from_papers_tell_images_apart(entry):
    model, inputs = entry.build(small=True)
    with torch.no_grad():
        found = [tensor for tensor in leaves(model(*inputs)) if tensor.is_floating_point()]
    assert found and all(torch.isfinite(tensor).all() for tensor in found)
    first = found[0]
    assert float(first.std()) > 1e-3
    assert float((first[0] - first[-1]).abs().max()) > 1e-2 * float(first.abs().max())


def test_building_twice_gives_the_same_and_leaves_random_numbers_alone():
    before = torch.random.get_rng_state()
    entry = find("paper/resnet_v2_20")
    (one, x), (two, _) = entry.build(), entry.build()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one(*x), two(*x))
