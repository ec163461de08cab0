"""The smaller module computes what the masked one computes, and is the same module."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from pruners import ProofError, RemovalError
from pruners.structure.plan import RemovalPlan
from pruners.structure.program import Attribute

torch.set_num_threads(1)


def same(model: nn.Module, masked: nn.Module, *inputs) -> None:
    model, masked = copy.deepcopy(model).double().eval(), masked.double().eval()
    doubled = [each.double() if each.is_floating_point() else each for each in inputs]
    with torch.no_grad():
        expected, got = masked(*doubled), model(*doubled)
    assert expected.abs().max() > 0
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_convolutions_are_cut_in_place(by_hand, net, images, kept):
    masked = by_hand.masked(net, kept)
    parameters = dict(net.named_parameters())
    net.train()
    proof = by_hand.cut(net, kept, images)
    assert proof.error <= 1e-12 and proof.tolerance == 1e-9 and proof.dtype == "float64"
    assert proof.outputs == 4 * 5 * 2  # what the last layer gives, and what is returned
    assert all(dict(net.named_parameters())[name] is each for name, each in parameters.items())
    assert [tuple(p.shape) for p in net.parameters()][::4] == [(5, 3, 3, 3), (7, 5, 3, 3), (5, 7)]
    first, norm, second = net.layers[0], net.layers[1], net.layers[3]
    assert (first.out_channels, norm.num_features, second.in_channels) == (5, 5, 5)
    assert (second.out_channels, net.head.in_features, net.head.out_features) == (7, 7, 5)
    assert net.training and all(module.training for module in net.modules())
    assert all(p.dtype == torch.float32 and p.is_contiguous() for p in net.parameters())
    same(net, masked, images)


def test_running_the_proof_leaves_no_trace(by_hand, net, images, kept):
    net.train()
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    images_before, state = images.clone(), torch.get_rng_state()
    by_hand.cut(net, kept, images)
    assert torch.equal(images, images_before) and torch.equal(torch.get_rng_state(), state)
    assert int(net.layers[1].num_batches_tracked) == int(before["layers.1.num_batches_tracked"])
    assert torch.equal(net.layers[1].running_mean, before["layers.1.running_mean"][kept[12]])
    assert not net.layers[0]._forward_hooks and not net.head._forward_hooks
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("requires_grad", [True, False])
def test_gradients_are_cut_alike(by_hand, net, images, kept, requires_grad):
    net.layers[0].weight.requires_grad_(requires_grad)
    net(images).sum().backward()
    expected = net.layers[3].weight.grad[kept[20]][:, kept[12]]
    by_hand.cut(net, kept, images)
    assert torch.equal(net.layers[3].weight.grad, expected)
    assert (net.layers[0].weight.grad is None) is not requires_grad
    assert net.layers[0].weight.requires_grad is requires_grad


def test_training_goes_on_while_an_old_graph_lives(by_hand, net, images, kept):
    loss = net(images).sum()
    loss.backward()
    by_hand.cut(net, kept, images)
    net.zero_grad()
    net(images).sum().backward()
    assert net.head.weight.grad.shape == (5, 7)
    assert loss is not None


def test_double_precision_trains_on_while_an_old_graph_lives(by_hand, net, images, kept):
    """Nothing changes the type of the parameters on the way here."""
    net, images = net.double(), images.double()
    loss = net(images).sum()
    loss.backward()
    by_hand.cut(net, kept, images)
    net(images).sum().backward()
    assert net.head.weight.grad.shape == (5, 7) and loss is not None


def test_what_a_forward_pass_writes_down_is_forgotten(by_hand, net, images, kept):
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.last, self.total = [], {}, 0
            self.register_buffer("count", torch.tensor(0))

        def forward(self, x):
            self.calls.append(x.shape)
            self.last["x"], self.total, self.extra = x, self.total + 1, x
            self.count.add_(1)
            torch.rand(1), np.random.rand(), random.random()
            return x * 1.0 if self.training else x

    net.layers[2] = Counting()
    np.random.seed(0), random.seed(0), torch.manual_seed(0)
    before = by_hand.everything(net.layers[2])
    by_hand.cut(net, kept, images)
    assert by_hand.everything(net.layers[2]) == before and not net.layers[2].calls


def test_a_variance_without_epsilon_divides_by_no_zero(by_hand, net, images, kept):
    net.layers[1].eps = net.layers[4].eps = 0.0
    assert by_hand.cut(net, kept, images, modes=("eval",)).error < 1e-12


@pytest.mark.parametrize("format", [torch.channels_last, torch.contiguous_format])
def test_the_memory_format_stays(by_hand, net, images, kept, format):
    net = net.to(memory_format=format)
    by_hand.cut(net, kept, images.to(memory_format=format))
    assert net.layers[3].weight.is_contiguous(memory_format=format)
    assert net.layers[0].weight.is_contiguous(memory_format=format)


def test_transposed_memory_stays(by_hand):
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
    model[2].weight = nn.Parameter(torch.randn(12, 3).t())
    by_hand.cut(model, {12: [1, 2, 9]}, torch.randn(4, 6))
    assert model[2].weight.shape == (3, 3) and model[2].weight.stride() == (1, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_proved_in_double(by_hand, net, images, kept, dtype):
    net = net.to(dtype)
    expected = net.layers[3].weight.detach()[kept[20]][:, kept[12]].clone()
    proof = by_hand.cut(net, kept, images.to(dtype), modes=("eval",))
    assert proof.dtype == "float64" and proof.error < 1e-12
    assert net.layers[3].weight.dtype == dtype and torch.equal(net.layers[3].weight, expected)


class Stuck(nn.Module):
    """Makes a float32 tensor on the way that nobody registered."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 4)
        self.dtype = dtype
        self.to(dtype)

    def forward(self, x):
        return self.last(torch.relu(self.first(x))) @ torch.ones(4, 4, dtype=self.dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-2)])
