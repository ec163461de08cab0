"""Checkpoints of torch.distributed.checkpoint: written on 4 ranks, read on 2 and on 1."""

from __future__ import annotations

import numpy as np
import pytest

from . import resuming
from .launching import launch


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return folder, launch(resuming.save, 4, folder / "saving")[0]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return launch(resuming.uninterrupted, 2, tmp_path_factory.mktemp("uninterrupted"))[0]


@pytest.mark.parametrize("ranks", [2, 0])
def test_it_goes_on_bit_for_bit(ranks, saved, expected):
    folder, before = saved
    for found in launch(resuming.resume, ranks, folder / f"resuming on {ranks}"):
        assert {name for name in found if not name.startswith("loaded")} == set(expected)
        for name, array in before.items():
            assert np.array_equal(found[f"loaded {name}"], array), name
        for name, array in expected.items():
            assert np.array_equal(found[name], array), name
    assert any(not np.array_equal(expected[name], array) for name, array in before.items() if "mask" in name)
    assert any("exp_avg" in name for name in expected) and any("momentum" in name for name in expected)
