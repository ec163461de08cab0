"""Reads which integer of the code sizes which axis, function by function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pruners.structure.program import Arithmetic, Constant, Dimension

from .integers import expression_of, plain
from .sizes import SizeBook

Reader = Callable[[SizeBook, Sequence[Any], Mapping[str, Any], Any], None]
"""Takes the arguments and the result of one call."""

READERS: dict[str, Reader] = {}
"""Name of a function of PyTorch -> what reads its sizes."""


def reads(*names: str) -> Callable[[Reader], Reader]:
    """Enter a reader in the table under these names."""

    def enter(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(names, function))
        return function

    return enter


def given(args: Sequence[Any], kwargs: Mapping[str, Any], index: int, name: str, default: Any = None) -> Any:
    """Return an argument by its position or name."""
    return args[index] if len(args) > index else kwargs.get(name, default)


def _sequence(args: Sequence[Any], kwargs: Mapping[str, Any], index: int, *names: str) -> Sequence[Any]:
    """Return sizes given one by one or as one sequence."""
    rest = args[index:] or [next((kwargs[name] for name in names if name in kwargs), ())]
    return rest[0] if isinstance(rest[0], (tuple, list)) else rest


def _each(book: SizeBook, sizes: Sequence[Any], result: Tensor, first: int = 0) -> None:
    for axis, size in enumerate(sizes):
        if isinstance(size, int) and plain(size) >= 0:
            book.note(size, result, first + axis)


@reads("view", "reshape", "expand", "broadcast_to", "new_zeros", "new_ones", "new_empty", "new_full")
def _shaped(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    sizes = _sequence(args, kwargs, 1, "shape", "size")
    if len(sizes) == result.ndim:
        _each(book, sizes, result)


@reads("zeros", "ones", "empty", "rand", "randn", "full")
def _made(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    sizes = _sequence(args, kwargs, 0, "size")
    if len(sizes) == result.ndim:
        _each(book, sizes, result)


@reads("randint")
def _random_integers(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    sizes = next((each for each in args if isinstance(each, (tuple, list))), kwargs.get("size", ()))
    _each(book, sizes, result)


@reads("arange", "eye")
def _counted(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    if len(args) == 1 and isinstance(args[0], int):
        _each(book, [args[0]], result)


@reads("linspace")
def _spaced(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    _each(book, [given(args, kwargs, 2, "steps")], result)


@reads("view_as", "reshape_as", "expand_as")
def _shaped_as(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    _each(book, book.shape(given(args, kwargs, 1, "other")), result)


@reads("unflatten")
def _unflatten(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    axis = plain(given(args, kwargs, 1, "dim")) % args[0].ndim
    _each(book, given(args, kwargs, 2, "sizes", kwargs.get("unflattened_size")), result, axis)


@reads("repeat", "tile")
def _repeat(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Only what is repeated from one coordinate, or from none, has the number of repeats as its size."""
    x = args[0]
    repeats = _sequence(args, kwargs, 1, "repeats", "dims")
    for back, times in enumerate(reversed(repeats), start=1):
        if back > x.ndim or x.shape[-back] == 1:
            book.note(times, result, result.ndim - back)