def test_a_model_stuck_in_its_precision_is_proved_there(by_hand, dtype, tolerance):
    model = Stuck(dtype)
    proof = by_hand.cut(model, {12: [0, 1, 5, 6, 7]}, torch.randn(8, 6).to(dtype))
    assert proof.dtype == str(dtype).removeprefix("torch.") and proof.tolerance == tolerance
    assert proof.error <= tolerance


class Rounding(nn.Module):
    """Computes in single precision on the way, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 300), nn.Linear(300, 4)

    def forward(self, x):
        with torch.no_grad():
            hidden = functional.linear(x.float(), self.first.weight.float(), self.first.bias.float())
            total = functional.linear(hidden, self.last.weight.float(), self.last.bias.float())
        return total.to(x.dtype)


def test_a_model_that_rounds_on_the_way_is_allowed_what_it_rounds(by_hand):
    torch.manual_seed(0)
    proof = by_hand.cut(Rounding(), {300: range(0, 300, 2)}, torch.randn(8, 6))
    assert proof.dtype == "float32" and proof.tolerance == 1e-4 and 1e-9 < proof.error < 1e-5


def test_the_tolerance_can_be_chosen(by_hand, net, images, kept):
    assert by_hand.cut(net, kept, images, tolerance=0.5).tolerance == 0.5


LENGTHS = {12: [0, 1, 4, 5, 8, 9, 11]}
EVEN = {12: [0, 2, 3, 5, 6, 8, 9, 11]}
"""Two of every three channels."""


class Normalised(nn.Module):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 12, 3), norm, nn.Conv2d(12, 4, 1)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))


class ChannelsLast(nn.Module):
    """A norm of features in the last axis, between permutations."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.inner = norm

    def forward(self, x):
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def shaken(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5) if tensor.ndim == 1 else tensor.data.normal_(0, 0.3)
    return model


