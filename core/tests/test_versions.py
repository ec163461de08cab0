"""The plugin API: newer is refused, older is adapted with a warning, too old is refused."""

from __future__ import annotations

import copy
import inspect
import warnings

import pytest
from attrs import evolve

import pruners
from pruners import registry
from pruners.discovery import discover
from pruners.errors import IncompatiblePlugin
from pruners.specs import API, OLDEST, home, resolve, wrapped
from pruners.versions import CURRENT, Adapter, Api

SPECS = (pruners.PrunerSpec, pruners.SchedulerSpec, pruners.PatternSpec, pruners.BackendSpec)


class Old:
    """What a plugin of version 1 makes."""

    def __init__(self, power: float = 2.0) -> None:
        self.power = power


class New:
    """What version 2 asks for."""

    def __init__(self, old: Old) -> None:
        self.old = old


def as_new(spec):
    return wrapped(spec, New)


def renamed(spec):
    return evolve(spec, summary=spec.summary + " (3)")


FIRST = Adapter(as_new, until="0.4", change="objects are New")
SECOND = Adapter(renamed, until="0.5", change="summaries are numbered")


class Dist:
    """A distribution."""

    name, version = "plugin-x", "1.0"


class Entry:
    """An entry point whose hook yields the given specs."""

    name, group, dist, value = "x", "pruners", Dist(), "plugin_x"

    def __init__(self, *specs, hook="provide_pruners"):
        self.specs, self.hook = specs, hook

    def load(self):
        def provide():
            for spec in self.specs:
                yield spec() if callable(spec) else spec

        provide.__name__ = self.hook
        plugin = type("Module", (), {"__name__": "plugin_x"})()
        setattr(plugin, self.hook, pruners.hookimpl(provide))
        return plugin


def spec(api: int = 1, **others):
    return pruners.PrunerSpec(name="x", api=api, factory=Old, **others)


@pytest.mark.parametrize("kind", SPECS)
def test_a_spec_that_declares_no_version_is_of_the_oldest(kind):
    assert kind(name="x", factory=Old).api == OLDEST


@pytest.mark.parametrize("api", [0, -1, 1.0, "1", True, None])
def test_a_version_that_is_none_is_refused(api):
    with pytest.raises(ValueError, match=f"'api' must be a whole number from 1, got {api!r}"):
        spec(api)


@pytest.mark.parametrize("kind", SPECS)
def test_fields_of_a_later_version_are_refused_for_the_version(kind):
    with pytest.raises(
        IncompatiblePlugin, match=r"plugin API 9, and this Pruners has \d: pip install --up"
    ) as caught:
        kind(name="x", factory=Old, api=9, colour="red")
    assert caught.value.newer
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        kind(name="x", factory=Old, api=1, colour="red")


def test_specs_are_still_copied_compared_and_shown_by_their_fields():
    one = spec(summary="s")
    assert copy.deepcopy(one) == one
    assert evolve(one, summary="t") != one
    assert "api" in inspect.signature(pruners.PrunerSpec).parameters


def test_what_is_newer_is_one_failure_that_says_what_to_upgrade():
    found = discover([Entry(spec(API + 1), spec(API))])
    assert found.names("pruner") == ("x",)
    (failure,) = found.failures
    assert failure.concerns == ("pruner", "x")
    assert failure.cause == (
        f"IncompatiblePlugin: pruner 'x' cannot be used: it is written for plugin API {API + 1}, and this "
        f"Pruners has {API}: pip install --upgrade pruners"
    )


def test_unknown_fields_of_a_newer_version_are_one_failure_as_well():
    found = discover([Entry(lambda: spec(API + 1, colour="red"))])
    (failure,) = found.failures
    assert "IncompatiblePlugin: it is written for plugin API" in failure.cause


def test_what_is_older_is_adapted_step_by_step():
    found = discover([Entry(spec(1, summary="s"))], Api(3, {1: FIRST, 2: SECOND}))
    assert found.failures == ()
    (plugin,) = found.plugins
    assert (plugin.spec.api, plugin.spec.summary) == (3, "s (3)")
    assert plugin.outdated == (
        "is written for plugin API 1, and this Pruners has 3 (objects are New). "
        "It is adapted until Pruners 0.4"
    )
    made = registry.load(plugin)(power=3.0)
    assert isinstance(made, New)
    assert made.old.power == 3.0


def test_what_is_current_is_left_alone():
    found = discover([Entry(spec(2))], Api(2, {1: FIRST}))
    (plugin,) = found.plugins
    assert plugin.outdated == ""
    assert plugin.spec == spec(2)


def test_an_adapted_factory_keeps_its_options_its_documentation_and_its_module():
    adapted = as_new(spec())
    factory = resolve(adapted.factory)
    assert list(inspect.signature(factory).parameters) == ["power"]
    assert inspect.getdoc(factory) == "What a plugin of version 1 makes."
    assert home(adapted.factory) == home(Old) == __name__
    assert home("a.b:C") == "a.b"
    assert isinstance(adapted.factory(), New)


def test_an_adapted_factory_written_as_text_is_imported_only_when_it_is_used():
    late = as_new(pruners.PrunerSpec(name="x", factory="no_such_module:Late"))
    assert home(late.factory) == "no_such_module"
    with pytest.raises(ModuleNotFoundError):
        resolve(late.factory)


def test_what_is_too_old_says_which_versions_are_taken():
    found = discover([Entry(spec(1))], Api(3, {2: SECOND}))
    (failure,) = found.failures
    assert "it is written for plugin API 1, and this Pruners takes 2 to 3" in failure.cause
    assert not failure.error.newer


def test_an_adapter_that_fails_breaks_one_plugin_only():
    def fails(_):
        raise ZeroDivisionError("no")

    found = discover([Entry(spec(1), spec(2))], Api(2, {1: Adapter(fails, until="9", change="all")}))
    assert found.names("pruner") == ("x",)
    assert [failure.cause for failure in found.failures] == ["ZeroDivisionError: no"]


def test_making_an_outdated_plugin_warns_of_until_when(monkeypatch):
    found = discover([Entry(spec(1))], Api(2, {1: FIRST}))
    monkeypatch.setattr(registry, "installed", lambda: found)
    with pytest.warns(
        pruners.OutdatedPlugin, match=r"pruner 'x' of plugin-x is written .* until Pruners 0\.4\.$"
    ):
        registry.pruner("x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.load(found.plugins[0])  # looking at it is no reason to warn


def test_this_release_has_an_adapter_for_every_version_that_it_takes():
    assert CURRENT.version == API
    assert set(CURRENT.adapters) == set(range(OLDEST, API))
    release = tuple(int(part) for part in pruners.__version__.split(".")[:2])
    for adapter in CURRENT.adapters.values():
        assert tuple(int(part) for part in adapter.until.split(".")) > release, "take this adapter out"


def test_every_first_party_plugin_declares_its_version():
    from pruners.known import PACKAGES

    first_party = [each for each in pruners.installed().plugins if each.distribution in PACKAGES.values()]
    assert first_party
    for plugin in first_party:
        factory = home(plugin.spec.factory).partition(".")[0]
        module = __import__(factory)
        assert f"api={API}," in inspect.getsource(module), plugin.distribution
