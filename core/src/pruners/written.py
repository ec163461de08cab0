"""What a recipe file says, before it means anything: loaded, structured, wrong entries named by path."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen
from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_structure_fn

from .errors import RecipeError


class At(Exception):
    """A wrong entry: its path inside the recipe and what is wrong; becomes a RecipeError."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(path, text)
        self.path, self.text = path, text


@frozen
class NamedPart:
    """A pruner, schedule or pattern as written: a name, or a table with a name and options."""

    name: str
    options: Mapping[str, Any] | None


_Names = str | tuple[str, ...]
_Rates = float | Mapping[str, float]
_Switch = bool | str | tuple[str, ...]
_Rounding = str | tuple[Any, ...]


@frozen(kw_only=True)
class Entry:
    """One table of ``[[rules]]``; what is left out takes the default of `pruners.Rule`."""

    match: _Names | None = None
    pruner: NamedPart | None = field(default=None, metadata={"kind": "pruner"})
    sparsity: _Rates | None = None
    schedule: NamedPart | None = field(default=None, metadata={"kind": "schedule"})
    pattern: NamedPart | None = field(default=None, metadata={"kind": "pattern"})
    scope: str | None = None
    rounding: _Rounding | None = None
    normaliser: str | None = None
    min_keep: int | None = None
    budget: str | None = None
    types: _Names | None = None
    exclude: _Switch | None = None


@frozen(kw_only=True)
class File:
    """The whole recipe as written."""

    model: str | None = None
    train: str | None = None
    output: str | None = None
    sparse: bool | None = None
    rules: tuple[Entry, ...] | None = None
    config_list: tuple[Mapping[str, Any], ...] | None = None
    pruner: NamedPart | None = None


def load(path: Path) -> Any:
    """Return the content of a recipe file, by its suffix."""
    readers: dict[str, Callable[[str], Any]] = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RecipeError(
            f"{path}: a recipe is one of {', '.join(readers)}; got {path.suffix or 'no suffix'!r}"
        )
    try:
        return reader(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{path}: {error}") from error


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def structured(content: Any) -> File:
    """Return a recipe's content with every entry checked for its kind."""
    try:
        return _CONVERTER.structure(content, File)
    except (BaseValidationError, At, ValueError) as error:
        raise _first(error) from error


def _first(error: Exception) -> At:
    """Return the first wrong entry that cattrs found, with the path it kept."""
    if isinstance(error, At):
        return error

    def line(error: BaseException, _: type | None) -> str:
        return f"{error.path}\n{error.text}" if isinstance(error, At) else f"\n{error}"

    inside, _, text = transform_error(error, path="", format_exception=line)[0].partition("\n")
    text, _, path = text.rpartition(" @ ")
    return At(".".join(part for part in (path.removeprefix("."), inside) if part), text)


def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, _exactly((bool,), "true or false"))
    converter.register_structure_hook(int, _exactly((int,), "a whole number"))
    converter.register_structure_hook(float, _exactly((float, int), "a number"))
    converter.register_structure_hook(NamedPart, _part)
    names = _listed(converter, str, "a name or a list of names")
    either: tuple[tuple[Any, Callable[..., Any]], ...] = (
        (_Names, lambda value, _: value if isinstance(value, str) else names(value, _)),
        (_Switch, lambda value, _: value if isinstance(value, (bool, str)) else names(value, _)),
        (_Rounding, lambda value, _: tuple(value) if isinstance(value, (list, tuple)) else _text(value, _)),
        (_Rates, lambda value, _: converter.structure(value, dict[str, float] if _table(value) else float)),
        (tuple[Entry, ...], _listed(converter, Entry, "a list of tables, in TOML [[rules]]")),
        (tuple[Mapping[str, Any], ...], _listed(converter, Any, "a list of tables")),
    )
    for kind, hook in either:
        for wanted in (kind, kind | None):
            converter.register_structure_hook_func(partial(eq, wanted), hook)
    for cls in (Entry, File):
        converter.register_structure_hook(cls, _checked(cls, make_dict_structure_fn(cls, converter)))
    return converter


def _exactly(kinds: tuple[type, ...], words: str) -> Callable[..., Any]:
    """Return a hook that takes these types as they are and converts nothing."""

    def hook(value: Any, _: Any) -> Any:
        if type(value) not in kinds:
            raise ValueError(f"must be {words}, got {value!r}")
        return value

    return hook


_text = _exactly((str,), "text")


def _listed(converter: Converter, item: Any, words: str) -> Callable[..., Any]:
    """Return a hook for a list; cattrs keeps the index of an item that is wrong."""

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"must be {words}, got {value!r}")
        return tuple(converter.structure(value, list[item]))

    return hook


def _checked(cls: type[Any], structure: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook for a table that refuses keys it does not know."""
    known = [attribute.name for attribute in fields(cls)]

    def hook(value: Any, _: Any) -> Any:
        if not _table(value):
            raise ValueError(f"must be a table, got {value!r}")
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise At(str(key), f"unknown key.{hint} The keys are {', '.join(known)}.")
        return structure(value, cls)

    return hook


def _part(value: Any, _: Any) -> NamedPart:
    if isinstance(value, str):
        return NamedPart(value, None)
    if not _table(value) or not isinstance(value.get("name"), str):
        raise ValueError(f'must be a name or a table with a name, such as {{name = "agp"}}, got {value!r}')
    return NamedPart(value["name"], {key: option for key, option in value.items() if key != "name"})


def _table(value: Any) -> bool:
    return isinstance(value, Mapping)


_CONVERTER = _converter()
