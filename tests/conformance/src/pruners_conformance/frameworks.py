"""Models of every installed framework, made from NumPy arrays."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import pruners
from pruners.specs import BackendSpec

Build = Callable[[Mapping[str, np.ndarray]], Any]


class UntestedBackend(UserWarning):
    """An installed backend offers no way to make models, so nothing was checked on it."""


def builders() -> dict[str, Build]:
    """
    Return ``{backend name: {parameter name: array} -> model}`` of every installed backend.

    A backend's package offers `model_from_arrays` in its module `testing`.
    """
    found = {}
    for plugin in pruners.installed().plugins:
        if isinstance(plugin.spec, BackendSpec):
            build = _builder(plugin.spec)
            if build is None:
                warnings.warn(
                    f"backend {plugin.name!r} of {plugin.distribution} was not checked: its package has no "
                    "module `testing` with a function model_from_arrays({name: array})",
                    UntestedBackend,
                    stacklevel=2,
                )
            else:
                found[plugin.name] = build
    return found


def builder(spec: BackendSpec) -> Build:
    """Return how models of one backend are made, or say what its package lacks."""
    build = _builder(spec)
    if build is None:
        raise LookupError(
            f"pass make_model=, or give the package of backend {spec.name!r} a module `testing` with a "
            "function model_from_arrays({name: array}) -> model"
        )
    return build


def _builder(spec: BackendSpec) -> Build | None:
    place = spec.factory if isinstance(spec.factory, str) else spec.factory.__module__
    module = place.partition(":")[0].partition(".")[0] + ".testing"
    try:
        return importlib.import_module(module).model_from_arrays  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise
        return None
