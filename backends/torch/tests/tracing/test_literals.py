"""Sizes in the code are found, with how they came about and which coordinates they count."""

from __future__ import annotations

import math
import operator

import pytest
import torch
import torch.nn.functional as F
from pruners_torch.tracing import trace
from torch import nn

from pruners.structure.program import Arithmetic, Attribute, Constant, Dimension

from .checking import ops
from .models import Calling, picture, weight

pytestmark = pytest.mark.filterwarnings("ignore")


def found(function, *inputs, **members):
    """Return the sizes of one function, as (expression, axis, start, stop), and the recording."""
    model = Calling(function, **members)
    recording = trace(model, inputs, modes=("eval",))
    return [(each.expression, each.axis, each.start, each.stop) for each in recording.literals], recording


def D(recording, name, axis):
    return Dimension(recording.programs["eval"].parameters[name], axis)


def minus(expression):
    return Arithmetic("-", Constant(0), expression)


A = Attribute("", "n")


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x.view(2, self.n, -1),
        lambda self, x: x.view((2, self.n, -1)),
        lambda self, x: x.reshape(2, self.n, -1),
        lambda self, x: torch.reshape(x, (2, self.n, -1)),
        lambda self, x: x.reshape(shape=(2, self.n, -1)),
    ],
)
def test_views(function):
    sizes, recording = found(function, torch.randn(2, 12), n=4)
    assert sizes == [(Constant(2), 0, 0, None), (A, 1, 0, None)]
    assert {literal.value for literal in recording.literals} == set(recording.programs["eval"].results)
    assert recording.attributes == {A: 4}


def test_the_place_is_the_line_in_the_users_code():
    _, recording = found(lambda self, x: x.view(-1, self.n), torch.randn(2, 4), n=4)
    place = recording.literals[0].place
    assert place.operation == "view" and place.line.startswith("test_literals.py:")


