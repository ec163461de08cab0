"""Which axis of a weight holds its output channels, and which axes the user wants whole."""

import pytest

from pruners import OptionError
from pruners.protocols import Layer
from pruners.structure.axes import ignored_axes, output_axes

from .builder import Builder


def layer(name, *shape, default=True):
    return Layer(name=name, module=name.rpartition(".")[0], type="Any", shape=shape, default=default)


@pytest.fixture
def programs():
    net = Builder()
    x = net.conv(net.picture(3), 4, name="body.0")
    x = net.conv(x, 5, 2, stride=2, transposed=True, name="body.up")
    return net.network(net.conv(x, 2, name="head")).programs


def test_output_axes(programs):
    layers = [
        layer("body.0.weight", 4, 3, 1, 1),
        layer("body.up.weight", 4, 5, 2, 2),
        layer("body.0.bias", 4),
        layer("table.weight", 5, 4, default=False),
    ]
    found = output_axes({each.name: each for each in layers}, programs)
    assert found == {"body.0.weight": 0, "body.up.weight": 1}


WEIGHTS = {"body.0.weight": 0, "body.up.weight": 1, "head.weight": 0}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("body.0.weight", {"body.0.weight": 0}),
        ("body.0", {"body.0.weight": 0, "body.0.bias": None}),
        ("body.up.weight", {"body.up.weight": 1}),
        ("*.bias", {"body.0.bias": None, "body.up.bias": None, "head.bias": None}),
        ("head*", {"head.weight": 0, "head.bias": None}),
        ("bod?.0", {"body.0.weight": 0, "body.0.bias": None}),
        (
            "body",
            {"body.0.weight": 0, "body.0.bias": None, "body.up.weight": 1, "body.up.bias": None},
        ),
    ],
)
def test_ignored_axes(programs, pattern, expected):
    """Of a layer's weight only its output channels are kept; all of any other parameter."""
    assert ignored_axes(programs, WEIGHTS, [pattern]) == expected


def test_several_patterns(programs):
    found = ignored_axes(programs, WEIGHTS, ["head", "body.0.weight"])
    assert found == {"head.weight": 0, "head.bias": None, "body.0.weight": 0}


def test_nothing_to_ignore(programs):
    assert ignored_axes(programs, WEIGHTS, []) == {}


@pytest.mark.parametrize("pattern", ["neck", "bod", "Head", ""])
def test_a_pattern_that_names_nothing_is_an_error(programs, pattern):
    with pytest.raises(OptionError, match=f"ignore names '{pattern}', which is no layer"):
        ignored_axes(programs, WEIGHTS, [pattern])