@pytest.mark.parametrize(
    ("norm", "keep", "mirrored"),
    [
        (nn.GroupNorm(4, 12), EVEN, ("norm.num_channels", 8)),
        (nn.GroupNorm(1, 12), LENGTHS, ("norm.num_channels", 7)),
        (ChannelsLast(nn.LayerNorm(12)), LENGTHS, ("norm.inner.normalized_shape", (7,))),
        (ChannelsLast(nn.RMSNorm(12)), LENGTHS, ("norm.inner.normalized_shape", (7,))),
        (nn.LayerNorm([12, 6, 6]), LENGTHS, ("norm.normalized_shape", (7, 6, 6))),
    ],
    ids=["group", "group of all", "layer", "rms", "layer of all"],
)
def test_norms_over_channels_run_over_what_is_kept(by_hand, norm, keep, mirrored):
    model = shaken(Normalised(norm))
    dense = copy.deepcopy(model)
    proof = by_hand.cut(model, keep, torch.randn(2, 3, 8, 8))
    path, value = mirrored
    assert path.rpartition(".")[0] in proof.normalised and proof.error < 1e-12
    owner, _, attribute = path.rpartition(".")
    assert getattr(model.get_submodule(owner), attribute) == value
    kept = torch.tensor(keep[12])
    x = torch.randn(2, 3, 8, 8)
    hidden = functional.conv2d(x, dense.first.weight[kept], dense.first.bias[kept])
    weight, bias = own(dense.norm).weight[kept], getattr(own(dense.norm), "bias", None)
    bias = None if bias is None else bias[kept]
    expected = torch.relu(by_itself(own(norm), hidden, weight, bias))
    expected = functional.conv2d(expected, dense.last.weight[:, kept], dense.last.bias)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def own(norm: nn.Module) -> nn.Module:
    return getattr(norm, "inner", norm)


def by_itself(norm, x, weight, bias):
    """Normalise by the formula."""
    if isinstance(norm, nn.GroupNorm):
        grouped = x.reshape(x.shape[0], norm.num_groups, -1)
        scaled = (grouped - grouped.mean(-1, keepdim=True)) / grouped.var(
            -1, correction=0, keepdim=True
        ).sqrt()
        return scaled.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]
    if isinstance(norm, nn.RMSNorm):
        return x / x.square().mean(1, keepdim=True).sqrt() * weight[:, None, None]
    axes = (1, 2, 3) if weight.ndim == 3 else 1
    scaled = (x - x.mean(axes, keepdim=True)) / x.var(axes, correction=0, keepdim=True).sqrt()
    shape = (1, -1, 1, 1) if weight.ndim == 1 else weight.shape
    return scaled * weight.reshape(shape) + bias.reshape(shape)


class Standardised(nn.Conv2d):
    """A convolution whose weight is standardised by a batch norm with the batch's statistics."""

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True, momentum=0.0).reshape_as(self.weight)
        return functional.conv2d(x, weight, self.bias)


def test_standardised_weights_are_standardised_over_what_is_kept(by_hand):
    model = shaken(
        nn.Sequential(nn.Conv2d(3, 12, 1), nn.ReLU(), Standardised(12, 20, 3), nn.Conv2d(20, 4, 1))
    )
    flat = np.concatenate([np.arange(9) + 9 * channel for channel in LENGTHS[12]])
    keep = {**LENGTHS, 20: [0, 5, 9, 12], 108: flat}
    proof = by_hand.cut(model, keep, torch.randn(2, 3, 6, 6))
    assert proof.normalised == ("2",) and proof.error < 1e-12
    assert (model[2].in_channels, model[2].out_channels) == (7, 4)


def test_instance_norm_is_not_over_channels(by_hand):
    model = shaken(Normalised(nn.InstanceNorm2d(12, affine=True, track_running_stats=True)))
    proof = by_hand.cut(model, LENGTHS, torch.randn(2, 3, 8, 8))
    assert proof.normalised == () and model.norm.num_features == 7


def grouped(groups: int, width: int) -> nn.Module:
    return shaken(
        nn.Sequential(nn.Conv2d(3, 12, 1), nn.Conv2d(12, width, 3, groups=groups), nn.Conv2d(width, 4, 1))
    )


def test_whole_groups_leave(by_hand):
    model = grouped(4, 20)
    masked = by_hand.masked(
        model, keep := {12: [0, 1, 2, 9, 10, 11], 20: [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]}
    )
    x = torch.randn(2, 3, 6, 6)
    by_hand.cut(model, keep, x)
    assert (model[1].groups, model[1].in_channels, model[1].out_channels) == (2, 6, 10)
    same(model, masked, x)


