"""What the parts of Pruners expect of each other: structural, so a plugin inherits nothing.

Axes are words: a weight is ``(out, in, *kernel)`` on every framework, a dense layer's
``(out, in)``, an activation ``(batch, channel, ...)``. Sparsity is the fraction that is
zero, 0 to 1. Steps are optimiser steps (or epochs) from 0.
"""

from .models import (
    MODES,
    Backend,
    Completes,
    Form,
    Keeper,
    Layer,
    OpenModel,
    Rebuilds,
    Scaled,
    Storable,
    Traceable,
    Traced,
)
from .plugins import (
    Adjusts,
    Allocates,
    Bounded,
    Divides,
    Magnitude,
    Pattern,
    Prepares,
    Pruner,
    Reach,
    Reaches,
    Scheduler,
    Unit,
)
from .ranks import Box, Peers, Sharded, Shared
from .runtimes import Converts, Exports, Running, Runtime, Serves
from .views import Array, Loss, Ops, Stream, View

__all__ = [
    "MODES",
    "Adjusts",
    "Allocates",
    "Array",
    "Backend",
    "Bounded",
    "Box",
    "Completes",
    "Converts",
    "Divides",
    "Exports",
    "Form",
    "Keeper",
    "Layer",
    "Loss",
    "Magnitude",
    "OpenModel",
    "Ops",
    "Pattern",
    "Peers",
    "Prepares",
    "Pruner",
    "Reach",
    "Reaches",
    "Rebuilds",
    "Running",
    "Runtime",
    "Scaled",
    "Scheduler",
    "Serves",
    "Sharded",
    "Shared",
    "Storable",
    "Stream",
    "Traceable",
    "Traced",
    "Unit",
    "View",
]
