"""The smaller block computes what the masked one computes, and is the same block."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import Block, Constant, HybridBlock, nn, rnn
from pruners_mxnet.tracing import trace

from pruners import ProofError, RemovalError
from pruners.structure.plan import RemovalPlan
from pruners.structure.program import Attribute

LENGTHS = {12: [0, 1, 4, 5, 8, 9, 11]}


def same(by_hand, model, make, arrays, *inputs, tolerance=1e-5):
    """Compare with a block of full size that holds the masked values."""
    full = make()
    full.initialize()
    full(*inputs)
    expected, got = by_hand.output_with(full, arrays, *inputs), model(*inputs).asnumpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def sequence(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    return net


@pytest.mark.parametrize("hybrid", [None, {}, {"static_alloc": True, "static_shape": True}])
def test_convolutions_are_cut_in_place(by_hand, net, images, kept, another, hybrid):
    if hybrid is not None:
        net.hybridize(**hybrid)
    net(images)
    masked, held = by_hand.masked(net, kept), by_hand.parameters(net)
    proof = by_hand.cut(net, kept, images)
    assert proof.error <= 1e-12 and proof.tolerance == 1e-9 and proof.dtype == "float64"
    assert proof.outputs == 4 * 5 * 2  # what the last layer gives, and what is returned
    assert by_hand.parameters(net).keys() == held.keys()
    assert all(each is held[name] for name, each in by_hand.parameters(net).items())
    assert held["0.weight"].shape == (5, 3, 3, 3) and held["3.weight"].data().shape == (7, 5, 3, 3)
    assert held["4.running_var"].shape == (7,) and held["8.weight"].grad().shape == (5, 7)
    assert (net[0]._channels, net[0]._kwargs["num_filter"], net[8]._units) == (5, 5, 5)
    assert "Conv2D(5 -> 7," in repr(net) and "in_channels=7" in repr(net) and "Dense(7 -> 5" in repr(net)
    assert net._active is (hybrid is not None) and net[0]._active is (hybrid is not None)
    if hybrid:
        assert ("static_alloc", True) in net._flags and ("static_alloc", True) in net[0]._flags
    full = another(images)
    expected = by_hand.output_with(full, masked, images)
    for _ in range(2):
        np.testing.assert_allclose(net(images).asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert (net._cached_op is not None) is (hybrid is not None)


def test_running_the_proof_leaves_no_trace(by_hand, net, images, kept):
    before, given = by_hand.values(net), images.asnumpy()
    by_hand.cut(net, kept, images)
    assert np.array_equal(images.asnumpy(), given)
    after = by_hand.values(net)
    assert np.array_equal(after["1.running_mean"], before["1.running_mean"][kept[12]])
    assert np.array_equal(after["3.weight"], before["3.weight"][kept[20]][:, kept[12]])
    assert not any("forward" in vars(block) for block in (net, *net))
    assert not autograd.is_recording() and not autograd.is_training()


def test_a_variance_without_epsilon_divides_by_no_zero(by_hand, net, images, kept):
    net[1]._kwargs["eps"] = net[4]._kwargs["eps"] = 0.0
    assert by_hand.cut(net, kept, images, modes=("eval",)).error < 1e-12


@pytest.mark.parametrize("requested", ["write", "add", "null"])
def test_gradients_are_cut_alike_and_go_on(by_hand, net, images, kept, requested):
    weight = net[3].weight
    weight.grad_req = requested
    for _ in range(2):
        with autograd.record():
            loss = net(images).sum()
        loss.backward()
    expected = None if requested == "null" else weight.grad().asnumpy()[kept[20]][:, kept[12]]
    by_hand.cut(net, kept, images)
    assert weight.grad_req == requested and weight.data()._fresh_grad == (requested != "null")
    if expected is None:
        assert weight._grad is None
        return
    assert np.array_equal(weight.grad().asnumpy(), expected) and np.abs(expected).max() > 0
    net.collect_params().zero_grad()
    for _ in range(2):
        with autograd.record():
            loss = net(images).sum()
        loss.backward()
        if _ == 0:
            once = weight.grad().asnumpy()
    assert np.abs(once).max() > 0
    np.testing.assert_allclose(weight.grad().asnumpy(), once * (2 if requested == "add" else 1), rtol=1e-4)


def test_training_goes_on_while_an_old_graph_lives(by_hand, net, images, kept):
    with autograd.record():
        loss = net(images).sum()
    by_hand.cut(net, kept, images)
    loss.backward()
    assert net[8].weight.grad().shape == (5, 7)
    with autograd.record():
        other = net(images).sum()
    other.backward()
    assert np.abs(net[8].weight.grad().asnumpy()).max() > 0


def test_a_removal_while_recording_is_not_recorded(by_hand, net, images, kept):
    with autograd.record():
        by_hand.cut(net, kept, images)
        loss = net(images).sum()
        assert autograd.is_recording() and autograd.is_training()
    loss.backward()
    assert net[3].weight.grad().shape == (7, 5, 3, 3)


def test_every_context_is_cut(by_hand, kept, another, images):
    contexts = [mxnet.cpu(0), mxnet.cpu(1)]
    net = another(images, contexts=contexts)
    before = [array.asnumpy() for array in net[3].weight.list_data()]
    by_hand.cut(net, kept, images)
    for array, full, context in zip(net[3].weight.list_data(), before, contexts, strict=True):
        assert array.context == context and np.array_equal(array.asnumpy(), full[kept[20]][:, kept[12]])
    outputs = [net(images.as_in_context(context)).asnumpy() for context in contexts]
    assert np.array_equal(*outputs)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_are_proved_in_double(by_hand, net, images, kept, dtype):
    """Half precision does not run on a CPU: what was recorded in single precision stands for it."""
    recording = trace(net, images, modes=("eval",))
    net.cast(dtype)
    expected = net[3].weight.data().asnumpy()[kept[20]][:, kept[12]]
    proof = by_hand.cut(net, kept, images.astype(dtype), recording=recording)
    assert proof.dtype == "float64" and proof.error < 1e-12 and proof.tolerance == 1e-9
    found = net[3].weight.data().asnumpy()
    assert found.dtype == dtype and np.array_equal(found, expected)
    assert net[1].gamma.data().dtype == (np.float32 if dtype == "float16" else np.float64)


def test_a_model_that_rounds_on_the_way_is_allowed_what_it_rounds(by_hand):
    class Rounding(HybridBlock):
        """Adds up in single precision, whatever it is given."""

        def __init__(self, **options):
            super().__init__(**options)
            self.first, self.last = nn.Dense(300, in_units=6), nn.Dense(4, in_units=300)

        def hybrid_forward(self, F, x):
            weight = self.last.weight.data()
            hidden = F.cast(self.first(x), "float32")
            return F.FullyConnected(hidden, F.cast(weight, "float32"), num_hidden=4, no_bias=True)

    model = by_hand.shaken(Rounding())
    x = nd.random.normal(shape=(8, 6))
    proof = by_hand.cut(model, {300: range(0, 300, 2)}, x)
    assert proof.dtype == "float32" and proof.tolerance == 1e-4 and 1e-9 < proof.error < 1e-5


def test_a_model_without_double_precision_is_proved_in_its_own(by_hand):
    def make():
        return sequence(nn.Conv2D(12, 3), nn.InstanceNorm(), nn.Conv2D(4, 1))

    x = nd.random.normal(shape=(2, 3, 8, 8))
    model = by_hand.shaken(make(), x)
    masked = by_hand.masked(model, LENGTHS)
    proof = by_hand.cut(model, LENGTHS, x)
    assert proof.dtype == "float32" and proof.tolerance == 1e-4 and proof.normalised == ()
    assert "in_channels=7" in repr(model)
    same(by_hand, model, make, masked, x, tolerance=1e-4)


def test_the_tolerance_can_be_chosen(by_hand, net, images, kept):
    assert by_hand.cut(net, kept, images, tolerance=0.5).tolerance == 0.5


def grouped(groups, width, kind=nn.Conv2D):
    return lambda: sequence(
        nn.Conv2D(12, 1, in_channels=3), kind(width, 3, groups=groups, in_channels=12), nn.Conv2D(4, 1)
    )


def test_whole_groups_leave(by_hand):
    keep = {12: [0, 1, 2, 9, 10, 11], 20: [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]}
    x = nd.random.normal(shape=(2, 3, 6, 6))
    make = grouped(4, 20)
    model = by_hand.shaken(make(), x)
    masked = by_hand.masked(model, keep)
    by_hand.cut(model, keep, x)
    layer = model[1]
    assert (layer._kwargs["num_group"], layer._in_channels, layer._channels) == (2, 6, 10)
    assert "groups=2" in repr(layer)
    same(by_hand, model, make, masked, x)


def test_every_group_gets_narrower(by_hand):
    into, out = np.array([0, 2, 3, 5, 6, 8, 9, 11]), np.array([g * 5 + i for g in range(4) for i in (1, 3)])
    plan = RemovalPlan(
        {
            "0.weight": {0: into},
            "0.bias": {0: into},
            "1.weight": {0: out, 1: np.array([0, 2])},
            "1.bias": {0: out},
            "2.weight": {1: out},
        }
    )
    x = nd.random.normal(shape=(2, 3, 6, 6))
    model = by_hand.shaken(grouped(4, 20)(), x)
    by_hand.cut(model, {12: into, 20: out}, x, plan=plan)
    layer = model[1]
    assert (layer._kwargs["num_group"], layer._in_channels, layer._channels) == (4, 8, 8)


def test_depthwise_convolutions_follow_their_input(by_hand):
    x = nd.random.normal(shape=(2, 3, 6, 6))
    model = by_hand.shaken(grouped(12, 12)(), x)
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, x)
    layer = model[1]
    assert (layer._kwargs["num_group"], layer._in_channels, layer._channels) == (7, 7, 7)
    same(by_hand, model, grouped(12, 12), masked, x)


def test_groups_of_unequal_size_are_refused(by_hand):
    x = nd.random.normal(shape=(2, 3, 6, 6))
    model = by_hand.shaken(grouped(4, 20)(), x)
    before = by_hand.everything(model)
    with pytest.raises(RemovalError, match=r"'1' with groups of unequal size \(4, 5, 5, 5 channels\)"):
        by_hand.cut(model, {20: range(1, 20)}, x)
    assert by_hand.everything(model) == before


@pytest.mark.parametrize("groups", [1, 4])
def test_transposed_convolutions(by_hand, groups):
    make = grouped(groups, 20, nn.Conv2DTranspose)
    if groups == 1:
        keep = {12: [0, 1, 4], 20: [3, 5, 6]}
    else:
        keep = {12: [0, 1, 2, 9, 10, 11], 20: [0, 1, 2, 3, 4, 15, 16, 17, 18, 19]}
    x = nd.random.normal(shape=(2, 3, 6, 6))
    model = by_hand.shaken(make(), x)
    masked = by_hand.masked(model, keep)
    by_hand.cut(model, keep, x)
    layer = model[1]
    assert (layer._in_channels, layer._channels) == (len(keep[12]), len(keep[20]))
    assert layer._kwargs["num_group"] == (1 if groups == 1 else 2)
    same(by_hand, model, make, masked, x)


class Features(HybridBlock):
    """A dense layer, a norm of its features, and a dense layer."""

    def __init__(self, norm, **options):
        super().__init__(**options)
        self.first, self.norm, self.last = nn.Dense(12, in_units=6), norm, nn.Dense(4, in_units=12)

    def hybrid_forward(self, F, x):
        return self.last(F.relu(self.norm(self.first(x))))


def by_formula(x, gamma, beta, groups, eps=1e-5):
    flat = x.reshape(x.shape[0], groups, -1)
    scaled = (flat - flat.mean(-1, keepdims=True)) / np.sqrt(flat.var(-1, keepdims=True) + eps)
    return (scaled * gamma + beta).reshape(x.shape)


def test_layer_norm_runs_over_what_is_kept(by_hand):
    model, x = by_hand.shaken(Features(nn.LayerNorm(in_channels=12))), nd.random.normal(shape=(5, 6))
    held, keep = by_hand.values(model), LENGTHS[12]
    proof = by_hand.cut(model, LENGTHS, x)
    assert proof.normalised == ("norm",) and proof.error < 1e-12
    assert "in_channels=7" in repr(model.norm)
    hidden = x.asnumpy() @ held["first.weight"][keep].T + held["first.bias"][keep]
    normal = by_formula(hidden, held["norm.gamma"][keep], held["norm.beta"][keep], 1)
    expected = np.maximum(normal, 0) @ held["last.weight"][:, keep].T + held["last.bias"]
    np.testing.assert_allclose(model(x).asnumpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("groups", "keep", "left"),
    [
        (1, LENGTHS[12], 1),
        (4, [0, 2, 3, 5, 6, 8, 9, 11], 4),
        (4, [0, 1, 2, 9, 10, 11], 2),
    ],
    ids=["one group", "narrower groups", "fewer groups"],
)
def test_group_norm_runs_over_what_is_kept(by_hand, groups, keep, left):
    model = sequence(nn.Conv2D(12, 1, in_channels=3), nn.GroupNorm(groups), nn.Conv2D(5, 1, in_channels=12))
    x = nd.random.normal(shape=(2, 3, 6, 6))
    by_hand.shaken(model, x)
    held, keep = by_hand.values(model), np.array(keep)
    plan = by_hand.plan(model, {12: keep})
    stays = np.unique(keep // (12 // groups))
    change = {"1.gamma": {0: stays}, "1.beta": {0: stays}} if left < groups else {}
    proof = by_hand.cut(model, {12: keep}, x, plan=plan, change=change)
    assert proof.normalised == ("1",) and proof.error < 1e-9
    assert model[1]._num_groups == left and f"num_groups={left}" in repr(model[1])
    hidden = np.einsum("oi,bihw->bohw", held["0.weight"][keep][:, :, 0, 0], x.asnumpy())
    hidden = hidden + held["0.bias"][keep][:, None, None]
    normal = by_formula(hidden, held["1.gamma"][stays][:, None], held["1.beta"][stays][:, None], left)
    expected = np.einsum("oi,bihw->bohw", held["2.weight"][:, keep][:, :, 0, 0], normal)
    expected = expected + held["2.bias"][:, None, None]
    np.testing.assert_allclose(model(x).asnumpy(), expected, rtol=1e-3, atol=1e-3)


def test_a_wrong_norm_is_found_though_it_runs(by_hand):
    """The scale of another feature stays: only the reference over what is kept can tell."""
    model, x = by_hand.shaken(Features(nn.LayerNorm(in_channels=12))), nd.random.normal(shape=(5, 6))
    before = by_hand.everything(model)
    wrong = {"norm.gamma": {0: np.array([0, 1, 4, 5, 8, 9, 10])}}
    with pytest.raises(ProofError, match="module 'norm' is the first to differ"):
        by_hand.cut(model, LENGTHS, x, change=wrong)
    assert by_hand.everything(model) == before


class Many(HybridBlock):
    """Layers of other kinds."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table, self.act = nn.Embedding(9, 12), nn.PReLU(in_channels=12)
        self.mid, self.out = nn.Dense(20, flatten=False), nn.Dense(4, flatten=False)

    def hybrid_forward(self, F, index):
        return self.out(self.mid(self.act(self.table(index))))