def test_every_group_gets_narrower(by_hand):
    model = grouped(4, 20)
    into, out = [0, 2, 3, 5, 6, 8, 9, 11], [g * 5 + i for g in range(4) for i in (1, 3)]
    plan = RemovalPlan(
        {
            "0.weight": {0: np.array(into)},
            "0.bias": {0: np.array(into)},
            "1.weight": {0: np.array(out), 1: np.array([0, 2])},
            "1.bias": {0: np.array(out)},
            "2.weight": {1: np.array(out)},
        }
    )
    x = torch.randn(2, 3, 6, 6)
    by_hand.cut(model, {12: into, 20: out}, x, plan=plan)
    assert (model[1].groups, model[1].in_channels, model[1].out_channels) == (4, 8, 8)


def test_depthwise_convolutions_follow_their_input(by_hand):
    model = grouped(12, 12)
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, x := torch.randn(2, 3, 6, 6))
    assert (model[1].groups, model[1].in_channels, model[1].out_channels) == (7, 7, 7)
    same(model, masked, x)


def test_groups_of_unequal_size_are_refused(by_hand):
    model, x = grouped(4, 20), torch.randn(2, 3, 6, 6)
    before = by_hand.everything(model)
    with pytest.raises(RemovalError, match=r"'1' with groups of unequal size \(4, 5, 5, 5 channels\)"):
        by_hand.cut(model, {20: range(1, 20)}, x)
    assert by_hand.everything(model) == before


@pytest.mark.parametrize("groups", [1, 4])
def test_transposed_convolutions(by_hand, groups):
    model = shaken(
        nn.Sequential(
            nn.Conv2d(3, 12, 1), nn.ConvTranspose2d(12, 20, 2, groups=groups), nn.ReLU(), nn.Conv2d(20, 4, 1)
        )
    )
    if groups == 1:
        keep = {12: [0, 1, 4], 20: [3, 5, 6]}
    else:
        keep = {12: [0, 1, 2, 9, 10, 11], 20: [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]}
    masked = by_hand.masked(model, keep)
    by_hand.cut(model, keep, x := torch.randn(2, 3, 6, 6))
    layer = model[1]
    assert (layer.in_channels, layer.out_channels) == (len(keep[12]), len(keep[20]))
    assert layer.groups == (1 if groups == 1 else 2)
    same(model, masked, x)


def test_other_layers_mirror_their_sizes(by_hand):
    class Many(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.act = nn.Embedding(9, 12), nn.PReLU(12)
            self.both, self.out = nn.Bilinear(12, 12, 20), nn.Linear(20, 4)

        def forward(self, index):
            x = self.table(index)
            return self.out(self.both(self.act(x), x))

    model = shaken(Many())
    keep = {**LENGTHS, 20: [1, 2, 3]}
    masked = by_hand.masked(model, keep)
    by_hand.cut(model, keep, index := torch.arange(9))
    assert (model.table.num_embeddings, model.table.embedding_dim, model.act.num_parameters) == (9, 7, 7)
    assert (model.both.in1_features, model.both.in2_features, model.both.out_features) == (7, 7, 3)
    same(model, masked, index)


def test_lazy_layers_that_have_run_are_cut(by_hand, images):
    model = nn.Sequential(nn.LazyConv2d(12, 3), nn.LazyBatchNorm2d(), nn.LazyConv2d(4, 1))
    model(images)
    by_hand.cut(model, LENGTHS, images)
    assert (model[0].out_channels, model[1].num_features, model[2].in_channels) == (7, 7, 7)


def test_layers_that_only_look_alike_are_served(by_hand):
    class Own(nn.Module):
        def __init__(self, into: int, out: int) -> None:
            super().__init__()
            self.in_features, self.out_features, self.num_features = into, out, 77
            self.weight = nn.Parameter(torch.randn(out, into))

        def forward(self, x):
            return functional.linear(x, self.weight).reshape(-1, self.out_features)

    model = nn.Sequential(Own(6, 12), nn.ReLU(), Own(12, 4))
    by_hand.cut(model, LENGTHS, torch.randn(5, 6))
    assert (model[0].out_features, model[2].in_features, model[0].num_features) == (7, 7, 77)


def new_weight_norm(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("normalise", [nn.utils.weight_norm, new_weight_norm], ids=["old", "new"])
def test_weight_norm_is_cut_at_its_parts(by_hand, normalise):
    model = nn.Sequential(normalise(nn.Conv2d(3, 12, 3)), nn.ReLU(), normalise(nn.Conv2d(12, 4, 1)))
    dense = copy.deepcopy([layer.weight.detach() for layer in (model[0], model[2])])
    kept = torch.tensor(LENGTHS[12])
    proof = by_hand.cut(model, LENGTHS, torch.randn(2, 3, 6, 6))
    assert proof.error < 1e-12
    assert model[0].weight.shape == (7, 3, 3, 3) and (model[0].out_channels, model[2].in_channels) == (7, 7)
    torch.testing.assert_close(model[0].weight, dense[0][kept])
    model(torch.randn(2, 3, 6, 6)).sum().backward()
    assert {tuple(p.grad.shape) for p in model[0].parameters()} >= {(7, 1, 1, 1), (7, 3, 3, 3)}


def test_tied_weights_stay_tied(by_hand):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mid, self.head = nn.Embedding(9, 12), nn.Linear(12, 12), nn.Linear(12, 9)
            self.head.weight = self.table.weight

        def forward(self, index):
            return self.head(torch.relu(self.mid(self.table(index))))

    model = Tied()
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, index := torch.arange(9))
    assert model.head.weight is model.table.weight and model.head.weight.shape == (9, 7)
    assert (model.head.in_features, model.table.embedding_dim, model.mid.out_features) == (7, 7, 7)
    same(model, masked, index)


def test_parameters_on_the_same_memory_still_share_it(by_hand):
    model = nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 12), nn.Linear(12, 3)
    )
    model[4].weight.data = model[0].weight.data
    model[4].bias.data = model[0].bias.data
    by_hand.cut(model, LENGTHS, torch.randn(4, 6))
    assert model[4].weight.data_ptr() == model[0].weight.data_ptr() and model[4].weight.shape == (7, 6)


