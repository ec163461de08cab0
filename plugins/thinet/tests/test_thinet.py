"""ThiNet: the published table, the greedy order from its definition, and the repair on real networks."""

import copy
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruners_thinet._gram import _by_positions, gram
from pruners_thinet._thinet import ThiNet, factors, removal_order

import pruners

X = np.array([[1, 2, -1, 0.5], [0, 1, 1, -0.5], [2, 0, 3, 0.1]])
whole = st.integers(-5, 5).map(float)


class View:
    """One layer and the readers it is given, each an array (sample, channel)."""

    prepared = {}
    host = staticmethod(np.asarray)

    def __init__(self, readers, layers=("w",)):
        self.readers = readers
        count = next(iter(readers.values())).shape[1]
        self.weights = dict.fromkeys(layers, np.ones((count, 3)))
        self.own = {name: np.arange(1.0, 2 * count + 1).reshape(2, count) for name in readers}

    def consumers(self, layer, locations=10, seed=0):
        for name, each in self.readers.items():
            yield name, np.ones((1, each.shape[1], 1)), each[..., None]

    def reads(self, layer):
        places = np.arange(2 * self.weights[layer].shape[0]).reshape(2, -1)
        return {name: (self.own[name], list(places.T)) for name in self.readers}


def plainly(x):
    """The greedy order from its definition: add up columns, square, compare."""
    order = []
    while len(order) < x.shape[1]:
        costs = {
            j: float(np.square(x[:, [*order, j]].sum(axis=1)).sum())
            for j in range(x.shape[1])
            if j not in order
        }
        order.append(min(costs, key=costs.__getitem__))
    return order


def test_the_worked_example():
    matrix = X.T @ X
    assert removal_order(matrix)[:2].tolist() == [3, 1]
    stays = np.array([True, False, True, False])
    found = factors(matrix, stays)
    np.testing.assert_allclose(found, [2.2733, 0.2667], atol=5e-5)
    y = X.sum(axis=1)
    assert np.square(y - X[:, stays].sum(axis=1)).sum() == pytest.approx(6.51)
    assert np.square(y - X[:, stays] @ found).sum() == pytest.approx(1.825, abs=5e-4)


def test_scores_are_places_in_the_order():
    assert ThiNet().scores(View({"r": X}))["w"].tolist() == [
        place / 4 for place in np.argsort(plainly(X)).tolist()
    ]


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=whole))
def test_the_order_is_greedy_and_ties_fall_to_the_lower_index(x):
    assert removal_order(x.T @ x).tolist() == plainly(x)
    assert removal_order((8 * x).T @ (8 * x)).tolist() == plainly(x)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, (4, 5), elements=st.integers(-1000, 1000).map(float)), st.permutations(range(5))
)
def test_the_order_of_channels_does_not_matter(x, order):
    # No two sets of columns that compete cost the same.
    sets = [set_ for size in range(1, 6) for set_ in itertools.combinations(range(5), size)]
    costs = [float(np.square(x[:, list(set_)].sum(axis=1)).sum()) for set_ in sets]
    assume(len(set(costs)) == len(costs))
    moved = removal_order(x[:, order].T @ x[:, order])
    assert [order[each] for each in moved] == removal_order(x.T @ x).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 99))
def test_the_gram_matrix_is_that_of_the_products(outputs, channels, positions, samples, seed):
    draw = np.random.default_rng(seed)
    weight = draw.integers(-4, 5, (outputs, channels, positions))
    patches = draw.integers(-4, 5, (samples, channels, positions))
    x = np.einsum("fcp,icp->ifc", weight, patches).reshape(-1, channels)
    np.testing.assert_array_equal(gram(weight, patches), x.T @ x)
    np.testing.assert_array_equal(_by_positions(weight.astype(float), patches.astype(float)), x.T @ x)


def test_both_ways_to_the_gram_matrix_work_in_pieces(monkeypatch):
    monkeypatch.setattr("pruners_thinet._gram._LIMIT", 7)
    draw = np.random.default_rng(0)
    for outputs, positions in ((2, 3), (50, 1)):
        weight, patches = draw.normal(size=(outputs, 6, positions)), draw.normal(size=(40, 6, positions))
        x = np.einsum("fcp,icp->ifc", weight, patches).reshape(-1, 6)
        np.testing.assert_allclose(gram(weight, patches), x.T @ x)


def test_errors_of_several_readers_are_added():
    both = ThiNet().scores(View({"r": X, "s": 3 * X[:, ::-1]}))["w"]
    stacked = ThiNet().scores(View({"r": np.concatenate([X, 3 * X[:, ::-1]])}))["w"]
    assert both.tolist() == stacked.tolist()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=whole),
    st.integers(0, 31),
)
def test_no_other_factors_fit_better_even_where_they_are_not_unique(x, bits):
    stays = np.array([bool(bits >> index & 1) for index in range(x.shape[1])])
    assume(stays.any())
    found = factors(x.T @ x, stays)
    best, *_ = np.linalg.lstsq(x[:, stays], x.sum(axis=1), rcond=None)
    errors = [np.square(x.sum(axis=1) - x[:, stays] @ each).sum() for each in (found, best)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)


