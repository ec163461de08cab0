"""What cannot be pruned says so in one message; blocks without shapes are completed by example inputs."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import gluon
from mxnet.gluon import nn

import pruners
from pruners.registry import backend_for


def deferred(**options) -> nn.HybridSequential:
    mxnet.random.seed(0)
    net = nn.HybridSequential(**options)
    net.add(nn.Conv2D(4, 3, activation="relu"), nn.BatchNorm(), nn.Flatten(), nn.Dense(3))
    net.initialize(mxnet.init.Xavier())
    return net


X = np.random.default_rng(0).normal(size=(2, 1, 6, 6)).astype(np.float32)


def inputs():
    return mxnet.nd.array(X)


RULE = pruners.Rule(sparsity=0.5)


def state(net) -> dict:
    return {
        name: (each.shape, each._data, each._deferred_init) for name, each in net.collect_params().items()
    }


def test_a_symbol_says_how_to_make_it_a_block():
    symbol = mxnet.sym.FullyConnected(mxnet.sym.var("data"), num_hidden=2)
    with pytest.raises(pruners.OptionError, match=r"got a Symbol.*SymbolBlock\.imports"):
        pruners.prune(symbol, sparsity=0.5)


def test_a_module_says_how_to_make_it_a_block():
    symbol = mxnet.sym.SoftmaxOutput(
        mxnet.sym.FullyConnected(mxnet.sym.var("data"), num_hidden=2), name="softmax"
    )
    with pytest.raises(pruners.OptionError, match=r"got a Module.*save_checkpoint.*SymbolBlock\.imports"):
        pruners.prune(mxnet.mod.Module(symbol), sparsity=0.5)


@pytest.mark.filterwarnings("ignore:Cannot decide type")
def test_a_symbol_block_is_pruned_by_full_names(tmp_path):
    net = deferred()
    net.hybridize()
    net(inputs())
    net.export(str(tmp_path / "net"))
    block = gluon.SymbolBlock.imports(
        str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    )
    name = next(name for name in backend_for(block).open(block).layers if "conv" in name)
    before = block(inputs()).asnumpy()
    pruners.prune(block, sparsity={name: 0.5})
    assert int((block.collect_params()[name].data() == 0).sum().asscalar()) == 18
    assert not np.array_equal(block(inputs()).asnumpy(), before)


def test_a_block_without_values_says_to_initialise_it():
    net = nn.Dense(2, in_units=3)
    for options in ({}, {"example_inputs": mxnet.nd.ones((1, 3))}):
        with pytest.raises(
            pruners.OptionError, match=r"'weight' is not initialised: call model\.initialize\(\)"
        ):
            pruners.prune(net, sparsity=0.5, **options)


def test_a_block_that_has_not_run_says_to_run_it():
    net = deferred()
    before = state(net)
    with pytest.raises(pruners.OptionError, match=r"'0\.weight' has no shape yet.*example_inputs="):
        pruners.attach(net, RULE)
    assert state(net) == before


@pytest.mark.parametrize("hybridized", [True, False])
@pytest.mark.parametrize(
    "ask",
    [
        lambda net, x: pruners.scores(net, example_inputs=x),
        lambda net, x: pruners.masks(net, sparsity=0.5, example_inputs=x),
        lambda net, x: pruners.prune(net, sparsity=0.5, example_inputs=x),
        lambda net, x: pruners.attach(net, RULE, example_inputs=x),
        lambda net, x: pruners.remove(net, sparsity=0.5, example_inputs=x, measure=0),
    ],
    ids=["scores", "masks", "prune", "attach", "remove"],
)
def test_example_inputs_complete_a_block_that_has_not_run(ask, hybridized):
    net = deferred()
    if hybridized:
        net.hybridize()
    ask(net, inputs())
    assert net[0].weight.shape[1:] == (1, 3, 3) and net[3].weight.shape[0] == 3
    assert not net[1].running_mean.data().asnumpy().any(), "it was run in training mode"
    assert net(inputs()).shape == (2, 3)


def test_a_block_on_several_devices_is_completed_on_all():
    net = nn.Dense(2)
    net.initialize(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    pruners.prune(net, sparsity=0.5, example_inputs=mxnet.nd.ones((1, 4)))
    assert [int((each == 0).sum().asscalar()) for each in net.weight.list_data()] == [4, 4]


def test_a_block_of_numpy_arrays_is_completed(numpy_semantics):
    net = deferred()
    pruners.prune(net, sparsity=0.5, example_inputs=mxnet.np.array(X))
    assert int((net[0].weight.data() == 0).sum()) == 18


def test_example_inputs_that_do_not_fit_leave_the_block_as_it_was():
    net = nn.HybridSequential()
    net.add(nn.Dense(4, flatten=False), nn.Dense(2, in_units=9))
    net.initialize()
    before = state(net)
    with pytest.raises(
        pruners.TraceError, match=r"'0\.weight' has no shape before.*not run on example_inputs"
    ):
        pruners.prune(net, sparsity=0.5, example_inputs=mxnet.nd.ones((1, 4)))
    after = state(net)
    assert all(before[name][0] == after[name][0] for name in before)
    assert net[0].weight._data is None and net[0].weight._deferred_init
    with pytest.raises(pruners.OptionError, match="has no shape yet"):
        pruners.prune(net, sparsity=0.5)


class Partly(nn.HybridBlock):
    """A block with a part that its forward pass never calls."""

    def __init__(self, **options):
        super().__init__(**options)
        self.body, self.spare, self.head = nn.Dense(4), nn.Dense(5), nn.Dense(3)

    def hybrid_forward(self, F, x):
        return self.head(self.body(x))


@pytest.mark.parametrize("ran", [True, False])
def test_a_part_that_is_never_called_is_left_out_where_inputs_show_it(ran):
    net = Partly()
    net.initialize(mxnet.init.Uniform(1))
    x = mxnet.nd.ones((2, 6))
    if ran:
        net(x)
    with pytest.raises(pruners.OptionError, match=r"a layer that the model does not use is left out"):
        pruners.attach(net, RULE)
    pruning = pruners.attach(net, RULE, example_inputs=x)
    assert set(pruning.masks) == {"body.weight", "head.weight"}
    pruning.step()
    pruning.finish()
    assert net.spare.weight._deferred_init


def test_a_fresh_head_on_a_trained_body_is_not_taken_for_unused():
    net = deferred()
    net(inputs())
    fresh = nn.HybridSequential()
    fresh.add(net, nn.Dense(7))
    fresh[1].initialize()
    with pytest.raises(pruners.OptionError, match=r"'1\.weight' has no shape yet"):
        pruners.prune(fresh, sparsity=0.5)
    assert "1.weight" in pruners.masks(fresh, sparsity=0.5, example_inputs=inputs())