def test_shapes_give_dimensions_and_arithmetic():
    def forward(self, x):
        b, c = self.weight.shape
        return x.view(b, c // self.n, self.n), x.view(self.weight.size(0) * self.n, -1)

    sizes, recording = found(forward, torch.randn(3, 8), weight=weight(3, 8), n=2)
    b, c = D(recording, "weight", 0), D(recording, "weight", 1)
    assert sizes == [
        (b, 0, 0, None),
        (Arithmetic("//", c, A), 1, 0, None),
        (A, 2, 0, None),
        (Arithmetic("*", b, A), 0, 0, None),
    ]


def test_sequences_of_integers_are_attributes_with_an_index():
    sizes, recording = found(lambda self, x: x.view(self.n), torch.randn(2, 6), n=(3, 4))
    assert sizes == [(Attribute("", "n", 0), 0, 0, None), (Attribute("", "n", 1), 1, 0, None)]
    assert recording.attributes[Attribute("", "n", 1)] == 4


def test_an_attribute_of_an_inner_module_has_its_name():
    inner = Calling(lambda self, x: x.view(-1, self.n), n=4)
    _, recording = found(lambda self, x: self.blocks[0](x), torch.randn(2, 4), blocks=nn.ModuleList([inner]))
    assert recording.literals[0].expression == Attribute("blocks.0", "n")


def test_expanding_unflattening_and_shapes_of_others():
    def forward(self, x):
        return x[:, None].expand(-1, self.n, -1), x.unflatten(-1, (self.n, 2)), x.view_as(self.weight)

    sizes, recording = found(forward, torch.randn(2, 6), weight=weight(2, 6), n=3)
    rest = [(A, 1, 0, None), (A, 1, 0, None), (Constant(2), 2, 0, None)]
    assert sizes == [*rest, *((D(recording, "weight", axis), axis, 0, None) for axis in (0, 1))]


def test_parts_of_given_sizes():
    def forward(self, x):
        return x.split(self.n, 1), x.split([self.n, 5], dim=-1), torch.split(x, 4, 1)

    sizes, recording = found(forward, torch.randn(2, 8), n=3)
    assert sizes == [
        (A, 1, 0, None),
        (A, 1, 0, None),  # the last part is shorter
        (A, 1, 0, None),
        (Constant(5), 1, 0, None),
        (Constant(4), 1, 0, None),
        (Constant(4), 1, 0, None),
    ]
    parts = [value for op in ops(recording.programs["eval"], "split") for value in op.outputs]
    assert [literal.value for literal in recording.literals] == [p for i, p in enumerate(parts) if i != 2]


def test_equal_parts_divide_the_length():
    sizes, recording = found(lambda self, x: x.chunk(self.n, 1), torch.randn(2, 8), n=2)
    length = Dimension(recording.programs["eval"].ops[0].inputs[0], 1)
    part = Arithmetic("//", Arithmetic("+", length, Arithmetic("-", A, Constant(1))), A)
    assert sizes == [(part, 1, 0, None), (part, 1, 0, None)]


def test_slices_count_what_lies_before_their_bounds_or_after():
    def forward(self, x):
        return x[:, : self.n], x[:, self.n :], x[..., 1:5], x[:, -self.n :], x[None, 0, : self.n]

    sizes, recording = found(forward, torch.randn(2, 8), n=3)
    assert sizes == [
        (A, 1, 0, 3),
        (A, 1, 0, 3),
        (Constant(1), 1, 0, 1),
        (Constant(5), 1, 0, 5),
        (minus(minus(A)), 1, 5, 8),
        (A, 1, 0, 3),
    ]
    x = recording.programs["eval"].ops[0].inputs[0]
    assert {literal.value for literal in recording.literals} == {x}


def test_slices_that_are_assigned_to():
    def forward(self, x):
        whole = x.new_zeros(2, self.m)
        whole[:, : self.n] = x
        return whole

    sizes, _ = found(forward, torch.randn(2, 3), n=3, m=5)
    assert sizes == [(Constant(2), 0, 0, None), (Attribute("", "m"), 1, 0, None), (A, 1, 0, 3)]


def test_masks_take_their_axes():
    def forward(self, x):
        mask = torch.ones(2, 3, dtype=torch.bool)
        return x[mask, : self.n]

    sizes, _ = found(forward, torch.randn(2, 3, 6), n=4)
    assert sizes[-1] == (A, 2, 0, 4)


def test_narrow_counts_what_lies_before_and_what_is_taken():
    sizes, recording = found(lambda self, x: x.narrow(1, self.n, 2), torch.randn(2, 8), n=3)
    assert sizes == [(A, 1, 0, 3), (Constant(2), 1, 0, None)]


def test_only_what_is_repeated_from_one_has_the_repeats_as_its_size():
    sizes, _ = found(lambda self, x: x[:, :, None].repeat(1, 2, self.n), torch.randn(3, 4), n=5)
    assert sizes == [(A, 2, 0, None)]


def test_repeats_of_each_coordinate_are_an_axis_of_their_own():
    sizes, recording = found(lambda self, x: x.repeat_interleave(self.n, dim=1), torch.randn(2, 3), n=4)
    assert sizes == [(A, 2, 0, None)]
    assert recording.programs["eval"].shapes[recording.literals[0].value] == (2, 3, 4)


def test_new_arrays():
    def forward(self, x):
        made = torch.zeros(self.n, 2), torch.ones((self.n,)), torch.full((self.n,), 3.0), torch.arange(self.n)
        return (
            made,
            torch.randn(size=(self.n,)),
            torch.randint(0, 9, (self.n,)),
            torch.linspace(0, 1, self.n),
            x,
        )

    sizes, _ = found(forward, torch.randn(2), n=3)
    assert [size for size in sizes if size[0] == A] == [(A, 0, 0, None)] * 7


def test_padding_counts_the_new_coordinates():
    sizes, _ = found(lambda self, x: F.pad(x, (0, 0, self.n, 2)), torch.randn(2, 4, 5), n=3)
    assert sizes == [(A, 1, 0, 3), (Constant(2), 1, 7, 9)]


def test_padding_with_copies_has_no_sizes():
    assert found(lambda self, x: F.pad(x, (1, 1), mode="reflect"), torch.randn(2, 4, 5))[0] == []


@pytest.mark.parametrize("norm", [F.layer_norm, F.rms_norm])
def test_norms_over_features(norm):
    sizes, _ = found(lambda self, x: norm(x, (self.n,)), torch.randn(2, 6), n=6)
    assert sizes == [(A, 1, 0, None)]


def test_norms_of_pytorch_hold_their_sizes():
    model = nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(3, 6))
    recording = trace(model, (torch.randn(2, 6),), modes=("eval",))
    expressions = [literal.expression for literal in recording.literals]
    assert expressions == [Attribute("0", "normalized_shape", 0), Attribute("1", "num_groups")]


def test_groups_times_the_width_of_one_are_the_channels():
    sizes, recording = found(
        lambda self, x: F.conv2d(x, self.weight, groups=self.n), picture(4), weight=weight(6, 2, 1, 1), n=2
    )
    assert sizes == [(Arithmetic("*", A, D(recording, "weight", 1)), 1, 0, None)]
    conv = recording.programs["eval"].ops[0]
    assert recording.literals[0].value == conv.inputs[0]


def test_groups_of_a_transposed_convolution_are_those_of_its_result():
    sizes, recording = found(
        lambda self, x: F.conv_transpose2d(x, self.weight, groups=self.n),
        picture(4),
        weight=weight(4, 3, 1, 1),
        n=2,
    )
    assert sizes == [(Arithmetic("*", A, D(recording, "weight", 1)), 1, 0, None)]
    assert recording.literals[0].value == recording.programs["eval"].results[0]


