"""Models of every installed framework, made from NumPy arrays."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import pruners
from pruners.specs import BackendSpec, home

Build = Callable[[Mapping[str, np.ndarray]], Any]
Parameters = Callable[[Any], Mapping[str, Any]]


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
            module = _testing(plugin.spec)
            if module is None:
                warnings.warn(_untested(plugin), UntestedBackend, stacklevel=2)
            else:
                found[plugin.name] = module.model_from_arrays
    return found


def untested() -> tuple[str, ...]:
    """Return, for each installed backend on which nothing can be checked, why that is."""
    plugins = pruners.installed().plugins
    return tuple(
        _untested(each) for each in plugins if isinstance(each.spec, BackendSpec) and not _testing(each.spec)
    )


def _untested(plugin: pruners.Plugin) -> str:
    return (
        f"backend {plugin.name!r} of {plugin.distribution} was not checked: its package has no "
        "module `testing` with a function model_from_arrays({name: array})"
    )


def builder(spec: BackendSpec) -> Build | None:
    """Return how models of one backend are made; None where its package does not say."""
    module = _testing(spec)
    return None if module is None else module.model_from_arrays


def lister(spec: BackendSpec) -> Parameters:
    """Return ``model -> {parameter name: parameter}`` of one backend; `dict` where its package has none."""
    return getattr(_testing(spec), "parameters", dict)


def network(spec: BackendSpec) -> Callable[[], tuple[Any, Any]] | None:
    """Return what makes a small network that runs, with inputs; None where the package has none."""
    found: Callable[[], tuple[Any, Any]] | None = getattr(_testing(spec), "network", None)
    return found


def _testing(spec: BackendSpec) -> Any:
    """Return the module `testing` of a backend's package, or None."""
    module = home(spec.factory).partition(".")[0] + ".testing"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, module.partition(".")[0]):
            raise
        return None
