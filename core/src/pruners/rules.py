"""Which layers are pruned how: rules, and how they find their layers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import field, frozen, validators

from .errors import RuleError
from .options import integer, whole
from .protocols import Layer, Pattern, Pruner, Scheduler
from .selection import BUDGETS, NORMALISERS, OUTPUT_AND_PATTERN, SCOPES, Scope, rounding_rule

Match = str | Sequence[str] | Callable[[Layer], bool]


def _globs(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value)


def _match(value: Any) -> Any:
    if callable(value):
        return value
    globs = (value,) if isinstance(value, str) else value
    if not isinstance(globs, Sequence) or not globs or not all(isinstance(each, str) for each in globs):
        raise RuleError(f"match must be a glob, several globs, or a function of a Layer, got {value!r}")
    return tuple(globs)


def _rounding(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _known_rounding(_: Any, __: Any, value: Any) -> None:
    rounding_rule(value)


def _exclude(value: Any) -> Any:
    return value if isinstance(value, bool) else _globs(value)


def _sparsity(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): float(each) for name, each in value.items()}
    return value if value is None or isinstance(value, bool) else float(value)


def _not_negative(_: Any, __: Any, value: Any) -> None:
    if isinstance(value, bool):
        raise RuleError(f"sparsity must be a fraction from 0 up to 1, got {value}")
    values = value if isinstance(value, Mapping) else {"": value}
    for name, each in values.items():
        if each is not None and not each >= 0:
            where = f" of {name!r}" if name else ""
            raise RuleError(f"sparsity{where} must be a fraction from 0 up to 1, got {each}")


@frozen(init=False)
class Rule:
    """
    Say which layers are pruned, by what, how far, where and when.

    Parameters
    ----------
    match : str, sequence of str, or function, default "*"
        Globs on parameter names (``"fc.weight"``) or module names (``"features.*"``), or a
        function ``Layer -> bool``. Wildcards and functions reach the weights of layers; biases,
        norms and loose parameters are reached only by their full parameter name.
    pruner : str or Pruner, default "level"
        What ranks the weights.
    sparsity : float or {str: float}, optional
        Fraction of weights that are zero in the end, in [0, 1). A mapping gives each
        parameter its own and matches just those. Left out where the schedule has its own end.
    schedule : str or Scheduler, optional
        When masks are recomputed and how far; without one everything goes at once.
    pattern : str or Pattern, optional
        Where zeros may lie; anywhere without one.
    scope : {"output", "layer", "model"}, default "layer"
        Whether weights compete within their output ``(in, *kernel)``, within their layer or across
        all layers of this rule. In scope "output" exactly ``floor(s * n)`` of the n weights of every
        output go. It takes no pattern and no pruner of whole channels.
    rounding, normaliser, budget : str
        Named options of the selection: how a fraction becomes a count, how scores of different
        layers are made comparable (scope "model"), how one fraction is shared out (the others).
    min_keep : int, default 1
        Weights that stay in each layer at least, in scope "model".
    types : sequence of str
        Only layers of these types, for example ``("Conv2d", "Linear")``.
    exclude : str, sequence of str, or bool
        Globs left out of this rule; True keeps every layer the rule matches dense.

    Raises
    ------
    RuleError
        If a value is out of range, or parts contradict each other.

    Notes
    -----
    Of several rules that match a layer, the last one wins.

    Examples
    --------
    >>> import pruners
    >>> pruners.Rule("features.*", sparsity=0.9, pattern="bank").match
    ('features.*',)
    """

    match: Any = field(converter=_match)
    pruner: str | Pruner = field(kw_only=True, default="level")
    sparsity: float | Mapping[str, float] | None = field(
        kw_only=True, default=None, converter=_sparsity, validator=_not_negative
    )
    schedule: str | Scheduler | None = field(kw_only=True, default=None)
    pattern: str | Pattern | None = field(kw_only=True, default=None)
    scope: Scope = field(kw_only=True, default="layer", validator=validators.in_(SCOPES))
    rounding: Any = field(kw_only=True, default="floor", converter=_rounding, validator=_known_rounding)
    normaliser: str = field(kw_only=True, default="none", validator=validators.in_(NORMALISERS))
    min_keep: int = field(kw_only=True, default=1, converter=integer, validator=whole(0))
    budget: str = field(kw_only=True, default="uniform", validator=validators.in_(BUDGETS))
    types: tuple[str, ...] = field(kw_only=True, default=(), converter=_globs)
    exclude: bool | tuple[str, ...] = field(kw_only=True, default=(), converter=_exclude)

    def __init__(self, match: Match = "*", **options: Any) -> None:
        try:
            self.__attrs_init__(match, **options)
        except RuleError:
            raise
        except (TypeError, ValueError) as error:
            raise RuleError(f"rule {match!r}: {_explain(error)}") from error
        if isinstance(self.sparsity, Mapping) and self.scope == "model":
            raise RuleError(
                f"rule {match!r}: a sparsity per parameter needs scope='layer' or 'output', not 'model'"
            )
        if self.scope == "output" and self.pattern is not None:
            raise RuleError(f"rule {match!r}: {OUTPUT_AND_PATTERN}")
        if self.budget != "uniform" and (self.scope == "model" or isinstance(self.sparsity, Mapping)):
            raise RuleError(
                f"rule {match!r}: budget={self.budget!r} shares out one sparsity in scope='layer' or 'output'"
            )

    def matches(self, layer: Layer) -> bool:
        """Return whether this rule speaks of `layer`."""
        if isinstance(self.sparsity, Mapping) and not {layer.name, *layer.aliases} & set(self.sparsity):
            return False
        if self.types and not {layer.type, *layer.bases} & set(self.types):
            return False
        if not isinstance(self.exclude, bool) and any(_reaches(glob, layer) for glob in self.exclude):
            return False
        if callable(self.match):
            return layer.default and bool(self.match(layer))
        named = isinstance(self.sparsity, Mapping)
        return any(_reaches(glob, layer, named) for glob in self.match)


def _explain(error: Exception) -> str:
    text = str(error.args[0] if error.args else error)
    if "unexpected keyword argument" not in text:
        return text
    options = [each.name for each in Rule.__attrs_attrs__]
    near = difflib.get_close_matches(text.split("'")[1], options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"no option {text.split(chr(39))[1]!r}.{hint} Options: {', '.join(options)}."


def _reaches(glob: str, layer: Layer, named: bool = False) -> bool:
    if glob == layer.name or glob in layer.aliases:
        return True
    if not (layer.default or named):
        return False
    names = (layer.name, *layer.aliases)
    modules = (layer.module, *(alias.rpartition(".")[0] for alias in layer.aliases))
    return any(fnmatchcase(name, glob) for name in (*names, *modules))


def as_rules(rules: Any) -> tuple[Rule, ...]:
    """Return rules as a tuple: one rule, several, or a plain ``{parameter name: sparsity}``."""
    if isinstance(rules, Rule):
        return (rules,)
    if isinstance(rules, Mapping):
        return (Rule(tuple(rules), sparsity=rules),)
    if isinstance(rules, Iterable) and not isinstance(rules, str):
        found = tuple(rules)
        wrong = [rule for rule in found if not isinstance(rule, Rule)]
        if found and not wrong:
            return found
        if wrong:
            raise RuleError(f"rules must be pruners.Rule, got {wrong[0]!r}; see also pruners.recipe")
    raise RuleError(
        "rules must be a pruners.Rule, a sequence of them (of a recipe, its .rules), or a dict "
        f"{{parameter name: sparsity}}, got {rules!r}"
    )


def assign(rules: Sequence[Rule], layers: Mapping[str, Layer]) -> list[list[str]]:
    """
    Return, for each rule, the names of the layers it prunes; the last matching rule wins.

    Raises
    ------
    RuleError
        If a rule, or a name in its mapping, matches no layer; near names are listed.
    """
    winner: dict[str, int] = {}
    for index, rule in enumerate(rules):
        matched = [name for name, layer in layers.items() if rule.matches(layer)]
        if not matched:
            raise RuleError(_nothing(rule, layers))
        if isinstance(rule.sparsity, Mapping):
            _all_found(rule.sparsity, layers)
        if not isinstance(rule.exclude, bool):
            _all_excluded(rule.exclude, layers)
        winner.update(dict.fromkeys(matched, index))
    return [
        [name for name in layers if winner.get(name) == index and rule.exclude is not True]
        for index, rule in enumerate(rules)
    ]


def _all_found(wanted: Mapping[str, float], layers: Mapping[str, Layer]) -> None:
    known = {alias for layer in layers.values() for alias in (layer.name, *layer.aliases)}
    for name in wanted:
        if name not in known:
            raise RuleError(f"no parameter named {name!r}.{_near([name], sorted(known))}")


def _all_excluded(globs: Sequence[str], layers: Mapping[str, Layer]) -> None:
    for glob in globs:
        if not any(_reaches(glob, layer, named=True) for layer in layers.values()):
            raise RuleError(f"exclude={glob!r} matches no layer.{_near([glob], _names(layers))}")


def _names(layers: Mapping[str, Layer]) -> list[str]:
    return sorted({each for layer in layers.values() for each in (layer.name, layer.module) if each})


def _nothing(rule: Rule, layers: Mapping[str, Layer]) -> str:
    if callable(rule.match):
        return f"rule with function {rule.match!r} matches no layer. Layers: {_some(list(layers))}."
    wanted = list(rule.sparsity) if isinstance(rule.sparsity, Mapping) else list(rule.match)
    names = _names(layers)
    text = f"rule {wanted[0] if len(wanted) == 1 else wanted!r} matches no layer."
    types = sorted({layer.type for layer in layers.values()})
    if rule.types and not any({layer.type, *layer.bases} & set(rule.types) for layer in layers.values()):
        return f"{text} It asks for types {', '.join(rule.types)}; the model has {', '.join(types)}."
    loose = [
        name
        for name, layer in layers.items()
        if not layer.default and any(fnmatchcase(name, glob) for glob in wanted)
    ]
    if loose:
        return f"{text} Name {_some(loose)} in full to prune it: wildcards reach only weights of layers."
    return text + _near(wanted, names)


def _near(wanted: Sequence[str], names: Sequence[str]) -> str:
    stems = [name.strip("*?[].") for name in wanted]
    near = [close for stem in stems for close in difflib.get_close_matches(stem, names, n=3)]
    near += [name for name in names for stem in stems if stem and stem in name and name not in near]
    return f" Near names: {_some(near)}." if near else f" Layers: {_some(names)}."


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return f"{shown}, and {len(names) - limit} more" if len(names) > limit else shown or "none"
