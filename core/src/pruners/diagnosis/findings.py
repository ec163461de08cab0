"""Explain every failure that discovery kept: the cause in one sentence, and what to type."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec

from attrs import frozen

from ..discovery import BadPlugin, Failure, Installed, MissingFramework, Plugin
from ..errors import IncompatiblePlugin, PluginConflict
from ..known import PACKAGES
from .environment import CORE, Problem, problems, source

FIRST_PARTY = {*PACKAGES.values(), CORE}


@frozen(kw_only=True)
class Finding:
    """
    One thing that is wrong.

    Attributes
    ----------
    package : str
        Name and version of the distribution it is about; of several, joined by "and".
    cause : str
        One sentence.
    commands : tuple of str
        What to type; any one of them helps.
    author : str
        What its author does instead, and in which file; empty where there is nothing.
    """

    package: str
    cause: str
    commands: tuple[str, ...]
    author: str = ""


def findings(found: Installed) -> tuple[Finding, ...]:
    """Return everything that is wrong with what is installed, each thing once."""
    packages = sorted(
        {each.distribution for each in found.plugins} | {each.distribution for each in found.failures}
    )
    unmet = {name: list(problems(name)) for name in packages}
    told: list[Finding] = []
    for failure in found.failures:
        finding = _explain(failure, found, unmet)
        if finding not in told:
            told.append(finding)
    for plugin in found.plugins:
        told += _missing_factory(plugin)
    versions = {each.distribution: each.version for each in found.plugins}
    versions |= {each.distribution: each.version for each in found.failures}
    for name in packages:
        for problem in unmet[name]:
            told.append(
                Finding(package=f"{name} {versions[name]}", cause=problem.cause, commands=(problem.command,))
            )
    return tuple(told)


def _explain(failure: Failure, found: Installed, unmet: dict[str, list[Problem]]) -> Finding:
    """Explain one failure; the unmet requirement that it comes from is taken from `unmet`."""
    error, package = failure.error, f"{failure.distribution} {failure.version}"
    if isinstance(error, PluginConflict):
        return _conflict(failure, found)
    if isinstance(error, IncompatiblePlugin):
        late = CORE if error.newer else failure.distribution
        return Finding(package=package, cause=str(error), commands=(f"pip install --upgrade {late}",))
    waiting = unmet.get(failure.distribution, [])
    if waiting and not isinstance(error, BadPlugin):
        problem = waiting.pop(0)
        return Finding(
            package=package, cause=f"{failure.cause}: {problem.cause}", commands=(problem.command,)
        )
    if isinstance(error, MissingFramework):
        command = f"pip install {error.module.partition('.')[0]}"
        return Finding(package=package, cause=str(error), commands=(command,))
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_module(failure, error.name)
    if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
        cause = f"{failure.cause}: it may be written for a newer Pruners"
        return Finding(
            package=package,
            cause=cause,
            commands=(f"pip install --upgrade {CORE}", f"pip install --upgrade {failure.distribution}"),
            author=_place(failure),
        )
    cause = str(error) if isinstance(error, BadPlugin) else failure.cause
    commands: tuple[str, ...] = (f"pip install --upgrade {failure.distribution}",)
    if source(failure.distribution):  # the reader is its author
        commands = (f'python -c "import {failure.module}"',)
    return Finding(package=package, cause=cause, commands=commands, author=_place(failure))


def _conflict(failure: Failure, found: Installed) -> Finding:
    """Explain a name that is claimed twice; a package that others build on is the last to go."""
    rivals = sorted(
        {(each.distribution, each.version) for each in found.failures if each.error is failure.error},
        key=lambda rival: (rival[0] in FIRST_PARTY, rival),
    )
    package = " and ".join(f"{name} {version}" for name, version in sorted(rivals))
    if len(rivals) > 1:
        commands = tuple(f"pip uninstall {name}" for name, _ in rivals)
        return Finding(package=package, cause=str(failure.error), commands=commands)
    return Finding(
        package=package,
        cause=str(failure.error),
        commands=(f"pip install --upgrade {failure.distribution}",),
        author="yield each name once",
    )


def _missing_module(failure: Failure, missing: str) -> Finding:
    package, top = f"{failure.distribution} {failure.version}", missing.partition(".")[0]
    if top == failure.module.partition(".")[0]:
        cause = f"its module {missing!r} is not there: the package is incomplete"
        command = f"pip install --force-reinstall {failure.distribution}"
        if source(failure.distribution):
            command = f"pip install -e {source(failure.distribution)}"
        return Finding(package=package, cause=cause, commands=(command,))
    return Finding(
        package=package,
        cause=f"it imports {top!r}, which is not installed and not among what the package asks for",
        commands=(f"pip install {top.replace('_', '-')}",),
        author=f"add it to the dependencies in pyproject.toml; {_place(failure)}",
    )


def _missing_factory(plugin: Plugin) -> Iterator[Finding]:
    """Yield what is wrong with a factory written as text whose module is not there."""
    factory = plugin.spec.factory
    if not isinstance(factory, str) or _can_be_found(factory.partition(":")[0]):
        return
    yield Finding(
        package=f"{plugin.distribution} {plugin.version}",
        cause=f"{plugin.kind} {plugin.name!r} is made by {factory!r}, and there is no such module",
        commands=(f"pip install --force-reinstall {plugin.distribution}",),
        author="correct the factory in the spec",
    )


def _can_be_found(module: str) -> bool:
    """Return whether a module is there, by importing nothing that is not imported yet."""
    parent = module.rpartition(".")[0]
    known = module if not parent or parent in sys.modules else module.partition(".")[0]
    try:
        return find_spec(known) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _place(failure: Failure) -> str:
    try:
        spec = find_spec(failure.module) if failure.module else None
    except (ImportError, ValueError):
        spec = None
    return f"see {spec.origin}" if spec and spec.origin else ""
