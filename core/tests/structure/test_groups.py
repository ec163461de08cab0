"""Groups: their names, order, members and units."""

from pruners.structure.engine import analyse
from pruners.structure.groups import Member

from .builder import Builder
from .interpreter import Network
from .looking import look


def members(group):
    return [(member.parameter, member.axis) for member in group.members]


def test_a_group_is_named_after_the_first_layer_whose_outputs_it_has():
    net = Builder()
    x = net.vector(2, 3)
    y = net.binary(net.linear(x, 4, name="late"), net.linear(x, 4, name="later"))
    found = look(net, net.linear(y, 2, name="head"))
    (group,) = found.structure.groups
    assert group.name == "late.weight"
    assert members(group) == [
        ("late.weight", 0), ("late.bias", 0), ("later.weight", 0), ("later.bias", 0), ("head.weight", 1)
    ]  # fmt: skip
    assert group.scored == (Member("late.weight", 0), Member("later.weight", 0))
    assert len(group) == 4


def test_groups_come_in_the_order_of_their_layers():
    net = Builder()
    x = net.vector(2, 3)
    for name in "cab":
        x = net.linear(x, 4, name=name)
    found = look(net, net.linear(x, 2))
    assert [group.name for group in found.structure.groups] == ["c.weight", "a.weight", "b.weight"]


def test_units_come_in_the_order_of_their_first_coordinate():
    """The bias of channels turned around is met before the weight."""
    net = Builder()
    turned = net.op("flip", net.parameter("first.bias", 4), axes=(0,))
    y = net.binary(net.linear(net.vector(2, 3), 4, False, name="a"), turned)
    found = look(net, net.linear(y, 2))
    (group,) = found.structure.groups
    assert group.name == "a.weight"
    assert group.units.tolist() == found.roots("a.weight")
    assert group.units.tolist() == found.roots("first.bias")[::-1]


def test_units_that_take_different_numbers_are_in_different_groups():
    """Two channels of one row and two of two rows: a flattened layer reads one or two of each."""
    net = Builder()
    x = net.conv(net.picture(3), 4, name="a")
    left, right = net.slice(x, 1, 0, 2), net.slice(x, 1, 2, 4)
    rows = net.reduce(right, 2, keepdims=True)
    flat = net.op("concat", net.reshape(left, 2, 8), net.reshape(rows, 2, 4), axis=1)
    found = look(net, net.linear(flat, 2, name="b"))
    assert found.units() == {"a.weight": 2, "a.weight #2": 2}
    assert found.pattern(("b.weight", 1)) == ["aaaabbbbccdd"]


def test_units_that_meet_different_layers_are_in_different_groups():
    net = Builder()
    left, right = net.split(net.linear(net.vector(2, 3), 6, name="a"), 1, 4, 2)
    found = look(net, net.linear(right, 2, name="r"), net.linear(left, 2, name="l"))
    first, second = found.structure.groups
    assert members(first) == [("a.weight", 0), ("a.bias", 0), ("l.weight", 1)]
    assert members(second) == [("a.weight", 0), ("a.bias", 0), ("r.weight", 1)]
    assert (first.name, second.name) == ("a.weight", "a.weight #2")
    assert (len(first), len(second)) == (4, 2)


def test_a_layer_that_is_both_ends_of_a_group_is_a_member_twice():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(net.binary(x, net.linear(x, 4, name="b")), 2))
    (group,) = found.structure.groups
    assert ("b.weight", 0) in members(group)
    assert ("b.weight", 1) in members(group)
    assert group.scored == (Member("a.weight", 0), Member("b.weight", 0))


def test_units_without_a_layer_to_score_are_in_no_group():
    """An embedding gives channels, but only layers are scored."""
    net = Builder()
    found = look(net, net.linear(net.embedding(net.indices(3, 2), 3, 4), 2))
    assert found.units() == {}
    assert not found.whole("embedding1.weight", 1)


def test_only_layers_that_are_asked_for_are_scored():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    network = net.network(net.linear(net.linear(x, 5, name="b"), 2))
    structure = analyse(network.programs, weights={"b.weight": 0})
    assert [group.name for group in structure.groups] == ["b.weight"]


def test_names_do_not_depend_on_where_in_the_recording_a_parameter_stands():
    """The order of layers is that of the parameters, as the model lists them."""
    net = Builder()
    net.parameter("b.weight", 4, 4)
    net.weights["b.weight"] = 0
    x = net.linear(net.vector(2, 3), 4, name="a")
    y = net.linear(x, 4, name="b", weight=net.program.parameters["b.weight"])
    network: Network = net.network(net.linear(y, 2))
    structure = analyse(network.programs, weights=network.weights)
    assert [group.name for group in structure.groups] == ["b.weight", "a.weight"]
