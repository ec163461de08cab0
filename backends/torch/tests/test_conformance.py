"""What every backend promises, kept by ``torch`` for every kind of layer."""

import torch
from pruners_conformance import backend_checks
from torch import nn


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(),
        nn.Linear(16, 3),
    )  # fmt: skip


def transposed():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.ConvTranspose1d(3, 4, 3), nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False), nn.Conv3d(2, 3, 2)
    )


def attention():
    torch.manual_seed(2)
    return nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16)


def recurrent():
    torch.manual_seed(3)
    return nn.ModuleDict({"embed": nn.Embedding(10, 6), "lstm": nn.LSTM(6, 5, bidirectional=True)})


def tied():
    torch.manual_seed(4)
    model = nn.ModuleDict({"embed": nn.Embedding(10, 6), "out": nn.Linear(6, 10, bias=False)})
    model["out"].weight = model["embed"].weight
    return model


def partly_frozen():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).to(torch.bfloat16)
    model[0].requires_grad_(False)
    return model.eval()


def parameters(model):
    return dict(model.named_parameters(remove_duplicate=False))


@backend_checks(
    "torch",
    parameters=parameters,
    models=[convolutions, transposed, attention, recurrent, tied, partly_frozen],
)
def test_torch(check):
    check()