def test_other_layers_mirror_their_sizes(by_hand):
    index, keep = nd.arange(9), {**LENGTHS, 20: [1, 2, 3]}
    model = by_hand.shaken(Many(), index)
    masked = by_hand.masked(model, keep)
    by_hand.cut(model, keep, index)
    assert model.table._kwargs["output_dim"] == 7 and "Embedding(9 -> 7" in repr(model)
    assert model.act.alpha.shape == (7,) and model.mid._units == 3
    assert "Dense(7 -> 3" in repr(model) and "Dense(3 -> 4" in repr(model)
    same(by_hand, model, Many, masked, index)


class Recurrent(HybridBlock):
    """An LSTM that is kept whole, fed by a layer that is not."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first = nn.Dense(12, flatten=False, in_units=6)
        self.lstm, self.last = (
            rnn.LSTM(5, input_size=12, layout="NTC", dropout=0.3, num_layers=2),
            nn.Dense(4),
        )

    def hybrid_forward(self, F, x):
        return self.last(self.lstm(self.first(x)))


def test_a_recurrent_layer_reads_fewer_features(by_hand):
    x = nd.random.normal(shape=(2, 7, 6))
    model = by_hand.shaken(Recurrent(), x)
    masked = by_hand.masked(model, LENGTHS)
    proof = by_hand.cut(model, LENGTHS, x)
    assert proof.error < 1e-6 and model.lstm._input_size == 7 and "LSTM(7 -> 5" in repr(model)
    assert model.lstm._dropout == 0.3
    same(by_hand, model, Recurrent, masked, x)


class Tied(HybridBlock):
    """One parameter in two layers."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table, self.mid = nn.Embedding(9, 12), nn.Dense(12, flatten=False)
        self.head = nn.Dense(9, flatten=False, in_units=12, use_bias=False, params=self.table.params)

    def hybrid_forward(self, F, index):
        return self.head(F.relu(self.mid(self.table(index))))


