"""What a model can be exported to: file formats, and the runtimes that keep files of their own."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from .errors import ExportError, OptionError
from .known import PACKAGES, RUNS
from .protocols import Converts, Runtime
from .registry import installed, make
from .specs import RuntimeSpec


@frozen(eq=False)
class Target:
    """Where an export goes, and what shows that it got there."""

    to: str
    format: str
    """What the backend writes."""
    runtimes: tuple[tuple[str, Runtime], ...]
    """What opens the file, by name."""
    converter: Converts | None = None
    """What makes the file from the backend's."""


def target(to: Any, formats: Sequence[str]) -> Target:
    """
    Return what `to` names, for a backend that writes these formats.

    Raises
    ------
    OptionError
        If it is neither a format nor a runtime that converts.
    UnknownName, BrokenPlugin
        If it is a runtime of this project that is not installed, or cannot be used.
    ExportError
        If nothing that is installed opens such a file.
    """
    found = {plugin.name: plugin.spec for plugin in installed().plugins if plugin.kind == "runtime"}
    specs = {name: spec for name, spec in found.items() if isinstance(spec, RuntimeSpec)}
    if not isinstance(to, str):
        raise OptionError(_unknown(to, formats, specs))
    if to in formats:
        opens = [name for name, spec in specs.items() if spec.format == to]
        made = [(name, make("runtime", name, {})) for name in opens]
        runtimes = tuple((name, each) for name, each in made if not isinstance(each, Converts))
        if not runtimes:
            raise ExportError(_nothing_runs(to))
        return Target(to, to, runtimes)
    if to not in specs:
        if ("runtime", to) in PACKAGES:
            installed().find("runtime", to)  # says what to install, or what is broken
        raise OptionError(_unknown(to, formats, specs))
    runtime = make("runtime", to, {})
    format = specs[to].format
    if format in installed().names("backend"):
        raise OptionError(
            f"runtime {to!r} runs live models of {format} and has no file: time it with pruners.measure"
        )
    if not isinstance(runtime, Converts):
        raise OptionError(f"runtime {to!r} opens {format} files as they are: export to {format!r}")
    if format not in formats:
        raise ExportError(f"runtime {to!r} takes {format} files, which this backend does not write")
    return Target(to, format, ((to, runtime),), runtime)


def _nothing_runs(format: str) -> str:
    package = RUNS.get(format)
    install = f": pip install {package}" if package else ""
    broken = [str(each) for each in installed().failures if each.concerns and each.concerns[0] == "runtime"]
    return f"no runtime is installed that opens {format} files, to prove them{install}" + "".join(
        f"; {each}" for each in broken
    )


def _unknown(to: Any, formats: Sequence[str], specs: dict[str, RuntimeSpec]) -> str:
    names = [*formats, *specs]
    near = difflib.get_close_matches(str(to), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"to is {to!r}, which is no file format of this backend ({', '.join(formats)}) and no installed "
        f"runtime ({', '.join(specs) or 'none'}).{hint}"
    )
