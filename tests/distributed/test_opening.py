"""Models in pieces, opened: what each rank is told and given."""

from __future__ import annotations

import pytest

from . import opening
from .launching import launch


@pytest.mark.parametrize("ranks", [2, 4])
def test_each_rank_has_its_piece(ranks, tmp_path):
    launch(opening.everything, ranks, tmp_path)