def test_shared_modules_are_cut_once(by_hand):
    middle = nn.Linear(12, 12)
    model = nn.Sequential(nn.Linear(6, 12), middle, nn.ReLU(), middle, nn.Linear(12, 3))
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, x := torch.randn(4, 6))
    assert middle.weight.shape == (7, 7) and middle.in_features == 7
    same(model, masked, x)


class Headed(nn.Module):
    """Attributes of every form that say how a size is parted."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.shape, self.sizes, self.parts = 12, (3, 4), torch.Size((3, 4)), [3, 4]
        self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 4)

    def forward(self, x):
        hidden = self.first(x).view(-1, *self.shape).view(-1, *self.sizes).view(-1, *self.parts)
        return self.last(torch.relu(hidden).view(-1, self.width))


def test_attributes_are_rewritten_in_their_own_form(by_hand):
    model = Headed()
    keep = {12: [0, 2, 4, 6, 8, 10]}
    masked = by_hand.masked(model, keep)
    attributes = {Attribute("", "width"): 6}
    attributes |= {Attribute("", name, 1): 2 for name in ("shape", "sizes", "parts")}
    by_hand.cut(model, keep, x := torch.randn(5, 6), attributes=attributes)
    assert (model.width, model.shape, model.parts) == (6, (3, 2), [3, 2])
    assert model.sizes == torch.Size((3, 2)) and type(model.sizes) is torch.Size
    same(model, masked, x)


def test_factors_multiply_what_is_kept(by_hand):
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.last = nn.Linear(6, 12), nn.Linear(12, 4)

        def forward(self, x):
            hidden = self.query(x)
            return self.last(hidden * self.query.weight.shape[0] ** -0.5)

    model = Product()
    dense = copy.deepcopy(model)
    keep = {12: [1, 5, 7]}
    factor = np.full(3, (3 / 12) ** 0.5)
    factors = {"query.weight": {0: factor}, "query.bias": {0: factor}}
    proof = by_hand.cut(model, keep, torch.randn(5, 6), factors=factors)
    assert proof.error < 1e-12
    torch.testing.assert_close(model.query.weight, dense.query.weight[keep[12]] * 0.5)


def test_caches_for_evaluation_are_emptied(by_hand):
    class Cached(nn.Module):
        """Keeps what it made of a parameter while it is evaluated, as LeViT does."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.offset = (
                nn.Linear(6, 12),
                nn.Linear(12, 4),
                nn.Parameter(torch.randn(12)),
            )
            self.cache = {}

        def train(self, mode=True):
            if mode:
                self.cache = {}
            return super().train(mode)

        def forward(self, x):
            offset = self.offset * 2
            if not self.training:
                offset = self.cache.setdefault("offset", offset)
            return self.last(self.first(x) + offset)

    model = Cached().eval()
    x = torch.randn(5, 6)
    with torch.no_grad():
        model(x)
    masked = by_hand.masked(model, LENGTHS)
    masked.train()
    by_hand.cut(model, LENGTHS, x)
    assert model.cache == {} and not model.training
    same(model, masked, x)


