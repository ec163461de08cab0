"""Products of arrays."""

from __future__ import annotations

from string import ascii_lowercase

from .steps import Shape, Step, UnusualError, translates


@translates("dot", "_np_dot")
def _dot(step: Step) -> None:
    """The last axis of the left with the first of the right; in NumPy, with the last but one."""
    left, right = (step.tape.shape(value) for value in step.inputs)
    if step.node.op == "_np_dot" and (not left or not right):
        step.write("elementwise", function="mul")
        return
    turned = step.flag("transpose_a"), step.flag("transpose_b")
    if any(turned) and max(len(left), len(right)) > 2:
        raise UnusualError("transpose_a")
    a = list(ascii_lowercase[: len(left)])
    b = list(ascii_lowercase[len(left) : len(left) + len(right)])
    summed_left = 0 if turned[0] else len(left) - 1
    summed_right = len(right) - 1 if turned[1] and len(right) > 1 else 0
    if step.node.op == "_np_dot" and len(right) > 1:
        summed_right = len(right) - 2
    b[summed_right] = a[summed_left]
    result = [letter for letter in a + b if letter != a[summed_left]]
    contracted(step, f"{''.join(a)},{''.join(b)}->{''.join(result)}")


def contracted(step: Step, spec: str) -> None:
    """Write down a product; one that leaves nothing has a single coordinate in MXNet's older arrays."""
    result = spec.rpartition(">")[2]
    if not result and step.out == (1,):
        made = step.do("contract", step.inputs[:2], (), spec=spec)
        step.give(step.do("unsqueeze", [made], (1,), axes=(0,)))
    else:
        step.write("contract", step.inputs[:2], spec=spec)


@translates("batch_dot", "_linalg_gemm2", "_linalg_gemm")
def _batch_dot(step: Step) -> None:
    if step.get("axis", -2) != -2:
        raise UnusualError("axis")
    lead = ascii_lowercase[3 : 1 + len(step.shape)]
    left = "ba" if step.flag("transpose_a") else "ab"
    right = "cb" if step.flag("transpose_b") else "bc"
    spec = f"{lead}{left},{lead}{right}->{lead}ac"
    if step.node.op == "_linalg_gemm":
        made = step.do("contract", step.inputs[:2], step.out, spec=spec)
        step.write("elementwise", [made, step.inputs[2]], function="add")
    else:
        contracted(step, spec)


@translates("_linalg_syrk")
def _syrk(step: Step) -> None:
    """An array times itself, transposed."""
    lead = ascii_lowercase[3 : 1 + len(step.shape)]
    x = step.inputs[0]
    spec = f"{lead}ba,{lead}bc->{lead}ac" if step.flag("transpose") else f"{lead}ab,{lead}cb->{lead}ac"
    step.write("contract", [x, x], spec=spec)


@translates("_npi_matmul")
def _matmul(step: Step) -> None:
    """Leading axes broadcast: one of a single coordinate is dropped first."""
    left, right = (step.tape.shape(value) for value in step.inputs)
    ends = {(True, True): "a,a->", (True, False): "b,bc->c", (False, True): "ab,b->a"}
    operands, result = ends.get((len(left) == 1, len(right) == 1), "ab,bc->ac").split("->")
    first, second = operands.split(",")
    lead = step.out[: len(step.out) - len(result)]
    letters = ascii_lowercase[3 : 3 + len(lead)]
    parts = [
        _leading(step, value, len(own), lead, letters)
        for value, own in zip(step.inputs, (first, second), strict=True)
    ]
    (x, own), (y, other) = parts
    step.write("contract", [x, y], spec=f"{own}{first},{other}{second}->{letters}{result}")


def _leading(step: Step, value: int, own: int, lead: Shape, letters: str) -> tuple[int, str]:
    """Return an operand without leading axes that are stretched, and the letters of the others."""
    shape = step.tape.shape(value)
    count = max(len(shape) - own, 0)
    letters, lead = letters[len(letters) - count :], lead[len(lead) - count :]
    dropped = tuple(axis for axis in range(count) if shape[axis] != lead[axis])
    if dropped:
        left = [length for axis, length in enumerate(shape) if axis not in dropped]
        value = step.do("squeeze", [value], left, axes=dropped)
    return value, "".join(letter for axis, letter in enumerate(letters) if axis not in dropped)


@translates("_npi_einsum")
def _einsum(step: Step) -> None:
    text = str(step.get("subscripts")).replace(" ", "")
    operands, arrow, result = text.partition("->")
    if not arrow:
        result = "".join(sorted(letter for letter in set(operands) - {","} if operands.count(letter) == 1))
    parts = operands.split(",")
    if "." in text or len(parts) > 2 or any(len(set(part)) != len(part) for part in parts):
        raise UnusualError("subscripts")
    if len(parts) == 2:
        step.write("contract", spec=f"{operands}->{result}")
        return
    x, letters = step.inputs[0], operands
    summed = tuple(axis for axis, letter in enumerate(letters) if letter not in result)
    if summed:
        left = [length for axis, length in enumerate(step.shape) if axis not in summed]
        x = step.do("reduce", [x], left, axes=summed, keepdims=False, function="sum")
        letters = "".join(letter for letter in letters if letter in result)
    step.write("transpose", [x], axes=tuple(letters.index(letter) for letter in result))


@translates("_npi_tensordot", "_npi_tensordot_int_axes")
def _tensordot(step: Step) -> None:
    left, right = (step.tape.shape(value) for value in step.inputs)
    if step.node.op.endswith("int_axes"):
        count = int(step.integer("axes"))
        summed = [(len(left) - count + index, index) for index in range(count)]
    else:
        ours, theirs = (step.integers(name) for name in ("a_axes_summed", "b_axes_summed"))
        summed = [(a % len(left), b % len(right)) for a, b in zip(ours, theirs, strict=True)]
    a = list(ascii_lowercase[: len(left)])
    b = list(ascii_lowercase[len(left) : len(left) + len(right)])
    for ours_, theirs_ in summed:
        b[theirs_] = a[ours_]
    met = {a[ours_] for ours_, _ in summed}
    result = "".join(letter for letter in a + b if letter not in met)
    contracted(step, f"{''.join(a)},{''.join(b)}->{result}")
