"""Find plugins one by one; what is broken is kept as a value, with its cause."""

from __future__ import annotations

import difflib
import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec

import pluggy
from attrs import evolve, field, frozen

from . import hooks
from .errors import BrokenPlugin, PluginConflict, PrunersError, UnknownName
from .known import PACKAGES
from .specs import BackendSpec, PatternSpec, PrunerSpec, RuntimeSpec, SchedulerSpec, Spec
from .versions import CURRENT, Api

HOOKS: dict[str, type[Spec]] = {
    "provide_pruners": PrunerSpec,
    "provide_schedulers": SchedulerSpec,
    "provide_patterns": PatternSpec,
    "provide_backends": BackendSpec,
    "provide_runtimes": RuntimeSpec,
}


class BadPlugin(PrunersError):
    """A package registers with Pruners but does not do what a plugin must."""


class MissingFramework(PrunersError):
    """A backend or a runtime is installed, and the framework or engine that it adapts is not."""

    def __init__(self, kind: str, name: str, module: str) -> None:
        super().__init__(f"{kind} {name!r} needs the module {module!r}, which is not installed")
        self.kind = kind
        self.module = module


def told(error: BaseException) -> str:
    """Return an error as ``TypeName: message``, in one line however long it is."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@frozen
class Plugin:
    """One usable plugin: its spec and the distribution it came from."""

    spec: Spec
    distribution: str
    version: str
    outdated: str = ""
    """What to warn of where the spec was adapted from an older plugin API; empty otherwise."""

    @property
    def kind(self) -> str:
        """``"pruner"``, ``"schedule"``, ``"pattern"``, ``"backend"`` or ``"runtime"``."""
        return self.spec.kind

    @property
    def name(self) -> str:
        """The name users select it by."""
        return self.spec.name


@frozen
class Failure:
    """One thing that is wrong with an installed plugin, kept as a value."""

    distribution: str
    version: str
    entry_point: str
    error: BaseException = field(eq=False, repr=False)
    concerns: tuple[str, str] | None = None
    """``(kind, name)`` where the failure takes one known name away."""
    module: str = ""
    """The module that the entry point names."""

    @property
    def cause(self) -> str:
        """The error as ``TypeName: message``, in one line."""
        return told(self.error)

    def __str__(self) -> str:
        """Distribution, version, entry point and cause in one line."""
        return f"{self.distribution} {self.version} ({self.entry_point}): {self.cause}"


@frozen
class Installed:
    """Everything that registers with Pruners: what works and what does not."""

    plugins: tuple[Plugin, ...]
    failures: tuple[Failure, ...]

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the usable names of one kind, sorted."""
        return tuple(sorted(plugin.name for plugin in self.plugins if plugin.kind == kind))

    def find(self, kind: str, name: str) -> Plugin:
        """
        Return the plugin of this kind and name.

        Raises
        ------
        PluginConflict
            If the name is provided more than once.
        BrokenPlugin
            If the package of that name is installed and broken; the cause is chained.
        UnknownName
            If nothing provides it; the message has the nearest name and what is installed.
        """
        for plugin in self.plugins:
            if (plugin.kind, plugin.name) == (kind, name):
                return plugin
        for failure in self.failures:
            if failure.concerns == (kind, name) and isinstance(failure.error, PluginConflict):
                raise failure.error
            if failure.concerns == (kind, name) or self._may_hide(failure, kind, name):
                raise BrokenPlugin(f"{kind} {name!r} cannot be used: {failure}") from failure.error
        raise UnknownName(self._unknown(kind, name))

    def _may_hide(self, failure: Failure, kind: str, name: str) -> bool:
        package = PACKAGES.get((kind, name))
        return failure.concerns is None and (failure.entry_point == name or failure.distribution == package)

    def _unknown(self, kind: str, name: str) -> str:
        names = self.names(kind)
        text = f"no {kind} named {name!r}."
        package = PACKAGES.get((kind, name))
        if package:
            return f"{text} It is in the package {package}: pip install {package}"
        published = sorted(known for of_kind, known in PACKAGES if of_kind == kind)
        for near in difflib.get_close_matches(name, [*names, *published], n=1):
            text += f" Did you mean {near!r}?"
            if near not in names:
                text += f" (pip install {PACKAGES[kind, near]})"
        text += f" Installed: {', '.join(names) or 'none'}."
        if self.failures:
            text += " Broken: " + "; ".join(str(failure) for failure in self.failures) + "."
        return text


def discover(found: Iterable[EntryPoint], api: Api = CURRENT) -> Installed:
    """Load each entry point on its own and sort what came out into plugins and failures."""
    plugins: list[Plugin] = []
    failures: list[Failure] = []
    for entry in sorted(found, key=lambda entry: (_distribution(entry), entry.name)):
        for outcome in _load(entry, api):
            (plugins if isinstance(outcome, Plugin) else failures).append(outcome)  # type: ignore[arg-type]
    usable, conflicts = _settle(plugins)
    order = list(HOOKS.values())
    usable.sort(key=lambda plugin: (order.index(type(plugin.spec)), plugin.name))
    return Installed(tuple(usable), tuple(failures + conflicts))


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "?")


