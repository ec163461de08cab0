"""What a pruner needs is known however it is given, and the first thing missing is told first."""

from __future__ import annotations

import numpy as np
import pytest

import pruners
from pruners.scoring import as_pruner
from pruners.specs import made_by


def model():
    return {"w": np.ones((4, 4))}


@pytest.mark.parametrize("name", ["taylor", "apoz", "thinet"])
def test_a_pruner_made_with_options_needs_what_its_spec_says(name):
    by_name = as_pruner(name)
    assert by_name.needs
    assert as_pruner(pruners.pruner(name)).needs == by_name.needs


def test_an_object_without_a_spec_needs_nothing_beforehand():
    class Own:
        unit = "weight"

        def scores(self, view):
            return {name: view.ops.abs(weight) for name, weight in view.weights.items()}

    assert as_pruner(Own()).needs == frozenset()


def test_missing_data_is_told_before_anything_is_recorded():
    for pruner in ("thinet", pruners.pruner("thinet")):
        with pytest.raises(pruners.NeedsData, match=r"needs consumers: pass data=batches"):
            pruners.masks(model(), pruner, sparsity=0.5)


@pytest.mark.parametrize("ask", ["inputs", "activated", "consumers"])
def test_so_it_is_for_an_object_without_a_spec(ask):
    class Own:
        unit = "weight"

        def scores(self, view):
            arguments = ("w",) if ask == "consumers" else ()
            return {"w": next(getattr(view, ask)(*arguments))}

    with pytest.raises(pruners.NeedsData, match="'Own' looks at data: pass data=batches"):
        pruners.masks(model(), Own(), sparsity=0.5)
    with pytest.raises(pruners.NeedsData, match="cannot be recorded"):
        pruners.masks(model(), Own(), sparsity=0.5, data=[np.ones((1, 4))])


def test_factories_are_looked_at_only_where_they_are_imported():
    assert made_by("no.such.module:Thing") is None
    assert made_by("pruners.scoring:NoSuchThing") is None
    assert made_by("pruners.scoring:as_pruner") is as_pruner
    assert made_by(as_pruner) is as_pruner
