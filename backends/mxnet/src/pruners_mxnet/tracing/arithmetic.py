"""Operators that compute number by number, with one number, or make arrays like others."""

from __future__ import annotations

from .layers import expanded
from .steps import Shape, Step, UnusualError, translates

_COPIES = """_copy _copyto _np_copy BlockGrad make_loss MakeLoss Cast amp_cast IdentityAttachKLSparseReg
    _contrib_gradientmultiplier _CrossDeviceCopy"""
_UNARY = """abs arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh degrees erf erfinv exp expm1
    fix floor gamma gammaln hard_sigmoid log log10 log1p log2 logical_not negative radians rcbrt reciprocal
    relu rint round rsqrt sigmoid sign sin sinh smooth_l1 softsign sqrt square tan tanh trunc _npx_relu
    _npx_sigmoid _contrib_round_ste _contrib_sign_ste"""
_NUMPY_UNARY = """absolute arccos arccosh arcsin arcsinh arctan arctanh around bitwise_not cbrt ceil cos
    cosh degrees exp expm1 fix floor isfinite isinf isnan isneginf isposinf log log10 log1p log2 logical_not
    nan_to_num negative radians reciprocal rint sign sin sinh sqrt square tan tanh trunc"""
_BROADCAST = """add div equal greater greater_equal hypot lesser lesser_equal logical_and logical_or
    logical_xor maximum minimum mod mul not_equal power sub"""
_PLAIN = """equal greater greater_equal hypot lesser lesser_equal logical_and logical_or logical_xor maximum
    minimum mod not_equal power grad_add"""
_NUMPY_BINARY = """add arctan2 bitwise_and bitwise_or bitwise_xor copysign equal greater greater_equal hypot
    lcm ldexp less less_equal mod multiply not_equal power subtract true_divide"""
_SCALAR = """div equal greater greater_equal hypot lesser lesser_equal logical_and logical_or logical_xor
    maximum minimum minus mod mul not_equal plus power rdiv rminus rmod rpower scatter_minus scatter_plus"""
_NUMPY_SCALAR = """add arctan2 bitwise_and bitwise_or bitwise_xor copysign equal greater greater_equal lcm
    ldexp less less_equal mod multiply not_equal power rarctan2 rcopysign rldexp rmod rpower rsubtract
    rtrue_divide subtract true_divide"""

_COMMON = {
    "_copy": "copy",
    "copyto": "copy",
    "BlockGrad": "detach",
    "make_loss": "identity",
    "MakeLoss": "identity",
    "IdentityAttachKLSparseReg": "identity",
    "contrib_gradientmultiplier": "identity",
    "CrossDeviceCopy": "to",
    "Cast": "to",
    "amp_cast": "to",
    "absolute": "abs",
    "negative": "neg",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "fix": "trunc",
    "rint": "round",
    "around": "round",
    "contrib_round_ste": "round",
    "contrib_sign_ste": "sign",
    "smooth_l1": "abs",
    "cbrt": "sqrt",
    "rcbrt": "rsqrt",
    "erfinv": "erf",
    "arctanh": "atan",
    "gamma": "reciprocal",
    "gammaln": "log",
    "degrees": "mul",
    "radians": "mul",
    "minus": "sub",
    "subtract": "sub",
    "plus": "add",
    "grad_add": "add",
    "scatter_plus": "add",
    "scatter_minus": "sub",
    "mod": "remainder",
    "power": "pow",
    "rdiv": "reciprocal",
    "rtrue_divide": "reciprocal",
    "rmod": "reciprocal",
}
"""MXNet's name -> one of core's that is zero, or no number, at the same places."""


def common(op: str) -> str:
    """Return the common name of an operator: ``"_npi_multiply_scalar"`` is ``"multiply"``."""
    for prefix in ("_npi_", "_npx_", "_np_", "broadcast_", "elemwise_", "_"):
        op = op.removeprefix(prefix)
    op = op.removesuffix("_scalar")
    return _COMMON.get(op, op)


def computed(step: Step, inputs: list[int], name: str) -> None:
    """Write down an operator that computes each number from those at the same place."""
    if any(not _fits(step.tape.shape(value), step.out) for value in inputs):
        raise UnusualError("shapes that do not broadcast")
    step.write("elementwise", inputs, function=name)


def _fits(shape: Shape, full: Shape) -> bool:
    pairs = zip(reversed(shape), reversed(full), strict=False)
    return len(shape) <= len(full) and all(length in (1, wide) for length, wide in pairs)


