"""What is installed around the plugins: facts for a bug report, and requirements that are not met."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attrs import frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ..discovery import Installed, MissingFramework
from ..known import FRAMEWORKS
from ..specs import BackendSpec, RuntimeSpec

CORE = "pruners"


@frozen
class Problem:
    """One requirement of a distribution that this environment does not meet."""

    cause: str
    command: str


@frozen
class Framework:
    """One framework: its module, its version where it is installed, the packages that adapt it."""

    module: str
    version: str
    backends: tuple[str, ...]


@frozen
class Engine:
    """One runtime that can be used, and the versions of what it runs models on."""

    name: str
    format: str
    """What it opens."""
    modules: tuple[str, ...]
    """Each with its version."""
    package: str


def version_of(name: str) -> str:
    """Return the version of an installed distribution, empty where it is not installed."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return ""


def problems(name: str) -> Iterator[Problem]:
    """Yield what a distribution asks of Python and of other packages that is not so."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    yield from _python(found)
    for written in found.requires or ():
        try:
            requirement = Requirement(written)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from _unmet(name, requirement)


def _python(found: Distribution) -> Iterator[Problem]:
    about: Any = found.metadata
    asked = about.get("Requires-Python", "")
    try:
        suits = not asked or platform.python_version() in SpecifierSet(asked, prereleases=True)
    except InvalidSpecifier:
        suits = True
    if not suits:
        yield Problem(
            f"it needs Python {asked}, and this is Python {platform.python_version()}",
            f"pip install --force-reinstall {found.metadata['Name']}",
        )


def _unmet(name: str, requirement: Requirement) -> Iterator[Problem]:
    needed = f"{requirement.name}{requirement.specifier}"
    version = version_of(requirement.name)
    if not version:
        yield Problem(
            f"it needs {needed}, which is not installed", f"pip install {shlex.quote(str(requirement))}"
        )
    elif not requirement.specifier.contains(version, prereleases=True):
        newer = canonicalize_name(requirement.name) == CORE  # a plugin follows core, not the other way round
        yield Problem(
            f"it needs {needed}, and {requirement.name} {version} is installed",
            f"pip install --upgrade {name}" if newer else f"pip install {shlex.quote(needed)}",
        )


def frameworks(found: Installed) -> tuple[Framework, ...]:
    """Return every framework that a backend is known for, with the version that is installed."""
    adapted: dict[str, set[str]] = {module: set() for module in FRAMEWORKS}
    for plugin in found.plugins:
        if isinstance(plugin.spec, BackendSpec):
            for module in plugin.spec.modules or (plugin.name,):
                if plugin.spec.modules or module in FRAMEWORKS:
                    adapted.setdefault(module, set()).add(f"{plugin.distribution} {plugin.version}")
    for failure in found.failures:
        if isinstance(failure.error, MissingFramework) and failure.error.kind == "backend":
            adapted.setdefault(failure.error.module, set()).add(f"{failure.distribution} {failure.version}")
    versions = _versions(adapted)
    return tuple(Framework(each, versions[each], tuple(sorted(adapted[each]))) for each in sorted(adapted))


def engines(found: Installed) -> tuple[Engine, ...]:
    """Return every runtime that can be used, with the versions of the modules that it needs."""
    plugins = [(plugin, plugin.spec) for plugin in found.plugins if isinstance(plugin.spec, RuntimeSpec)]
    versions = _versions({module for _, spec in plugins for module in spec.modules})
    return tuple(
        Engine(
            plugin.name,
            spec.format,
            tuple(f"{module} {versions[module]}".strip() for module in spec.modules),
            f"{plugin.distribution} {plugin.version}",
        )
        for plugin, spec in plugins
    )


def _versions(modules: Iterable[str]) -> dict[str, str]:
    """Return ``{module: version}`` by what is written about packages; no module is imported."""
    known = packages_distributions()
    return {
        module: next((version_of(each) for each in known.get(module.partition(".")[0], ())), "")
        or ("of unknown version" if "." not in module and find_spec(module) else "")
        for module in modules
    }


def source(name: str) -> str:
    """Return the folder that a distribution is installed from in editable mode; empty of any other."""
    try:
        about = json.loads(distribution(name).read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return ""
    if not about.get("dir_info", {}).get("editable"):
        return ""
    return str(Path(url2pathname(urlsplit(about["url"]).path)))
