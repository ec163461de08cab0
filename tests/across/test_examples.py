"""The two examples on MNIST, side by side: the same table, and at first the same zeros."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from driving import run

SCRIPTS = ("pytorch_mnist.py", "mxnet_mnist.py")
LAYERS = ("conv1.weight", "conv2.weight", "dense1.weight", "dense2.weight", "all")


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_the_tables_say_the_same(mode, monkeypatch, capsys):
    few = ["--mode", mode, "--steps", "60", "--pretrain", "20", "--sparse", "40", "--frequency", "10"]
    ours, theirs = (run(script, few, monkeypatch, capsys).rows for script in SCRIPTS)
    assert list(ours) == list(theirs)
    assert {name: ours[name] for name in LAYERS} == {name: theirs[name] for name in LAYERS}


def test_the_first_pruning_makes_the_same_masks(monkeypatch, capsys):
    few = ["--steps", "4", "--pretrain", "2", "--sparse", "8", "--frequency", "2"]
    ours, theirs = (run(script, few, monkeypatch, capsys) for script in SCRIPTS)
    for name in LAYERS[1:4]:
        zeros = ours.values(name) == 0
        assert zeros.any()
        assert np.array_equal(zeros, theirs.values(name) == 0)
