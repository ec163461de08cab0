"""What pruners are shown of a recorded module: who reads what, past which ReLU, under which scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pruners
from pruners.registry import backend_for
from pruners.scoring import NamedPruner
from pruners.structure import reading
from pruners.watching import Watching

EVERY = 10**6
X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def view_of(model, inputs=X, data=None, names=None):
    opened = backend_for(model).open(model)
    names = [name for name, layer in opened.layers.items() if layer.default] if names is None else names
    batches = [inputs] if data is None else data
    return Watching(
        opened, "pruner 'test'", frozenset(), names, batches, None, {}, (inputs,), None, None
    ).view()


class Net(nn.Module):
    """Every way of reading a convolution's channels that is no reading of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 6, 1)
        self.side = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.joined = nn.Conv2d(10, 6, 3, padding=1, dilation=2)
        self.grouped = nn.Conv2d(6, 4, 1, groups=2)
        self.up = nn.ConvTranspose2d(4, 5, 3, stride=2, padding=1)
        self.fc = nn.Linear(5 * 3 * 3, 7)
        self.last = nn.Linear(7, 2)
        for norm in (self.norm,):
            for tensor in (norm.weight, norm.bias, norm.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(norm.running_var, 0.5, 2)
        self.double()

    def forward(self, x):
        y = F.relu(self.norm(self.stem(x)))
        y = F.max_pool2d(self.point(self.depthwise(y)).relu(), 2)
        y = torch.cat([y, F.silu(self.side(x))], dim=1)
        y = torch.relu_(self.up(self.grouped(self.joined(y))))
        return self.last(torch.tanh(self.fc(y.flatten(1))))


READERS = {
    "stem.weight": ["point.weight"],
    "depthwise.weight": ["point.weight"],
    "point.weight": ["joined.weight"],
    "side.weight": ["joined.weight"],
    "joined.weight": ["grouped.weight"],
    "grouped.weight": ["up.weight"],
    "up.weight": ["fc.weight"],
    "fc.weight": ["last.weight"],
    "last.weight": [],
}


def outputs_of(model, x, module):
    """What a module gives, without its bias, as (sample, out)."""
    found = []
    handle = model.get_submodule(module).register_forward_hook(
        lambda m, a, out: found.append((m, out.clone()))
    )
    with torch.no_grad():
        model.eval()(x)
    handle.remove()
    ((owner, out),) = found
    bias = 0 if owner.bias is None else owner.bias.detach()
    return (out.movedim(1, -1).reshape(-1, out.shape[1]) - bias).numpy()


@pytest.mark.parametrize("layer", READERS)
def test_the_readers_of_each_layer(layer):
    view = view_of(Net())
    assert [reader for reader, _, _ in view.consumers(layer)] == READERS[layer]
    assert list(view.reads(layer)) == READERS[layer]


@pytest.mark.parametrize(
    "layer", ["stem.weight", "joined.weight", "grouped.weight", "up.weight", "fc.weight"]
)
def test_weights_times_patches_are_what_the_reader_gives(layer):
    model = Net()
    ((reader, weight, patches),) = view_of(model).consumers(layer, EVERY)
    found = np.einsum("fcp,scp->sf", weight, patches)
    np.testing.assert_allclose(found, outputs_of(model, X, reader.removesuffix(".weight")), atol=1e-12)


def test_the_parts_of_a_concatenation_add_up():
    model = Net()
    view = view_of(model)
    found = 0
    for layer in ("point.weight", "side.weight"):
        ((_, weight, patches),) = view.consumers(layer, EVERY)
        found = found + np.einsum("fcp,scp->sf", weight, patches)
    np.testing.assert_allclose(found, outputs_of(model, X, "joined"), atol=1e-12)


def test_groups_that_leave_whole_are_passed_through():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=4), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 2, 1)
    ).double()
    for layer in ("0.weight", "1.weight"):
        ((reader, weight, patches),) = view_of(model).consumers(layer, EVERY)
        assert reader == "2.weight"
        np.testing.assert_allclose(
            np.einsum("fcp,scp->sf", weight, patches), outputs_of(model, X, "2"), atol=1e-12
        )


@pytest.mark.parametrize("layer", [layer for layer, readers in READERS.items() if readers])
def test_positions_are_where_a_channel_meets_its_reader(layer):
    model = Net()
    view = view_of(model)
    ((reader, seen, patches),) = view.consumers(layer, EVERY)
    ((_, (weight, positions)),) = view.reads(layer).items()
    assert sum(map(len, positions)) == np.count_nonzero(seen)
    factors = np.linspace(0, 2, len(positions))
    changed = np.array(weight, order="C")
    for factor, where in zip(factors, positions, strict=True):
        changed.reshape(-1)[where] *= factor
    before = outputs_of(model, X, reader.removesuffix(".weight"))
    backend_for(model).open(model).write({reader: changed})
    gained = np.einsum("c,fcp,scp->sf", factors - 1, seen, patches)
    np.testing.assert_allclose(
        outputs_of(model, X, reader.removesuffix(".weight")), before + gained, atol=1e-12
    )


