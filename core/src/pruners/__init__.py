"""Neural-network pruning in which every algorithm and every framework is a plugin.

Nothing heavy is imported here: a public name is loaded when it is first used, so that
``import pruners`` and listing plugins load no array library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .discovery import Failure, Installed, Plugin
from .errors import (
    BrokenPlugin,
    ExportError,
    IncompatiblePlugin,
    NeedsData,
    NoBackend,
    OptionError,
    OutdatedPlugin,
    PatternError,
    PatternLimit,
    PluginConflict,
    ProofError,
    PrunerFailed,
    PrunersError,
    RankError,
    ReadOnlyError,
    RecipeError,
    RemovalError,
    RuleError,
    ScoreError,
    SkipLayer,
    SkippedLayer,
    StateError,
    TraceError,
    UnknownName,
)
from .hooks import hookimpl
from .protocols import (
    Adjusts,
    Allocates,
    Backend,
    Bounded,
    Converts,
    Exports,
    Keeper,
    Layer,
    Loss,
    Magnitude,
    OpenModel,
    Ops,
    Pattern,
    Prepares,
    Pruner,
    Running,
    Runtime,
    Scheduler,
    Traceable,
    Traced,
    View,
)
from .registry import installed, pattern, pruner, runtime, schedule
from .specs import BackendSpec, PatternSpec, PrunerSpec, RuntimeSpec, SchedulerSpec

if TYPE_CHECKING:
    from .api import masks, prune, scales, scores
    from .attaching import attach
    from .config_list import rules_from_config_list
    from .exporting import export
    from .exports import Exported
    from .measuring.call import measure
    from .measuring.results import Measurement
    from .pages.writing import page
    from .progress import show_progress
    from .recipes import Recipe, recipe
    from .records import Record
    from .removals import Removal
    from .removing import remove
    from .reports import Report, report
    from .rules import Rule
    from .scan import Sensitivities, sensitivity
    from .session import Pruning
    from .storage.models import load, save
    from .updates import Sparsity, Update

__version__ = "0.1.0"

_LAZY = {
    "Measurement": "measuring.results",
    "Exported": "exports",
    "Pruning": "session",
    "Recipe": "recipes",
    "Record": "records",
    "Removal": "removals",
    "Report": "reports",
    "Rule": "rules",
    "Sensitivities": "scan",
    "Sparsity": "updates",
    "Update": "updates",
    "attach": "attaching",
    "export": "exporting",
    "load": "storage.models",
    "masks": "api",
    "measure": "measuring.call",
    "page": "pages.writing",
    "prune": "api",
    "recipe": "recipes",
    "remove": "removing",
    "report": "reports",
    "rules_from_config_list": "config_list",
    "save": "storage.models",
    "scales": "api",
    "scores": "api",
    "sensitivity": "scan",
    "show_progress": "progress",
}

__all__ = [
    "Adjusts",
    "Allocates",
    "Backend",
    "BackendSpec",
    "Bounded",
    "BrokenPlugin",
    "Converts",
    "ExportError",
    "Exported",
    "Exports",
    "Failure",
    "IncompatiblePlugin",
    "Installed",
    "Keeper",
    "Layer",
    "Loss",
    "Magnitude",
    "Measurement",
    "NeedsData",
    "NoBackend",
    "OpenModel",
    "Ops",
    "OptionError",
    "OutdatedPlugin",
    "Pattern",
    "PatternError",
    "PatternLimit",
    "PatternSpec",
    "Plugin",
    "PluginConflict",
    "Prepares",
    "ProofError",
    "Pruner",
    "PrunerFailed",
    "PrunerSpec",
    "PrunersError",
    "Pruning",
    "RankError",
    "ReadOnlyError",
    "Recipe",
    "RecipeError",
    "Record",
    "Removal",
    "RemovalError",
    "Report",
    "Rule",
    "RuleError",
    "Running",
    "Runtime",
    "RuntimeSpec",
    "Scheduler",
    "SchedulerSpec",
    "ScoreError",
    "Sensitivities",
    "SkipLayer",
    "SkippedLayer",
    "Sparsity",
    "StateError",
    "TraceError",
    "Traceable",
    "Traced",
    "UnknownName",
    "Update",
    "View",
    "attach",
    "export",
    "hookimpl",
    "installed",
    "load",
    "masks",
    "measure",
    "page",
    "pattern",
    "prune",
    "pruner",
    "recipe",
    "remove",
    "report",
    "rules_from_config_list",
    "runtime",
    "save",
    "scales",
    "schedule",
    "scores",
    "sensitivity",
    "show_progress",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'pruners' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
