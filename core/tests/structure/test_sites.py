"""Which axis carries the labels where an axis is parted: heads or width, and what happens to dead ends."""

import numpy as np
import pytest

from pruners.structure.program import Op, Place
from pruners.structure.sites import Sites

from .builder import Builder
from .looking import look


def op(module="blocks.0.attn", line="model.py:7"):
    return Op("reshape", (0,), (1,), {}, Place(module, "view", line))


@pytest.mark.parametrize(
    ("prefer", "lengths", "candidates", "expected"),
    [
        ("width", (8, 16), [0, 1], 1),
        ("heads", (8, 16), [0, 1], 0),
        ("width", (3, 8, 16), [0, 1, 2], 2),
        ("heads", (3, 8, 16), [0, 1, 2], 1),  # query, key and value are no heads
        ("width", (8, 16, 3), [0, 1, 2], 1),
        ("heads", (2, 16), [0, 1], 1),
        ("width", (2, 3), [0, 1], 1),  # nothing is likely: the preference decides
        ("heads", (2, 3), [0, 1], 0),
        ("width", (4, 5, 6), [0, 1], 1),
    ],
)
def test_the_first_choice(prefer, lengths, candidates, expected):
    sites = Sites(prefer)
    site, chosen = sites.choose(op(), lengths, candidates)
    assert chosen == expected
    assert site.lengths == lengths


def test_blocks_of_one_stage_are_one_site():
    sites = Sites()
    first, _ = sites.choose(op("blocks.0.attn"), (8, 16), [0, 1])
    same, _ = sites.choose(op("blocks.11.attn"), (8, 16), [0, 1])
    others = [
        sites.choose(op("stages.0.attn"), (8, 16), [0, 1])[0],
        sites.choose(op("blocks.0.attn", "model.py:8"), (8, 16), [0, 1])[0],
        sites.choose(op("blocks.0.attn"), (4, 16), [0, 1])[0],
    ]
    assert first == same
    assert len({first, *others}) == 4


def test_a_revision_takes_the_next_candidate_and_keeps_the_rest():
    sites = Sites()
    dead, _ = sites.choose(op("a"), (8, 16), [0, 1])
    other, _ = sites.choose(op("b"), (8, 16), [0, 1])
    revised = sites.revised([dead])
    assert revised.choose(op("a"), (8, 16), [0, 1])[1] == 0
    assert revised.choose(op("b"), (8, 16), [0, 1])[1] == 1
    assert sites.chosen == {dead: 1, other: 1}
    assert revised.revised([dead]).chosen[dead] == 1


def test_the_last_dead_site_of_a_module_is_revised_first():
    sites = Sites()
    first, _ = sites.choose(op("a", "model.py:1"), (8, 16), [0, 1])
    second, _ = sites.choose(op("a", "model.py:2"), (8, 16), [0, 1])
    assert sites.revised([first, second]).chosen == {first: 1, second: 0}


def parted(net, follow):
    """Return a network in which 8 channels are parted in 2 by 4, and something done to the width."""
    x = net.linear(net.vector(2, 3, 3), 8, name="a")
    y = follow(net.reshape(x, 2, 3, 2, 4, module="block.0", line="model.py:7"))
    return net.linear(net.reshape(y, 2, 3, 8), 2)


def test_a_dead_carrier_is_revised():
    """A softmax over the width keeps it whole: the heads are free."""
    net = Builder()
    y = parted(net, lambda y: net.op("along", y, axes=(3,), function="softmax"))
    found = look(net, y)
    assert found.pattern(("a.weight", 0)) == ["aaaabbbb"]
    assert found.structure.parted


def test_a_carrier_that_lives_is_not_revised():
    net = Builder()
    found = look(net, parted(net, lambda y: net.op("along", y, axes=(2,), function="softmax")))
    assert found.pattern(("a.weight", 0)) == ["abcdabcd"]


def test_where_every_choice_is_dead_the_channels_stay():
    net = Builder()
    found = look(net, parted(net, lambda y: net.op("along", y, axes=(2, 3), function="softmax")))
    assert found.whole("a.weight")
    assert "has its coordinates mixed (along in the model)" in found.why("a.weight")


def test_a_network_that_parts_nothing_says_so():
    net = Builder()
    assert not look(net, net.linear(net.linear(net.vector(2, 3), 4), 2)).structure.parted


def test_packed_heads_lose_width_or_heads():
    def pattern(heads):
        net = Builder()
        packed = net.linear(net.vector(2, 3, 3), 3 * 4 * 5, name="qkv")
        parted = net.reshape(packed, 2, 3, 3, 4, 5, module="attn")
        q, k, v = net.ops("select", net.transpose(parted, 2, 0, 3, 1, 4), axis=0, places=(0, 1, 2))
        y = net.linear(net.merge(net.attention(q, k, v)), 2, name="proj")
        found = look(net, y, heads=heads, rescales=True)
        return np.array(found.roots("qkv.weight")).reshape(3, 4, 5), found.units()

    width, units = pattern("width")
    assert (width == width[:1, :1]).all()
    assert units == {"qkv.weight": 5}
    heads, units = pattern("heads")
    assert (heads == heads[:1, :, :1]).all()
    assert units == {"qkv.weight": 4}
