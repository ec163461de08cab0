"""Parameters and multiply-accumulates, counted by hand."""

import numpy as np
import pytest

from pruners.structure.costs import costs
from pruners.structure.program import Program

from .builder import Builder
from .comparing import structure_of
from .looking import look


def counted(found, *gone):
    """Return parameters and MACs when the given coordinates of ``a.weight`` are gone."""
    removed = np.zeros(found.structure.size, bool)
    removed[[found.roots("a.weight")[index] for index in gone]] = True
    total = costs(found.structure, found.network.parameters)
    return total.parameters(removed), total.macs(removed)


def test_linear_layers():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(x, 5, bias=False, name="b"))
    assert counted(found) == (3 * 4 + 4 + 4 * 5, 2 * 3 * 4 + 2 * 4 * 5)
    assert counted(found, 0, 2) == (3 * 2 + 2 + 2 * 5, 2 * 3 * 2 + 2 * 2 * 5)


def test_convolutions():
    net = Builder()
    x = net.batch_norm(net.conv(net.picture(3, 4), 6, 3, name="a"))  # 4 by 4
    x = net.conv(x, 6, 3, groups=6, stride=2, bias=False, name="d")  # 2 by 2
    x = net.conv(x, 5, 2, stride=2, transposed=True, bias=False, name="t")  # 4 by 4, from 2 by 2
    found = look(net, net.conv(x, 2, bias=False, name="b"))
    for left, gone in ((6, []), (4, [0, 5])):
        parameters = left * 27 + left + 4 * left + left * 9 + left * 5 * 4 + 5 * 2
        macs = 2 * (16 * left * 27 + 4 * left * 9 + 4 * left * 5 * 4 + 16 * 5 * 2)
        assert counted(found, *gone) == (parameters, macs)


def test_attention():
    net = Builder()
    x = net.vector(1, 3, 2)
    q, k, v = (net.heads(net.linear(x, 8, False, name=name), 2) for name in "akv")
    found = look(net, net.linear(net.merge(net.attention(q, k, v)), 2, False), rescales=True)
    dense = 3 * (3 * 2 * 8) + 3 * 8 * 2
    assert counted(found) == (3 * 16 + 16, dense + 2 * 3 * 3 * 4 + 2 * 3 * 3 * 4)
    less = 2 * (3 * 2 * 6) + 3 * 2 * 8 + 3 * 8 * 2  # one place of each head of queries and keys
    assert counted(found, 1) == (2 * 12 + 16 + 16, less + 2 * 3 * 3 * 3 + 2 * 3 * 3 * 4)


def test_norms_and_additions_cost_no_macs():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, False, name="a")
    found = look(net, net.linear(net.binary(net.layer_norm(x), x), 2, False))
    assert counted(found) == (12 + 8 + 8, 2 * 12 + 2 * 8)


def test_only_the_parameters_asked_for_count():
    net = Builder()
    x = net.batch_norm(net.conv(net.picture(3), 4, name="a"), name="n")
    found = look(net, net.conv(x, 2))
    total = costs(found.structure, ["a.weight", "n.weight", "n.bias"])
    assert total.parameters(np.zeros(found.structure.size, bool)) == 12 + 8


def test_parameters_that_only_training_meets_count():
    net = Builder()
    x = net.linear(net.vector(2, 3), 4, False, name="a")
    out = net.linear(x, 2, False)
    train = Program(list(net.program.shapes), dict(net.program.parameters), [], list(net.program.ops))
    extra = train.parameter("aux.weight", (4, 5))
    train.result(train.op("contract", [x, extra], [(2, 5)], spec="bi,io->bo")[0])
    structure = structure_of(net.network(out, train=train))
    total = costs(structure, ["a.weight", "aux.weight"])
    removed = np.zeros(structure.size, bool)
    assert total.parameters(removed) == 12 + 20
    removed[structure.groups[0].units[:1]] = True
    assert total.parameters(removed) == 9 + 15
    assert total.macs(removed) == 2 * 3 * 3 + 2 * 3 * 2
    assert costs(structure, [], "train").macs(removed) == 2 * 3 * 3 + 2 * 3 * 2 + 2 * 3 * 5


@pytest.mark.parametrize("spec", ["bld,bmd->blm", "bmd,bld->bml"])
def test_products_of_two_computed_values(spec):
    net = Builder()
    x = net.vector(2, 3, 2)
    y = net.op("contract", net.linear(x, 4, False, name="a"), net.linear(x, 4, False, name="k"), spec=spec)
    found = look(net, net.linear(y, 1, False))
    assert counted(found)[1] == 2 * (2 * 3 * 2 * 4) + 2 * 3 * 3 * 4 + 2 * 3 * 3
    assert counted(found, 3)[1] == 2 * (2 * 3 * 2 * 3) + 2 * 3 * 3 * 3 + 2 * 3 * 3
