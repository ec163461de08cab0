"""Small networks of the zoo, each proved twice: by the library, and by the zoo's own reference."""

from __future__ import annotations

import pytest

from .catalogue import REPRESENTATIVE, find
from .entry import Entry
from .results import REDUCTION, Result
from .running import run
from .tensors import TOLERANCE

pytestmark = pytest.mark.filterwarnings("ignore")  # what networks of other packages warn of

GRAPHS = ("torchvision/shufflenet_v2_x0_5", "timm/convnext_atto", "timm/vit_tiny_patch16_224")


def named(entry: Entry) -> str:
    return entry.name


def check(result: Result) -> None:
    assert result.verdict == "exact"
    assert result.dtype == result.proof_dtype == "float64"
    assert max(result.error, result.heads_error, result.proof_error) <= max(TOLERANCE.values())
    assert result.moved > 1e-3  # what left did count
    assert result.reduction >= REDUCTION


@pytest.mark.parametrize("entry", REPRESENTATIVE, ids=named)
def test_half_of_the_channels_leave_in_place_and_the_rest_computes_the_same(entry):
    check(run(entry, entry.form, small=True))


@pytest.mark.parametrize("entry", [find(name) for name in GRAPHS], ids=named)
def test_half_of_the_channels_leave_as_a_graph(entry):
    check(run(entry, "graph", small=True))