def test_activations_past_norm_and_nonlinearity():
    model = Net().eval()
    found = dict(view_of(model).activated())
    with torch.no_grad():
        stem = F.relu(model.norm(model.stem(X)))
        point = model.point(model.depthwise(stem)).relu()
        side = F.silu(model.side(X))
        joined = model.joined(torch.cat([F.max_pool2d(point, 2), side], 1))
        grouped = model.grouped(joined)
        up = model.up(grouped).relu()
        fc = torch.tanh(model.fc(up.flatten(1)))
    expected = {
        "stem.weight": stem,
        "depthwise.weight": model.depthwise(stem),
        "point.weight": point,
        "side.weight": side,
        "joined.weight": joined,
        "grouped.weight": grouped,
        "up.weight": up,
        "fc.weight": fc,
        "last.weight": model.last(fc),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach())


def test_channels_come_second_after_a_dense_layer_on_sequences():
    model = nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2))
    x = torch.randn(2, 7, 4)
    found = dict(view_of(model, x).activated())
    with torch.no_grad():
        inner = model[:2](x).movedim(-1, 1)
    assert found["0.weight"].shape[1] == 5
    torch.testing.assert_close(
        found["0.weight"].movedim(1, -1).reshape(-1, 5), inner.movedim(1, -1).reshape(-1, 5)
    )


def test_a_normalised_weight_is_followed_to_its_layer():
    normalised = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 1))
    model = nn.Sequential(normalised, nn.ReLU(), nn.Conv2d(4, 2, 1)).double()
    name = "0.parametrizations.weight.original1"
    view = view_of(model, names=[name])
    torch.testing.assert_close(dict(view.activated())[name], model[:2](X).detach())
    assert list(view.reads(name)) == ["2.weight"]


def test_a_layer_called_twice_is_yielded_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(torch.relu(self.conv(x)))

    found = [a.shape for _, a in view_of(Twice().double()).activated()]
    assert found == [(3, 3, 8, 8)] * 2


def test_every_batch_is_yielded_whatever_its_size():
    model = Net()
    sizes = [a.shape[0] for name, a in view_of(model, data=[X, X[:1]]).activated() if name == "fc.weight"]
    assert sizes == [3, 1]
    counts = [len(patches) for _, _, patches in view_of(model, data=[X, X[:1]]).consumers("stem.weight", 5)]
    assert counts == [15, 5]


def test_scales_of_norms_that_alone_and_directly_read_a_layer():
    class Norms(nn.Module):
        def __init__(self):
            super().__init__()
            self.own, self.far, self.shared, self.bare = (nn.Conv2d(3, 3, 1) for _ in range(4))
            self.a, self.b, self.c = (nn.BatchNorm2d(3) for _ in range(3))
            self.d = nn.BatchNorm2d(3, affine=False)

        def forward(self, x):
            x = self.a(self.own(x))
            x = self.b(torch.relu(self.far(x)))
            y = self.shared(x)
            return self.d(self.bare(y + self.c(y)))

    model = Norms().double()
    nn.init.uniform_(model.a.weight)
    scales = view_of(model).scales()
    assert list(scales) == ["own.weight"]
    torch.testing.assert_close(scales["own.weight"], model.a.weight.detach())


def test_nothing_of_the_model_is_changed():
    model = Net().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    view = view_of(model)
    list(view.activated())
    list(view.consumers("stem.weight"))
    view.scales()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(module.training for module in model.modules())
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_the_first_batch_serves_as_example():
    model = Net()
    found = pruners.scores(model, "apoz", data=[(X, torch.zeros(3))])
    assert set(found) == set(READERS)


def test_what_cannot_be_run_says_what_to_pass():
    model = Net()
    with pytest.raises(pruners.NeedsData, match="'bn-scale' needs scales.*pass example_inputs="):
        pruners.scores(model, "bn-scale")
    with pytest.raises(pruners.NeedsData, match="'apoz' needs activated: pass data=batches"):
        pruners.scores(model, "apoz", example_inputs=X)
    with pytest.raises(
        pruners.NeedsData, match="does not run on the first batch of data alone: pass example_"
    ):
        pruners.scores(model, "apoz", data=[torch.zeros(1, 5)])
    with pytest.raises(pruners.NeedsData, match="read only once|pass example_inputs="):
        pruners.scores(model, "apoz", data=iter([X]))


def test_a_weight_that_nothing_multiplies_by_is_named():
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.GRU(128, 4)).double()
    with pytest.raises(pruners.NeedsData, match=r"'3.weight_ih_l0' was met.*leave it out"):
        pruners.scores(model, "apoz", data=[X])


