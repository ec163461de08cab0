"""The property of `test_removal` finds rules that are wrong: else it would prove nothing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pruners.structure import zeros
from pruners.structure.labels import Labels
from pruners.structure.rules import RULES

from .comparing import alone, compare, structure_of
from .networks import networks

BROKEN = {}
"""Name -> kind, the wrong rule, and the steps of networks that go through it."""


WRONG = (AssertionError, IndexError, ValueError, ZeroDivisionError)
"""What another number or another size ends in."""


def broken(kind, *steps):
    def register(rule):
        BROKEN[rule.__name__.strip("_")] = kind, rule, steps
        return rule

    return register


def _silent(walk):
    """Return a walk in which nothing can be joined, frozen or tied."""

    class Deaf(Labels):
        def equate(self, left, right):
            pass

        def freeze(self, axis, reason):
            pass

    quiet = type(walk)(Deaf(), walk.sites, walk.shapes, walk.axes, walk.left)
    quiet.produced, quiet.consumed, quiet.rescales = walk.produced, walk.consumed, walk.rescales
    return quiet


def _without_edges(kind):
    rule = RULES[kind]
    return lambda walk, op: rule(_silent(walk), op)


@broken("concat", "conv", "joined")
def concatenation_without_offsets(walk, op):
    at, axes = op.options["axis"], list(walk.axes[op.inputs[0]])
    if axes[at] is not None:
        axes[at] = np.resize(axes[at], walk.shape(op.outputs[0])[at])
    return [axes]


@broken("elementwise", "conv", "pair", "block")
def addition_without_join(walk, op):
    return [list(walk.axes[op.inputs[0]])]


@broken("reshape", "conv", "to_vector")
def flatten_with_channels_inside(walk, op):
    """Wrong where channels are the outer axis: c0 c1 c2 c0 c1 c2."""
    old, new = walk.shape(op.inputs[0]), walk.shape(op.outputs[0])
    labels = walk.axes[op.inputs[0]][1]
    if len(old) == 4 and len(new) == 2:
        return [[None, None if labels is None else np.tile(labels, new[1] // old[1])]]
    return RESHAPE(walk, op)


@broken("slice", "conv", "part")
def slice_from_the_start(walk, op):
    axes = list(walk.axes[op.inputs[0]])
    at, length = op.options["axis"], walk.shape(op.outputs[0])[op.options["axis"]]
    axes[at] = None if axes[at] is None else axes[at][:length]
    return [axes]


@broken("flip", "conv", "moved")
def flip_that_does_not_turn(walk, op):
    return [list(walk.axes[op.inputs[0]])]


@broken("pixel_shuffle", "conv", "pixels")
def pixel_shuffle_without_ties(walk, op):
    axes, factor = walk.axes[op.inputs[0]], op.options["factor"]
    labels = axes[1]
    if labels is not None:
        labels = np.repeat(labels, factor**2) if factor < 0 else labels[:: factor**2]
    return [[axes[0], labels, None, None]]


@broken("pad", "conv", "with_constant")
def padding_behind_only(walk, op):
    axes = list(walk.axes[op.inputs[0]])
    more = walk.shape(op.outputs[0])[1] - walk.shape(op.inputs[0])[1]
    axes[1] = None if axes[1] is None else np.concatenate([axes[1], walk.labels.fresh(more)])
    return [axes]


@broken("unfold", "conv", "patches")
def windows_with_channels_inside(walk, op):
    axes = walk.axes[op.inputs[0]]
    return [[axes[0], None if axes[1] is None else np.tile(axes[1], 4), None]]


@broken("tile", "conv", "moved")
def tile_that_repeats_in_place(walk, op):
    return [
        [
            None if a is None else np.repeat(a, n)
            for a, n in zip(walk.axes[op.inputs[0]], op.options["repeats"], strict=True)
        ]
    ]


@broken("transpose", "linear", "packed_attention", "to_tokens")
def transpose_that_does_nothing(walk, op):
    axes = walk.axes[op.inputs[0]]
    if len(set(walk.shape(op.inputs[0]))) < len(axes):
        return [list(axes)]
    return TRANSPOSE(walk, op)


RESHAPE, TRANSPOSE = RULES["reshape"], RULES["transpose"]
SILENT = {
    "conv": ["conv"],
    "contract": ["linear", "dense"],
    "batch_norm": ["norm", "conv"],
    "group_norm": ["norm", "conv"],
    "layer_norm": ["norm", "linear"],
    "attention": ["packed_attention", "grouped_attention", "mixed_lengths"],
    "reduce": ["over_channels", "conv"],
    "along": ["over_channels", "conv"],
    "gather": ["moved", "conv"],
    "select": ["over_channels", "conv"],
    "fold": ["patches", "conv"],
    "scatter": ["written_rows", "linear"],
    "stack": ["swapped", "linear"],
    "write": ["with_constant", "conv", "pair"],
    "reshape": ["moved", "conv", "packed_attention", "to_sequence", "to_vector"],
}
for kind, steps in SILENT.items():
    BROKEN[f"{kind} that joins nothing"] = kind, _without_edges(kind), steps


def holds(steps):
    """Try the property on networks of some steps."""

    @settings(
        max_examples=1000,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(network=networks(1, 4, steps), heads=st.sampled_from(["width", "heads"]))
    def check(network, heads):
        structure = structure_of(network, heads=heads, rescales=True)
        for gone in alone(structure):
            compare(network, structure, gone)

    check()


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_rule_is_found(name, monkeypatch):
    kind, rule, steps = BROKEN[name]
    monkeypatch.setitem(RULES, kind, rule)
    with pytest.raises(WRONG):
        holds(steps)


def test_products_of_what_is_not_zero_are_found(monkeypatch):
    follow = zeros.follow
    monkeypatch.setattr(zeros, "follow", lambda walk, op: follow(_silent(walk), op))
    with pytest.raises(AssertionError):
        holds(["products", "written_attention"])


def test_outputs_that_are_not_kept_are_found(monkeypatch):
    monkeypatch.setattr(Labels, "freeze", lambda *_: None)
    with pytest.raises(WRONG):
        holds(["conv"])
