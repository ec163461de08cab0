"""How fast exact selection is, beside what else does it, in one run on one thread.

    python benchmarks/selection.py
    python benchmarks/selection.py --sizes 1e6,1e7,1e8 --rounds 7

Times are the CPU time of this process, so other work on the machine disturbs them little; each
is the median over rounds in which everything takes its turn. The limit is what memory allows:
one read of the weights and one byte written per weight, at the speed of a copy in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import ml_dtypes
import numpy as np
import torch
from attrs import asdict
from measuring import Section, Way, columns, measure, record, show
from rich.console import Console
from torch.nn.utils import prune

from pruners.selection import Ranking, keep_per_group, select

SPARSITY = 0.9


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def ours(array: np.ndarray, sparsity: float = SPARSITY) -> Callable[[], object]:
    return lambda: select([Ranking("w", array, magnitude=True)], int(sparsity * array.size))


def np_partition(x: np.ndarray) -> np.ndarray:
    bits = x.view(np.uint32) & np.uint32(0x7FFFFFFF)
    k = int(SPARSITY * x.size)
    return bits > np.partition(bits, k - 1)[k - 1]  # more than k where values tie


def torch_topk(t: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros(t.numel(), dtype=torch.bool)
    mask[torch.topk(t.abs(), t.numel() - int(SPARSITY * t.numel()), sorted=False).indices] = True
    return mask


def one_layer(n: int, rounds: int) -> Section:
    x = normal(n)
    tensor = torch.from_numpy(x)
    linear = [torch.nn.Linear(1, 1, bias=False)]

    def fresh() -> None:
        linear[0] = torch.nn.Linear(1, 1, bias=False)
        linear[0].weight = torch.nn.Parameter(tensor.reshape(1, -1))

    ways = [
        Way("ours", ours(x)),
        Way("np.partition", lambda: np_partition(x)),
        Way("torch.topk, unsorted", lambda: torch_topk(tensor)),
        Way(
            "prune.l1_unstructured",
            lambda: prune.l1_unstructured(linear[0], "weight", amount=SPARSITY),
            fresh,
        ),
    ]
    return measure(f"one float32 layer, {n:.0e} weights, 90 %", [x], ways, rounds, ("ours", "np"))


def hard_layers(n: int, rounds: int) -> Section:
    x = normal(n)
    side = int(n**0.5)
    square = x[: side * side].reshape(side, side)
    cases = {
        "normal": x,
        "all equal": np.ones_like(x),
        "constant zero": np.zeros_like(x),
        "90 % zero already": np.where(np.abs(x) < 1.645, np.float32(0), x),
        "85 % zero already": np.where(np.abs(x) < 1.44, np.float32(0), x),
        "16 values": np.round(x * 2),
        "sorted": np.sort(x),
        "transposed": square.T,
        "all equal, transposed": np.ones_like(square).T,
        "every third column": np.repeat(square[:, : side // 3], 3, axis=1)[:, ::3],
        "every other, backwards": np.repeat(x[: n // 2], 2)[::-2],
    }
    ways = [Way(f"ours, {name}", ours(case)) for name, case in cases.items()]
    alive = np.abs(x) > 1.2
    ways.append(
        Way(
            "ours, 77 % not alive",
            lambda: select([Ranking("w", x, True, alive)], int(SPARSITY * n)),
        )
    )
    ways.append(Way("ours, signed scores", lambda: select([Ranking("w", x)], int(SPARSITY * n))))
    section = measure(f"float32 layers that are hard, {n:.0e} weights", [x], ways, rounds)
    sizes = {f"ours, {name}": case.size for name, case in cases.items()}
    for row in section.rows:  # some cases have fewer weights than the copy
        for part in ("ns_per_weight", "times_limit", "peak_bytes_per_weight"):
            value = getattr(row, part)
            if value is not None:
                setattr(row, part, value * n / sizes.get(row.name, n))
    return section


def narrow_layers(n: int, rounds: int) -> list[Section]:
    x = normal(n)
    sections = []
    for dtype in (np.float16, ml_dtypes.bfloat16):
        narrow = x.astype(dtype)
        sections.append(
            measure(
                f"one {narrow.dtype.name} layer, {n:.0e} weights",
                [narrow],
                [Way("ours", ours(narrow))],
                rounds,
            )
        )
    return sections


def resnet50_shapes() -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7)]
    inputs = 64
    for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for index in range(count):
            shapes += [(width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            if index == 0:
                shapes.append((4 * width, inputs, 1, 1))
            inputs = 4 * width
    return [*shapes, (1000, 2048)]


def whole_model(rounds: int) -> Section:
    arrays = [normal(*shape) / np.float32(shape[1]) for shape in resnet50_shapes()]
    total = sum(a.size for a in arrays)
    modules: list[torch.nn.Module] = []

    def fresh() -> None:
        modules.clear()
        for array in arrays:
            modules.append(torch.nn.Linear(1, 1, bias=False))
            modules[-1].weight = torch.nn.Parameter(torch.from_numpy(array))

    ways = [
        Way(
            "ours",
            lambda: select([Ranking(str(i), a, True) for i, a in enumerate(arrays)], int(SPARSITY * total)),
        ),
        Way(
            "prune.global_unstructured",
            lambda: prune.global_unstructured(
                [(m, "weight") for m in modules], pruning_method=prune.L1Unstructured, amount=SPARSITY
            ),
            fresh,
        ),
    ]
    return measure("the weights of a ResNet-50, pooled, 90 %", arrays, ways, rounds)


def groups(rounds: int, dtype: type = np.float32) -> list[Section]:
    x = normal(2048, 4608).astype(dtype)
    tensor = torch.from_numpy(x.astype(np.float32))

    def topk(size: int, keep: int) -> torch.Tensor:
        rows = tensor.abs().reshape(-1, size)
        return torch.zeros_like(rows, dtype=torch.bool).scatter_(1, rows.topk(keep, dim=1).indices, True)

    sections = []
    for size, keep in ((4, 2), (64, 16)):
        ways = [
            Way("ours", lambda s=size, k=keep: keep_per_group(Ranking("w", x, True), s, k)),
            Way("torch.topk and scatter, float32", lambda s=size, k=keep: topk(s, k)),
        ]
        sections.append(measure(f"{keep} of {size}, 2048 x 4608, {x.dtype.name}", [x], ways, rounds))
    return sections


@click.command(help=__doc__)
@click.option("--sizes", default="1e6,1e7", help="Weights of a layer, separated by commas.")
@click.option("--rounds", default=5, help="How often everything is timed.")
@click.option("--write/--no-write", default=True, help="Record the ratios under benchmarks/results.")
def main(sizes: str, rounds: int, write: bool) -> None:
    torch.set_num_threads(1)
    console = Console()
    numbers = [int(float(size)) for size in sizes.split(",")]
    middle = min(numbers, key=lambda n: abs(n - 10**7))
    sections = [one_layer(n, rounds) for n in numbers]
    sections += [hard_layers(middle, rounds), *narrow_layers(middle, rounds), whole_model(rounds)]
    sections += [*groups(rounds), *groups(rounds, ml_dtypes.bfloat16)]
    for section in sections:
        show(section, console)
    if write:
        record("selection", [asdict(section) for section in sections], [columns(each) for each in sections])


if __name__ == "__main__":
    main()