def test_tied_weights_stay_tied(by_hand):
    index = nd.arange(9)
    model = by_hand.shaken(Tied(), index)
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, index)
    assert model.head.weight is model.table.weight and model.head.weight.shape == (9, 7)
    assert (model.head._in_units, model.table._kwargs["output_dim"], model.mid._units) == (7, 7, 7)
    same(by_hand, model, Tied, masked, index)


def test_shared_blocks_are_cut_once(by_hand):
    def make():
        middle = nn.Dense(12, in_units=12)
        return sequence(nn.Dense(12), middle, nn.Activation("relu"), middle, nn.Dense(3))

    x = nd.random.normal(shape=(4, 6))
    model = by_hand.shaken(make(), x)
    masked = by_hand.masked(model, LENGTHS)
    by_hand.cut(model, LENGTHS, x)
    assert model[1] is model[3] and model[1].weight.shape == (7, 7) and model[1]._in_units == 7
    same(by_hand, model, make, masked, x)


class Headed(Block):
    """Attributes of every form that say how a size is parted, read by ordinary Python."""

    def __init__(self, **options):
        super().__init__(**options)
        self.width, self.shape, self.parts = 12, (3, 4), [3, 4]
        self.first, self.last = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)

    def forward(self, x):
        hidden = self.first(x).reshape((-1, *self.shape)).reshape((-1, *self.parts))
        if x.shape[0] > 1:
            hidden = nd.relu(hidden)
        return self.last(hidden.reshape((-1, self.width)))


