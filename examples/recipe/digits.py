"""What recipe.toml names: a function that builds the model, one that trains it, one that judges it.

Needs: pip install pruners[torch] scikit-learn
"""

from collections import OrderedDict

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

BATCH, EPOCHS = 64, 8


def build() -> nn.Module:
    """Return a new network; `pruners run` calls this."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            hidden1=nn.Linear(64, 256),
            relu1=nn.ReLU(),
            hidden2=nn.Linear(256, 128),
            relu2=nn.ReLU(),
            output=nn.Linear(128, 10),
        )
    )


def train(model: nn.Module, attach) -> None:
    """Train the model; `attach(optimizer)` starts the session with the recipe's rules."""
    x, _, y, _ = _digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    pruning = attach(optimizer)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH)[: len(x) // BATCH]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            pruning.step()
    print(f"accuracy: {accuracy(model):.1%}")


def trained() -> nn.Module:
    """Return a dense trained network, for `pruners sensitivity digits:trained digits:accuracy`."""
    model = build()

    class NoPruning:
        def step(self) -> None:
            """Do nothing."""

    train(model, lambda optimizer: NoPruning())
    return model


def accuracy(model: nn.Module) -> float:
    """Return the fraction of unseen digits named right."""
    _, x, _, y = _digits()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def _digits() -> list[torch.Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    return train_test_split(torch.tensor(pixels / 16).float(), torch.tensor(labels), random_state=0)
