"""Look plugins up by name, build them with their options, and find the backend of a model."""

from __future__ import annotations

import difflib
import inspect
import sys
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from .discovery import Failure, Installed, Plugin, discover
from .errors import BrokenPlugin, NoBackend, OptionError
from .known import FRAMEWORKS
from .protocols import Backend, Pattern, Pruner, Scheduler
from .specs import BackendSpec, resolve

GROUP = "pruners"

__all__ = [
    "Failure",
    "Installed",
    "Plugin",
    "backend_for",
    "discover",
    "installed",
    "make",
    "pattern",
    "pruner",
    "schedule",
]


@cache
def installed() -> Installed:
    """
    Return every installed plugin and every failure; no framework is imported.

    Read once per process; ``installed.cache_clear()`` forgets what was read.

    Examples
    --------
    >>> import pruners
    >>> "level" in pruners.installed().names("pruner")
    True
    """
    return discover(entry_points(group=GROUP))


def make(kind: str, name: str, options: dict[str, Any]) -> Any:
    """Build the plugin of this kind and name with options, or say which option is wrong."""
    plugin = installed().find(kind, name)
    label = f"{kind} {name!r}"
    try:
        factory = resolve(plugin.spec.factory)
    except Exception as error:
        where = f"{plugin.distribution} {plugin.version}"
        raise BrokenPlugin(f"{label} of {where} cannot be loaded: {type(error).__name__}: {error}") from error
    _check_options(label, factory, options)
    try:
        return factory(**options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{label}: {error.args[0] if error.args else error}") from error


def _check_options(label: str, factory: Any, options: dict[str, Any]) -> None:
    signature = inspect.signature(factory)
    try:
        signature.bind(**options)
    except TypeError as error:
        text = f"{label}: {error}."
        for option in options:
            if option not in signature.parameters:
                near = difflib.get_close_matches(option, signature.parameters, n=1)
                text += f" Did you mean {near[0]!r}?" if near else ""
        raise OptionError(f"{text} Options: {', '.join(signature.parameters) or 'none'}.") from None


def pruner(name: str, **options: Any) -> Pruner:
    """
    Return the installed pruner of this name, made with its options.

    Parameters
    ----------
    name : str
        As `pruners list` shows it.
    **options
        The pruner's own options; `pruners info NAME` lists them.

    Returns
    -------
    Pruner
        Ready to pass wherever a pruner's name could stand.

    Raises
    ------
    UnknownName, PluginConflict, BrokenPlugin
        If no usable pruner has this name.
    OptionError
        If an option is unknown or out of range.

    Examples
    --------
    >>> import pruners
    >>> pruners.pruner("random", seed=3)
    Random(seed=3)
    """
    return make("pruner", name, options)  # type: ignore[no-any-return]


def schedule(name: str, **options: Any) -> Scheduler:
    """
    Return the installed schedule of this name, made with its options.

    Parameters
    ----------
    name : str
        As `pruners list` shows it.
    **options
        The schedule's own options; `pruners info NAME` lists them.

    Returns
    -------
    Scheduler
        Has ``.sparsity(step)``, a fraction in [0, 1), and ``.due(step)``.

    Raises
    ------
    UnknownName, PluginConflict, BrokenPlugin
        If no usable schedule has this name.
    OptionError
        If an option is unknown or out of range.

    Examples
    --------
    >>> import pruners
    >>> ramp = pruners.schedule("linear", final_sparsity=0.8, start=0, stop=10, every=1)
    >>> ramp.sparsity(5)
    0.4
    """
    return make("schedule", name, options)  # type: ignore[no-any-return]


def pattern(name: str, **options: Any) -> Pattern:
    """
    Return the installed pattern of this name, made with its options.

    Parameters
    ----------
    name : str
        As `pruners list` shows it.
    **options
        The pattern's own options; `pruners info NAME` lists them.

    Returns
    -------
    Pattern
        Ready to pass wherever a pattern's name could stand.

    Raises
    ------
    UnknownName, PluginConflict, BrokenPlugin
        If no usable pattern has this name.
    OptionError
        If an option is unknown or out of range.

    Examples
    --------
    >>> import pruners
    >>> pruners.pattern("nm", keep=2, block=4).keep
    2
    """
    return make("pattern", name, options)  # type: ignore[no-any-return]


@cache
def _backend(plugin: Plugin) -> Backend:
    return make("backend", plugin.name, {})  # type: ignore[no-any-return]


def backend_for(model: object) -> Backend:
    """Return the backend that handles `model`; a framework not yet imported is never asked."""
    backends = [plugin for plugin in installed().plugins if isinstance(plugin.spec, BackendSpec)]
    # A backend that names no framework module takes what no framework claims, so it is asked last.
    backends.sort(key=lambda plugin: not plugin.spec.modules)  # type: ignore[union-attr]
    broken: list[BrokenPlugin] = []
    for plugin in backends:
        if all(module in sys.modules for module in plugin.spec.modules):  # type: ignore[union-attr]
            try:
                backend = _backend(plugin)
            except BrokenPlugin as error:  # another backend may still handle the model
                broken.append(error)
                continue
            if backend.handles(model):
                return backend
    raise broken[0] if broken else NoBackend(_no_backend(model))


def _no_backend(model: object) -> str:
    kind = type(model)
    text = f"no installed backend handles a model of type {kind.__module__}.{kind.__qualname__}."
    for parent in kind.__mro__:
        package = FRAMEWORKS.get(parent.__module__.partition(".")[0])
        name = package.removeprefix("pruners-") if package else ""
        if package and name not in installed().names("backend"):
            broken = [str(failure) for failure in installed().failures if failure.distribution == package]
            return f"{text} {'; '.join(broken) or f'pip install {package}'}"
    names = installed().names("backend")
    return f"{text} Installed backends: {', '.join(names) or 'none; pip install pruners-numpy'}."
