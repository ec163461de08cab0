"""Every pruner with every pattern, schedule and scope, on every backend: identical masks.

What is installed is found by itself, so a new plugin joins by being installed. The tables
give options where the defaults would say little in eight steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from pruners_conformance.frameworks import builders

import pruners
from pruners.registry import backend_for
from pruners.selection import SCOPES

STEPS = 8
SPARSITY = 0.75
Options = Mapping[str, Any]
DEFAULTS: tuple[Options, ...] = ({},)
PRUNERS: dict[str, tuple[Options, ...]] = {
    "random": ({"seed": 3},),
    "sensitivity": ({}, {"target_sparsity": True}),
}
PATTERNS: dict[str, tuple[Options, ...]] = {
    "bank": ({}, {"layout": "interleaved", "size": 8}),
    "block": ({"shape": (4, 2)},),
}
SCHEDULES: dict[str, tuple[Options, ...]] = {
    "agp": ({"start": 1, "stop": 7, "every": 2},),
    "constant": ({"at": 3},),
    "exponential": ({"stop": 6, "every": 3},),
    "linear": ({"start": 2, "stop": 7},),
    "moffett": ({"pretrain": 1, "sparse": 6, "every": 3},),
    "paddle": ({"interval": 2, "end": 6},),
}
WEIGHTS = ("float32", "ties", "bfloat16")
SHAPES = {
    "dense.weight": (8, 96),
    "narrow.weight": (5, 7),
    "line.weight": (6, 16, 3),
    "image.weight": (8, 12, 3, 3),
    "image.bias": (8,),
    "wider.weight": (6, 8, 2, 2),
}
"""Canonical shapes; the last is a transposed convolution where the framework has them."""


@frozen
class Part:
    """One plugin with options."""

    kind: str
    name: str
    options: Options

    def __str__(self) -> str:
        """The name, and the options that tell it from others of the same name."""
        variants = {**PRUNERS, **PATTERNS, **SCHEDULES}.get(self.name, DEFAULTS)
        told = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({told})" if len(variants) > 1 and told else self.name

    def make(self) -> Any:
        """Return a new one."""
        maker = {"pruner": pruners.pruner, "pattern": pruners.pattern, "schedule": pruners.schedule}
        return maker[self.kind](self.name, **self.options)


def parts(kind: str, table: Mapping[str, tuple[Options, ...]]) -> list[Part]:
    """Return everything installed of one kind that looks at weights alone."""
    found = []
    for plugin in pruners.installed().plugins:
        needs = plugin.spec.needs if isinstance(plugin.spec, pruners.PrunerSpec) else ()
        if plugin.kind == kind and not needs:
            found += [Part(kind, plugin.name, options) for options in table.get(plugin.name, DEFAULTS)]
    return [part for part in found if kind != "pruner" or part.make().unit == "weight"]


COMBINATIONS = [
    (pruner, pattern, schedule, scope)
    for pruner, pattern, schedule, scope in itertools.product(
        parts("pruner", PRUNERS), [None, *parts("pattern", PATTERNS)], parts("schedule", SCHEDULES), SCOPES
    )
    if scope != "output" or pattern is None  # a pattern counts by itself; such a rule is refused
]


def arrays(kind: str) -> dict[str, np.ndarray]:
    """Return canonical weights: normal, full of equal ones, or in bfloat16."""
    draw = np.random.default_rng(11)
    found = {}
    for name, shape in SHAPES.items():
        if kind == "ties":
            found[name] = (draw.integers(-4, 5, shape) / 8).astype(np.float32)
        else:
            found[name] = (draw.normal(size=shape) * draw.uniform(0.05, 0.2)).astype(np.float32)
    if kind == "bfloat16":
        ml_dtypes = pytest.importorskip("ml_dtypes")
        return {name: each.astype(ml_dtypes.bfloat16) for name, each in found.items()}
    return found


def torch_model(weights: Mapping[str, np.ndarray]) -> Any:
    """Return a module with these weights, its last layer a transposed convolution."""
    import torch
    from torch import nn

    model = nn.ModuleDict(
        {
            "dense": nn.Linear(96, 8, bias=False),
            "narrow": nn.Linear(7, 5, bias=False),
            "line": nn.Conv1d(16, 6, 3, bias=False),
            "image": nn.Conv2d(12, 8, 3),
            "wider": nn.ConvTranspose2d(8, 6, 2, bias=False),
        }
    )
    if weights["dense.weight"].dtype.name == "bfloat16":
        model = model.to(torch.bfloat16)
    backend_for(model).open(model).write(weights)
    return model


def mxnet_model(weights: Mapping[str, np.ndarray]) -> Any:
    """Return a block with these weights, its last layer a transposed convolution."""
    import mxnet
    from mxnet.gluon import nn

    model = nn.Block()
    model.dense = nn.Dense(8, in_units=96, use_bias=False)
    model.narrow = nn.Dense(5, in_units=7, use_bias=False)
    model.line = nn.Conv1D(6, 3, in_channels=16, use_bias=False)
    model.image = nn.Conv2D(8, 3, in_channels=12)
    model.wider = nn.Conv2DTranspose(6, 2, in_channels=8, use_bias=False)
    if weights["dense.weight"].dtype.name == "bfloat16":
        model.cast(np.dtype([("bfloat16", np.uint16)]))
    model.initialize(mxnet.init.Zero())
    backend_for(model).open(model).write(weights)
    return model


def models(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return ``{backend: model}`` with the same numbers on every installed backend."""
    special = {"torch": torch_model, "mxnet": mxnet_model}
    return {name: special.get(name, build)(weights) for name, build in builders().items()}