def test_attributes_are_rewritten_in_their_own_form(by_hand):
    keep, x = {12: [0, 2, 4, 6, 8, 10]}, nd.random.normal(shape=(5, 6))
    model = by_hand.shaken(Headed())
    masked = by_hand.masked(model, keep)
    attributes = {Attribute("", "width"): 6, Attribute("", "shape", 1): 2, Attribute("", "parts", 1): 2}
    by_hand.cut(model, keep, x, attributes=attributes)
    assert (model.width, model.shape, model.parts) == (6, (3, 2), [3, 2])
    same(by_hand, model, Headed, masked, x)


def test_factors_multiply_what_is_kept(by_hand):
    class Product(Block):
        def __init__(self, **options):
            super().__init__(**options)
            self.query, self.last = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)

        def forward(self, x):
            return self.last(self.query(x) * self.query.weight.shape[0] ** -0.5)

    model, keep = by_hand.shaken(Product()), {12: [1, 5, 7]}
    before = by_hand.values(model)["query.weight"]
    factor = np.full(3, (3 / 12) ** 0.5)
    factors = {"query.weight": {0: factor}, "query.bias": {0: factor}}
    proof = by_hand.cut(model, keep, nd.random.normal(shape=(5, 6)), factors=factors)
    assert proof.error < 1e-12
    np.testing.assert_allclose(by_hand.values(model)["query.weight"], before[keep[12]] * 0.5, rtol=1e-6)


