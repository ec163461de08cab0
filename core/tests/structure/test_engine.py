"""What the engine is told besides the programs: what to ignore, which passes there are."""

import pytest

from pruners.structure.program import Program

from .builder import Builder
from .comparing import structure_of
from .looking import labels, look


def chain(**options):
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    y = net.linear(x, 5, name="b")
    return look(net, net.linear(y, 2, name="c"), **options), x


def test_ignored_axes_stay():
    found, _ = chain(ignore={"a.weight": 0})
    assert found.because("a.weight", 0, "is to be ignored")
    assert found.because("b.weight", 1, "is to be ignored")
    assert found.units() == {"b.weight": 5}


def test_ignored_parameters_stay_on_every_axis():
    found, _ = chain(ignore={"b.weight": None})
    assert found.units() == {}
    assert found.because("a.weight", 0, "is to be ignored")


def test_what_is_returned_stays():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(x, 2), x)
    assert found.because("a.weight", 0, "is returned by the model")


def test_labels_of_recorded_values():
    found, x = chain()
    assert labels(found.structure, x, 1) == found.roots("a.weight")
    assert labels(found.structure, x, 0) == [0, 0]


def test_parameters_of_all_passes_are_known():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    out = net.linear(x, 2, name="b")
    train = Program(list(net.program.shapes), dict(net.program.parameters), [], list(net.program.ops))
    extra = train.parameter("aux.weight", (4, 5))
    train.result(train.op("contract", [x, extra], [(2, 5)], spec="bi,io->bo")[0])
    network = net.network(out, train=train)
    structure = structure_of(network)
    assert structure.parameters == ("a.weight", "a.bias", "b.weight", "b.bias", "aux.weight")
    assert structure.parameter("aux.weight")[0].tolist() == structure.parameter("a.weight")[0].tolist()
    with pytest.raises(KeyError):
        structure.parameter("nothing")


def test_an_unknown_kind_of_operation_is_refused_when_it_is_written():
    with pytest.raises(ValueError, match="unknown operation kind 'convolve'; known: along, attention"):
        Program().op("convolve", [], [])
