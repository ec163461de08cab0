"""Training on several ranks; ranks that fail or are gone leave the others with their old masks, at once."""

from __future__ import annotations

import pytest

from . import failing
from .launching import launch


@pytest.mark.parametrize("ranks", [2, 4])
def test_training_and_failing(ranks, tmp_path):
    launch(failing.everything, ranks, tmp_path)


def test_a_rank_that_is_gone(tmp_path):
    launch(failing.a_rank_is_gone, 2, tmp_path / "gone", dies=1)
    launch(failing.resumes_after_a_rank_is_gone, 2, tmp_path / "again")


def test_a_rank_with_pieces_that_is_gone(tmp_path):
    launch(failing.a_rank_with_pieces_is_gone, 2, tmp_path, dies=1)
