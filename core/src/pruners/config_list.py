"""Rules from the `config_list` dicts of earlier tools: the same keys, checked strictly."""

from __future__ import annotations

import difflib
import glob
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import registry
from .errors import OptionError, PrunersError
from .options import percent_hint
from .protocols import Allocates

if TYPE_CHECKING:
    from .rules import Rule

KEYS = (
    "sparsity",
    "op_types",
    "op_names",
    "exclude",
    "initial_sparsity",
    "final_sparsity",
    "start_epoch",
    "end_epoch",
    "frequency",
)
SCHEDULED = ("initial_sparsity", "final_sparsity", "start_epoch", "end_epoch", "frequency")


def rules_from_config_list(
    config_list: Sequence[Mapping[str, Any]], *, pruner: Any = "level"
) -> tuple[Rule, ...]:
    """
    Return the rules that a `config_list` describes.

    Parameters
    ----------
    config_list : sequence of dict
        Each dict selects layers with `op_types` (type names; ``"default"`` is every layer that owns
        weights) and `op_names` (module names, taken literally); a layer must satisfy both where both are
        given. Then either `sparsity` (fraction that is zero, in [0, 1); the strength, from 0, of a pruner
        that decides the fraction itself), or `final_sparsity` with optional `initial_sparsity` (0),
        `start_epoch` (0), `end_epoch` (1) and `frequency` (1), or ``exclude=True``.
    pruner : str or Pruner, default "level"
        What ranks the weights.

    Returns
    -------
    tuple of Rule
        In the same order; the last dict that matches a layer decides.

    Raises
    ------
    OptionError
        If a key is unknown or a value is out of its range; the message gives the path, for example
        ``config_list[0].sparsity``.

    Notes
    -----
    A ramp is the schedule ``agp`` in the form NNI published, counted in epochs: call
    ``pruning.epoch(e)`` at the start of every epoch. It reaches `final_sparsity` in epoch
    ``end_epoch - 1`` at the latest, or in epoch `end_epoch` where it is shorter than `frequency`.
    A rule that matches no layer is an error when it is attached, where the earlier tools went on
    silently.

    References
    ----------
    .. [1] M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
           compression", 2017. arXiv:1710.01878.

    Examples
    --------
    >>> import pruners
    >>> rules = pruners.rules_from_config_list(
    ...     [{"sparsity": 0.8, "op_types": "default"}, {"op_names": ["head"], "exclude": True}]
    ... )
    >>> [rule.match for rule in rules], rules[0].sparsity
    ([('*',), ('head',)], 0.8)
    """
    if isinstance(config_list, (str, bytes, Mapping)) or not isinstance(config_list, Sequence):
        raise OptionError(f"config_list must be a list of dicts, got {config_list!r}")
    if not config_list:
        raise OptionError("config_list is empty: give at least one dict, for example {'sparsity': 0.5}")
    return tuple(_rule(entry, f"config_list[{i}]", pruner) for i, entry in enumerate(config_list))


def _rule(entry: Any, path: str, pruner: Any) -> Rule:
    from .rules import Rule

    if not isinstance(entry, Mapping):
        raise OptionError(f"{path}: must be a dict, got {entry!r}")
    for key in entry:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise OptionError(f"{path}.{key}: unknown key.{hint} The keys are {', '.join(KEYS)}.")
    names = _names(entry, "op_names", path)
    types = _names(entry, "op_types", path)
    selects: dict[str, Any] = {
        "match": tuple(glob.escape(name) for name in names) or "*",
        "types": () if "default" in types else types,
    }
    if _excluded(entry, path):
        return Rule(**selects, exclude=True)
    if any(key in entry for key in SCHEDULED):
        return Rule(**selects, pruner=pruner, **_ramp(entry, path))
    if "sparsity" not in entry:
        raise OptionError(f"{path}: needs 'sparsity', 'final_sparsity' or 'exclude'; it has {sorted(entry)}")
    return Rule(**selects, pruner=pruner, sparsity=_strength(entry, path, pruner))


def _ramp(entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    if "sparsity" in entry:
        raise OptionError(f"{path}.sparsity: give either 'sparsity' or 'final_sparsity', not both")
    if "final_sparsity" not in entry:
        raise OptionError(f"{path}.final_sparsity: is missing; a schedule needs it")
    initial = _fraction(entry, "initial_sparsity", path, 0.0)
    final = _fraction(entry, "final_sparsity", path)
    if initial > final:
        raise OptionError(f"{path}.initial_sparsity: {initial} is above final_sparsity, {final}")
    start = _whole(entry, "start_epoch", path, 0, least=0)
    end = _whole(entry, "end_epoch", path, 1, least=1)
    if end <= start:
        raise OptionError(f"{path}.end_epoch: must be above start_epoch, {start}, got {end}")
    every = _whole(entry, "frequency", path, 1, least=1)
    try:
        ramp = registry.schedule(
            "agp", form="nni", initial_sparsity=initial, start=start, stop=end, every=every
        )
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error
    except PrunersError as error:
        raise type(error)(f"{path} needs the schedule 'agp': {error}") from error
    return {"sparsity": final, "schedule": ramp}


def _names(entry: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
    names = entry.get(key, ())
    if isinstance(names, str):
        return (names,)
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"{path}.{key}: must be a name or a list of names, got {names!r}")
    if key in entry and not names:
        raise OptionError(f"{path}.{key}: is empty and would match nothing; leave it out to match all layers")
    return tuple(names)


def _excluded(entry: Mapping[str, Any], path: str) -> bool:
    excluded = entry.get("exclude", False)
    if not isinstance(excluded, bool):
        raise OptionError(f"{path}.exclude: must be true or false, got {excluded!r}")
    extra = sorted(set(entry) - {"exclude", "op_names", "op_types"})
    if excluded and extra:
        raise OptionError(f"{path}.{extra[0]}: has no meaning beside 'exclude'")
    return excluded


def _strength(entry: Mapping[str, Any], path: str, pruner: Any) -> float:
    """Return `sparsity`: a fraction, or the strength of a pruner that decides the fraction itself."""
    value = entry["sparsity"]
    made = registry.pruner(pruner) if isinstance(pruner, str) else pruner
    if isinstance(made, Allocates) and type(value) in (int, float) and 0 <= value < math.inf:
        return float(value)
    return _fraction(entry, "sparsity", path)


def _fraction(entry: Mapping[str, Any], key: str, path: str, default: float = 0.0) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise OptionError(
            f"{path}.{key}: must be a fraction of zeros in [0, 1), got {value!r}{percent_hint(value)}"
        )
    return float(value)


def _whole(entry: Mapping[str, Any], key: str, path: str, default: int, *, least: int) -> int:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{path}.{key}: must be a whole number of at least {least}, got {value!r}")
    return value