def test_a_dead_channel_keeps_its_weights():
    x = X.copy()
    x[:, 2] = 0
    assert factors(x.T @ x, np.array([True, False, True, True]))[1] == 1.0


def test_the_repair_scales_what_reads_kept_channels():
    view = View({"r": X})
    stays = np.array([True, False, True, False])
    new = ThiNet().adjust(view, {"w": stays})["r"]
    scale = np.ones(4)
    scale[stays] = factors(X.T @ X, stays)
    np.testing.assert_allclose(new, view.own["r"] * scale)


def test_layers_that_share_readers_scale_them_once():
    view = View({"r": X}, layers=("a", "b"))
    stays = np.array([True, False, True, False])
    once = ThiNet().adjust(view, {"a": stays})["r"]
    np.testing.assert_array_equal(ThiNet().adjust(view, {"a": stays, "b": stays})["r"], once)


@pytest.mark.parametrize("kept", [np.ones(4, bool), np.zeros(4, bool)])
def test_nothing_is_repaired_where_nothing_went_or_nothing_is_left(kept):
    assert ThiNet().adjust(View({"r": X}), {"w": kept}) == {}
    assert ThiNet(repair=False).adjust(View({"r": X}), {"w": X[0] > 0}) == {}


def test_numbers_that_are_none_are_named():
    model_view = View({"r": np.full((2, 3), np.nan)})
    assert np.isnan(ThiNet().scores(model_view)["w"]).all()


@pytest.mark.parametrize("options", [{"locations": 0}, {"seed": -1}, {"repair": 1}, {"locations": 2.5}])
def test_wrong_options_are_refused(options):
    with pytest.raises(pruners.OptionError, match=next(iter(options))):
        pruners.pruner("thinet", **options)


class TestTorch:
    """On real networks."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.fixture
    def net(self, torch):
        torch.manual_seed(0)
        nn = torch.nn
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
            nn.Conv2d(8, 6, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 3),
        ).double()  # fmt: skip

    @pytest.fixture
    def batches(self, torch):
        return [torch.randn(n, 3, 8, 8, dtype=torch.float64) for n in (5, 3)]

    def test_the_order_is_that_of_the_next_layers_errors(self, torch, net, batches):
        found = pruners.scores(net, ThiNet(locations=10**6), data=batches, match="0.weight")["0.weight"]
        with torch.no_grad():
            inner = torch.cat([net[:4](x) for x in batches])
            parts = []
            for channel in range(8):
                alone = torch.zeros_like(inner)
                alone[:, channel] = inner[:, channel]
                parts.append((net[4](alone) - net[4].bias.view(1, -1, 1, 1)).flatten())
        x = torch.stack(parts, 1).numpy()
        assert found.tolist() == (np.argsort(plainly(x)) / 8).tolist()

    def test_samples_depend_on_the_seed_alone(self, torch, net, batches):
        one, again = (
            pruners.scores(net, ThiNet(locations=1), data=batches, match="0.weight")["0.weight"] for _ in "ab"
        )
        assert torch.equal(one, again)
        others = [
            pruners.scores(net, ThiNet(locations=1, seed=seed), data=batches, match="0.weight")["0.weight"]
            for seed in range(1, 6)
        ]
        assert not all(torch.equal(one, other) for other in others)

    def test_a_layer_that_nobody_reads_is_named(self, torch, net, batches):
        with pytest.raises(pruners.ScoreError, match="layer '7.weight': no layer sums.*exclude='7.weight'"):
            pruners.masks(net, "thinet", sparsity=0.5, data=batches)
        masks = pruners.masks(net, "thinet", sparsity=0.5, data=batches, match=["0", "2", "4"])
        assert [int(mask.flatten(1).all(1).sum()) for mask in masks.values()] == [4, 4, 3]

    @pytest.mark.parametrize(("layer", "reader"), [(0, 4), (4, 7)])
    def test_the_repair_brings_the_next_layer_closer(self, torch, net, batches, layer, reader):
        data = torch.cat(batches)
        with torch.no_grad():
            dense = net[: reader + 1](data)
        errors = {}
        for repair in (False, True):
            model = copy.deepcopy(net)
            ignore = [f"{index}.weight" for index in (0, 4, 7) if index != layer]
            pruners.remove(
                model, ThiNet(locations=10**6, repair=repair), sparsity=0.5, example_inputs=data[:1],
                data=batches, ignore=ignore, measure=0,
            )  # fmt: skip
            with torch.no_grad():
                assert model[layer].out_channels == net[layer].out_channels // 2
                errors[repair] = float((model[: reader + 1](data) - dense).square().sum())
        assert errors[True] < 0.96 * errors[False]
