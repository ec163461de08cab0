"""Every pruner, pattern and scope: the pieces' masks are those of one process."""

import warnings

import ml_dtypes
import numpy as np
import pytest

import pruners
from pruners import NeedsData, RuleError
from pruners.protocols import Box

from .cuts import all_well, even, grid, joined, on_ranks
from .sharded import ShardedModel

RANDOM = np.random.default_rng(7)
WHOLE = {
    "conv": RANDOM.standard_normal((11, 8, 3, 3)).astype("float32"),
    "tied": np.round(RANDOM.standard_normal((24, 16))).astype("float32"),
    "half": RANDOM.standard_normal((9, 20)).astype(ml_dtypes.bfloat16),
    "copied": RANDOM.standard_normal((6, 8)).astype("float32"),
}
SLOPES = {name: np.roll(array, 1).astype("float32") for name, array in WHOLE.items()}
CUTS = {
    "rows": {"conv": even((11, 8, 3, 3), 0, 4), "tied": even((24, 16), 0, 4), "half": even((9, 20), 0, 4)},
    "columns": {
        "conv": even((11, 8, 3, 3), 1, 4),
        "tied": even((24, 16), 1, 4),
        "half": even((9, 20), 1, 4),
    },
    "grid": {
        "conv": grid((11, 8, 3, 3), 2, 2),
        "tied": even((24, 16), 0, 2) * 2,
        "half": [Box((0, 0), (9, 20)), *[Box((0, 0), (0, 20))] * 3],
    },
}


class Smooth:
    """Scores that look at other layers, and say nothing of it."""

    unit = "weight"

    def scores(self, view):
        total = sum(float(np.abs(w.astype("float64")).sum()) for w in view.weights.values())
        return {name: np.abs(w.astype("float64")) / total for name, w in view.weights.items()}


class Steep:
    """Scores from gradients, each weight's own."""

    unit = "weight"
    reach = "weight"

    def scores(self, view):
        slopes = view.gradients()
        return {name: np.abs(w.astype("float32") * slopes[name]) for name, w in view.weights.items()}


class RowWise:
    """Scores of weights that look at their row."""

    unit = "weight"
    reach = "channel"

    def scores(self, view):
        return {name: self._of(w.astype("float32")) for name, w in view.weights.items()}

    def _of(self, w):
        return np.abs(w) / (1 + np.abs(w).max(axis=tuple(range(1, w.ndim)), keepdims=True, initial=0))


def taylor():
    return pruners.pruner("taylor", form="weight-joint")


PRUNERS = {
    "level": "level",
    "sensitivity": "sensitivity",
    "target": lambda: pruners.pruner("sensitivity", target_sparsity=True),
    "random": "random",
    "random channels": lambda: pruners.pruner("random", unit="channel"),
    "filter-norm": "filter-norm",
    "fpgm": "fpgm",
    "taylor": taylor,
    "unknown": Smooth,
    "gradients": Steep,
    "rows": RowWise,
}
PATTERNS = {
    "none": None,
    "nm": "nm",
    "nm outputs": lambda: pruners.pattern("nm", axis=0),
    "bank": lambda: pruners.pattern("bank", size=4),
    "bank none": lambda: pruners.pattern("bank", balance="none"),
    "bank interleaved": lambda: pruners.pattern("bank", size=1, layout="interleaved"),
    "bank fpga": lambda: pruners.pattern("bank", layout="fpga"),
    "block": lambda: pruners.pattern("block", shape=(2, 3)),
    "block l2": lambda: pruners.pattern("block", shape=(4, 1), pool="l2"),
}


def made(part):
    return part() if callable(part) else part


def rule(pruner, pattern="none", scope="layer", **options):
    options = {"sparsity": 0.55, "scope": scope, "pattern": made(PATTERNS[pattern])} | options
    return pruners.Rule("*", pruner=made(PRUNERS[pruner]), **options)


def found_on(group, boxes, rule, steps=0):
    """Return the masks that a session has on this rank after some steps, and its report's counts."""
    model = ShardedModel.of(group, WHOLE, boxes, SLOPES)
    session = pruners.attach(model, rule, data=[{}], loss=lambda model, batch: 0)
    for _ in range(steps):
        session.step()
    for name, mask in session.masks.items():
        assert not model.arrays[name][~mask].any()
    counts = [(row.name, row.weights, row.zeros, row.masked, row.stored) for row in session.report().rows]
    return session.masks, counts, session.sparsity(), session.log