def test_constants_are_cut(by_hand):
    class Offset(HybridBlock):
        def __init__(self, **options):
            super().__init__(**options)
            self.first, self.last = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)
            self.offset = self.params.get_constant("offset", nd.arange(12))

        def hybrid_forward(self, F, x, offset):
            return self.last(F.broadcast_add(self.first(x), offset.expand_dims(0)))

    model = by_hand.shaken(Offset())
    by_hand.cut(model, LENGTHS, nd.random.normal(shape=(5, 6)))
    assert isinstance(model.offset, Constant) and model.offset.shape == model.offset.value.shape == (7,)


def test_numpy_arrays_stay_so(by_hand):
    with mxnet.util.np_shape(True), mxnet.util.np_array(True):
        x = mxnet.np.random.normal(size=(4, 3, 8, 8))
        model = sequence(nn.Conv2D(12, 3), nn.BatchNorm(), nn.Activation("relu"), nn.Dense(4))
        by_hand.shaken(model, x)
        model.hybridize()
        keep = {12: [0, 1, 5], 432: np.concatenate([np.arange(36) + 36 * c for c in (0, 1, 5)])}
        with autograd.record():
            model(x).sum().backward()
        proof = by_hand.cut(model, keep, x)
        assert proof.error < 1e-12 and isinstance(model[0].weight.data(), mxnet.np.ndarray)
        assert isinstance(model[0].weight.grad(), mxnet.np.ndarray)
        assert model(x).shape == (4, 4) and model[3].weight.shape == (4, 108)
        with autograd.record():
            model(x).sum().backward()


