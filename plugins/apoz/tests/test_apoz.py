"""APoZ: the published table, whole counts, and what it looks at in real networks."""

import array_api_compat.numpy as ops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruners_apoz._apoz import APoZ

import pruners

AFTER_RELU = np.array(
    [
        [[[0.0, 3.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]],
        [[[0.0, 2.0], [4.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]],
    ]
)


class View:
    """Activations as they are given."""

    prepared = {}
    host = staticmethod(np.asarray)

    def __init__(self, stream, names=("w",)):
        self.stream, self.ops = list(stream), ops
        self.weights = {name: np.ones((2, 3)) for name in names}

    def activated(self):
        yield from self.stream


def scores(*arrays, **options):
    return APoZ(**options).scores(View([("w", a) for a in arrays]))["w"]


def test_the_worked_example():
    assert (1 - scores(AFTER_RELU)).tolist() == [0.625, 0.125]
    assert scores(AFTER_RELU, measure="mean-activation").tolist() == [9 / 8, 7 / 8]


def test_a_threshold_counts_what_is_not_above_it():
    assert scores(AFTER_RELU, threshold=1.0).tolist() == [3 / 8, 0]
    assert scores(AFTER_RELU - 1, threshold=-1.0).tolist() == scores(AFTER_RELU).tolist()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, (6, 3, 4), elements=st.floats(-2, 2, width=16)),
    st.lists(st.integers(1, 5), max_size=3),
    st.permutations(range(3)),
    st.integers(-5, 5),
)
def test_neither_batches_nor_order_nor_scale_matter(a, cuts, order, exponent):
    found = scores(a)
    assert ((found >= 0) & (found <= 1)).all()
    parts = [part for part in np.split(a, sorted(set(cuts))) if len(part)]
    np.testing.assert_array_equal(scores(*parts), found)
    np.testing.assert_array_equal(scores(a[:, order]), found[order])
    np.testing.assert_array_equal(scores(a * 2.0**exponent), found)
    mean = scores(a, measure="mean-activation")
    np.testing.assert_allclose(scores(*parts, measure="mean-activation"), mean, rtol=1e-6, atol=1e-7)


def test_dense_layers_and_half_precision():
    a = np.array([[0.0, 1.0], [2.0, 3.0]], np.float16)
    assert scores(a).tolist() == [0.5, 1.0]
    big = np.full((2, 1, 3000), 60000, np.float16)
    assert scores(big, measure="mean-activation").tolist() == [60000.0 - 60000 % 32]


def test_counts_are_exact_where_float32_would_stop_counting():
    part = np.ones((1, 1, 2**20), np.float32)
    part[..., 0] = 0
    found = scores(*[part] * 24)
    assert found.tolist() == [(2**20 - 1) / 2**20]


def test_the_smallest_numbers_count_and_the_largest_do_not_overflow():
    a = np.array([[1e-45, -1e-45, 1e-38, 0.0], [3e38, -3e38, np.inf, -np.inf]], np.float32)
    assert scores(a[:, :, None]).tolist() == [1.0, 0.0, 1.0, 0.0]
    assert scores(a.astype(np.float64) * 1e-200).tolist() == [1.0, 0.0, 1.0, 0.0]
    near = np.array([[np.nextafter(np.float32(0.1), np.float32(1)), np.float32(0.1)]])
    assert scores(near, threshold=float(np.float32(0.1))).tolist() == [1.0, 0.0]


def test_a_number_that_is_none_is_named():
    model = View([("w", np.array([[np.nan, 1.0]], np.float32))])
    assert np.isnan(APoZ().scores(model)["w"][0])


def test_a_layer_that_is_never_run_is_named():
    with pytest.raises(pruners.ScoreError, match="layer 'b' gave no output on the data; leave it out"):
        APoZ().scores(View([("w", AFTER_RELU)], names=("w", "b")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"measure": "mean"}, "'measure' must be in"),
        ({"threshold": float("nan")}, "'threshold' must be a finite"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(pruners.OptionError, match=said):
        pruners.pruner("apoz", **options)


class TestTorch:
    """On real networks, against hooks on the ReLU itself."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.fixture
    def net(self, torch):
        torch.manual_seed(0)
        nn = torch.nn
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 2),
        )  # fmt: skip
        nn.init.normal_(net[1].bias)
        nn.init.uniform_(net[1].running_var, 0.5, 2.0)
        return net

    def test_zeros_are_counted_after_the_relu(self, torch, net):
        batches = [torch.randn(n, 3, 8, 8) for n in (4, 3, 1)]
        found = pruners.scores(net, "apoz", data=batches)
        net.eval()
        for layer, relu in (("0.weight", 2), ("4.weight", 5), ("7.weight", 8)):
            with torch.no_grad():
                a = torch.cat([net[: relu + 1](x) for x in batches])
            expected = (a > 0).double().mean(dim=(0, *range(2, a.ndim)))
            torch.testing.assert_close(found[layer], expected)

    def test_whole_channels_are_masked(self, torch, net):
        data = [(torch.randn(4, 3, 8, 8), torch.zeros(4))]
        scored = pruners.scores(net, "apoz", data=data, match="4.weight")["4.weight"]
        pruners.prune(net, "apoz", sparsity=0.5, data=data, match="4.weight")
        gone = ~net[4].weight.flatten(1).any(1)
        assert gone.sum() == 4 and scored[gone].max() <= scored[~gone].min()

    def test_a_session_looks_again_at_every_update(self, torch, net):
        ramp = pruners.schedule("linear", start=0, stop=2)
        rule = pruners.Rule("4", pruner="apoz", sparsity=0.5, schedule=ramp)
        pruning = pruners.attach(net, rule, data=[torch.randn(4, 3, 8, 8)])
        counts = []
        for _ in range(3):
            counts.append(int((~net[4].weight.flatten(1).any(1)).sum()))
            pruning.step()
        assert counts == [0, 2, 4]

    def test_nothing_of_the_model_moves(self, torch, net):
        before = {name: value.clone() for name, value in net.train().state_dict().items()}
        pruners.masks(net, "apoz", sparsity=0.5, data=[torch.randn(4, 3, 8, 8)])
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert net[1].training

    def test_a_dead_channel_goes_first(self, torch, net):
        with torch.no_grad():
            net[4].weight[3] = 0
            net[4].bias[3] = -1
        mask = pruners.masks(net, "apoz", sparsity=1 / 8, data=[torch.randn(99, 3, 8, 8)], match="4.weight")
        assert mask["4.weight"].flatten(1).any(1).tolist() == [
            True,
            True,
            True,
            False,
            True,
            True,
            True,
            True,
        ]
