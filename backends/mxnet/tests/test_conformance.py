"""What every backend promises, kept by ``mxnet`` for every kind of layer."""

from __future__ import annotations

import mxnet
from mxnet.gluon import Block, nn, rnn
from pruners_conformance import backend_checks
from pruners_mxnet._arrays import BFLOAT16
from pruners_mxnet._layers import named


def initialised(model: Block, seed: int = 0) -> Block:
    mxnet.random.seed(seed)
    model.initialize(mxnet.init.Normal(0.5))
    return model


def sequential(*blocks: Block) -> nn.HybridSequential:
    model = nn.HybridSequential()
    model.add(*blocks)
    return model


def convolutions():
    return initialised(
        sequential(
            nn.Conv2D(4, 3, in_channels=2, activation="relu"), nn.BatchNorm(in_channels=4),
            nn.Conv2D(4, 3, groups=2, in_channels=4), nn.Flatten(), nn.Dense(3, in_units=16),
        )
    )  # fmt: skip


def hybridized():
    model = convolutions()
    model.hybridize()
    model(mxnet.nd.ones((1, 2, 6, 6))).wait_to_read()
    return model


def transposed():
    return initialised(
        sequential(
            nn.Conv1DTranspose(4, 3, in_channels=3),
            nn.Conv2DTranspose(6, 2, groups=2, in_channels=4, use_bias=False),
            nn.Conv3D(3, 2, in_channels=2),
            nn.Conv2D(4, 3, layout="NHWC", in_channels=2),
            nn.Conv2DTranspose(6, 3, layout="NHWC", groups=2, in_channels=4),
        )
    )


def recurrent():
    return initialised(
        sequential(
            nn.Embedding(10, 6), rnn.LSTM(5, bidirectional=True, input_size=6), rnn.LSTMCell(3, input_size=4)
        )
    )


def shared():
    embedding = nn.Embedding(10, 6)
    return initialised(
        sequential(embedding, nn.Dense(10, in_units=6, use_bias=False, params=embedding.params))
    )


def partly_frozen(dtype):
    model = initialised(sequential(nn.Dense(3, in_units=4), nn.Dense(2, in_units=3)))
    model.cast(dtype)
    model[0].collect_params().setattr("grad_req", "null")
    return model


def partly_frozen_half():
    return partly_frozen("float16")


def partly_frozen_brain():
    return partly_frozen(BFLOAT16)


def several_contexts():
    model = nn.Dense(3, in_units=4)
    model.initialize(ctx=[mxnet.cpu(0), mxnet.cpu(1)])
    return model


def parameters(model):
    return {name: parameter.list_data()[0] for name, (_, _, parameter) in named(model).items()}


@backend_checks(
    "mxnet",
    parameters=parameters,
    models=[
        convolutions,
        hybridized,
        transposed,
        recurrent,
        shared,
        partly_frozen_half,
        partly_frozen_brain,
        several_contexts,
    ],
)
def test_mxnet(check):
    check()