@reads("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes")
def _split(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    names = ("split_size_or_sections", "split_size", "split_sizes")
    sizes = given(args, kwargs, 1, "", next((kwargs[name] for name in names if name in kwargs), None))
    axis = plain(given(args, kwargs, 2, "dim", 0)) % args[0].ndim
    listed = [sizes] * len(result) if isinstance(sizes, int) else sizes
    for size, part in zip(listed, result, strict=True):
        if part.shape[axis] == plain(size):
            book.note(size, part, axis)


@reads("chunk", "tensor_split")
def _chunk(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Every part but the last has the length divided by the number of parts, rounded up."""
    x = args[0]
    count = given(args, kwargs, 1, "chunks", kwargs.get("indices_or_sections"))
    if not isinstance(count, int):
        return
    axis = plain(given(args, kwargs, 2, "dim", 0)) % x.ndim
    parts = expression_of(count, book)
    whole = Arithmetic("+", Dimension(book.tape.number(x), axis), Arithmetic("-", parts, Constant(1)))
    for part in result:
        if part.shape[axis] == result[0].shape[axis]:
            book.note(Arithmetic("//", whole, parts), part, axis)


@reads("narrow")
def _narrow(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    axis = plain(given(args, kwargs, 1, "dim")) % args[0].ndim
    start = given(args, kwargs, 2, "start")
    if isinstance(start, int):
        _until(book, start, args[0], axis)
    book.note(given(args, kwargs, 3, "length"), result, axis)


def _until(book: SizeBook, bound: int, x: Tensor, axis: int) -> None:
    """A bound of a slice counts the coordinates before it; a negative one those after it."""
    number, length = plain(bound), x.shape[axis]
    if 0 < number <= length:
        book.note(bound, x, axis, 0, number)
    elif -length <= number < 0:
        count = Arithmetic("-", Constant(0), expression_of(bound, book))
        book.note(count, x, axis, length + number, length)


@reads("__getitem__", "__setitem__")
def _item(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    x, index = args[0], args[1]
    items = list(index) if isinstance(index, tuple) else [index]
    taken = sum(_taken(item) for item in items)
    axis = 0
    for item in items:
        if item is Ellipsis:
            axis += x.ndim - taken
            continue
        if isinstance(item, slice) and axis < x.ndim:
            for bound in (item.start, item.stop):
                if isinstance(bound, int):
                    _until(book, bound, x, axis)
        axis += _taken(item)


def _taken(item: Any) -> int:
    """Return how many axes an index stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8):
        return item.ndim
    return 1


@reads("layer_norm", "rms_norm")
def _layer_norm(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    shape = given(args, kwargs, 1, "normalized_shape")
    _each(book, shape, result, result.ndim - len(shape))


@reads("group_norm")
def _group_norm(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The channels of every group leave alike, so the number of groups stays."""
    groups = given(args, kwargs, 1, "num_groups")
    book.fixed(expression_of(groups, book), plain(groups))


@reads("conv1d", "conv2d", "conv3d")
def _conv(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """A convolution reads as many channels as it has groups times those of one group."""
    x, weight = given(args, kwargs, 0, "input"), given(args, kwargs, 1, "weight")
    groups = given(args, kwargs, 6, "groups", 1)
    if plain(groups) > 1:
        _grouped(book, groups, weight, x, x.ndim - weight.ndim + 1)


@reads("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    weight, groups = given(args, kwargs, 1, "weight"), given(args, kwargs, 6, "groups", 1)
    if plain(groups) > 1:
        _grouped(book, groups, weight, result, result.ndim - weight.ndim + 1)


def _grouped(book: SizeBook, groups: int, weight: Tensor, channels: Tensor, axis: int) -> None:
    width = Dimension(book.tape.number(weight), 1)
    book.note(Arithmetic("*", expression_of(groups, book), width), channels, axis)


@reads("pad", "constant_pad_nd")
def _pad(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    amounts = given(args, kwargs, 1, "pad")
    if given(args, kwargs, 2, "mode", "constant") not in ("constant", 0, 0.0):
        return
    for place in range(len(amounts) // 2):
        axis = result.ndim - 1 - place
        before, after = amounts[2 * place], amounts[2 * place + 1]
        length = result.shape[axis]
        if plain(before) > 0:
            book.note(before, result, axis, 0, plain(before))
        if plain(after) > 0:
            book.note(after, result, axis, length - plain(after), length)


@reads("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    parted = book.tape.program.ops[-3]
    book.note(given(args, kwargs, 1, "groups"), parted.outputs[0], 1)


@reads("repeat_interleave")
def _repeat_interleave(book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The repeats are an axis of their own until they are merged."""
    repeats, axis = given(args, kwargs, 1, "repeats"), given(args, kwargs, 2, "dim")
    wide = next((op for op in reversed(book.tape.program.ops[-4:]) if op.kind == "expand"), None)
    if isinstance(repeats, int) and axis is not None and wide is not None:
        book.note(repeats, wide.outputs[0], plain(axis) % args[0].ndim + 1)
