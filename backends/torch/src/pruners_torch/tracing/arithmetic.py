"""Operations that compute: elementwise, products, reductions, mixtures along an axis, new arrays."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from torch import Tensor

from .steps import Step, translates
from .tape import Tape

_ALIKE = """clone alias detach lift lift_fresh lift_fresh_copy contiguous _to_copy to fill zero native_dropout
    bernoulli where masked_fill _prelu_kernel prelu rrelu_with_noise nan_to_num addcmul addcdiv lerp _conj
    resolve_conj resolve_neg conj neg_view positive set_ normal uniform random exponential fake_quantize
    _fused_dropout glu_jvp celu elu gelu softplus silu mish hardswish hardsigmoid hardtanh leaky_relu
    threshold relu6 clamp_min clamp_max"""

_LIKE = "zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_empty_strided"

_UNIFORM = """empty zeros ones full scalar_tensor empty_strided new_empty new_zeros new_ones new_full rand
    randn randint normal_functional efficientzerotensor _efficientzerotensor"""

_PLACED = """arange linspace logspace eye tril_indices triu_indices range randperm hann_window hamming_window
    bartlett_window blackman_window kaiser_window complex polar_functional"""

_REDUCTIONS = """mean sum amax amin max min var std var_mean std_mean prod logsumexp any all argmax argmin
    linalg_vector_norm norm nansum nanmean median nanmedian mode kthvalue count_nonzero aminmax"""

_ALONG = """_softmax _log_softmax _safe_softmax softmax log_softmax cumsum cumprod cummax cummin logcumsumexp
    sort argsort msort _cummax_helper _cummin_helper renorm"""


def opaque(tape: Tape, step: Step) -> None:
    """Write down an operation without a rule: what it reads stays whole."""
    tape.write("opaque", step.read, step.results, function=step.name)


def elementwise(tape: Tape, step: Step) -> None:
    """Write down an operation that computes each number from those at the same place."""
    read, results = step.read, step.results
    if not read:
        tape.constant(results)
    elif results and all(_fits(read, result) for result in results):
        tape.write("elementwise", read, results, function=step.name)
    else:
        opaque(tape, step)


def _fits(read: Sequence[Tensor], result: Tensor) -> bool:
    """Say whether the arguments broadcast to the shape of the result."""
    full = result.shape
    for each in read:
        shape = each.shape
        if shape != full and not _stretches(shape, full):
            return False
    return True


def _stretches(shape: Sequence[int], full: Sequence[int]) -> bool:
    pairs = zip(reversed(shape), reversed(full), strict=False)
    return len(shape) <= len(full) and all(length in (1, wide) for length, wide in pairs)


translates(*_ALIKE.split())(elementwise)


@translates(*_LIKE.split())
def _like(tape: Tape, step: Step) -> None:
    if step.results[0].shape == step.arguments["self"].shape:
        tape.write("like", [step.arguments["self"]], step.results)
    else:
        tape.constant(step.results)


@translates(*_UNIFORM.split())
def _uniform(tape: Tape, step: Step) -> None:
    """Arrays that are the same everywhere, or random: they can be made smaller."""
    if step.name == "full" and step.read:
        opaque(tape, step)
    else:
        tape.constant(step.results)


@translates(*_PLACED.split())
def _placed(tape: Tape, step: Step) -> None:
    """Arrays whose numbers depend on the place: a shorter one has other numbers, so they stay whole."""
    tape.write("opaque" if step.read else "whole", step.read, step.results, reason="numbers places")


def _product(tape: Tape, left: Tensor, right: Tensor, spec: str, shape: Sequence[int]) -> int:
    values = tape.number(left), tape.number(right)
    return tape.op("contract", values, [shape], spec=spec)[0]


def _plus(tape: Tape, product: int, addend: Tensor | None, result: Tensor) -> None:
    """Let the result stand for a product, or for a product and something added."""
    if addend is None:
        tape.give(result, product)
    else:
        tape.write("elementwise", [product, addend], [result], function="add")


@translates("mm", "bmm", "mv", "dot", "vdot", "matmul")
def _mm(tape: Tape, step: Step) -> None:
    left, right = step.read[:2]
    spec = _spec(left.ndim, right.ndim)
    if spec is None:
        opaque(tape, step)
        return
    tape.write("contract", [left, right], step.results, spec=spec)


def _spec(left: int, right: int) -> str | None:
    """Return the letters of a matrix product of equally many leading axes, or of vectors."""
    fixed = {(1, 1): "a,a->", (1, 2): "b,bc->c", (2, 1): "ab,b->a"}
    if (left, right) in fixed:
        return fixed[left, right]
    if left != right:
        return None
    lead = ascii_lowercase[3 : 1 + left]
    return f"{lead}ab,{lead}bc->{lead}ac"


@translates("addmm", "_addmm_activation", "addmv", "baddbmm")
def _addmm(tape: Tape, step: Step) -> None:
    given = step.arguments
    names = {"addmv": ("mat", "vec"), "baddbmm": ("batch1", "batch2")}
    left, right = (given[name] for name in names.get(step.name, ("mat1", "mat2")))
    spec = _spec(left.ndim, right.ndim)
    result = step.results[0]
    product = _product(tape, left, right, str(spec), result.shape)
    _plus(tape, product, None if given.get("beta") == 0 else given["self"], result)


@translates("linear", "mkldnn_linear", "_mkldnn_linear")
def _linear(tape: Tape, step: Step) -> None:
    x, weight = step.read[:2]
    bias = step.arguments.get("bias")
    lead = ascii_lowercase[2 : 1 + x.ndim]
    result = step.results[0]
    _plus(tape, _product(tape, x, weight, f"{lead}b,ab->{lead}a", result.shape), bias, result)


@translates(*_REDUCTIONS.split())
def _reduce(tape: Tape, step: Step) -> None:
    read = step.read
    if "other" in step.arguments and len(read) == 2:  # the larger of two arrays
        elementwise(tape, step)
        return
    keepdims = bool(step.arguments.get("keepdim", False))
    tape.write(
        "reduce", read[:1], step.results, axes=step.axes(), keepdims=keepdims, function=step.name.lstrip("_")
    )


@translates(*_ALONG.split())
def _along(tape: Tape, step: Step) -> None:
    axes = step.axes() if step.arguments.get("dim") is not None else (0,)
    tape.write("along", step.read[:1], step.results, axes=axes, function=step.name.lstrip("_"))


@translates("tril", "triu")
def _triangle(tape: Tape, step: Step) -> None:
    tape.write("along", step.read[:1], step.results, axes=(step.rank - 2, step.rank - 1), function=step.name)


@translates("_weight_norm_interface")
def _weight_norm(tape: Tape, step: Step) -> None:
    """``v * (g / norm(v))`` over all but one axis: the norm is read, the result laid out as v."""
    direction, length = step.arguments["v"], step.arguments["g"]
    tape.write("elementwise", [direction, length], step.results[:1], function="weight_norm")


@translates("_fft_r2c", "_fft_c2c", "_fft_c2r")
def _fourier(tape: Tape, step: Step) -> None:
    tape.write("window", step.read[:1], step.results, axes=step.axes(), function=step.name)


@translates("glu")
def _glu(tape: Tape, step: Step) -> None:
    """The first half of an axis, gated by the second."""
    x, axis = step.arguments["self"], step.axis()
    half = x.shape[axis] // 2
    shape = [half if index == axis else length for index, length in enumerate(x.shape)]
    parts = tape.op("split", [tape.number(x)], [shape, shape], axis=axis, sizes=(half, half))
    tape.write("elementwise", list(parts), step.results, function="glu")