def test_inputs_of_every_form(by_hand):
    class Keywords(Block):
        def __init__(self, **options):
            super().__init__(**options)
            self.first, self.last = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)

        def forward(self, pair, scale):
            return [self.last(nd.relu(self.first(pair[0]))), (pair[1] * scale,)]

    model, pair = by_hand.shaken(Keywords()), [nd.ones((2, 6)), nd.ones((2, 3))]
    proof = by_hand.cut(model, LENGTHS, (pair, 3), modes=("eval",))
    assert proof.outputs == 8 * 2 + 6 and np.array_equal(pair[1].asnumpy(), np.ones((2, 3)))


class Auxiliary(Block):
    """Has a second head that is only read in training, behind a dropout."""

    def __init__(self, factor=1, **options):
        super().__init__(**options)
        self.first, self.last, self.factor = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12), factor
        self.aside = sequence(nn.Dense(20, in_units=12), nn.Dropout(0.7), nn.Dense(4, in_units=20))

    def forward(self, x):
        hidden = nd.relu(self.first(x))
        if not autograd.is_training():
            return self.last(hidden)
        return self.last(hidden), self.aside(hidden) * float(self.aside[0]._units) ** self.factor


def test_what_only_runs_in_training_is_proved_there(by_hand):
    keep, x = {**LENGTHS, 20: [0, 4, 5, 19]}, nd.random.normal(shape=(8, 6))
    model = by_hand.shaken(Auxiliary(0))
    proof = by_hand.cut(model, keep, x)
    assert proof.outputs == 8 * 4 * 2 + 8 * 4 * 4 and proof.error < 1e-12
    assert model.aside[1]._rate == 0.7
    assert by_hand.cut(by_hand.shaken(Auxiliary(1)), keep, x, modes=("eval",)).outputs == 8 * 4 * 2
    model = by_hand.shaken(Auxiliary(1))
    with pytest.raises(ProofError, match="only what is returned differs"):
        by_hand.cut(model, keep, x)
    assert model.aside[0]._units == 20 and model.aside[1]._rate == 0.7