def training(kind: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield what each step of training adds to the weights."""
    draw = np.random.default_rng(13)
    while True:
        if kind == "ties":
            yield {
                name: (draw.integers(-1, 2, shape) / 8).astype(np.float32) for name, shape in SHAPES.items()
            }
        else:
            yield {
                name: draw.normal(size=shape, scale=0.02).astype(np.float32) for name, shape in SHAPES.items()
            }


@frozen(eq=False)
class Run:
    """One backend's session, with its model open for comparison."""

    opened: pruners.OpenModel
    pruning: pruners.Pruning

    @classmethod
    def begin(cls, model: Any, rule: pruners.Rule) -> Run:
        """Attach a session."""
        return cls(backend_for(model).open(model), pruners.attach(model, rule))

    def mask(self, name: str) -> np.ndarray:
        """Return a mask as the framework lays it out."""
        return self.opened.host(self.pruning.masks[name])


def agree(reference: Run, other: Run, backend: str, step: int) -> None:
    """Assert that two sessions have the same masks, weights, log and skipped layers."""
    assert other.pruning.log == reference.pruning.log, f"{backend}, step {step}: another log"
    assert other.pruning.skipped == reference.pruning.skipped, f"{backend}, step {step}: other layers skipped"
    expected = reference.pruning.masks
    assert set(other.pruning.masks) == set(expected), f"{backend}, step {step}: masks of other layers"
    for name, mask in expected.items():
        laid = other.opened.host(other.opened.native(name, mask))
        assert np.array_equal(other.mask(name), laid), f"{backend}, step {step}: another mask of {name!r}"
        same = other.opened.read(name).tobytes() == reference.opened.read(name).tobytes()
        assert same, f"{backend}, step {step}: other weights in {name!r}"


def sound(run: Run, before: Mapping[str, np.ndarray], pattern: Any) -> None:
    """Assert that zeros are +0.0, stay where they were, and lie as the pattern says."""
    for name, mask in run.pruning.masks.items():
        weights = run.opened.read(name)
        assert not np.ascontiguousarray(weights[~mask]).view(np.uint8).any(), (
            f"{name!r} is not +0.0 where pruned"
        )
        back = int((mask & ~before[name]).sum())
        assert not back, f"{back} pruned weights of {name!r} came back"
        if pattern is not None and name not in run.pruning.skipped:
            pattern.check(mask)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize(("pruner", "pattern", "schedule", "scope"), COMBINATIONS, ids=str)
@pytest.mark.filterwarnings("ignore::pruners.PatternLimit", "ignore::pruners.SkippedLayer")
def test_masks_are_identical(
    pruner: Part, pattern: Part | None, schedule: Part, scope: Any, kind: str
) -> None:
    rule = pruners.Rule(
        "*",
        pruner=pruner.make(),
        sparsity=SPARSITY,
        schedule=schedule.make(),
        pattern=pattern and pattern.make(),
        scope=scope,
    )
    weights = arrays(kind)
    runs = {name: Run.begin(model, rule) for name, model in models(weights).items()}
    reference = runs.pop("numpy")
    before = {name: np.ones(SHAPES[name], bool) for name in reference.pruning.masks}
    for step, added in zip(range(1, STEPS + 1), training(kind), strict=False):
        for run in (reference, *runs.values()):
            grown = {name: _trained(run.opened.read(name), added[name]) for name in weights}
            run.opened.write(grown)
            run.pruning.step()
        for name, run in runs.items():
            agree(reference, run, name, step)
        sound(reference, before, pattern and pattern.make())
        before = dict(reference.pruning.masks)
    assert reference.pruning.log, "no update in all these steps"
    assert reference.pruning.sparsity().total > 0.2


def _trained(weights: np.ndarray, added: np.ndarray) -> np.ndarray:
    return (weights.astype(np.float32) + added).astype(weights.dtype)


def test_the_matrix_has_every_kind() -> None:
    assert {"level", "random", "sensitivity"} <= {pruner.name for pruner, *_ in COMBINATIONS}
    assert {scope for *_, scope in COMBINATIONS} == set(SCOPES)
    assert {"bank", "block", "nm"} <= {pattern.name for _, pattern, *_ in COMBINATIONS if pattern}
    assert {"agp", "linear", "exponential", "constant", "one-shot", "moffett", "paddle", "paddle-static"} <= {
        schedule.name for *_, schedule, _ in COMBINATIONS
    }


RULE = pruners.Rule("*", sparsity=0.5)


def test_a_different_weight_on_one_backend_is_noticed() -> None:
    weights = arrays("float32")
    reference, other = (Run.begin(models(weights)["numpy"], RULE) for _ in range(2))
    agree(reference, other, "numpy", 0)
    line = weights["line.weight"].copy()
    line.flat[np.argmax(np.abs(line))] *= 2
    other.opened.write({"line.weight": np.where(other.mask("line.weight"), line, 0).astype(np.float32)})
    with pytest.raises(AssertionError, match=r"other weights in 'line\.weight'"):
        agree(reference, other, "numpy", 0)


def test_a_different_mask_on_one_backend_is_noticed() -> None:
    weights = arrays("float32")
    reference = Run.begin(models(weights)["numpy"], RULE)
    line = weights["line.weight"]
    line.flat[np.argmax(np.abs(line))] = 0.0
    other = Run.begin(models(weights)["numpy"], RULE)
    with pytest.raises(AssertionError, match=r"another mask of 'line\.weight'"):
        agree(reference, other, "numpy", 0)


def test_weights_that_come_back_are_noticed() -> None:
    run = Run.begin(models(arrays("float32"))["numpy"], RULE)
    before = {name: ~mask for name, mask in run.pruning.masks.items()}
    with pytest.raises(AssertionError, match="came back"):
        sound(run, before, None)


def test_zeros_off_the_pattern_are_noticed() -> None:
    run = Run.begin(models(arrays("float32"))["numpy"], RULE)
    with pytest.raises(pruners.PatternError):
        sound(run, run.pruning.masks, pruners.pattern("nm"))
