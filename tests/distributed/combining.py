"""Scenes: every pruner with every pattern and scope that goes with it, on copies and on pieces."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as group
from attrs import frozen
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import pruners

from . import networks
from .networks import PASSED, batches, cut, loss, masks, opened, put

STEPS = 2
WEIGHTS: dict[str, list[dict[str, Any]]] = {
    "level": [{}],
    "random": [{"seed": 3}],
    "sensitivity": [{}],
}
CHANNELS: dict[str, list[dict[str, Any]]] = {
    "filter-norm": [{"p": 1}, {"p": 2}],
    "fpgm": [{}],
    "random": [{"unit": "channel", "seed": 4}],
}
PATTERNS: dict[str, list[dict[str, Any]]] = {
    "bank": [{}, {"layout": "interleaved", "size": 8}],
    "nm": [{}, {"axis": 0}],
    "block": [{"shape": (4, 2)}],
}
DATA = {"taylor": ("layer", "model")}
"""Looks at data, and can do so on pieces."""
RECORDED = ("apoz", "bn-scale", "thinet")
"""Read a recorded pass, which a model in pieces has not."""
OPTIONS: list[dict[str, Any]] = [
    {"scope": "model", "normaliser": "l2"},
    {"scope": "model", "normaliser": "mean"},
    {"min_keep": 3, "sparsity": 0.95},
    {"budget": "erk"},
]
SLOW = ({"scope": "layer"}, {"scope": "model"})
"""Of what looks for its threshold by trying."""


@frozen
class Combination:
    """One rule, under a name."""

    name: str
    pruner: str
    options: Mapping[str, Any]
    pattern: tuple[str, Mapping[str, Any]] | None = None
    more: Mapping[str, Any] = {}
    layers: tuple[str, ...] = ("*",)

    def rules(self) -> list[pruners.Rule]:
        """Return the rules, their parts newly made."""
        rule = {
            "pruner": pruners.pruner(self.pruner, **self.options),
            "pattern": self.pattern and pruners.pattern(self.pattern[0], **self.pattern[1]),
            "schedule": pruners.schedule("linear", start=0, stop=STEPS),
            "sparsity": 0.75,
            **self.more,
        }
        return [pruners.Rule(list(self.layers), **rule)]


def combinations() -> Iterator[Combination]:
    """Yield everything that looks at weights alone."""
    for (pruner, options), pattern, scope in itertools.product(
        _each(WEIGHTS), [None, *_each(PATTERNS)], ("layer", "model", "output")
    ):
        if scope != "output" or pattern is None:  # a pattern counts by itself; such a rule is refused
            name = f"{pruner} {options} {pattern} {scope}"
            yield Combination(name, pruner, options, pattern, {"scope": scope})
    for (pruner, options), scope in itertools.product(_each(CHANNELS), ("layer", "model")):
        yield Combination(f"{pruner} {options} {scope}", pruner, options, None, {"scope": scope})
    for more in OPTIONS:
        yield Combination(f"level {more}", "level", {}, None, more)
    for more in SLOW:
        yield Combination(f"target {more}", "sensitivity", {"target_sparsity": True}, None, more)


def with_data() -> Iterator[Combination]:
    """Yield what looks at data; the layers are those that an input passes."""
    for pruner, scopes in DATA.items():
        for scope in scopes:
            yield Combination(f"{pruner} {scope}", pruner, {}, None, {"scope": scope}, PASSED)


def read_off_recordings() -> Iterator[Combination]:
    """Yield what reads a recorded pass."""
    yield Combination("apoz", "apoz", {}, layers=("image.weight", "deeper.weight"))
    yield Combination("thinet", "thinet", {}, layers=("image.weight",))


def _each(table: Mapping[str, list[dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, options) for name, variants in table.items() for options in variants]


def train(model: nn.Module, combination: Combination, **given: Any) -> dict[str, np.ndarray]:
    """Prune in a few steps while weights move; return all masks of all steps, whole, and what was logged."""
    put(model, START)
    pruning = pruners.attach(model, combination.rules(), **given)
    draw = np.random.default_rng(17)
    held = opened(model)
    found = {}
    for step in range(1, STEPS + 1):
        for name in START:
            added = (draw.integers(-1, 2, held.layers[name].shape) / 16).astype(np.float32)
            here = held.read(name)
            grown = (here.astype(np.float32) + cut(held, name, added)).astype(here.dtype)
            held.write({name: grown})
        pruning.step()
        for name, mask in masks(held, pruning).items():
            found[f"{combination.name}|{step}|{name}"] = np.packbits(mask)
            assert not held.read(name)[~held.host(pruning._masks[name])].any()
    found[f"{combination.name}|log"] = np.array([[each.step, each.sparsity] for each in pruning.log])
    told = pruning.sparsity()
    found[f"{combination.name}|sparsity"] = np.array([told.total, *told.layers.values()])
    found[f"{combination.name}|skipped"] = np.array(sorted(pruning.skipped), str)
    pruning.finish()
    return found


def run(model: nn.Module, label: str, chosen: Iterator[Combination], **given: Any) -> dict[str, np.ndarray]:
    """Return what all combinations give on one model."""
    return {
        f"{label}|{key}": value
        for combination in chosen
        for key, value in train(model, combination, **given).items()
    }


def _start() -> dict[str, np.ndarray]:
    held = opened(networks.alone())
    return {name: held.read(name).copy() for name, layer in held.layers.items() if layer.default}


START = _start()


def in_one_process(folder: Path) -> dict[str, np.ndarray]:
    """Return what one process without a group gives."""
    found = run(networks.alone(), "all", combinations())
    found |= run(networks.alone(), "data", with_data(), data=batches(), loss=loss)
    return found | run(networks.alone(), "recorded", read_off_recordings(), data=batches(), loss=loss)


def on_copies(folder: Path) -> dict[str, np.ndarray]:
    """Return the same of copies under DistributedDataParallel."""
    model = networks.copies()
    given = {"data": batches(), "loss": loss}
    step = 1 if group.get_world_size() == 2 else 4  # on other numbers of ranks a part says enough
    some = itertools.islice(combinations(), 0, None, step)
    found = run(model, "all", some) | run(model, "data", with_data(), **given)
    return found | run(model, "recorded", read_off_recordings(), **given)


def on_pieces(folder: Path) -> dict[str, np.ndarray]:
    """Return the same of pieces, cut along the rows."""
    model = networks.pieces()
    return run(model, "all", combinations()) | run(model, "data", with_data(), data=batches(), loss=loss)


def on_other_pieces(folder: Path) -> dict[str, np.ndarray]:
    """Return some of it for every other way to cut, by the name of the way."""
    ways: list[Callable[[], nn.Module]] = [networks.split, networks.one_group]
    if group.get_world_size() == 4:
        ways += [networks.both, networks.hybrid]
    found = {}
    for way in ways:
        some = [each for index, each in enumerate(combinations()) if index % 9 == 0 or _is_cut_by_rows(each)]
        found |= {f"{way.__name__}/{key}": value for key, value in run(way(), "all", iter(some)).items()}
    return found


def _is_cut_by_rows(combination: Combination) -> bool:
    """Return whether a pattern's groups lie along one axis or the other."""
    return combination.name.startswith("level") and "nm" in combination.name