def _named(prefix: str, names: str, suffix: str = "") -> list[str]:
    return [f"{prefix}{name}{suffix}" for name in names.split()]


@translates(
    *_COPIES.split(),
    *_UNARY.split(),
    *_named("_npi_", _NUMPY_UNARY),
    *_named("broadcast_", _BROADCAST),
    *_named("elemwise_", "add div mul sub"),
    *_named("_", _PLAIN),
    *_named("_npi_", _NUMPY_BINARY),
)
def _elementwise(step: Step) -> None:
    computed(step, list(step.inputs), common(step.node.op))


@translates("add_n", "amp_multicast")
def _several(step: Step) -> None:
    if step.node.op == "add_n":
        computed(step, list(step.inputs), "add")
        return
    for value, shape in zip(step.inputs, step.shapes, strict=True):
        step.give(step.do("elementwise", [value], shape, function="to"))


@translates(*_named("_", _SCALAR, "_scalar"), *_named("_npi_", _NUMPY_SCALAR, "_scalar"))
def _with_number(step: Step) -> None:
    """With one number: what becomes of zero depends on it."""
    name, number = common(step.node.op), step.number("scalar", 1.0)
    if name == "pow":
        name = "square" if number > 0 else "reciprocal" if number < 0 else "constant"
    elif name in ("add", "sub") and number == 0:
        name = "copy"
    elif name == "maximum" and number <= 0:
        name = "relu" if number == 0 else "hardtanh"
    elif name == "minimum" and number >= 0:
        name = "hardtanh"
    step.write("elementwise", function=name)


@translates("clip")
def _clip(step: Step) -> None:
    low, high = (step.get(name) for name in ("a_min", "a_max"))
    zero = (low is None or low <= 0) and (high is None or high >= 0)
    step.write("elementwise", function="hardtanh" if zero else "clamp")


@translates("Activation")
def _activation(step: Step) -> None:
    kinds = {"softrelu": "softplus"}
    kind = step.get("act_type", "relu")
    step.write("elementwise", function=kinds.get(kind, kind))


@translates("LeakyReLU")
def _leaky_relu(step: Step) -> None:
    """The slope of a `prelu` is one for all, or one per channel: along axis 1."""
    kind = step.get("act_type", "leaky")
    kinds = {"leaky": "leaky_relu"}
    x, *slope = step.inputs
    if slope and step.tape.shape(slope[0]) != (1,):
        slope = [expanded(step, slope[0], len(step.shape), 1)]
    made = step.do("elementwise", [x, *slope], step.out, function=kinds.get(kind, kind))
    step.give(made, *(step.tape.program.source(shape) for shape in step.shapes[1:]))


@translates("Dropout")
def _dropout(step: Step) -> None:
    made = step.do("elementwise", step.inputs, step.out, function="dropout")
    step.give(made, *(step.tape.program.source(shape) for shape in step.shapes[1:]))


@translates("zeros_like", "ones_like", "_npi_full_like", *_named("_random_", "normal_like uniform_like"))
def _like(step: Step) -> None:
    step.write("like")


@translates("where")
def _where(step: Step) -> None:
    """A condition of one axis chooses whole rows."""
    condition, *rest = step.inputs
    if len(step.shape) == 1 < len(step.out):
        condition = expanded(step, condition, len(step.out), 0)
    computed(step, [condition, *rest], "where")


@translates("_npi_where", "_npi_where_lscalar", "_npi_where_rscalar", "_npi_where_scalar2")
def _numpy_where(step: Step) -> None:
    computed(step, list(step.inputs), "where")


@translates("_identity_with_attr_like_rhs")
def _like_right(step: Step) -> None:
    computed(step, list(step.inputs), "copysign")


@translates("_contrib_div_sqrt_dim")
def _scaled(step: Step) -> None:
    """Divided by the root of the length of the last axis, which must stay."""
    step.keep(step.inputs[0], len(step.shape) - 1)
    step.write("elementwise", function="div")


@translates("LinearRegressionOutput", "MAERegressionOutput", "LogisticRegressionOutput")
def _regression(step: Step) -> None:
    logistic = step.node.op.startswith("Logistic")
    step.write("elementwise", step.inputs[:1], function="sigmoid" if logistic else "identity")


@translates("_contrib_arange_like", "shape_array", "size_array", "_contrib_index_array")
def _numbers_places(step: Step) -> None:
    step.write("whole", reason="has its coordinates counted or numbered")


@translates("one_hot")
def _one_hot(step: Step) -> None:
    step.write("whole", reason="is turned into positions")
