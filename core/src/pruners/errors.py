"""Every error Pruners raises on purpose; each message names the thing, the value and what to do."""

from __future__ import annotations


class PrunersError(Exception):
    """Base of every error raised on purpose; catch it to catch them all."""


class OptionError(PrunersError, ValueError):
    """An option has an unknown name or a value outside its range."""


class UnknownName(PrunersError, LookupError):
    """No installed plugin has the asked name."""


class PluginConflict(PrunersError):
    """A name is provided twice, by two installed distributions or by one."""


class BrokenPlugin(PrunersError):
    """The asked plugin is installed but cannot be used; the cause is chained."""


class IncompatiblePlugin(PrunersError):
    """A plugin is written for a version of the plugin API that this Pruners does not have."""

    def __init__(self, message: str, newer: bool = False) -> None:
        super().__init__(message)
        self.newer = newer


class NoBackend(PrunersError, TypeError):
    """No installed backend handles this model."""


class PrunerFailed(PrunersError, RuntimeError):
    """A plugin raised while it was at work; the cause is chained and nothing was changed."""


class ScoreError(PrunersError, ValueError):
    """A pruner's scores cannot be ranked: NaN, a wrong shape, a missing or unknown layer."""


class ReadOnlyError(PrunersError, TypeError):
    """A pruner tried to write to the model it was asked to score."""


class NeedsData(PrunersError, ValueError):
    """A pruner needs calibration data or a loss that was not given."""


class PatternError(PrunersError, ValueError):
    """A mask breaks the promise of its pattern."""


class SkipLayer(PrunersError):
    """Raised by a pattern that cannot be laid on a layer: the layer stays dense, the reason is kept."""


class RuleError(PrunersError, ValueError):
    """A rule matches nothing, or its parts contradict each other."""


class RecipeError(PrunersError, ValueError):
    """A recipe has a wrong entry; the message gives its path in the file."""


class StateError(PrunersError, ValueError):
    """A saved state or file is damaged, or does not belong to this session or model."""


class TraceError(PrunersError, RuntimeError):
    """A model could not be run on its example inputs, or not be recorded; the cause is chained."""


class RemovalError(PrunersError, RuntimeError):
    """Channels cannot be removed as asked; the model is as it was."""


class ProofError(RemovalError):
    """The smaller model fails or computes something else than the masked one; all was undone."""


class ExportError(PrunersError, RuntimeError):
    """A model cannot be written in a format, or not be run by a runtime; nothing is left half written."""


class RankError(PrunersError, RuntimeError):
    """Another rank failed, or ranks disagree; every rank is as it was, with its old masks."""


class PatternLimit(UserWarning):
    """A pattern cannot reach the sparsity it was asked for and stops at its own limit."""


class SkippedLayer(UserWarning):
    """A layer was left dense, with the reason."""


class OutdatedPlugin(FutureWarning):
    """A plugin is written for an older plugin API, which is adapted until the release that is named."""