def scales_of_batch_norms() -> None:
    """Read off a recorded pass: the same on copies as in one process, refused on pieces."""
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    nn.init.uniform_(network[1].weight)
    rule = pruners.Rule("0.weight", pruner="bn-scale", sparsity=0.5)
    given = {"example_inputs": (batches()[0][0],)}
    alone = pruners.attach(copy.deepcopy(network), rule, distributed=False, **given).masks["0.weight"]
    wrapped = DistributedDataParallel(copy.deepcopy(network))
    assert torch.equal(pruners.attach(wrapped, rule, **given).masks["0.weight"], alone)
    assert not alone.all()
    with pytest.raises(pruners.NeedsData, match=r"'bn-scale' needs scales.*score before it is sharded"):
        pruners.attach(fully_shard(network), rule, **given)


def refusals() -> None:
    """What cannot be done on pieces says why, on every rank, and leaves the model as it was."""
    model = networks.pieces()
    put(model, START)
    given = {"data": batches(), "loss": loss, "example_inputs": (batches()[0][0],)}
    before = {name: opened(model).read(name).tobytes() for name in START}
    for combination in read_off_recordings():
        with pytest.raises(pruners.NeedsData, match="cannot be recorded: score before it is sharded"):
            pruners.attach(model, combination.rules(), **given)
    with pytest.raises(pruners.PrunersError, match="lamp"):
        pruners.attach(model, pruners.Rule(scope="model", normaliser="lamp", sparsity=0.5))
    assert before == {name: opened(model).read(name).tobytes() for name in START}


def everything(folder: Path) -> dict[str, np.ndarray]:
    """Return all of it in one group: starting processes takes longer than the work."""
    found = {f"copies/{key}": value for key, value in on_copies(folder).items()}
    found |= {f"pieces/{key}": value for key, value in on_pieces(folder).items()}
    if group.get_world_size() > 1:
        refusals()
        scales_of_batch_norms()
    return found | on_other_pieces(folder)
