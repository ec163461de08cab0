"""Recipes: rules written down in TOML, YAML or a dict, checked entry by entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields, frozen

from . import registry
from .config_list import rules_from_config_list
from .errors import PrunersError, RecipeError
from .options import percent_hint
from .protocols import Allocates, Bounded
from .written import At, Entry, NamedPart, load, structured

if TYPE_CHECKING:
    from .rules import Rule

OUTPUTS = (".safetensors", ".npz")
"""What `pruners run` can write, and `pruners report` read."""


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
    """``.safetensors`` file, or ``.npz`` of a NumPy model, for the weights; only `pruners run` writes it."""
    sparse: bool = False
    """Whether zeros are left out of the output, as by ``pruners.save(..., sparse=True)``."""
    source: str = "recipe"
    """Where it was read from; errors begin with it."""


def recipe(source: str | PathLike[str] | Mapping[str, Any]) -> Recipe:
    """
    Read a recipe: the rules, and where the model comes from.

    Parameters
    ----------
    source : path or dict
        A ``.toml``, ``.yaml`` or ``.yml`` file, or the same content as a dict. Keys: `rules`, a list of
        tables with the fields of `pruners.Rule`; or `config_list` with `pruner`, the dicts of
        `pruners.rules_from_config_list`; and, for `pruners run`, `model`, `train`, `output` and `sparse`.
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
    elif isinstance(source, (str, PathLike)):
        name, content = str(source), load(Path(source))
    else:
        raise RecipeError(
            f"a recipe is a path or a dict with 'rules' or 'config_list', got {source!r}; "
            "a list of pruners.Rule needs no recipe"
        )
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
    if written.output is not None and not written.output.endswith(OUTPUTS):
        raise At("output", f"must end in {' or '.join(OUTPUTS)}, got {written.output!r}")
    if written.sparse and not (written.output or "").endswith(OUTPUTS[0]):
        raise At("sparse", f"needs an output that ends in {OUTPUTS[0]}, got {written.output!r}")
    return Recipe(
        rules=rules,
        model=written.model,
        train=written.train,
        output=written.output,
        sparse=bool(written.sparse),
        source=source,
    )


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
        rule = Rule(**given)
    except (TypeError, ValueError) as error:
        text = _message(error).removeprefix(f"rule {given.get('match', '*')!r}: ")
        raise At(_blame(path, given, text), text) from error
    _check_range(rule, path)
    if rule.exclude is not True:
        _check_end(rule, path)
    return rule


def _made(plugin: NamedPart, kind: str, path: str) -> Any:
    """Build a plugin to check it; a bare name stays a name, so that rules compare and read as written."""
    options = plugin.options or {}
    try:
        made = registry.make(kind, plugin.name, {**options})
    except PrunersError as error:
        raise At(_blame(path, options, _message(error)), _message(error)) from error
    except Exception as error:  # a plugin that does not check its options fails on them in any way
        text = f"{kind} {plugin.name!r} refused {dict(options)}: {type(error).__name__}: {error}"
        raise At(path, text) from error
    return plugin.name if plugin.options is None else made


def _check_range(rule: Rule, path: str) -> None:
    """Raise if a sparsity is no fraction, but for a pruner that reads it as a strength of its own."""
    above = {where: sparsity for where, sparsity in _sparsities(rule, path).items() if sparsity >= 1}
    if not above:
        return
    try:
        pruner = registry.pruner(rule.pruner) if isinstance(rule.pruner, str) else rule.pruner
    except PrunersError as error:  # only the default has not been built before
        raise At(f"{path}.pruner", _message(error)) from error
    if not isinstance(pruner, Allocates):
        where, sparsity = next(iter(above.items()))
        raise At(where, f"must be a fraction in [0, 1), got {sparsity:g}{percent_hint(sparsity)}")


def _check_end(rule: Rule, path: str) -> None:
    """Raise if it is not clear how sparse the rule's layers are in the end."""
    wanted = _sparsities(rule, path)
    schedule = registry.schedule(rule.schedule) if isinstance(rule.schedule, str) else rule.schedule
    if schedule is None:
        if not wanted:
            raise At(f"{path}.sparsity", "is missing; give it, or a schedule with an end, or exclude = true")
        return
    if wanted and not isinstance(schedule, Bounded):
        raise At(f"{path}.sparsity", f"schedule {type(schedule).__name__} sets its own ends; leave this out")
    ends: dict[str, float | None] = dict(wanted) or {f"{path}.schedule": None}
    for where, final in ends.items():
        try:
            if isinstance(schedule, Bounded) and final is not None:
                schedule.between(None, final).sparsity(0)
            else:
                schedule.sparsity(0)
        except Exception as error:  # whatever a schedule says of its ends, it says of this entry
            raise At(where, _message(error)) from error


def _sparsities(rule: Rule, path: str) -> dict[str, float]:
    """Return a rule's sparsities by their path in the recipe."""
    if isinstance(rule.sparsity, Mapping):
        return {f"{path}.sparsity[{name!r}]": value for name, value in rule.sparsity.items()}
    return {} if rule.sparsity is None else {f"{path}.sparsity": rule.sparsity}


def _blame(path: str, keys: Mapping[str, Any], text: str) -> str:
    """Add to the path the first key that the message speaks of, before it lists what there is."""
    words = re.findall(r"\w+", text.partition(" Options: ")[0])
    return next((f"{path}.{word}" for word in words if word in keys), path)


def _message(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
