"""What each kind of operation that computes ties together, and what it keeps whole and why."""

import pytest

from pruners.structure.engine import analyse
from pruners.structure.program import Place, Program

from .builder import Builder
from .looking import look


@pytest.fixture
def net():
    return Builder()


def test_convolution(net):
    found = look(net, net.conv(net.conv(net.picture(3), 4, 3, name="a"), 2, name="b"))
    out, bias, into = found.pattern(("a.weight", 0), ("a.bias", 0), ("b.weight", 1))
    assert out == bias == into == "abcd"
    assert found.because("a.weight", 2, "is a kernel's extent (conv in a)")
    assert found.because("a.weight", 1, "meets something that cannot shrink (conv in a)")
    assert found.because("b.weight", 0, "is returned by the model")
    assert found.units() == {"a.weight": 4}


def test_depthwise_convolution_ties_in_to_out(net):
    x = net.conv(net.picture(3), 4, name="a")
    found = look(net, net.conv(net.conv(x, 4, 3, groups=4, name="d"), 2, name="b"))
    assert set(found.pattern(("a.weight", 0), ("d.weight", 0), ("d.bias", 0), ("b.weight", 1))) == {"abcd"}
    assert found.because("d.weight", 1, "is the one input of each group (conv in d)")


def test_depthwise_multiplier_ties_each_input_to_its_outputs(net):
    x = net.conv(net.picture(3), 3, name="a")
    found = look(net, net.conv(net.conv(x, 6, 3, groups=3, name="d"), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("d.weight", 0), ("b.weight", 1)) == ["abc", "aabbcc", "aabbcc"]


def test_many_narrow_groups_leave_as_wholes(net):
    x = net.conv(net.picture(3), 8, name="a")
    found = look(net, net.conv(net.conv(x, 4, groups=4, name="g"), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("g.weight", 0)) == ["aabbccdd", "abcd"]
    assert found.because("g.weight", 1, "is the width of a group, whole groups leave (conv in g)")


def test_few_wide_groups_narrow_alike(net):
    x = net.conv(net.picture(3), 6, name="a")
    found = look(net, net.conv(net.conv(x, 4, groups=2, name="g"), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("g.weight", 1), ("g.weight", 0)) == ["abcabc", "abc", "dede"]


def test_groups_of_a_network_input_stay(net):
    found = look(net, net.conv(net.conv(net.picture(4), 4, groups=2, name="g"), 2, name="b"))
    assert found.because("g.weight", 0, "belongs to a convolution in groups that cannot shrink (conv in g)")


def test_transposed_convolution(net):
    x = net.conv(net.picture(3), 4, name="a")
    y = net.conv(x, 5, 2, stride=2, transposed=True, name="t")
    found = look(net, net.conv(y, 2, name="b"))
    assert found.pattern(("a.weight", 0), ("t.weight", 0)) == ["abcd"] * 2
    assert found.pattern(("t.weight", 1), ("t.bias", 0), ("b.weight", 1)) == ["abcde"] * 3
    assert found.units() == {"a.weight": 4, "t.weight": 5}


def test_transposed_convolution_in_groups_stays(net):
    x = net.conv(net.picture(3), 4, name="a")
    found = look(net, net.conv(net.conv(x, 4, 2, 2, stride=2, transposed=True, name="t"), 2, name="b"))
    assert found.because("a.weight", 0, "belongs to a transposed convolution in groups (conv in t)")
    assert found.because("t.bias", 0, "belongs to a convolution kept whole (conv in t)")


def test_linear_layers(net):
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(x, 2, name="b"))
    assert set(found.pattern(("a.weight", 0), ("a.bias", 0), ("b.weight", 1))) == {"abcd"}
    assert found.because("a.weight", 1, "meets something that cannot shrink (contract in a)")


def test_channels_that_nothing_sums_over_are_no_units(net):
    """They are neither returned nor read: taking them would change nothing but cost a proof."""
    x = net.linear(net.vector(2, 3), 4, name="a")
    net.linear(net.vector(2, 3), 5, name="unread")
    found = look(net, net.linear(x, 2, name="b"))
    assert found.units() == {"a.weight": 4}
    assert found.why("unread.weight") == []


def test_parameters_that_no_layer_makes_are_no_units(net):
    """A table that is only added has no weight that gives it."""
    table = net.parameter("table", 2, 4)
    found = look(net, net.linear(table, 2, name="b"))
    assert found.units() == {}


def test_addition_ties_and_stretching_keeps(net):
    x = net.picture(3)
    y = net.binary(net.conv(x, 4, name="a"), net.conv(x, 4, name="b"))
    gated = net.binary(y, net.conv(x, 1, name="gate"), "mul")
    found = look(net, net.conv(gated, 2, name="c"))
    assert set(found.pattern(("a.weight", 0), ("b.weight", 0), ("c.weight", 1))) == {"abcd"}
    assert found.because("gate.weight", 0, "is stretched over several coordinates (elementwise in the model)")


def test_addition_of_a_network_input_keeps_whole(net):
    x = net.picture(3)
    found = look(net, net.conv(net.binary(net.conv(x, 3, name="a"), x), 2))
    assert found.because("a.weight", 0, "meets something that cannot shrink (elementwise in the model)")


def test_broadcast_from_the_last_axis(net):
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(net.binary(x, net.parameter("shift", 4)), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("shift", 0)) == ["abcd"] * 2


def test_batch_norm(net):
    x = net.batch_norm(net.conv(net.picture(3), 4, name="a"), name="n")
    found = look(net, net.conv(x, 2, name="b"))
    names = ("weight", "bias", "running_mean", "running_var")
    assert set(found.pattern(("a.weight", 0), *((f"n.{name}", 0) for name in names))) == {"abcd"}


def test_group_norm_ties_the_same_places_of_groups(net):
    x = net.conv(net.picture(3), 6, name="a")
    found = look(net, net.conv(net.group_norm(x, 2), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("norm1.weight", 0)) == ["abcabc"] * 2


def test_group_norm_in_one_group_ties_nothing(net):
    found = look(net, net.conv(net.group_norm(net.conv(net.picture(3), 4, name="a"), 1), 2))
    assert found.pattern(("a.weight", 0)) == ["abcd"]


@pytest.mark.parametrize("function", ["layer_norm", "rms_norm"])
def test_layer_norm(net, function):
    x = net.layer_norm(net.linear(net.vector(2, 3, 3), 4, name="a"), function=function)
    found = look(net, net.linear(x, 2, name="b"))
    assert set(found.pattern(("a.weight", 0), ("norm1.weight", 0), ("b.weight", 1))) == {"abcd"}


def test_layer_norm_over_two_axes(net):
    x = net.linear(net.vector(2, 3, 3), 4, name="a")
    found = look(net, net.linear(net.layer_norm(x, (1, 2)), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("norm1.weight", 1)) == ["abcd"] * 2
    assert found.because("norm1.weight", 0, "meets something that cannot shrink")


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("reduce", {"axes": (1,), "keepdims": True, "function": "mean"}, "is summed or compared over"),
        ("along", {"axes": (1,), "function": "softmax"}, "has its coordinates mixed"),
        ("window", {"axes": (1,)}, "has its coordinates mixed"),
    ],
)
def test_what_mixes_channels_keeps_them(net, kind, options, text):
    x = net.conv(net.picture(3), 4, name="a")
    found = look(net, net.conv(net.op(kind, x, **options), 2))
    assert found.because("a.weight", 0, f"{text} ({kind} in the model)")


def test_what_mixes_other_axes_keeps_nothing(net):
    x = net.conv(net.picture(3), 4, name="a")
    y = net.op("along", net.op("window", x, axes=(2, 3)), axes=(2, 3), function="softmax")
    found = look(net, net.linear(net.reduce(y, 2, 3), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("b.weight", 1)) == ["abcd"] * 2


def test_embedding(net):
    x = net.embedding(net.indices(5, 2, 3), 5, 4)
    found = look(net, net.linear(net.binary(x, net.linear(x, 4, name="a")), 2, name="b"))
    assert set(found.pattern(("embedding1.weight", 1), ("a.weight", 0), ("a.weight", 1))) == {"abcd"}
    assert found.because("embedding1.weight", 0, "is looked up by index (embedding in the model)")


def test_attention_of_more_axes(net):
    x = net.vector(2, 3, 3)
    q, k, v = (net.op("unsqueeze", net.heads(net.linear(x, 8, name=n), 2), axes=(1,)) for n in "qkv")
    y = net.merge(net.op("squeeze", net.attention(q, k, v, scale=0.5), axes=(1,)))
    found = look(net, net.linear(y, 2, name="out"))
    assert found.pattern(("q.weight", 0), ("k.weight", 0)) == ["abcdabcd"] * 2


def attended(net, mask=-1, scale=None, heads=(2, 2), **options):
    x = net.vector(2, 3, 3)
    q, k, v = (
        net.heads(net.linear(x, 4 * number, name=name), number)
        for name, number in zip("qkv", (heads[0], heads[1], heads[1]), strict=True)
    )
    y = net.linear(net.merge(net.attention(q, k, v, mask, scale)), 2, name="out")
    return look(net, y, **options)


def test_attention_ties_queries_to_keys_and_values_to_what_reads_them(net):
    found = attended(net, rescales=True)
    assert found.pattern(("q.weight", 0), ("k.weight", 0)) == ["abcdabcd"] * 2
    assert found.pattern(("v.weight", 0), ("out.weight", 1)) == ["abcdabcd"] * 2
    assert found.units() == {"q.weight": 4, "v.weight": 4}


def test_attention_keeps_the_width_that_sets_its_scale(net):
    found = attended(net)
    assert found.because("q.weight", 0, "sets the scale of an attention (attention in the model)")
    assert found.pattern(("v.weight", 0)) == ["abcdabcd"]


def test_attention_with_a_scale_of_its_own_keeps_nothing(net):
    assert attended(net, scale=0.5).pattern(("q.weight", 0)) == ["abcdabcd"]


def test_attention_loses_heads(net):
    found = attended(net, net.parameter("table", 4, 3, 3), heads=(4, 4))
    found = look(found.net, *found.results, heads="heads")
    names = [("q.weight", 0), ("k.weight", 0), ("v.weight", 0), ("out.weight", 1)]
    assert found.pattern(*names, ("table", 0)) == ["aaaabbbbccccdddd"] * 4 + ["abcd"]


def test_attention_with_shared_keys_loses_heads_of_keys_with_all_their_queries(net):
    found = attended(net, heads=(8, 4))
    found = look(found.net, *found.results, heads="heads")
    eights = "".join(letter * 8 for letter in "abcd")
    assert found.pattern(("q.weight", 0), ("k.weight", 0)) == [eights, "aaaabbbbccccdddd"]


def test_attention_mask_of_one_head_stays(net):
    found = attended(net, net.parameter("table", 1, 3, 3), heads=(2, 2))
    assert found.because("table", 0, "is stretched over several coordinates (attention in the model)")


def test_attention_keeps_the_lengths_it_mixes(net):
    x = net.vector(2, 3, 4)
    x = net.transpose(net.linear(net.transpose(x, 0, 2, 1), 5, name="mixer"), 0, 2, 1)
    q = net.heads(net.linear(net.vector(2, 3, 4), 4), 2)
    k, v = (net.heads(net.linear(x, 4), 2) for _ in range(2))
    found = look(net, net.linear(net.merge(net.attention(q, k, v)), 2))
    assert found.because("mixer.weight", 0, "has its coordinates mixed (attention in the model)")


def raw(kind, **options):
    """Return a structure in which a layer's channels go through one operation."""
    program, place = Program(), Place("block.op", "made.up", "model.py:7")
    weight = program.parameter("a.weight", (4, 3))
    turned = program.op("transpose", [weight], [(3, 4)], axes=(1, 0))
    x = program.op("contract", [program.source((2, 3)), *turned], [(2, 4)], spec="bi,io->bo")
    y = program.op(kind, x, [(2, 4)], place, **options)
    head = program.parameter("b.weight", (4, 2))
    program.result(program.op("contract", [*y, head], [(2, 2)], spec="bi,io->bo")[0])
    return program


def structure_of_raw(program):
    return analyse({"eval": program}, weights={"a.weight": 0})


def test_an_operation_without_a_rule_keeps_whole_and_is_listed():
    structure = structure_of_raw(raw("opaque"))
    assert [str(place) for place in structure.unruled] == ["made.up in block.op at model.py:7"]
    (reason,) = structure.reasons("eval", 0, 0)
    assert str(reason) == "goes through made.up, which has no rule (made.up in block.op at model.py:7)"
    assert structure.groups == ()


def test_an_operation_kept_whole_on_purpose_says_why_and_is_not_listed():
    structure = structure_of_raw(raw("whole", reason="is read by a recurrent cell"))
    assert structure.unruled == ()
    assert structure.reasons("eval", 0, 0)[0].text == "is read by a recurrent cell"


def test_a_new_array_of_the_same_shape_shrinks_along(net):
    x = net.linear(net.vector(2, 3), 4, name="a")
    found = look(net, net.linear(net.op("like", x, fill=1.0), 2, name="b"))
    assert found.pattern(("a.weight", 0), ("b.weight", 1)) == ["abcd"] * 2
