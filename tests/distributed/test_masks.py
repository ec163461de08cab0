"""Masks on 1, 2 and 4 processes are those of a single process, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import pruners

from . import combining
from .launching import launch


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    (found,) = launch(combining.in_one_process, 0, tmp_path_factory.mktemp("alone"))
    return found


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_masks_are_those_of_one_process(ranks, expected, tmp_path):
    everyone = launch(combining.everything, ranks, tmp_path)
    for rank, found in enumerate(everyone):
        wrong = [key for key in found if not np.array_equal(found[key], expected[key.partition("/")[2]])]
        assert not wrong, f"rank {rank} of {ranks}: {len(wrong)} of {len(found)} differ: {wrong[:20]}"
    assert {key.partition("/")[2] for key in everyone[0]} == set(expected)
    if ranks == 2:
        copies = {key.partition("/")[2] for key in everyone[0] if key.startswith("copies/")}
        assert copies == set(expected)


def test_every_first_party_pruner_and_pattern_is_in_it():
    installed = pruners.installed().plugins
    ours = {(each.kind, each.name) for each in installed if each.distribution.startswith("pruners-")}
    known = {*combining.WEIGHTS, *combining.CHANNELS, *combining.DATA, *combining.RECORDED}
    assert {name for kind, name in ours if kind == "pruner"} == known
    assert {name for kind, name in ours if kind == "pattern"} == set(combining.PATTERNS)
