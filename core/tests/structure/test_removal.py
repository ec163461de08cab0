"""For any network and any choice of units, what is left computes what the masked network computes."""

from random import Random

import numpy as np
import pytest
from attrs import evolve
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pruners.structure.costs import costs
from pruners.structure.engine import analyse

from .cases import CASES
from .comparing import alone, compare, drawn, structure_of
from .interpreter import reduced, smaller, whole
from .networks import networks, trained_networks

QUIET = settings(
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def tries(number):
    return settings(QUIET, max_examples=number)


def with_cases(**others):
    """Add every network that went wrong once to what is drawn."""

    def add(test):
        for make in CASES.values():
            test = example(network=make(), **others)(test)
        return test

    return add


@tries(400)
@given(
    network=networks(),
    seed=st.integers(0, 99),
    heads=st.sampled_from(["width", "heads"]),
    rescales=st.booleans(),
)
@with_cases(seed=0, heads="width", rescales=True)
@with_cases(seed=1, heads="heads", rescales=False)
def test_what_is_left_computes_what_the_masked_network_computes(network, seed, heads, rescales):
    structure = structure_of(network, heads=heads, rescales=rescales)
    random = np.random.default_rng(seed)
    for _ in range(2):
        compare(network, structure, drawn(structure, random))


@tries(100)
@given(network=networks(most=5))
@with_cases()
def test_every_unit_can_leave_alone(network):
    structure = structure_of(network, rescales=True)
    for gone in alone(structure):
        compare(network, structure, gone)


@tries(100)
@given(network=trained_networks(), seed=st.integers(0, 99))
def test_every_recorded_pass_is_left_as_it_was(network, seed):
    structure = structure_of(network, rescales=True)
    compare(network, structure, drawn(structure, np.random.default_rng(seed)))


@tries(100)
@given(network=st.one_of(networks(), trained_networks()), seed=st.integers(0, 99))
@with_cases(seed=0)
def test_costs_are_those_of_the_smaller_network(network, seed):
    structure = structure_of(network, rescales=True)
    found = costs(structure, network.parameters)
    for gone in (np.zeros(structure.size, bool), drawn(structure, np.random.default_rng(seed))):
        sizes = [array.size for array in smaller(network, structure, gone).values()]
        assert found.parameters(gone) == sum(sizes)
        assert found.macs(gone) == reduced(network, structure, "eval", gone).macs
    assert found.macs(np.zeros(structure.size, bool)) == whole(network, "eval").macs


@tries(100)
@given(network=networks(), seed=st.integers(0, 99))
@with_cases(seed=0)
def test_what_cannot_leave_stays_and_has_a_reason(network, seed):
    structure = structure_of(network)
    gone = drawn(structure, np.random.default_rng(seed))
    left = smaller(network, structure, gone)
    grouped = np.zeros(structure.size, bool)
    for group in structure.groups:
        grouped[group.units] = True
    assert not grouped[0]
    for name, array in network.parameters.items():
        value = network.programs["eval"].parameters[name]
        for axis, roots in enumerate(structure.parameter(name)):
            leaving = 0 if roots is None else np.count_nonzero(gone[roots])
            assert left[name].shape[axis] == array.shape[axis] - leaving
            if roots is None or not roots.all():
                assert structure.reasons("eval", value, axis)
                assert all(reason.text for reason in structure.reasons("eval", value, axis))


@tries(100)
@given(network=networks())
@with_cases()
def test_units_of_a_group_look_alike(network):
    """Each takes the same number of coordinates from every member, and no other parameter."""
    structure = structure_of(network)
    members = {
        (name, axis): roots
        for name in structure.parameters
        for axis, roots in enumerate(structure.parameter(name))
        if roots is not None
    }
    taken = [unit for group in structure.groups for unit in group.units]
    assert len(set(taken)) == len(taken)
    assert len({group.name for group in structure.groups}) == len(structure.groups)
    for group in structure.groups:
        listed = {(member.parameter, member.axis) for member in group.members}
        for key, roots in members.items():
            counts = {int(np.count_nonzero(roots == unit)) for unit in group.units}
            assert len(counts) == 1
            assert (counts != {0}) == (key in listed)


@tries(100)
@given(network=networks(), random=st.randoms(use_true_random=False))
@with_cases(random=Random(0))
def test_order_does_not_matter_where_it_is_free(network, random):
    program = network.programs["eval"]
    first = structure_of(network)
    assume(not first.parted)
    ready = set(range(len(program.shapes))) - {value for op in program.ops for value in op.outputs} | {-1}
    waiting, ops = list(program.ops), []
    while waiting:
        op = random.choice([op for op in waiting if ready.issuperset(op.inputs)])
        waiting.remove(op)
        ops.append(op)
        ready.update(op.outputs)
    second = analyse({"eval": evolve(program, ops=ops)}, weights=network.weights)
    assert [group.name for group in first.groups] == [group.name for group in second.groups]
    assert [group.members for group in first.groups] == [group.members for group in second.groups]
    for name in first.parameters:
        for left, right in zip(first.parameter(name), second.parameter(name), strict=True):
            np.testing.assert_array_equal(
                np.zeros(0) if left is None else left, np.zeros(0) if right is None else right
            )


@tries(100)
@given(network=trained_networks())
def test_what_any_pass_ties_is_tied(network):
    both = structure_of(network)
    assume(not both.parted)
    eval_only, train_only = (
        analyse({mode: network.programs[mode]}, weights=network.weights) for mode in ("eval", "train")
    )
    expected = _partition([eval_only, train_only], both)
    assert expected == _partition([both], both)


def _partition(structures, names):
    """Return the classes of all coordinates that the structures together make; the frozen class is "0"."""
    joined = {}

    def find(item):
        while joined.setdefault(item, item) != item:
            item = joined[item]
        return item

    for number, structure in enumerate(structures):
        for name in structure.parameters:
            for axis, roots in enumerate(structure.parameter(name)):
                lengths = _lengths(structure, name)
                for index, root in enumerate(np.zeros(lengths[axis], int) if roots is None else roots):
                    joined[find((name, axis, index))] = find("0" if root == 0 else (number, int(root)))
    classes = {}
    for name in names.parameters:
        for axis, length in enumerate(_lengths(names, name)):
            for index in range(length):
                classes.setdefault(find((name, axis, index)), set()).add((name, axis, index))
    frozen = classes.pop(find("0"), set())
    return frozen, {frozenset(members) for members in classes.values()}


def _lengths(structure, name):
    return next(
        program.shapes[program.parameters[name]]
        for program in structure.programs.values()
        if name in program.parameters
    )


@pytest.mark.parametrize("name", CASES)
def test_cases_have_channels_that_can_leave(name):
    """Else they would prove nothing."""
    structure = structure_of(CASES[name](), rescales=True)
    assert any(len(group) > 1 for group in structure.groups) == (name != "logarithm_of_what_is_masked")
