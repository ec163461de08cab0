"""The models that are measured: opened, counted, written to files, evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from ..errors import NoBackend, OptionError, StateError
from ..opening import opened_by
from ..protocols import Exports, OpenModel, Traceable
from ..registry import backend_for
from ..storage.models import save
from ..structure.costs import macs
from .results import ModelFigures

Evaluate = Callable[[Any], Any]
ALONE = "model"
"""What a model is called that came without a name."""


@frozen(eq=False)
class Subject:
    """One model under its name, opened by its backend."""

    name: str
    model: Any
    backend: str
    opened: OpenModel

    def arrays(self, example_inputs: Any) -> list[np.ndarray]:
        """Return the inputs in the order in which an exported model takes them."""
        if isinstance(self.opened, Exports):
            return self.opened.arrays(example_inputs)
        return [np.array(self.opened.host(each)) for each in _several(example_inputs)]

    def outputs(self, example_inputs: Any) -> list[np.ndarray] | None:
        """Return what the live model gives; None where its backend cannot say."""
        return self.opened.outputs(example_inputs) if isinstance(self.opened, Exports) else None


def _several(example_inputs: Any) -> Iterator[Any]:
    if isinstance(example_inputs, tuple):
        yield from example_inputs
    elif isinstance(example_inputs, Mapping):
        yield from example_inputs.values()
    else:
        yield example_inputs


def subjects(model: Any, example_inputs: Any) -> tuple[Subject, ...]:
    """Return one model, or a mapping of models by name, opened."""
    return tuple(
        Subject(name, each, backend.name, opened_by(backend, each, example_inputs))
        for name, each in _named(model).items()
        for backend in [backend_for(each)]
    )


def _named(model: Any) -> Mapping[str, Any]:
    if not isinstance(model, Mapping) or _is_model(model):
        return {ALONE: model}
    if not model:
        raise OptionError("model is an empty mapping; give a model, or models by name")
    for name in model:
        if not isinstance(name, str) or not name:
            raise OptionError(f"models are given by name, got the name {name!r}; give a text")
    return model


def _is_model(model: Mapping[Any, Any]) -> bool:
    """Return whether a mapping is itself a model, as of NumPy arrays by name."""
    try:
        backend_for(model)
    except NoBackend:
        return False
    return True


def figures(subject: Subject, example_inputs: Any, evaluate: Evaluate | None, folder: Path) -> ModelFigures:
    """Return what a model holds and takes; its files are written to `folder`."""
    arrays = [subject.opened.read(name) for name in subject.opened.layers]
    sizes, why_no_sizes = _sizes(subject, folder)
    count, why_no_count = _macs(subject, example_inputs)
    return ModelFigures(
        name=subject.name,
        backend=subject.backend,
        parameters=sum(array.size for array in arrays),
        nonzeros=sum(int(np.count_nonzero(array)) for array in arrays),
        macs=count,
        bytes=sizes,
        memory={"parameters": sum(array.nbytes for array in arrays)},
        accuracy=None if evaluate is None else _evaluated(subject, evaluate),
        note="; ".join(why for why in (why_no_sizes, why_no_count) if why),
    )


def _sizes(subject: Subject, folder: Path) -> tuple[dict[str, int], str]:
    """Return the sizes of the files that `pruners.save` writes, or why it writes none."""
    found = {}
    for kind, sparse in (("dense file", False), ("sparse file", True)):
        path = folder / "model.safetensors"
        try:
            save(subject.model, path, sparse=sparse)
        except StateError as error:
            return {}, f"no files: {error}"
        found[kind] = path.stat().st_size
        path.unlink()
    return found, ""


def _macs(subject: Subject, example_inputs: Any) -> tuple[int | None, str]:
    """Return the MACs of one forward pass; None, and where it is not plain why, where they are not known."""
    if example_inputs is None or not isinstance(subject.opened, Traceable):
        return None, ""
    program = subject.opened.trace(example_inputs, modes=("eval",)).programs["eval"]
    unknown = sorted({str(op.place.operation) for op in program.ops if op.kind == "opaque"})
    return macs(program), f"MACs without those of {', '.join(unknown)}" if unknown else ""


def _evaluated(subject: Subject, evaluate: Evaluate) -> float:
    found = evaluate(subject.model)
    try:
        value = float(found)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"evaluate must return a finite number; of {subject.name!r} it returned {found!r}")
    return value