def test_what_is_random_in_training_is_only_run_there(by_hand):
    class Noisy(Auxiliary):
        def forward(self, x):
            return super().forward(x + nd.random.normal(shape=x.shape) * self.first._units)

    class Dropping(Auxiliary):
        def forward(self, x):
            hidden = super().forward(x)
            return (
                (hidden[0], nd.Dropout(hidden[1], 0.5) * self.first._units)
                if autograd.is_training()
                else hidden
            )

    keep, x = {**LENGTHS, 20: [0, 4, 5, 19]}, nd.random.normal(shape=(8, 6))
    assert by_hand.cut(by_hand.shaken(Dropping(1)), keep, x).outputs == 8 * 4 * 2
    with pytest.raises(ProofError, match="draws random numbers in evaluation"):
        by_hand.cut(by_hand.shaken(Noisy(1)), keep, x)


def test_random_numbers_are_the_same_in_each_run(by_hand):
    class Noisy(Block):
        def __init__(self, **options):
            super().__init__(**options)
            self.first, self.last = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)

        def forward(self, x):
            return self.last(self.first(x + nd.random.normal_like(x)))

    found = []
    for _ in range(2):
        model, x = by_hand.shaken(Noisy()), nd.ones((3, 6))
        assert by_hand.cut(model, LENGTHS, x).error < 1e-12
        found.append(nd.random.normal(shape=(3,)).asnumpy())
    assert np.array_equal(*found)


def test_norms_that_are_forgotten_are_refused(by_hand, net, images):
    """MXNet's batch norm reads the first of too many parameters without a word."""
    keep = {12: range(5), 20: range(7)}
    plan = by_hand.plan(net, keep)
    wrong = RemovalPlan({name: axes for name, axes in plan.kept.items() if name != "4.gamma"})
    before = by_hand.everything(net)
    with pytest.raises(ProofError, match=r"has '4.gamma' of shape \(20,\), where .* has 7 features"):
        by_hand.cut(net, keep, images, plan=wrong)
    assert by_hand.everything(net) == before


def test_boxes_chosen_on_the_way_do_not_hide_the_heads(by_hand):
    class Detector(Block):
        """Returns where the largest of its scores is: the same for many numbers."""

        def __init__(self, **options):
            super().__init__(**options)
            self.body, self.score = nn.Dense(12, in_units=6), nn.Dense(4, in_units=12)

        def forward(self, x):
            return self.score(nd.relu(self.body(x))).argmax(axis=1)

    model, x = by_hand.shaken(Detector()), nd.random.normal(shape=(8, 6))
    assert by_hand.cut(model, LENGTHS, x).outputs == 8 * 4 + 8
    model = by_hand.shaken(Detector())
    with pytest.raises(ProofError, match="'score' is the first to differ"):
        by_hand.cut(model, LENGTHS, x, change={"score.weight": {1: np.array([0, 1, 4, 5, 8, 9, 10])}})


def test_rounding_is_not_blown_up_by_what_follows_the_heads(by_hand):
    class Chaotic(Block):
        """Gives something else for every last bit of its score."""

        def __init__(self, **options):
            super().__init__(**options)
            self.body, self.score = nn.Dense(12, in_units=6), nn.Dense(5, in_units=12)

        def forward(self, x):
            return nd.sin(self.score(nd.relu(self.body(x))) * 1e20)

    proof = by_hand.cut(by_hand.shaken(Chaotic()), LENGTHS, nd.random.normal(shape=(40, 6)))
    assert proof.outputs == 40 * 5 * 2 and proof.error < 1e-12
