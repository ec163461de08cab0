"""Taylor scores: the published tables, and what autograd says about real networks."""

import array_api_compat.numpy as ops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruners_taylor._taylor import Taylor

import pruners

Z = np.array([[[1.0, 2.0], [2.0, 0.0]], [[-1.0, 1.0], [1.0, 1.0]]])
SLOPES = np.array([[[0.1, 0.05], [0.1, 0.7]], [[0.2, -0.3], [0.1, 0.2]]])
W, G = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[0.5, -0.1], [0.1, 0.2]])


class View:
    """Activations and gradients as they are given."""

    prepared = {}
    host = staticmethod(np.asarray)

    def __init__(self, stream=(), weights=None, slopes=None):
        self.stream, self.ops = list(stream), ops
        self.weights = (
            {name: np.ones((z.shape[1], 3)) for name, z, _ in self.stream} if weights is None else weights
        )
        self.slopes = slopes

    def activations(self, gradients=False):
        assert gradients
        yield from self.stream

    def gradients(self):
        return self.slopes


def scores(stream, **options):
    return Taylor(**options).scores(View(stream))


def test_the_worked_examples():
    stream = [("w", Z, SLOPES)]
    np.testing.assert_allclose(scores(stream, layer_l2=False)["w"], [0.175, 0.125])
    np.testing.assert_allclose(scores(stream)["w"], [0.8137, 0.5812], atol=5e-5)
    np.testing.assert_allclose(scores(stream, form="gate")["w"], [0.09, 0.25])
    view = View(weights={"w": W}, slopes={"w": G})
    np.testing.assert_allclose(Taylor(form="weight-joint").scores(view)["w"], [0.09, 0.01])
    np.testing.assert_allclose(Taylor(form="weight-squares").scores(view)["w"], [0.29, 0.13])


def test_examples_are_averaged_over_batches_of_any_size():
    one = scores([("w", Z, SLOPES)], layer_l2=False)["w"]
    many = scores([("w", Z[:1], SLOPES[:1]), ("w", Z[1:], SLOPES[1:])], layer_l2=False)["w"]
    np.testing.assert_allclose(many, one)


def test_the_gate_squares_each_batch():
    found = scores([("w", Z[:1], SLOPES[:1]), ("w", Z[1:], SLOPES[1:])], form="gate")["w"]
    np.testing.assert_allclose(found, [(0.2**2 + 0.5**2) / 2, (0.2**2 + 0.3**2) / 2])


def test_costs_are_shares_of_all_scored_layers():
    """Layer a: 2 x 3 weights at 4 places, 24 MACs; layer b: 1 x 3 at 2 places, 6 MACs."""
    a, b = np.ones((5, 2, 2, 2)), np.ones((5, 1, 2))
    plain = scores([("a", a, a), ("b", b, b)])
    found = scores([("a", a, a), ("b", b, b)], macs=0.5)
    np.testing.assert_allclose(found["a"], plain["a"] - 0.5 * 24 / 30)
    np.testing.assert_allclose(found["b"], plain["b"] - 0.5 * 6 / 30)


def test_a_layer_without_any_slope_stays_zero():
    assert scores([("w", Z, 0 * SLOPES)])["w"].tolist() == [0.0, 0.0]


def test_half_precision_does_not_overflow():
    big = np.full((2, 2, 200), 30.0, np.float16)
    np.testing.assert_allclose(scores([("w", big, big)], layer_l2=False)["w"], [900, 900])


def test_a_layer_that_is_never_run_is_named():
    view = View([("a", Z, SLOPES)], weights={"a": W, "b": W})
    with pytest.raises(pruners.ScoreError, match="layer 'b' gave no output on the data; leave it out"):
        Taylor().scores(view)


arrays = hnp.arrays(np.float64, (3, 4, 5), elements=st.floats(-4, 4, width=16))


