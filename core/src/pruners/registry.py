"""Look plugins up by name, build them with their options, and find the backend of a model."""

from __future__ import annotations

import difflib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from .discovery import BadPlugin, Failure, Installed, Plugin, discover, told
from .errors import BrokenPlugin, NoBackend, OptionError, OutdatedPlugin
from .known import FRAMEWORKS, MODELS
from .protocols import Backend, Pattern, Pruner, Runtime, Scheduler
from .specs import BackendSpec, resolve

GROUP = "pruners"

__all__ = [
    "Failure",
    "Installed",
    "Plugin",
    "backend_for",
    "discover",
    "installed",
    "load",
    "make",
    "options_of",
    "pattern",
    "pruner",
    "runtime",
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
    factory = load(plugin)
    if plugin.outdated:
        warnings.warn(f"{label} of {plugin.distribution} {plugin.outdated}.", OutdatedPlugin, stacklevel=3)
    _check_options(label, factory, options)
    try:
        return factory(**options)
    except KeyboardInterrupt:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(f"{label}: {error.args[0] if error.args else error}") from error
    except BaseException as error:  # a plugin may even call sys.exit
        raise _broken(plugin, "made", error) from error


def load(plugin: Plugin) -> Callable[..., Any]:
    """Return what makes the plugin, imported where its spec has it as text; else raise BrokenPlugin."""
    try:
        factory = resolve(plugin.spec.factory)
        if not callable(factory):
            raise BadPlugin(f"the factory {plugin.spec.factory!r} is {factory!r}, which cannot be called")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _broken(plugin, "loaded", error) from error
    return factory


def _broken(plugin: Plugin, done: str, error: BaseException) -> BrokenPlugin:
    origin = f"{plugin.distribution} {plugin.version}"
    return BrokenPlugin(f"{plugin.kind} {plugin.name!r} of {origin} cannot be {done}: {told(error)}")


def options_of(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return a factory's options by name; None where Python does not know them, as for many built-ins."""
    signature = _signature(factory)
    return signature.parameters if signature else None


def _signature(factory: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(factory)
    except (TypeError, ValueError):
        return None


def _check_options(label: str, factory: Callable[..., Any], options: dict[str, Any]) -> None:
    signature = _signature(factory)
    if signature is None:
        return
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
    UnknownName, PluginConflict, BrokenPlugin, OptionError
        If no usable pruner has this name; if an option is unknown or out of range.

    Examples
    --------
    >>> import pruners
    >>> pruners.pruner("random", seed=3)
    Random(seed=3, unit='weight')
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
    UnknownName, PluginConflict, BrokenPlugin, OptionError
        If no usable schedule has this name; if an option is unknown or out of range.

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
    UnknownName, PluginConflict, BrokenPlugin, OptionError
        If no usable pattern has this name; if an option is unknown or out of range.

    Examples
    --------
    >>> import pruners
    >>> pruners.pattern("nm", keep=2, block=4).keep
    2
    """
    return make("pattern", name, options)  # type: ignore[no-any-return]


def runtime(name: str, **options: Any) -> Runtime:
    """
    Return the installed runtime of this name, made with its options.

    Parameters
    ----------
    name : str
        As `pruners list` shows it.
    **options
        The runtime's own options; `pruners info NAME` lists them.

    Returns
    -------
    Runtime
        Has ``.open(model, threads=)`` for what its spec's `format` says, and ``.describe()``.

    Raises
    ------
    UnknownName, PluginConflict, BrokenPlugin, OptionError
        If no usable runtime has this name; if an option is unknown or out of range.

    See Also
    --------
    pruners.measure : Time models in several runtimes.

    Notes
    -----
    Frameworks are not among them: `pruners.measure` runs a live model by its backend's name.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("onnx-runtime")
    Traceback (most recent call last):
    ...
    pruners.errors.UnknownName: no runtime named 'onnx-runtime'...
    """
    return make("runtime", name, options)  # type: ignore[no-any-return]


@cache
def _backend(plugin: Plugin) -> Backend:
    return make("backend", plugin.name, {})  # type: ignore[no-any-return]


def backend_for(model: object) -> Backend:
    """Return the backend that handles `model`; a framework not yet imported is never asked."""
    broken: list[BrokenPlugin] = []
    for backend in _backends(broken):
        if backend.handles(model):
            return backend
    raise broken[0] if broken else NoBackend(_no_backend(model))


def _backends(broken: list[BrokenPlugin]) -> Iterator[Backend]:
    """Make the backends whose frameworks are imported, one by one; what cannot be made joins `broken`."""
    backends = [plugin for plugin in installed().plugins if isinstance(plugin.spec, BackendSpec)]
    # A backend that names no framework module takes what no framework claims, so it is asked last.
    backends.sort(key=lambda plugin: not plugin.spec.modules)  # type: ignore[union-attr]
    for plugin in backends:
        if all(module in sys.modules for module in plugin.spec.modules):  # type: ignore[union-attr]
            try:
                yield _backend(plugin)
            except BrokenPlugin as error:  # another backend may still handle the model
                broken.append(error)


def _no_backend(model: object) -> str:
    text = f"no installed backend handles a model of type {_type_name(model)}."
    if isinstance(model, Mapping):
        return f"{text} {_wrong_entry(model)}"
    names = ", ".join(installed().names("backend")) or "none; pip install pruners-numpy"
    return f"{text} {_missing(_roots(model)) or f'Installed backends: {names}.'}"


def _missing(roots: list[str]) -> str:
    """Say what to install for the first of these frameworks that has a backend, and it is not there."""
    for root in roots:
        package = FRAMEWORKS.get(root)
        if package and package.removeprefix("pruners-") not in installed().names("backend"):
            broken = [str(failure) for failure in installed().failures if failure.distribution == package]
            return "; ".join(broken) or f"pip install {package}"
    return ""


def _wrong_entry(model: Mapping[Any, Any]) -> str:
    for name, value in model.items():
        if any(backend.handles({name: value}) for backend in _backends([])):
            continue
        entry = f"Its entry {name!r} is of type {_type_name(value)};"
        for root in _roots(value):
            if root in MODELS:
                return f"{entry} pass {MODELS[root]}."
        return _missing(["numpy"]) or f"{entry} every value must be a numpy.ndarray."
    return "Its values do not go together." if model else "It is empty; pass a dict of NumPy arrays by name."


def _roots(thing: object) -> list[str]:
    """Return the top-level modules that the type of `thing`, and what it derives from, are from."""
    return [kind.__module__.partition(".")[0] for kind in type(thing).__mro__]


def _type_name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
