"""Which parameters of a block are weights, and how each is laid out as (out, in, *kernel)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import mxnet
from attrs import evolve, frozen
from mxnet.gluon import Block, Constant, Parameter, nn, rnn
from mxnet.gluon.nn.conv_layers import _Conv
from mxnet.gluon.parameter import DeferredInitializationError
from mxnet.gluon.rnn.rnn_layer import _RNNLayer

from pruners import Layer, OptionError, StateError

from ._arrays import BFLOAT16

_WEIGHTS: tuple[tuple[tuple[type[Block], ...], str], ...] = (
    ((nn.Dense, _Conv, nn.Embedding), "weight"),
    ((_RNNLayer, rnn.RecurrentCell), "2h_weight"),
)
"""Types of blocks and how the names of their weights end; wildcards reach just these."""

FLOATS = ("float16", "float32", "float64")


@frozen
class Layout:
    """How a weight lies in memory, and its way to ``(out, in, *kernel)`` and back."""

    last: bool = False
    """Whether the second axis is stored behind the kernel, as in layouts that end in C."""
    groups: int = 0
    """0: output channels come first; else the groups of a transposed convolution, input first."""

    def canonical(self, stored: Any) -> Any:
        """Return an array laid out as the parameter is, as ``(out, in, *kernel)``."""
        moved = _moved(stored, stored.ndim - 1, 1) if self.last else stored
        return _swapped(moved, self.groups) if self.groups else moved

    def stored(self, canonical: Any) -> Any:
        """Return an ``(out, in, *kernel)`` array laid out as the parameter is; ``(out,)`` as it comes."""
        if canonical.ndim < 2:
            return canonical
        swapped = _swapped(canonical, self.groups) if self.groups else canonical
        return _moved(swapped, 1, swapped.ndim - 1) if self.last else swapped


def _moved(array: Any, source: int, target: int) -> Any:
    axes = [axis for axis in range(array.ndim) if axis != source]
    axes.insert(target, source)
    return array.transpose(axes)


def _swapped(array: Any, groups: int) -> Any:
    """``(groups * a, b, ...) -> (groups * b, a, ...)``: its own inverse."""
    first, second, *kernel = array.shape
    parted = array.reshape((groups, first // groups, second, *kernel))
    axes = (0, 2, 1, *range(3, parted.ndim))
    return parted.transpose(axes).reshape((groups * second, first // groups, *kernel))


@frozen(eq=False)
class Weight:
    """One parameter: where it lives, and its layout."""

    layer: Layer
    root: Block
    attribute: str
    layout: Layout
    loose: Parameter | None = None
    """The parameter itself, where no block holds it as an attribute."""

    @property
    def owner(self) -> Block:
        """The owner, as the model holds it now."""
        found = self.root
        for key in self.layer.module.split(".") if self.layer.module else ():
            if key not in found._children:
                raise self._gone()
            found = found._children[key]
        return found

    @property
    def parameter(self) -> Parameter:
        """The parameter, as its owner holds it now."""
        found = self.loose or self.owner._reg_params.get(self.attribute)
        if found is None:
            raise self._gone()
        return found

    def _gone(self) -> StateError:
        return StateError(
            f"layer {self.layer.name!r} is no longer in the model; finish this session and attach a new one"
        )


def check(model: object) -> Block:
    """Return a block whose parameters have values, or say what to do."""
    if isinstance(model, mxnet.sym.Symbol):
        raise OptionError(
            "got a Symbol, which holds no parameters; make it a block: "
            "mxnet.gluon.SymbolBlock.imports(symbol file, input names, parameter file)"
        )
    if isinstance(model, mxnet.mod.BaseModule):
        raise OptionError(
            f"got a {type(model).__name__}, whose parameters are bound to its own executors; save it with "
            "save_checkpoint and load it as a block: mxnet.gluon.SymbolBlock.imports"
        )
    if not isinstance(model, Block):
        raise OptionError(f"expected an mxnet.gluon.Block, got {type(model).__name__}")
    return model


def named(model: Block) -> dict[str, tuple[Block, str, Parameter]]:
    """
    Return every parameter by its name in ``save_parameters``, ``"features.0.weight"``, with its owner.

    Shared parameters are there once for every name. A parameter that no block holds as an attribute
    has its own name, as in ``collect_params``.
    """
    found = {
        f"{name}.{attribute}" if name else attribute: (block, attribute, parameter)
        for name, block in blocks(model).items()
        for attribute, parameter in block._reg_params.items()
    }
    held = {id(parameter) for _, _, parameter in found.values()}
    for name, parameter in model.collect_params().items():
        if id(parameter) not in held:
            found[name] = (model, name, parameter)
    return found


def blocks(model: Block, name: str = "") -> dict[str, Block]:
    """Return every block by the names of its ancestors' attributes, ``"features.0"``; the model is ``""``."""
    found = {name: model}
    for key, child in model._children.items():
        found |= blocks(child, f"{name}.{key}" if name else key)
    return found


