"""Reshapes, with the codes of MXNet, and the sizes that the code hands to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .integers import plain
from .steps import Shape, Step, UnusualError, translates

Sizes = dict[int, int]
"""Axis of the result -> the number that the code wrote for it."""


@translates("Reshape")
def _reshape(step: Step) -> None:
    """A reshape that nobody asked for by name is part of an index: it follows the shape of its input."""
    step.write("reshape", step.inputs[:1])
    if "shape" not in step.given:
        return
    target = step.integers("shape")
    note(step, written(target, step.shape, step.out, reverse=step.flag("reverse"), codes=_GLUON))


@translates("_np_reshape")
def _numpy_reshape(step: Step) -> None:
    if step.get("order", "C") != "C":
        raise UnusualError("order")
    step.write("reshape")
    note(step, written(step.integers("newshape"), step.shape, step.out, codes={}))


@translates("_npx_reshape")
def _extended_reshape(step: Step) -> None:
    step.write("reshape")
    target, reverse = step.integers("newshape"), step.flag("reverse")
    note(step, written(target, step.shape, step.out, reverse=reverse, codes=_EXTENDED))


def note(step: Step, sizes: Mapping[int, int]) -> None:
    """Note the sizes that the code wrote for a result."""
    for axis, size in sizes.items():
        step.literal(size, step.outputs[0], axis)


_GLUON = {0: "copy", -2: "rest", -3: "merge", -4: "split"}
_EXTENDED = {-2: "copy", -3: "drop", -4: "rest", -5: "merge", -6: "split"}


def written(
    target: Sequence[int],
    shape: Shape,
    out: Shape,
    *,
    codes: Mapping[int, str],
    reverse: bool = False,
) -> Sizes:
    """
    Return the numbers that a target names for axes of the result.

    Codes that copy, merge or infer name none; a split names its parts. Read from the back where
    `reverse` is set: the axes are then counted from the back, too.
    """
    tokens = list(_tokens(target, codes))
    if reverse:
        tokens.reverse()
    count = len(shape) - sum(_read(token, codes) for token, _ in tokens if codes.get(token) != "rest")
    found: Sizes = {}
    at = 0
    for token, parts in tokens:
        kind = codes.get(token, "")
        if kind == "split":
            for offset, size in enumerate(parts):
                found[at + (1 - offset if reverse else offset)] = size
            at += 2
        elif kind == "rest":
            at += max(count, 0)
        elif kind != "drop":
            if not kind and token > 0:
                found[at] = token
            at += 1
    rank = len(out)
    placed = {(rank - 1 - axis if reverse else axis): size for axis, size in found.items()}
    return {axis: size for axis, size in placed.items() if 0 <= axis < rank and out[axis] == plain(size)}


def _tokens(target: Sequence[int], codes: Mapping[int, str]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the entries of a target; a split comes with its two parts."""
    each = iter(target)
    for token in each:
        parts = (next(each, -1), next(each, -1)) if codes.get(token) == "split" else ()
        yield token, parts


def _read(token: int, codes: Mapping[int, str]) -> int:
    """Return how many axes of the input an entry stands for."""
    return 2 if codes.get(token) == "merge" else 1


@translates("Flatten")
def _flatten(step: Step) -> None:
    step.write("reshape")


@translates("reshape_like")
def _reshape_like(step: Step) -> None:
    """The result has the lengths of the other array."""
    if any(step.get(name) is not None for name in ("lhs_begin", "lhs_end", "rhs_begin", "rhs_end")):
        raise UnusualError("lhs_begin")
    made = step.do("reshape", step.inputs[:1], step.out)
    step.write("elementwise", [made, step.inputs[1]], function="copysign")


@translates("depth_to_space")
def _depth_to_space(step: Step) -> None:
    """Channels are laid out block by block: ``(block, block, channel)``."""
    block = int(step.integer("block_size"))
    batch, channels, height, width = step.shape
    deep = channels // block**2
    parted = step.do("reshape", step.inputs, (batch, block, block, deep, height, width))
    shape = (batch, deep, height, block, width, block)
    step.write("reshape", [step.do("transpose", [parted], shape, axes=(0, 3, 4, 1, 5, 2))])


@translates("space_to_depth")
def _space_to_depth(step: Step) -> None:
    block = int(step.integer("block_size"))
    batch, channels, height, width = step.shape
    shape = (batch, channels, height // block, block, width // block, block)
    parted = step.do("reshape", step.inputs, shape)
    turned = (batch, block, block, channels, height // block, width // block)
    step.write("reshape", [step.do("transpose", [parted], turned, axes=(0, 3, 5, 1, 2, 4))])