def test_boxes_chosen_on_the_way_do_not_hide_the_heads(by_hand):
    class Detector(nn.Module):
        """Returns the best of many boxes: on these inputs, none."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.score, self.box = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 1, 1), nn.Conv2d(12, 4, 1)

        def forward(self, x):
            hidden = torch.relu(self.body(x))
            boxes = self.box(hidden).flatten(2).transpose(1, 2)
            return boxes[self.score(hidden).flatten(1) > 1e9]

    model = shaken(Detector())
    x = torch.randn(2, 3, 8, 8)
    assert model(x).numel() == 0
    proof = by_hand.cut(model, LENGTHS, x)
    assert proof.outputs == 2 * 36 * 5 and proof.error < 1e-12


def test_rounding_is_not_blown_up_by_what_follows_the_heads(by_hand):
    class Chaotic(nn.Module):
        """Gives something else for every last bit of its score, as the best of many equal boxes would."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.score = nn.Linear(6, 12), nn.Linear(12, 5)

        def forward(self, x):
            return torch.sin(self.score(torch.relu(self.body(x))) * 1e20)

    proof = by_hand.cut(Chaotic(), LENGTHS, torch.randn(40, 6))
    assert proof.outputs == 40 * 5 * 2 and proof.error < 1e-12


def test_inputs_of_every_form(by_hand):
    class Keywords(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 4)

        def forward(self, pair, *, scale):
            pair["x"].mul_(2)
            return {"out": [self.last(torch.relu(self.first(pair["x"]))) * scale]}

    model = Keywords()
    inputs = {"pair": {"x": torch.ones(2, 6)}, "scale": 3}
    proof = by_hand.cut(model, LENGTHS, inputs)
    assert proof.outputs == 16 and torch.equal(inputs["pair"]["x"], torch.ones(2, 6))


class Auxiliary(nn.Module):
    """Has a second head that is only read in training, behind a dropout."""

    def __init__(self, factor: int = 1) -> None:
        super().__init__()
        self.first, self.last, self.factor = nn.Linear(6, 12), nn.Linear(12, 4), factor
        self.aside = nn.Sequential(nn.Linear(12, 20), nn.BatchNorm1d(20), nn.Dropout(0.7), nn.Linear(20, 4))

    def forward(self, x):
        hidden = torch.relu(self.first(x))
        if not self.training:
            return self.last(hidden)
        return self.last(hidden), self.aside(hidden) * self.aside[0].out_features ** self.factor


def test_what_only_runs_in_training_is_proved_there(by_hand):
    keep = {**LENGTHS, 20: [0, 4, 5, 19]}
    x = torch.randn(8, 6)
    model = shaken(Auxiliary(0))
    proof = by_hand.cut(model, keep, x)
    assert proof.outputs == 8 * 4 * 2 + 8 * 4 * 4 and proof.error < 1e-12
    assert by_hand.cut(shaken(Auxiliary(1)), keep, x, modes=("eval",)).outputs == 8 * 4 * 2
    model = shaken(Auxiliary(1))
    with pytest.raises(ProofError, match="only what is returned differs"):
        by_hand.cut(model, keep, x)
    assert model.aside[0].out_features == 20


def test_what_is_random_in_training_is_only_run_there(by_hand):
    class Noisy(Auxiliary):
        def forward(self, x):
            return super().forward(x + torch.randn_like(x) if self.training else x)

    proof = by_hand.cut(shaken(Noisy(1)), {**LENGTHS, 20: [0, 4, 5, 19]}, torch.randn(8, 6))
    assert proof.outputs == 8 * 4 * 2