def weights(model: Block, unused: Collection[str] = ()) -> dict[str, Weight]:
    """Return every float parameter that is trained and used, by its first name; shared ones appear once."""
    found: dict[str, Weight] = {}
    first: dict[int, str] = {}
    for weight in _weights(model, unused):
        name = weight.layer.name
        known = first.setdefault(id(weight.parameter), name)
        found[known] = weight if known == name else _merge(found[known], weight)
    return found


def _weights(model: Block, unused: Collection[str]) -> Iterator[Weight]:
    for name, (block, attribute, parameter) in named(model).items():
        if not parameter._differentiable or isinstance(parameter, Constant) or name in unused:
            continue  # running statistics are not differentiable
        data = _data(name, parameter)
        if data.stype != "default" or str(data.dtype) not in _DTYPES:
            continue
        layout = _layout(block, attribute)
        yield Weight(
            layer=Layer(
                name=name,
                module=name.rpartition(".")[0] if attribute != name else "",
                type=type(block).__name__,
                shape=_shape(data.shape, layout),
                default=_is_weight(block, attribute),
                aliases=(parameter.name,) if parameter.name != name else (),
                bases=tuple(base.__name__ for base in type(block).__mro__[:-1]),
            ),
            root=model,
            attribute=attribute,
            layout=layout,
            loose=None if attribute in block._reg_params else parameter,
        )


_DTYPES = frozenset([str(BFLOAT16), *(f"<class 'numpy.{name}'>" for name in FLOATS), *FLOATS])


def _data(name: str, parameter: Parameter) -> Any:
    try:
        return parameter.list_data()[0]
    except DeferredInitializationError as error:
        raise OptionError(
            f"parameter {name!r} has no shape yet: it is initialised when the model runs. Run it once on a "
            "batch, or pass example_inputs=; with them, a layer that the model does not use is left out"
        ) from error
    except RuntimeError as error:
        raise OptionError(
            f"parameter {name!r} is not initialised: call model.initialize() and run it once on a batch"
        ) from error


def _layout(block: Block, attribute: str) -> Layout:
    if not isinstance(block, _Conv) or attribute != "weight":
        return Layout()
    options = block._kwargs
    transposed = block._op_name.endswith("Deconvolution") or block._op_name == "deconvolution"
    return Layout(
        last=str(options["layout"]).endswith("C"), groups=int(options["num_group"]) if transposed else 0
    )


def _shape(stored: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    import numpy as np

    return tuple(layout.canonical(np.empty(stored, np.bool_)).shape)


def _is_weight(block: Block, attribute: str) -> bool:
    return any(isinstance(block, types) and attribute.endswith(end) for types, end in _WEIGHTS)


def _merge(known: Weight, other: Weight) -> Weight:
    """Return a shared parameter under both names; it is a weight if any owner says so."""
    owner = known if known.layer.default or not other.layer.default else other
    names = dict.fromkeys([other.layer.name, *known.layer.aliases, *other.layer.aliases])
    names.pop(known.layer.name, None)
    layer = evolve(
        owner.layer,
        name=known.layer.name,
        aliases=tuple(names),
        default=known.layer.default or other.layer.default,
    )
    return evolve(owner, layer=layer)


def layers(found: Mapping[str, Weight]) -> dict[str, Layer]:
    """Return the layers behind the weights."""
    return {name: weight.layer for name, weight in found.items()}
