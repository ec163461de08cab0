"""Recipes: rules written down in TOML, YAML or a dict, checked entry by entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields, frozen

from . import registry
from .config_list import rules_from_config_list
from .errors import PrunersError, RecipeError
from .written import At, Entry, NamedPart, load, structured

if TYPE_CHECKING:
    from .rules import Rule


@frozen(kw_only=True)
class Recipe:
    """What to prune and how, read from a file or a dict."""

    rules: tuple[Rule, ...]
    """For `pruners.attach` or `pruners.prune`; the last one that matches a layer decides."""
    model: str | None = None
    """``"module:function"`` that builds the model; only `pruners run` calls it."""
    train: str | None = None
    """``"module:function"`` that trains it; only `pruners run` calls it."""
    output: str | None = None
    """File for the pruned weights; only `pruners run` writes it."""
    source: str = "recipe"
    """Where it was read from; errors begin with it."""


def recipe(source: str | Path | Mapping[str, Any]) -> Recipe:
    """
    Read a recipe: the rules, and where the model comes from.

    Parameters
    ----------
    source : path or dict
        A ``.toml``, ``.yaml`` or ``.yml`` file, or the same content as a dict. Keys: `rules`, a list of
        tables with the fields of `pruners.Rule`; or `config_list` with `pruner`, the dicts of
        `pruners.rules_from_config_list`; and, for `pruners run`, `model`, `train` and `output`.
        A pruner, schedule or pattern is a name or a table ``{name = "agp", start = 0, ...}``.

    Returns
    -------
    Recipe
        Its `rules` go straight into `pruners.attach`.

    Raises
    ------
    RecipeError
        If the file cannot be read or an entry is wrong; the message begins with the file and the path in
        it, for example ``recipe.toml: rules[1].schedule.stop: ...``.

    Notes
    -----
    Reading a recipe loads no code but the plugins it names. Only `pruners run` calls the functions named
    by `model` and `train`.

    Examples
    --------
    >>> import pruners
    >>> read = pruners.recipe({"rules": [{"match": "conv*", "pruner": "level", "sparsity": 0.9}]})
    >>> read.rules[0].sparsity
    0.9
    """
    if isinstance(source, Mapping):
        name, content = "recipe", source
    else:
        name, content = str(source), load(Path(source))
    try:
        return _build(content, name)
    except At as error:
        where = f"{error.path}: " if error.path else ""
        raise RecipeError(f"{name}: {where}{error.text}") from error.__cause__


def _build(content: Any, source: str) -> Recipe:
    written = structured(content)
    if (written.rules is None) == (written.config_list is None):
        raise At("", "needs either 'rules' or 'config_list', a list of tables")
    if written.config_list is not None:
        options = {} if written.pruner is None else {"pruner": _made(written.pruner, "pruner", "pruner")}
        rules = _from_config_list(written.config_list, options)
    elif written.pruner is not None:
        raise At("pruner", "belongs inside a rule; at the top it is for 'config_list' only")
    else:
        rules = tuple(_rule(entry, f"rules[{i}]") for i, entry in enumerate(written.rules or ()))
    if not rules:
        raise At("rules", "is empty: give at least one rule")
    return Recipe(rules=rules, model=written.model, train=written.train, output=written.output, source=source)


def _from_config_list(written: Sequence[Any], options: dict[str, Any]) -> tuple[Rule, ...]:
    try:
        return rules_from_config_list(written, **options)
    except PrunersError as error:
        raise At("", str(error)) from error


def _rule(entry: Entry, path: str) -> Rule:
    from .rules import Rule

    given: dict[str, Any] = {}
    for attribute in fields(Entry):
        value = getattr(entry, attribute.name)
        if value is not None:
            kind = attribute.metadata.get("kind")
            given[attribute.name] = value if kind is None else _made(value, kind, f"{path}.{attribute.name}")
    try:
        return Rule(**given)
    except (TypeError, ValueError) as error:
        raise At(_blame(path, given, error), _message(error)) from error


def _made(plugin: NamedPart, kind: str, path: str) -> Any:
    """Build a plugin to check it; a bare name stays a name, so that rules compare and read as written."""
    make: Callable[..., Any] = getattr(registry, kind)
    options = plugin.options or {}
    try:
        made = make(plugin.name, **options)
    except PrunersError as error:
        raise At(_blame(path, options, error), _message(error)) from error
    return plugin.name if plugin.options is None else made


def _blame(path: str, keys: Mapping[str, Any], error: Exception) -> str:
    """Add to the path the first key that the message quotes, or else speaks of."""
    text = _message(error)
    words = re.findall(r"'([^']+)'", text) + re.findall(r"\w+", text)
    return next((f"{path}.{word}" for word in words if word in keys), path)


def _message(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
