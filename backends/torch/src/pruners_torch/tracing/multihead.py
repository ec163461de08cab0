"""Multi-head attention: what its one Python function hides from the function mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from torch import nn

from pruners.structure.program import NONE, Arithmetic, Attribute, Constant, Dimension, Expression, Op

from .integers import expression_of, plain
from .literals import given
from .sizes import SizeBook
from .tape import Tape

NAME = "multi_head_attention_forward"


def restore_attention(tape: Tape, start: int) -> None:
    """
    Write the product of weights and values, from operation `start` on, as one attention.

    Asked for its weights, the function computes them step by step, with a scale that Python derives
    from the width of a head: as an attention without a scale of its own.
    """
    ops = tape.program.ops
    made = {value: op for op in ops[start:] for value in op.outputs}
    softmax = next((op for op in reversed(ops[start:]) if op.kind == "along"), None)
    if softmax is None:
        return
    weights = {softmax.outputs[0]}
    weights |= {op.outputs[0] for op in ops[start:] if op.kind == "elementwise" and op.inputs[0] in weights}
    product = next((op for op in ops[start:] if op.kind == "contract" and op.inputs[0] in weights), None)
    scores = _scores(made, softmax.inputs[0])
    if product is None or scores is None:
        return
    query, key = (_through(made, value, kinds) for value, kinds in zip(scores.inputs, _MOVED, strict=True))
    _replace(tape, product, query, key)


_MOVED = (("elementwise",), ("transpose",))


def _through(made: Mapping[int, Op], value: int, kinds: Sequence[str]) -> int:
    """Return what a value was before a scaling or a transposition."""
    op = made.get(value)
    return op.inputs[0] if op is not None and op.kind in kinds else value


def _scores(made: Mapping[int, Op], value: int) -> Op | None:
    """Return the product of queries and keys, before a mask is added."""
    op = made.get(value)
    while op is not None and op.kind == "elementwise":
        op = next((made[each] for each in op.inputs if each in made and made[each].kind != "expand"), None)
    return op if op is not None and op.kind == "contract" else None


def _replace(tape: Tape, product: Op, query: int, key: int) -> None:
    program = tape.program
    tail = program.ops[program.ops.index(product) + 1 :]
    del program.ops[program.ops.index(product) :]
    singles: list[int] = []
    for value in (query, key, product.inputs[1]):
        heads, *rest = program.shapes[value]
        singles += program.op("unsqueeze", [value], [(heads, 1, *rest)], product.place, axes=(1,))
    heads, *rest = program.shapes[product.outputs[0]]
    single = program.op("attention", [*singles, NONE], [(heads, 1, *rest)], product.place, scale=None)
    program.ops.append(Op("squeeze", single, product.outputs, {"axes": (1,)}, product.place))
    program.ops += tail


def read_sizes(
    book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], start: int, constants: int
) -> None:
    """Note the sizes that the function implies; it recorded the operations from `start` on."""
    query, key, value = (given(args, kwargs, i, name) for i, name in enumerate(("query", "key", "value")))
    width = expression_of(given(args, kwargs, 3, "embed_dim_to_check"), book)
    heads = given(args, kwargs, 4, "num_heads")
    many, head = expression_of(heads, book), Arithmetic("//", width, expression_of(heads, book))
    book.note(width, query, query.ndim - 1)
    _stacked(book, args, kwargs, width, query.shape[-1])
    module = book.scopes.module
    if isinstance(module, nn.MultiheadAttention):
        book.note(Attribute(book.scopes.name, "kdim"), key, key.ndim - 1)
        book.note(Attribute(book.scopes.name, "vdim"), value, value.ndim - 1)
    batch: Expression = Constant(1)
    if query.ndim == 3:
        batch = Dimension(book.tape.number(query), 1)
    sizes = _Sizes(book, query.shape[-1], plain(heads), many, head, width, batch)
    sizes.note(query, start, constants, isinstance(module, nn.MultiheadAttention))


def _stacked(
    book: SizeBook, args: Sequence[Any], kwargs: Mapping[str, Any], width: Expression, length: int
) -> None:
    """Queries, keys and values: as wide as the queries, one below the other or by themselves."""
    packed = given(args, kwargs, 5, "in_proj_weight")
    if packed is not None:
        for part in range(3):
            book.note(width, packed, 0, part * length, (part + 1) * length)
    for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        if kwargs.get(name) is not None:
            book.note(width, kwargs[name], 0)


@frozen(eq=False)
class _Sizes:
    """The sizes of one call, as numbers and as expressions."""

    book: SizeBook
    length: int
    count: int
    many: Expression
    head: Expression
    width: Expression
    batch: Expression

    @property
    def batched(self) -> Expression:
        """Heads of all examples."""
        return Arithmetic("*", self.batch, self.many)

    def note(self, query: Any, start: int, constants: int, own: bool) -> None:
        """Find, by their shapes, the values that the function sized itself."""
        program = self.book.tape.program
        batch = query.shape[1] if query.ndim == 3 else 1
        attended = False
        made = [(value, True) for value in program.constants[constants:]]
        for op in program.ops[start:]:
            attended = attended or op.kind == "attention"
            if op.kind == "reshape":
                made.append((op.outputs[0], attended))
        for value, late in made:
            self._match(program.shapes[value], value, batch, late, query)
        if own:
            self._own_head(program, start)

    def _match(self, shape: tuple[int, ...], value: int, batch: int, late: bool, query: Any) -> None:
        count, width = self.count, self.length // self.count
        book = self.book
        if len(shape) == 3 and shape[1:] == (batch * count, width):
            book.note(self.batched, value, 1)
            book.note(self.head, value, 2)
        elif len(shape) == 3 and shape[0] == batch * count and shape[2] == width:
            book.note(self.batched, value, 0)
            book.note(self.head, value, 2)
        elif len(shape) == 4 and shape[:2] == (batch, count):
            book.note(self.many, value, 1)
            if shape[3] == width and not late:
                book.note(self.head, value, 3)
        elif shape[-2:] == (3, self.length):
            book.note(self.width, value, len(shape) - 1)
        elif late and len(shape) == 2 and shape == (query.shape[0] * batch, self.length):
            book.note(self.width, value, 1)

    def _own_head(self, program: Any, start: int) -> None:
        """The module's own `head_dim` mirrors the width of the queries' heads."""
        attention = next((op for op in program.ops[start:] if op.kind == "attention"), None)
        if attention is not None:
            self.book.note(Attribute(self.book.scopes.name, "head_dim"), attention.inputs[0], 3)