def test_layers_of_pytorch_have_no_sizes_of_their_own():
    model = nn.Sequential(
        nn.Conv2d(4, 4, 1, groups=2),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    assert trace(model, (picture(4),)).literals == ()


def test_sizes_of_layers_that_the_code_reads_are_attributes():
    sizes, _ = found(
        lambda self, x: self.lin(x).view(-1, self.lin.out_features), torch.randn(2, 3), lin=nn.Linear(3, 4)
    )
    assert sizes == [(Attribute("lin", "out_features"), 1, 0, None)]


def test_a_layer_derived_from_pytorchs_reads_its_own_sizes():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(
                x, self.weight.reshape(self.out_channels, -1).reshape_as(self.weight), groups=self.groups
            )

    _, recording = found(lambda self, x: self.conv(x), picture(4), conv=Standardised(4, 6, 1, groups=2))
    assert Attribute("conv", "out_channels") in recording.attributes
    assert Attribute("conv", "groups") in recording.attributes


FACTORS = [
    lambda y: y * y.shape[-1] ** -0.5,
    lambda y: y / y.shape[-1],
    lambda y: y.shape[-1] * y,
    lambda y: y.sum(-1) / y.size(-1),
    lambda y: y + y.shape[1] * 0.1,
    lambda y: y / torch.tensor(y.shape[-1]).sqrt(),
    lambda y: y - torch.full((4,), y.shape[-1]),
    lambda y: y.shape[-1] - y,
    lambda y: y * math.sqrt(y.shape[-1]),
]


@pytest.mark.parametrize("factor", FACTORS)
def test_a_size_that_becomes_a_number_must_stay(factor):
    _, recording = found(lambda self, x: factor(self.lin(x)), torch.randn(2, 3), lin=nn.Linear(3, 4))
    program = recording.programs["eval"]
    kept = [each for each in recording.literals if isinstance(each.expression, Dimension)]
    assert [each.expression for each in kept] == [Dimension(program.calls[-1].output, 1)]
    assert program.shapes[kept[0].value] == (4,)
    assert kept[0].value not in {*program.constants, *program.parameters.values()}


def test_a_check_of_a_length_is_a_size():
    def forward(self, x):
        y = self.lin(x)
        assert y.shape[1] == self.n
        return y

    sizes, recording = found(forward, torch.randn(2, 3), lin=nn.Linear(3, 4), n=4)
    assert sizes == [(A, 1, 0, None)]
    assert recording.literals[0].value == recording.programs["eval"].calls[0].output


def test_attention_implies_its_sizes():
    model = nn.MultiheadAttention(12, 3, batch_first=True)
    recording = trace(model, (torch.randn(2, 5, 12),) * 3, modes=("eval",))
    width, heads = Attribute("", "embed_dim"), Attribute("", "num_heads")
    program = recording.programs["eval"]
    by_value = {}
    for literal in recording.literals:
        by_value.setdefault(literal.value, []).append((literal.expression, literal.axis, literal.start))
    packed = by_value[program.parameters["in_proj_weight"]]
    assert packed == [(width, 0, 0), (width, 0, 12), (width, 0, 24)]
    head = Arithmetic("//", width, heads)
    attention = ops(program, "attention")[0]
    assert (Attribute("", "head_dim"), 3, 0) in by_value[attention.inputs[0]]
    parted = [value for value, shape in enumerate(program.shapes) if shape == (5, 6, 4) and value in by_value]
    assert len(parted) == 3
    assert all((head, 2, 0) in by_value[value] for value in parted)
    assert all(any(e.right == heads for e, axis, _ in by_value[value] if axis == 1) for value in parted)
    assert recording.attributes == {
        width: 12,
        heads: 3,
        Attribute("", "head_dim"): 4,
        Attribute("", "kdim"): 12,
        Attribute("", "vdim"): 12,
    }


def test_attention_of_other_widths_asks_each_of_its_inputs():
    model = nn.MultiheadAttention(12, 3, kdim=7, vdim=9)
    inputs = (torch.randn(5, 2, 12), torch.randn(6, 2, 7), torch.randn(6, 2, 9))
    recording = trace(model, inputs, modes=("eval",))
    program = recording.programs["eval"]
    lengths = {
        literal.expression.name: program.shapes[literal.value][literal.axis]
        for literal in recording.literals
        if isinstance(literal.expression, Attribute) and literal.expression.name in ("kdim", "vdim")
    }
    assert lengths == {"kdim": 7, "vdim": 9}
    rows = {program.parameters[f"{name}_proj_weight"] for name in "qkv"}
    assert rows <= {
        literal.value for literal in recording.literals if literal.expression == Attribute("", "embed_dim")
    }


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


def counted(recording):
    for literal in recording.literals:
        length = recording.programs[literal.mode].shapes[literal.value][literal.axis]
        yield literal, len(range(length)[literal.start : literal.stop : literal.step])


def value_of(expression, recording, mode):
    match expression:
        case Constant(value):
            return value
        case Dimension(value, axis):
            return recording.programs[mode].shapes[value][axis]
        case Attribute():
            return recording.attributes[expression]
        case Arithmetic(sign, left, right):
            one, other = (value_of(each, recording, mode) for each in (left, right))
            return OPERATORS[sign](one, other)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "swin_t", "vit_b_16", "mobilevit_xxs"])
def test_every_size_of_a_network_is_what_its_expression_says(network, name):
    model, inputs = network(name)
    recording = trace(model, inputs, modes=("eval",))
    assert recording.literals and not recording.notes
    for literal, count in counted(recording):
        assert value_of(literal.expression, recording, literal.mode) == count, literal
        assert not literal.place.line or "/" not in literal.place.line
