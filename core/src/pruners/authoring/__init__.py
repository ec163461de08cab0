"""Write the package of a new plugin: templates that are read as code, and what fills them in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from attrs import frozen

from ..errors import PrunersError
from ..known import PACKAGES
from ..registry import installed
from ..specs import API, NEEDS
from .words import words_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = {*PACKAGES.values(), "pruners-conformance"}


class NewPluginError(PrunersError, ValueError):
    """A package cannot be written as asked; nothing was written."""


@frozen(kw_only=True)
class NewPlugin:
    """What a new package offers."""

    kind: str
    name: str
    unit: str = "weight"
    needs: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The name as part of a module's name."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """The name of its module."""
        return f"pruners_{self.stem}"

    @property
    def distribution(self) -> str:
        """The name of its package."""
        return f"pruners-{self.name}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The folders of templates that it is made of."""
        if self.kind != "pruner":
            return ("common", self.kind)
        return ("common", "pruner", "pruner-needs" if self.needs else f"pruner-{self.unit}")

    def check(self) -> None:
        """
        Raise if the name is no name, or is taken.

        Raises
        ------
        NewPluginError
            With what is wrong and, where a name is taken, by which distribution.
        """
        if not _NAME.fullmatch(self.name):
            hint = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-0123456789")
            example = f" Try {hint!r}." if _NAME.fullmatch(hint) else ""
            raise NewPluginError(
                f"{self.name!r} is no name for a {self.kind}: it begins with a lower-case letter and has "
                f"lower-case letters, digits and single hyphens between them.{example}"
            )
        self._check_options()
        self._check_free()

    def _check_options(self) -> None:
        if self.kind != "pruner" and (self.unit != "weight" or self.needs):
            raise NewPluginError(f"--unit and --needs are for a pruner; a {self.kind} has neither")
        unknown = [each for each in self.needs if each not in NEEDS]
        if unknown:
            raise NewPluginError(
                f"a pruner cannot need {unknown[0]!r}; it can need {', '.join(sorted(NEEDS))}"
            )

    def _check_free(self) -> None:
        found = installed()
        holders = [f"{each.distribution} {each.version}" for each in found.plugins
                   if (each.kind, each.name) == (self.kind, self.name)]  # fmt: skip
        holders += [f"{each.distribution} {each.version}" for each in found.failures
                    if each.concerns == (self.kind, self.name)]  # fmt: skip
        published = PACKAGES.get((self.kind, self.name))
        if holders or published:
            holder = " and ".join(dict.fromkeys(holders)) or f"{published}, which is not installed"
            raise NewPluginError(
                f"there is a {self.kind} {self.name!r} already, in {holder}; take another name"
            )
        if self.distribution in _RESERVED or _is_installed(self.distribution):
            raise NewPluginError(f"there is a package {self.distribution!r} already; take another name")


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def render(plugin: NewPlugin) -> dict[str, str]:
    """Return ``{path: text}`` of every file of the package, in the order of the paths."""
    words = _words(plugin)
    words["about"] = _filled(_read(plugin.layers[-1], f"about.md{SUFFIX}"), words)
    found = {}
    for layer in plugin.layers:
        for path, text in _templates(layer):
            if path != "about.md":
                found[_named(path, plugin)] = _filled(text, words)
    return dict(sorted(found.items()))


def write(plugin: NewPlugin, folder: Path) -> tuple[Path, ...]:
    """
    Write the package to a new folder; nothing that exists is touched.

    Raises
    ------
    NewPluginError
        If the name cannot be used, `folder` exists and is not empty, or it cannot be written to.
    """
    plugin.check()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NewPluginError(
            f"{str(folder)!r} exists already; nothing is overwritten. Give --into another folder"
        )
    files = render(plugin)
    try:
        return tuple(_write(folder / path, text) for path, text in files.items())
    except OSError as error:
        raise NewPluginError(f"{str(folder)!r} cannot be written to: {error.strerror}") from error


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def class_name(plugin: NewPlugin) -> str:
    """Return the name of its class, as people write classes."""
    name = "".join(part.capitalize() for part in plugin.name.split("-"))
    return f"{name}{plugin.kind.capitalize()}" if keyword.iskeyword(name) else name


def _words(plugin: NewPlugin) -> dict[str, str]:
    major, minor, *_ = version("pruners").split(".")
    words = {
        "kind": plugin.kind,
        "name": plugin.name,
        "stem": plugin.stem,
        "module": plugin.module,
        "distribution": plugin.distribution,
        "cls": class_name(plugin),
        "api": str(API),
        "least": f">={major}.{minor}",
        "pin": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }
    fragments = "".join(_read("needs", f"{need}.py{SUFFIX}") for need in plugin.needs)
    return (
        words
        | words_of(plugin.kind, plugin.unit, plugin.needs, words["least"])
        | {"fragments": fragments.rstrip("\n")}
    )


def _filled(text: str, words: dict[str, str]) -> str:
    return Template(text).substitute(words)


def _named(path: str, plugin: NewPlugin) -> str:
    return path.replace("MODULE", plugin.module).replace("STEM", plugin.stem)


def _read(folder: str, name: str) -> str:
    return files(__name__).joinpath("templates", folder, name).read_text(encoding="utf-8")


def _templates(layer: str) -> Iterator[tuple[str, str]]:
    root = files(__name__).joinpath("templates", layer)
    yield from _below(root.iterdir(), "")


def _below(entries: Iterable[Traversable], above: str) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if entry.is_dir():
            yield from _below(entry.iterdir(), f"{above}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield above + entry.name.removesuffix(SUFFIX), entry.read_text(encoding="utf-8")
