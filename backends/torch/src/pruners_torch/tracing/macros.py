"""Functions of PyTorch that are written down as one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from .layers import attention, layer_norm
from .literals import given
from .steps import tensors
from .tape import Tape

Macro = Callable[[Tape, Sequence[Any], Mapping[str, Any], Any], None]
"""Takes the arguments and the result of one call."""

MACROS: dict[str, Macro] = {}
"""Name of a function of PyTorch -> what writes it down."""


def stands_for(*names: str) -> Callable[[Macro], Macro]:
    """Enter a macro in the table under these names."""

    def enter(function: Macro) -> Macro:
        MACROS.update(dict.fromkeys(names, function))
        return function

    return enter


@stands_for("rms_norm", "_fused_rms_norm")
def _rms_norm(tape: Tape, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    x, weight = given(args, kwargs, 0, "input"), given(args, kwargs, 2, "weight")
    count = len(given(args, kwargs, 1, "normalized_shape"))
    layer_norm(tape, x, count, [] if weight is None else [weight], tensors(result)[0], "rms_norm")


@stands_for("instance_norm")
def _instance_norm(tape: Tape, args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor) -> None:
    """Every channel of every example by itself: a batch norm as far as channels go."""
    x, parameters = tensors(args)[0], [each for each in tensors((args, dict(kwargs)))[1:] if each.ndim == 1]
    tape.write("batch_norm", [x, *parameters], [result], batch_statistics=True)


@stands_for("_weight_norm")
def _weight_norm(tape: Tape, args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor) -> None:
    """``g * v / norm(v)``: zeros in v leave its norm as it is."""
    tape.write("elementwise", tensors((args, dict(kwargs))), [result], function="weight_norm")


@stands_for("scaled_dot_product_attention")
def _attention(tape: Tape, args: Sequence[Any], kwargs: Mapping[str, Any], result: Tensor) -> None:
    query, key, value = (given(args, kwargs, i, name) for i, name in enumerate(("query", "key", "value")))
    mask, scale = given(args, kwargs, 3, "attn_mask"), given(args, kwargs, 6, "scale")
    attention(tape, query, key, value, mask, scale, result)


@stands_for(
    *("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    "quantized_lstm_cell",
)
def _recurrent(tape: Tape, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    read = tensors((args, dict(kwargs)))
    tape.write("whole", read, tensors(result), reason="goes through a recurrent layer")
