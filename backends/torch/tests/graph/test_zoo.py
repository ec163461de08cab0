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
    "res2net": lambda t: t.models.resnet.ResNet(
        t.models.res2net.Bottle2neck, [1, 1, 1, 1], base_width=26, block_args={"scale": 4}, num_classes=5
    ),
    "vit": lambda t: t.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=5),
    "convnext": lambda t: t.create_model("convnext_atto", depths=(1, 1, 1, 1), num_classes=5),
    "gated mlp": lambda t: t.models.MlpMixer(
        img_size=32,
        num_blocks=2,
        embed_dim=32,
        mlp_ratio=4,
        block_layer=t.models.mlp_mixer.SpatialGatingBlock,
        mlp_layer=t.layers.GatedMlp,
        num_classes=5,
    ),
}
EVALUATED = ("swin_v2", "maxvit", "res2net", "convnext")
"""Networks that are exported in evaluation alone, to spare time."""


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
    create, size = VISION[name]
    check(graphs, name, lambda: create(models), size)


@pytest.mark.parametrize("name", TIMM)
def test_timm(graphs, timm, name):
    check(graphs, name, lambda: TIMM[name](timm), 32)


def check(graphs, name, create, size):
    torch.manual_seed(0)
    model, x = awake(create()), torch.randn(2, 3, size, size)
    modes = ("eval",) if name in EVALUATED else ("eval", "train")
    found = graphs.shrink(model, x, modes=modes)
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