def compare(boxes, rule, steps=0, ranks=4):
    """Compare what `ranks` ranks find with what one process does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (one,) = all_well(on_ranks(1, lambda group: found_on(group, {}, rule, steps)))
        found = all_well(on_ranks(ranks, lambda group: found_on(group, boxes, rule, steps)))
    for name, expected in one[0].items():
        pieces = [masks[name] for masks, *_ in found]
        mask = joined(expected.shape, boxes[name], pieces) if name in boxes else pieces[0]
        assert np.array_equal(mask, expected), name
    for _, *counts in found:
        assert counts == list(one[1:])


def combinations():
    channels = ("random channels", "filter-norm", "fpgm", "taylor")
    for pruner in PRUNERS:
        for scope in ("layer", "model", "output"):
            for pattern in PATTERNS:
                if pattern != "none" and (scope == "output" or pruner in channels):
                    continue
                if scope == "output" and pruner in channels:
                    continue
                if pattern not in ("none", "nm", "block") and pruner not in ("level", "unknown"):
                    continue
                yield pruner, pattern, scope


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("pruner", "pattern", "scope"), list(combinations()))
def test_masks_are_those_of_one_process(cut, pruner, pattern, scope):
    compare(CUTS[cut], rule(pruner, pattern, scope))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("normaliser", ["l2", "mean", "std", "max", "sum"])
def test_normalised_pools(cut, normaliser):
    compare(CUTS[cut], rule("level", scope="model", normaliser=normaliser))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("pruner", "pattern"),
    [
        ("level", "none"),
        ("level", "block"),
        ("unknown", "nm"),
        ("sensitivity", "block"),
        ("filter-norm", "none"),
    ],
)
def test_masks_grow_alike(cut, pruner, pattern):
    ramp = pruners.schedule("agp", start=0, stop=4, every=2)
    compare(CUTS[cut], rule(pruner, pattern, "layer", schedule=ramp, sparsity=0.8), steps=5)


def test_lamp_is_refused():
    for error in on_ranks(
        4, lambda group: found_on(group, CUTS["rows"], rule("level", scope="model", normaliser="lamp"))
    ):
        assert isinstance(error, pruners.OptionError)
        assert "'lamp' sorts a whole layer, and 'conv' lies in pieces" in str(error)


class Diagonal:
    """A pattern that says nothing of where layers may be cut."""

    def mask(self, ranking, sparsity):
        return np.ones(ranking.shape, bool)

    def check(self, mask):
        pass


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (Diagonal(), "does not say where it may be cut; give it a method rows(shape)"),
        (pruners.pattern("bank", axis=0, size=2), "this pattern needs it whole; leave the pattern out"),
    ],
)
def test_patterns_that_cannot_be_cut_are_refused(pattern, said):
    with_pattern = pruners.Rule("*", sparsity=0.5, pattern=pattern)
    for error in on_ranks(4, lambda group: found_on(group, CUTS["rows"], with_pattern)):
        assert isinstance(error, RuleError)
        assert said in str(error) and "'conv'" in str(error) and type(pattern).__name__ in str(error)


def test_rows_must_be_a_number():
    class Odd(Diagonal):
        def rows(self, shape):
            return 0

    for error in on_ranks(
        4, lambda group: found_on(group, CUTS["rows"], pruners.Rule("*", sparsity=0.5, pattern=Odd()))
    ):
        assert isinstance(error, RuleError) and "rows((11, 8, 3, 3)) is 0" in str(error)


@pytest.mark.parametrize("pruner", ["apoz", "bn-scale", "thinet"])
def test_pruners_that_record_the_model_are_refused(pruner):
    asked = pruners.Rule("*", pruner=pruner, sparsity=0.5)
    for error in on_ranks(4, lambda group: found_on(group, CUTS["rows"], asked)):
        assert isinstance(error, NeedsData)
        assert "score before it is sharded" in str(error)


@pytest.mark.parametrize("pruner", ["level", "random", "random channels", "filter-norm"])
def test_layers_cut_along_rows_stay_where_they_are(pruner):
    whole = {"wide": RANDOM.standard_normal((512, 1024)).astype("float32")}
    boxes = {"wide": even((512, 1024), 0, 2)}

    def sent(group):
        pruners.attach(ShardedModel.of(group, whole, boxes), rule(pruner))
        return group.sent

    assert max(all_well(on_ranks(2, sent))) < whole["wide"].nbytes / 8
