"""The five hooks of Pruners; a plugin implements one or more and yields frozen specs."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from .specs import BackendSpec, PatternSpec, PrunerSpec, RuntimeSpec, SchedulerSpec

PROJECT = "pruners"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def provide_pruners() -> Iterable[PrunerSpec]:  # type: ignore[empty-body]
    """Yield one `PrunerSpec` per pruner this package offers."""


@hookspec
def provide_schedulers() -> Iterable[SchedulerSpec]:  # type: ignore[empty-body]
    """Yield one `SchedulerSpec` per schedule this package offers."""


@hookspec
def provide_patterns() -> Iterable[PatternSpec]:  # type: ignore[empty-body]
    """Yield one `PatternSpec` per pattern this package offers."""


@hookspec
def provide_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Yield one `BackendSpec` per framework this package adapts."""


@hookspec
def provide_runtimes() -> Iterable[RuntimeSpec]:  # type: ignore[empty-body]
    """Yield one `RuntimeSpec` per runtime that this package runs models on."""
