"""Which units leave: counts, budgets, limits, ties and errors."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pruners import OptionError, ScoreError
from pruners.structure.choosing import Amount, choose, unit_scores
from pruners.structure.costs import costs

from .builder import Builder
from .comparing import structure_of
from .looking import look
from .networks import networks


def chain(*widths):
    """Return a network of layers one after another, each a group of its own."""
    net = Builder()
    x = net.vector(2, 3)
    for number, width in enumerate(widths):
        x = net.linear(x, width, name=f"l{number}")
    return look(net, net.linear(x, 2))


def named(scores):
    return {f"l{number}.weight": np.array(row, float) for number, row in enumerate(scores)}


def left(found, scores, **amount):
    """Return the kept indices of each group."""
    counted = costs(found.structure, found.network.parameters)
    gone = choose(found.structure, scores, Amount(**amount), counted)
    return [np.flatnonzero(~gone[group.units]).tolist() for group in found.structure.groups]


SCORES = named([[4, 1, 3, 2], [0.5, 5, 0.1, 6, 0.2, 7]])


def test_a_fraction_of_each_group():
    assert left(chain(4, 6), SCORES, sparsity=0.5) == [[0, 2], [1, 3, 5]]


def test_counts_are_rounded_down_or_as_asked():
    found = chain(5)
    scores = named([[1, 2, 3, 4, 5]])
    assert left(found, scores, sparsity=0.5) == [[2, 3, 4]]
    assert left(found, scores, sparsity=0.7, rounding="round") == [[4]]


def test_a_fraction_of_the_whole_model():
    assert left(chain(4, 6), SCORES, sparsity=0.5, scope="model") == [[0, 2], [1, 3, 5]]
    assert left(chain(4, 6), SCORES, sparsity=0.3, scope="model") == [[0, 1, 2, 3], [1, 3, 5]]


def test_one_group_never_leaves_altogether():
    scores = named([[0, 0, 0, 0], [5, 5, 5, 5, 5, 5]])
    kept = left(chain(4, 6), scores, sparsity=0.5, scope="model")
    assert kept == [[3], [2, 3, 4, 5]]


def test_a_normaliser_makes_groups_comparable():
    scores = named([[1, 2, 3, 4], [100, 200, 300, 400, 500, 600]])
    assert len(left(chain(4, 6), scores, sparsity=0.5, scope="model")[0]) == 1
    assert len(left(chain(4, 6), scores, sparsity=0.5, scope="model", normaliser="mean")[0]) == 2


@pytest.mark.parametrize("count", range(10))
def test_a_number_of_channels(count):
    kept = left(chain(4, 7), named([[4, 1, 3, 2], range(10, 17)]), count=count)
    assert sum(map(len, kept)) == 11 - count


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(widths=st.lists(st.integers(1, 40), min_size=1, max_size=3), data=st.data())
def test_any_number_of_channels_is_met_exactly(widths, data):
    most = sum(widths) - len(widths)
    assume(most)
    count = data.draw(st.integers(0, most))
    scores = named([np.random.default_rng(0).standard_normal(width) for width in widths])
    kept = left(chain(*widths), scores, count=count, rounding="round")
    assert sum(map(len, kept)) == sum(widths) - count


def test_ties_fall_to_the_lower_index():
    assert left(chain(4, 6), named([[1] * 4, [1] * 6]), sparsity=0.5) == [[2, 3], [3, 4, 5]]
    assert left(chain(4, 6), named([[1] * 4, [1] * 6]), count=3) == [[3], [0, 1, 2, 3, 4, 5]]


def test_fractions_by_layer():
    sparsity = {"l1.weight": 0.5}
    assert left(chain(4, 6), SCORES, sparsity=sparsity) == [[0, 1, 2, 3], [1, 3, 5]]


def test_a_layer_that_shares_channels_stands_for_its_group():
    net = Builder()
    x = net.vector(2, 3)
    y = net.binary(net.linear(x, 4, name="a"), net.linear(x, 4, name="b"))
    found = look(net, net.linear(y, 2))
    scores = {"a.weight": np.arange(4.0)}
    assert left(found, scores, sparsity={"b.weight": 0.5}) == [[2, 3]]


def test_limits():
    found, scores = chain(4, 6), named([range(4), range(6)])
    assert left(found, scores, sparsity=0.9, min_keep=3) == [[1, 2, 3], [3, 4, 5]]
    assert left(found, scores, sparsity=0.75, round_to=4) == [[0, 1, 2, 3], [2, 3, 4, 5]]
    assert left(found, scores, sparsity=0.5, bounds={"l1.*": 0.2}) == [[2, 3], [1, 2, 3, 4, 5]]
    assert left(found, scores, sparsity=0.5, bounds={"*": 0.0}) == [[0, 1, 2, 3], list(range(6))]
    assert left(found, scores, sparsity=0.5, bounds={"*": 0.5, "l0.weight": 0.25})[0] == [1, 2, 3]
    assert left(found, scores, count=6, min_keep=2, round_to=3) == [[1, 2, 3], [3, 4, 5]]


def test_what_the_limits_bring_back_has_the_highest_scores():
    kept = left(chain(6), named([[5, 0, 4, 1, 3, 2]]), sparsity=0.7, round_to=4)
    assert kept == [[0, 2, 4, 5]]


def test_no_group_no_choice():
    net = Builder()
    found = look(net, net.linear(net.vector(2, 3), 2))
    assert left(found, {}, sparsity=0.5) == []


@pytest.mark.parametrize("scope", ["layer", "model"])
@pytest.mark.parametrize("budget", ["parameters", "macs"])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.33, 0.5, 0.8])
def test_a_budget_is_met_and_no_unit_too_many_leaves(budget, scope, sparsity):
    found = chain(12, 20, 16)
    random = np.random.default_rng(0)
    scores = named([random.random(width) for width in (12, 20, 16)])
    counted = costs(found.structure, found.network.parameters)
    count = getattr(counted, budget)
    gone = choose(found.structure, scores, Amount(sparsity=sparsity, budget=budget, scope=scope), counted)
    target = (1 - sparsity) * count(np.zeros(found.structure.size, bool))
    assert count(gone) <= target + 1e-6
    if sparsity == 0:
        assert not gone.any()
    else:
        assert any(count(back) > target for back in _one_back(found, gone, scores))


def _one_back(found, gone, scores):
    """Yield choices in which one group has its best unit that leaves back."""
    for group in found.structure.groups:
        leaving = group.units[gone[group.units]]
        if leaving.size:
            back = gone.copy()
            back[leaving[np.argmax(scores[group.name][gone[group.units]])]] = False
            yield back


def test_a_budget_takes_the_last_unit_from_as_few_groups_as_it_can():
    """Equal groups lose a unit at the same share: all but the first get theirs back."""
    found = chain(8, 8, 8, 8)
    scores = named([range(8)] * 4)
    counted = costs(found.structure, found.network.parameters)
    nothing = np.zeros(found.structure.size, bool)
    one = nothing.copy()
    one[found.structure.groups[0].units[0]] = True
    sparsity = 1 - counted.parameters(one) / counted.parameters(nothing)
    kept = left(found, scores, sparsity=sparsity, budget="parameters")
    assert sum(map(len, kept)) == 31


@settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(
    network=networks(),
    sparsity=st.floats(0, 0.95),
    budget=st.sampled_from(["parameters", "macs"]),
    scope=st.sampled_from(["layer", "model"]),
)
def test_a_budget_is_met_or_refused(network, sparsity, budget, scope):
    structure = structure_of(network)
    assume(structure.groups)
    counted = costs(structure, network.parameters)
    count = getattr(counted, budget)
    scores = {group.name: np.random.default_rng(1).random(len(group)) for group in structure.groups}
    target = (1 - sparsity) * count(np.zeros(structure.size, bool))
    most = np.zeros(structure.size, bool)
    for group in structure.groups:
        most[group.units[:-1]] = True
    try:
        gone = choose(structure, scores, Amount(sparsity=sparsity, budget=budget, scope=scope), counted)
    except OptionError as error:
        assert "cannot fall by" in str(error)
        assert count(most) > target
    else:
        assert count(gone) <= target * (1 + 1e-9)
        assert all((~gone[group.units]).any() for group in structure.groups)


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ({}, "say how much is to leave"),
        ({"sparsity": 0.5, "count": 3}, "say how much is to leave"),
        ({"sparsity": 1.0}, "sparsity is 1.0; give a fraction from 0 to less than 1"),
        ({"sparsity": -0.1}, "sparsity is -0.1; give a fraction"),
        ({"sparsity": float("nan")}, "sparsity is nan; give a fraction"),
        ({"sparsity": True}, "sparsity is True; give a fraction"),
        ({"sparsity": "half"}, "sparsity is 'half'; give a fraction"),
        ({"sparsity": {"l0.weight": 2}}, "sparsity of 'l0.weight' is 2; give a fraction"),
        ({"sparsity": 0.5, "bounds": {"l0.*": 1.5}}, "bounds of 'l0.*' is 1.5; give a fraction from 0 to 1"),
        ({"count": -1}, "count is -1; give an integer of at least 0"),
        ({"count": 1.5}, "count is 1.5; give an integer of at least 0"),
        ({"count": True}, "count is True; give an integer of at least 0"),
        ({"count": 10}, "count is 10; of the model's 10 channels that can leave, 8 can at once"),
        ({"count": 5, "min_keep": 3}, "4 can at once with min_keep=3 in 2 groups"),
        ({"sparsity": 0.5, "min_keep": 0}, "min_keep is 0; give an integer of at least 1"),
        ({"sparsity": 0.5, "round_to": 0}, "round_to is 0; give an integer of at least 1"),
        ({"sparsity": 0.5, "budget": "bytes"}, "budget is 'bytes'; choose from channels, parameters, macs"),
        ({"sparsity": 0.5, "scope": "group"}, "scope is 'group'; choose from layer, model"),
        ({"sparsity": {"x": 0.5}}, "sparsity names layer 'x', none of whose channels can leave"),
        ({"sparsity": {"l0.weight": 0.5}, "budget": "macs"}, "budget 'macs' takes one sparsity"),
        ({"count": 3, "budget": "macs"}, "budget 'macs' takes one sparsity"),
        (
            {"sparsity": 0.99, "budget": "macs"},
            "macs cannot fall by 0.99: with as few channels as the limits",
        ),
    ],
    ids=str,
)
def test_errors(amount, message):
    with pytest.raises(OptionError) as caught:
        left(chain(4, 6), SCORES, **amount)
    assert message in str(caught.value)


def test_a_score_that_is_no_number_is_an_error():
    with pytest.raises(ScoreError, match="'l0.weight' is NaN"):
        left(chain(2), named([[1, np.nan]]), sparsity=0.5)


@pytest.fixture
def coupled():
    """Two layers that share channels; each channel of the second is read at two places."""
    net = Builder()
    x = net.vector(2, 3)
    y = net.linear(x, 3, name="a")
    z = net.linear(x, 6, name="b")
    return look(net, net.linear(net.binary(net.op("tile", y, repeats=(1, 2)), z), 2))


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("mean", [8 / 3, 11 / 3, 14 / 3]),
        ("sum", [8, 11, 14]),
        ("max", [5, 6, 7]),
        ("min", [1, 2, 3]),
        ("l2", [30**0.5, 49**0.5, 74**0.5]),
    ],
)
def test_channels_that_leave_together_share_a_score(coupled, reduction, expected):
    scores = {"a.weight": np.array([1, 2, 3]), "b.weight": np.array([2, 3, 4, 5, 6, 7])}
    found = unit_scores(coupled.structure, scores, reduction)
    np.testing.assert_allclose(found["a.weight"], expected)
    assert found["a.weight"].dtype == np.float64


def test_layers_without_scores_do_not_count(coupled):
    found = unit_scores(coupled.structure, {"b.weight": np.arange(6.0)})
    np.testing.assert_allclose(found["a.weight"], [1.5, 2.5, 3.5])


def test_a_group_without_scores_is_an_error(coupled):
    with pytest.raises(ScoreError, match="no scores for the channels of layer 'a.weight'"):
        unit_scores(coupled.structure, {})


def test_an_unknown_reduction_is_an_error(coupled):
    with pytest.raises(OptionError, match="reduction is 'median'; choose from mean, sum, max, min, l2"):
        unit_scores(coupled.structure, {}, "median")


def test_scores_of_groups_that_begin_in_one_layer():
    net = Builder()
    left_part, right = net.split(net.linear(net.vector(2, 3), 5, name="a"), 1, 2, 3)
    found = look(net, net.linear(left_part, 2), net.linear(right, 2))
    scores = unit_scores(found.structure, {"a.weight": np.arange(5.0)})
    assert {name: row.tolist() for name, row in scores.items()} == {
        "a.weight": [0, 1],
        "a.weight #2": [2, 3, 4],
    }
    assert left(found, scores, sparsity={"a.weight": 0.5}) == [[1], [1, 2]]