def test_a_pruner_of_ones_own_may_look_too():
    class Mine:
        unit = "channel"

        def scores(self, view):
            return {name: view.ops.mean(a, axis=(0, *range(2, a.ndim))) for name, a in view.activated()}

    assert NamedPruner("mine", Mine()).needs == frozenset()
    found = pruners.scores(Net(), Mine(), data=[X])
    assert found["stem.weight"].shape == (8,)


# What a layer's weights are multiplied by


def gathered(stream):
    """Return ``{layer: x}`` of a stream of pieces."""
    found = {}
    for layer, x in stream:
        found.setdefault(layer, []).append(x)
    return {layer: np.concatenate(pieces) for layer, pieces in found.items()}


def products(x, weight):
    """Return ``(sample, out)``: the sums of weight times input."""
    grouped = weight.reshape(x.shape[1], -1, *weight.shape[1:])
    letters = "ikl"[: weight.ndim - 1]
    return np.einsum(f"sg{letters},go{letters}->sgo", x, grouped).reshape(len(x), len(weight))


@pytest.mark.parametrize("piece", [1, 1 << 22])
@pytest.mark.parametrize("layer", READERS)
def test_weights_times_inputs_are_what_the_layer_gives(layer, piece, monkeypatch):
    monkeypatch.setattr(reading, "PIECE", piece)
    model = Net()
    view = view_of(model)
    x = gathered(view.inputs())[layer]
    assert x.dtype == np.float64
    weight = view.host(view.weights[layer])
    assert x.shape[2:] == weight.shape[1:]
    np.testing.assert_allclose(
        products(x, weight), outputs_of(model, X, layer.removesuffix(".weight")), atol=1e-12
    )


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), [(2, 2, 1, 1), (3, 0, 2, 2), (2, 3, 1, 4)]
)
def test_a_transposed_convolution_has_windows_too(stride, padding, dilation, groups, extra):
    torch.manual_seed(1)
    layer = nn.ConvTranspose2d(4, 8, 3, stride, padding, extra, groups, dilation=dilation).double()
    model = nn.Sequential(nn.Conv2d(3, 4, 3).double(), layer)
    view = view_of(model)
    x = gathered(view.inputs())["1.weight"]
    weight = view.host(view.weights["1.weight"])
    np.testing.assert_allclose(products(x, weight), outputs_of(model, X, "1"), atol=1e-12)


def test_inputs_of_every_batch_and_every_call():
    shared = nn.Linear(5, 5, bias=False).double()
    model = nn.Sequential(shared, nn.Tanh(), shared)
    batches = [torch.randn(n, 7, 5, dtype=torch.float64) for n in (2, 3)]
    ((name, x),) = gathered(view_of(model, batches[0], batches).inputs()).items()
    assert (name, x.shape) == ("0.weight", (2 * 5 * 7, 1, 5))
    seen = [each for batch in batches for each in (batch, torch.tanh(shared(batch)))]
    expected = torch.cat([each.reshape(-1, 5) for each in seen]).detach().numpy()
    np.testing.assert_allclose(np.sort(x.ravel()), np.sort(expected.ravel()), atol=1e-12)


def test_half_precision_inputs_come_as_float32():
    model = nn.Sequential(nn.Linear(5, 2)).to(torch.bfloat16)
    x = torch.randn(3, 5, dtype=torch.bfloat16)
    ((_, found),) = view_of(model, x).inputs()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], x.float().numpy())


def test_a_layer_that_multiplies_nothing_is_named():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 2))
    view = view_of(model, torch.tensor([[0, 1, 3]]))
    with pytest.raises(pruners.NeedsData, match=r"no convolution or matrix product with '0\.weight' was met"):
        list(view.inputs())


def test_inputs_need_data_and_a_model_that_runs():
    class Asks:
        unit = "weight"

        def scores(self, view):
            return {name: view.ops.abs(view.weights[name]) for name, _ in view.inputs()}

    with pytest.raises(pruners.NeedsData, match="pass data=batches"):
        pruners.scores(nn.Sequential(nn.Linear(3, 2)), Asks(), example_inputs=torch.zeros(1, 3))
    with pytest.raises(pruners.NeedsData, match="cannot be recorded"):
        pruners.scores({"w": np.ones((2, 3))}, Asks(), data=[np.ones((1, 3))])


def test_attention_multiplies_tokens_by_its_packed_weight():
    torch.manual_seed(2)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).double()
    tokens = torch.randn(2, 5, 8, dtype=torch.float64)
    found = gathered(view_of(layer, tokens).inputs())
    assert {name: x.shape for name, x in found.items()} == {
        "self_attn.in_proj_weight": (10, 1, 8),
        "self_attn.out_proj.weight": (10, 1, 8),
        "linear1.weight": (10, 1, 8),
        "linear2.weight": (10, 1, 16),
    }
    seen = found["self_attn.in_proj_weight"][:, 0]
    np.testing.assert_array_equal(seen, tokens.transpose(0, 1).reshape(-1, 8).numpy())
