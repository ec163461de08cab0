"""Networks of torchvision and timm, small, whose code has sizes written in it."""

from __future__ import annotations

import pytest
import torch

VISION = {
    "shufflenet_v2_x0_5": (lambda m: m.shufflenet_v2_x0_5(num_classes=5), 32),
    "vit": (
        lambda m: m.VisionTransformer(
            image_size=16, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=5
        ),
        16,
    ),
    "swin": (
        lambda m: m.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=24,
            depths=[2, 1],
            num_heads=[2, 4],
            window_size=[4, 4],
            num_classes=5,
        ),
        32,
    ),
    "swin_v2": (
        lambda m: m.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=24,
            depths=[2, 1],
            num_heads=[2, 4],
            window_size=[4, 4],
            num_classes=5,
            block=m.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=m.swin_transformer.PatchMergingV2,
        ),
        32,
    ),
    "maxvit": (
        lambda m: m.MaxVit(
            input_size=(32, 32),
            stem_channels=8,
            partition_size=2,
            block_channels=[16, 32],
            block_layers=[1, 1],
            head_dim=8,
            stochastic_depth_prob=0.1,
            num_classes=5,
        ),
        32,
    ),
    "densenet": (
        lambda m: m.DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16, num_classes=5),
        32,
    ),
}
TIMM = {
    "res2net50_26w_4s": {"block_args": {"scale": 4}},
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 2},
    "swin_tiny_patch4_window7_224": {
        "img_size": 32, "window_size": 4, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4)
    },
    "convnext_atto": {"depths": (1, 1, 1, 1)},
    "resnest14d": {},
    "gmlp_ti16_224": {"img_size": 32, "num_blocks": 2},
}  # fmt: skip


def awake(model):
    """Return a model in which nothing is switched off, statistics included."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.abs().max() < 1e-3:
            torch.nn.init.normal_(tensor, 0.0, 0.3)
        if name.endswith("running_var"):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", VISION)
def test_torchvision(graphs, models, name):
    torch.manual_seed(0)
    create, size = VISION[name]
    model, x = awake(create(models)), torch.randn(2, 3, size, size)
    found = graphs.shrink(model, x)
    assert found.left <= 0.6 and found.proof.error <= 1e-9 and found.proof.dtype == "float64"
    assert found.model(x[:1]).shape == (1, 5) and found.model.train()(torch.cat([x, x])).shape == (4, 5)


def test_auxiliary_heads_are_there_in_training_alone(graphs, models):
    torch.manual_seed(0)
    model = awake(models.googlenet(num_classes=5, init_weights=False))
    found = graphs.shrink(model, torch.randn(2, 3, 64, 64))
    assert found.left <= 0.6
    assert found.model.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    both = found.model.train()(torch.randn(3, 3, 64, 64))
    assert type(both) is models.GoogLeNetOutputs and both.aux_logits1.shape == (3, 5)


@pytest.mark.parametrize("name", [name for name in TIMM if name not in ("res2net50_26w_4s", "resnest14d")])
def test_timm(graphs, timm, name):
    torch.manual_seed(0)
    model = awake(timm.create_model(name, num_classes=5, **TIMM[name]))
    found = graphs.shrink(model, torch.randn(2, 3, 32, 32))
    assert found.left <= 0.6 and found.proof.error <= found.proof.tolerance
