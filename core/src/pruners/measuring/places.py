"""Where models are run: their own framework, or a runtime plugin."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from .. import registry
from ..errors import OptionError, UnknownName
from ..known import PACKAGES
from ..protocols import Runtime, Serves, Traceable
from ..specs import RuntimeSpec
from .subjects import Subject

Chosen = str | tuple[str, Mapping[str, Any]]
"""A runtime by name, or by name with its options."""


@frozen(eq=False)
class Place:
    """One place to run models in."""

    label: str
    """What tables call it."""
    name: str
    format: str
    """What it opens: a file format, or the name of the backend whose live models it takes."""
    runtime: Runtime | None = None
    """None where the framework itself runs the live model."""
    options: Mapping[str, Any] = field(factory=dict)
    modules: tuple[str, ...] = ()
    """What is imported before it can be used."""

    @property
    def live(self) -> bool:
        """Whether it takes models that are in memory, of the backend that `format` names."""
        return self.format in registry.installed().names("backend")


def places(chosen: str | Sequence[Chosen] | None, among: Sequence[Subject], inputs: Any) -> tuple[Place, ...]:
    """
    Return the places that are named; by default the frameworks of the models, where they can run one.

    Raises
    ------
    OptionError
        If one is named twice, or without inputs to run a model on.
    UnknownName, BrokenPlugin
        If one is not there, or its engine is not.
    """
    if chosen is None:
        chosen = () if inputs is None else own(among)
    found = [_place(each) for each in ([chosen] if isinstance(chosen, str) else chosen)]
    labels = [place.label for place in found]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise OptionError(f"runtimes has {twice[0]!r} twice; name each once")
    if found and inputs is None:
        raise OptionError(
            f"runtimes has {found[0].label!r}, and there are no example_inputs to run a model on"
        )
    return tuple(found)


def own(among: Iterable[Subject]) -> list[str]:
    """Return the frameworks of these models, where they can run one."""
    able = [each.backend for each in among if isinstance(each.opened, (Serves, Traceable))]
    return list(dict.fromkeys(able))


def _place(chosen: Any) -> Place:
    name, options = (chosen, {}) if isinstance(chosen, str) else _parted(chosen)
    label = name + (f"({', '.join(f'{key}={value!r}' for key, value in options.items())})" if options else "")
    if name in registry.installed().names("backend"):
        if options:
            raise OptionError(
                f"runtime {name!r} is the framework itself, which has no options here: {options}"
            )
        return Place(label, name, name)
    spec = _spec(name)
    return Place(
        label, name, spec.format, registry.make("runtime", name, dict(options)), options, spec.modules
    )


def _parted(chosen: Any) -> tuple[str, Mapping[str, Any]]:
    try:
        name, options = chosen
    except (TypeError, ValueError):
        name, options = None, None
    if not (isinstance(name, str) and isinstance(options, Mapping)):
        raise OptionError(f"a runtime is a name, or a name and a mapping of options; got {chosen!r}")
    return name, options


def _spec(name: str) -> RuntimeSpec:
    try:
        spec = registry.installed().find("runtime", name).spec
    except UnknownName as error:
        if ("runtime", name) in PACKAGES:
            raise
        frameworks = registry.installed().names("backend")
        near = difflib.get_close_matches(name, frameworks, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownName(
            f"{error}{hint} A live model runs in its own: {', '.join(frameworks) or 'none is installed'}."
        ) from None
    if not isinstance(spec, RuntimeSpec):
        raise TypeError(f"runtime {name!r} has the spec {spec!r}")
    return spec
