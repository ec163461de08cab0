"""Prune a small network to 90 % while it trains, on handwritten digits.

Run it with: python prune_while_training.py
Needs: pip install pruners[torch] scikit-learn
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import pruners

EPOCHS, BATCH = 8, 64


def main() -> float:
    torch.manual_seed(0)
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(torch.tensor(pixels / 16).float(), torch.tensor(labels), random_state=0)
    x, x_test, y, y_test = split

    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps = EPOCHS * (len(x) // BATCH)

    pruning = pruners.attach(
        model,
        [
            # Every layer: sparsity climbs to 90 % in the first half of the training.
            pruners.Rule(
                "*",
                pruner="level",
                sparsity=0.9,
                schedule=pruners.schedule("agp", start=0, stop=steps // 2, every=4),
                pattern="bank",
            ),
            # The last layer stays dense: the last rule that matches a layer decides.
            pruners.Rule("4", exclude=True),
        ],
        optimizer=optimizer,
    )
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH)[: len(x) // BATCH]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            pruning.step()  # after each optimizer step

    print(pruning.report())
    pruning.finish()  # an ordinary model again; its zeros stay where they are

    with torch.no_grad():
        accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    print(f"Accuracy on {len(x_test)} digits it has not seen: {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