@settings(max_examples=60, deadline=None)
@given(arrays, arrays, st.permutations(range(4)), st.integers(-8, 8))
def test_order_and_scale_of_channels(z, slopes, order, exponent):
    for form in ("activation", "gate"):
        found = scores([("w", z, slopes)], form=form, layer_l2=False)["w"]
        np.testing.assert_array_equal(
            scores([("w", z[:, order], slopes[:, order])], form=form, layer_l2=False)["w"], found[order]
        )
        power = 1 if form == "activation" else 2
        scaled = scores([("w", z * 2.0**exponent, slopes)], form=form, layer_l2=False)["w"]
        np.testing.assert_allclose(scaled, found * 2.0 ** (power * exponent))
        np.testing.assert_allclose(
            scores([("w", z / 2.0**exponent, slopes * 2.0**exponent)], form=form, layer_l2=False)["w"], found
        )
    normed = scores([("w", z, slopes)])["w"]
    assert np.isclose(np.linalg.norm(normed), 1) or not normed.any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "fisher"}, "'form' must be in"),
        ({"macs": -1.0}, "'macs' must be >= 0"),
        (
            {"macs": 1.0, "form": "weight-joint"},
            "'macs' needs form 'activation' or 'gate', not 'weight-joint'",
        ),
        ({"layer_l2": 1}, "layer_l2"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(pruners.OptionError, match=said):
        pruners.pruner("taylor", **options)


def test_without_data_or_a_loss_it_says_what_to_pass():
    model = {"w": W.copy()}
    for given_ in ({}, {"data": [1]}):
        with pytest.raises(
            pruners.NeedsData, match="'taylor' needs activations and gradients: pass data=batches and"
        ):
            pruners.prune(model, "taylor", sparsity=0.5, **given_)
    assert model["w"].tolist() == W.tolist()


class TestTorch:
    """On real networks, against autograd."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.fixture
    def net(self, torch):
        torch.manual_seed(0)
        nn = torch.nn
        net = nn.Sequential(
            nn.Conv2d(3, 5, 3),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Conv2d(5, 4, 3),
            nn.Flatten(),
            nn.Linear(64, 3),
        )
        nn.init.normal_(net[1].weight)
        return net.double()

    @pytest.fixture
    def batches(self, torch):
        return [(torch.randn(n, 3, 8, 8).double(), torch.randint(0, 3, (n,))) for n in (4, 2)]

    @staticmethod
    def loss(model, batch):
        from torch.nn import functional

        return functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    def test_activation_is_the_mean_of_each_examples_own(self, torch, net, batches):
        found = pruners.scores(net, Taylor(layer_l2=False), match="0.weight", data=batches, loss=self.loss)[
            "0.weight"
        ]
        net.eval()
        each = []
        for image, label in zip(
            torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]), strict=True
        ):
            z = net[0](image[None])
            z.retain_grad()
            torch.nn.functional.cross_entropy(net[1:](z), label[None]).backward()
            each.append((z * z.grad).mean(dim=(0, 2, 3)).abs())
        torch.testing.assert_close(found, torch.stack(each).mean(0).detach())

    def test_the_gate_is_the_squared_gradient_of_a_gate(self, torch, net, batches):
        found = pruners.scores(net, Taylor(form="gate"), match="3.weight", data=batches, loss=self.loss)
        net.eval()
        squares = []
        for batch in batches:
            gate = torch.ones(1, 4, 1, 1, dtype=torch.float64, requires_grad=True)
            value = self.loss(lambda x, gate=gate: net[4:](gate * net[:4](x)), batch)
            squares.append(torch.autograd.grad(value, gate)[0].square().flatten())
        torch.testing.assert_close(found["3.weight"], torch.stack(squares).mean(0))

    def test_a_batch_norms_scale_is_scored_by_name(self, torch, net, batches):
        found = pruners.scores(
            net, Taylor(form="weight-joint"), match="1.weight", data=batches[:1], loss=self.loss
        )["1.weight"]
        gamma = net.eval()[1].weight
        (slope,) = torch.autograd.grad(self.loss(net, batches[0]), gamma)
        torch.testing.assert_close(found, (gamma * slope).square().detach())

    @pytest.mark.parametrize("form", ["weight-joint", "weight-squares"])
    def test_weight_forms(self, torch, net, batches, form):
        found = pruners.scores(net, Taylor(form=form), match="3.weight", data=batches, loss=self.loss)[
            "3.weight"
        ]
        weight = net.eval()[3].weight
        slopes = [torch.autograd.grad(self.loss(net, batch), weight)[0] for batch in batches]
        parts = (weight * sum(slopes) / 2).flatten(1).detach()
        expected = parts.sum(1).square() if form == "weight-joint" else parts.square().sum(1)
        torch.testing.assert_close(found, expected)

    def test_nothing_moves(self, torch, net, batches):
        before = {name: value.clone() for name, value in net.state_dict().items()}
        net.train()
        pruners.masks(
            net, "taylor", sparsity=0.5, data=batches, loss=self.loss, match=["0.weight", "3.weight"]
        )
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert net[1].training and not any(parameter.grad is not None for parameter in net.parameters())

    def test_a_dead_channel_goes_first(self, torch, net, batches):
        with torch.no_grad():
            net[3].weight[2] = 0
            net[3].bias[2] = 0
        for form in ("activation", "gate", "weight-joint", "weight-squares"):
            mask = pruners.masks(
                net, Taylor(form=form), sparsity=0.25, data=batches, loss=self.loss, match="3.weight"
            )["3.weight"]
            assert mask.flatten(1).any(1).tolist() == [True, True, False, True], form

    def test_a_layer_that_the_loss_does_not_see_is_an_error(self, torch, net, batches):
        def loss(model, batch):
            return model[:3](batch[0]).sum()

        with pytest.raises(pruners.NeedsData, match=r"'3.weight'.*leave it out|gave no output"):
            pruners.scores(net, Taylor(form="weight-joint"), data=batches, loss=loss)
        with pytest.raises(pruners.ScoreError, match="layer '3.weight' gave no output"):
            pruners.scores(net, "taylor", data=batches, loss=loss)