def _module(entry: EntryPoint) -> str:
    return str(getattr(entry, "value", "")).partition(":")[0].strip()


def _load(entry: EntryPoint, api: Api) -> Iterator[Plugin | Failure]:
    blank = Failure(
        *_distribution(entry), entry_point=entry.name, error=PrunersError(), module=_module(entry)
    )
    try:
        module = entry.load()
        manager = _manager(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit while it is imported
        yield evolve(blank, error=error)
        return
    for name in _undecorated(manager, module):
        yield evolve(blank, error=BadPlugin(f"{name} is ignored; decorate it with @pruners.hookimpl"))
    for hook, kind in HOOKS.items():
        if any(impl.plugin is module for impl in getattr(manager.hook, hook).get_hookimpls()):
            yield from _call(manager, hook, kind, blank, api)


def _manager(module: object) -> pluggy.PluginManager:
    """Register one module alone, so that what is wrong is blamed on it alone."""
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(module)
    written = [name for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None]
    for name in written:
        if name not in HOOKS:
            near = difflib.get_close_matches(name, HOOKS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise BadPlugin(f"unknown hook {name!r}.{hint} The hooks are {', '.join(HOOKS)}.")
    if not written and not _undecorated(manager, module):
        plugin = getattr(module, "__name__", repr(module))
        raise BadPlugin(
            f"{plugin} implements no hook; decorate one of {', '.join(HOOKS)} with @pruners.hookimpl"
        )
    return manager


def _undecorated(manager: pluggy.PluginManager, module: object) -> list[str]:
    """Return the hooks a module defines and does not mark as such: pluggy passes over them in silence."""
    if not inspect.ismodule(module):
        return []
    return [
        name
        for name in HOOKS
        if inspect.isfunction(found := vars(module).get(name))
        and found.__module__ == module.__name__
        and manager.parse_hookimpl_opts(module, name) is None
    ]


def _call(
    manager: pluggy.PluginManager, hook: str, kind: type[Spec], blank: Failure, api: Api
) -> list[Plugin | Failure]:
    """Return what one hook offers; after an error, what it offered before stays."""
    outcomes: list[Plugin | Failure] = []
    try:
        # pluggy leaves out a result that is None.
        for specs in getattr(manager.hook, hook)() or [None]:
            if not isinstance(specs, Iterable) or isinstance(specs, str):
                raise BadPlugin(f"{hook} must yield {kind.__name__}, it returned {specs!r}; use 'yield'")
            for spec in specs:
                if not isinstance(spec, kind):
                    raise BadPlugin(f"{hook} must yield {kind.__name__}, it yielded {spec!r}")
                outcomes.append(_usable(spec, blank, api))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a hook may call sys.exit as well
        outcomes.append(evolve(blank, error=_first_argument(error)))
    return outcomes


def _first_argument(error: BaseException) -> BaseException:
    """Return attrs' validation errors, which carry a tuple, with their message alone."""
    if isinstance(error, (TypeError, ValueError)) and len(error.args) > 1:
        return type(error)(error.args[0]).with_traceback(error.__traceback__)
    return error


def _usable(spec: Spec, blank: Failure, api: Api) -> Plugin | Failure:
    concerned = evolve(blank, concerns=(spec.kind, spec.name))
    try:
        settled, outdated = api.settle(spec)
        missing = [name for name in getattr(settled, "modules", ()) if not _is_there(name)]
    except Exception as error:  # an adapter may meet what nobody expected
        return evolve(concerned, error=error)
    if missing:
        return evolve(concerned, error=MissingFramework(spec.kind, spec.name, missing[0]))
    return Plugin(settled, blank.distribution, blank.version, outdated)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that the module should be in
        return False


def _settle(plugins: list[Plugin]) -> tuple[list[Plugin], list[Failure]]:
    """Take away every name that is claimed more than once, and say which distributions do it."""
    claims: dict[tuple[str, str], list[Plugin]] = defaultdict(list)
    for plugin in plugins:
        claims[plugin.kind, plugin.name].append(plugin)
    usable, conflicts = [], []
    for (kind, name), claimants in claims.items():
        if len(claimants) == 1:
            usable += claimants
            continue
        origins = sorted({(plugin.distribution, plugin.version) for plugin in claimants})
        error = PluginConflict(f"{kind} {name!r} {_claimed(origins, len(claimants))}")
        for origin in origins:
            conflicts.append(Failure(*origin, name, error, concerns=(kind, name)))
    return usable, conflicts


def _claimed(origins: list[tuple[str, str]], times: int) -> str:
    by = " and ".join(f"{distribution} {version}" for distribution, version in origins)
    if len(origins) > 1:
        return f"is provided by {by}; uninstall one of them."
    often = "twice" if times == 2 else f"{times} times"
    return f"is provided {often} by the package {by}; it must provide a name once."
