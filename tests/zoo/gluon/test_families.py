"""One network of every family of Gluon's model zoo, on small images."""

from __future__ import annotations

import numpy as np
import pytest

from ..results import Result
from . import running
from .__main__ import text
from .networks import NETWORKS, find

REPRESENTATIVE = [network for network in NETWORKS if network.representative]


@pytest.mark.parametrize("network", REPRESENTATIVE, ids=lambda network: network.name)
def test_half_of_the_channels_can_leave(network):
    result = running.run(network, small=True, hybrid=network.name.startswith(("resnet", "mobilenet")))
    assert result.verdict == "exact"
    assert result.moved > 1e-3, "the masked network computes what the dense one does: nothing is shown"
    assert result.proof_dtype == "float64"
    assert not result.unruled
    assert result.left >= 0.45 * result.units


def test_every_family_has_one():
    assert len({network.family for network in REPRESENTATIVE}) == len(REPRESENTATIVE) == 10


def test_a_wrong_removal_is_noticed(monkeypatch):
    """The reference must be able to say no: here it is told that other channels were kept."""
    masking = running.mask

    def other(weights, kept):
        name, axes = next((name, axes) for name, axes in kept.items() if name.endswith("weight"))
        whole = np.arange(weights[name].shape[0])
        return masking(weights, {**kept, name: {**axes, 0: np.setdiff1d(whole, axes[0])[: len(axes[0])]}})

    monkeypatch.setattr(running, "mask", other)
    assert running.run(find("mobilenet0.25"), small=True).verdict.startswith("differs by")


def test_the_page_tells_of_failures():
    good = Result(
        "gluon/a", "A", "module", "8x8", exact=True, parameters=(100, 30), macs=(9, 3), trains="yes"
    )
    page = text([good, Result("gluon/b", "B", "module", refused="no channel can leave")], "level")
    assert "1 of 2 networks are exact" in page
    assert "| gluon/b | refused: no channel can leave | not yet understood |" in page
