"""The event handler beside Gluon's real Estimator: sessions run, end, and resume bit for bit."""

from __future__ import annotations

import logging

import mxnet
import numpy as np
import pytest
from mxnet import gluon
from mxnet.gluon import nn
from mxnet.gluon.contrib.estimator import Estimator
from pruners_mxnet.estimator import PruningHandler

import pruners

RULE = pruners.Rule("*", sparsity=0.8, schedule=pruners.schedule("agp", start=0, stop=12, every=2))
STEPS = [0, 2, 4, 6, 8, 10, 12]
pytestmark = pytest.mark.filterwarnings("ignore")  # what the Estimator warns of is not our subject


def network(deferred: bool = False) -> nn.HybridSequential:
    net = nn.HybridSequential()
    net.add(nn.Dense(32, activation="relu", in_units=0 if deferred else 16), nn.Dense(4, in_units=32))
    net.initialize()
    if not deferred:
        draw = np.random.default_rng(3)
        for parameter in net.collect_params().values():
            parameter.set_data(mxnet.nd.array(draw.normal(size=parameter.shape, scale=0.3)))
    return net


def examples() -> gluon.data.DataLoader:
    draw = np.random.default_rng(1)
    images = draw.normal(size=(64, 16)).astype(np.float32)
    return gluon.data.DataLoader(gluon.data.ArrayDataset(images, np.arange(64) % 4), batch_size=16)


def fit(net, epochs, handler):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    estimator = Estimator(net, loss, train_metrics=mxnet.metric.Accuracy(), trainer=trainer)
    estimator.logger.setLevel(logging.ERROR)
    estimator.fit(examples(), epochs=epochs, event_handlers=[handler])
    return net


def zeros(net) -> list[int]:
    return [int((each.data() == 0).sum().asscalar()) for each in net.collect_params(".*weight").values()]


def values(net) -> list[np.ndarray]:
    return [each.data().asnumpy() for each in net.collect_params().values()]


def test_it_prunes_and_lets_go():
    handler = PruningHandler(RULE)
    net = fit(network(), 4, handler)
    assert [update.step for update in handler.pruning.log] == STEPS
    assert zeros(net) == [409, 102]  # 0.8 of 512 and of 128, rounded down
    with pytest.raises(pruners.StateError, match="finished"):
        handler.pruning.step()


def test_it_resumes_in_the_middle_of_a_schedule(tmp_path):
    whole = fit(network(), 4, PruningHandler(RULE))
    half = PruningHandler(RULE)
    fit(network(), 2, half).save_parameters(str(tmp_path / "half.params"))
    net = network()
    net.load_parameters(str(tmp_path / "half.params"))
    again = PruningHandler(RULE, state=half.state_dict())
    fit(net, 2, again)
    assert [update.step for update in again.pruning.log] == STEPS
    for one, other in zip(values(whole), values(net), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_counts_epochs():
    rule = pruners.Rule("*", sparsity=0.5, schedule=pruners.schedule("linear", stop=2))
    handler = PruningHandler(rule, per="epoch")
    net = fit(network(), 3, handler)
    assert [update.step for update in handler.pruning.log] == [0, 1, 2]
    assert zeros(net) == [256, 64]


def test_shapes_that_come_with_data_need_example_inputs():
    with pytest.raises(pruners.OptionError, match="no shape yet"):
        fit(network(deferred=True), 1, PruningHandler(RULE))
    handler = PruningHandler(RULE, example_inputs=mxnet.nd.ones((1, 16)))
    fit(network(deferred=True), 3, handler)
    assert handler.pruning.time == 12


def test_per_is_step_or_epoch():
    with pytest.raises(pruners.OptionError, match="per must be 'step' or 'epoch', got 'batch'"):
        PruningHandler(RULE, per="batch")
