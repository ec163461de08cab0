"""Versions of the plugin API: what is newer is refused, what is older is adapted until a named release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from .errors import IncompatiblePlugin
from .specs import API, OLDEST, Spec, too_new

__all__ = ["API", "CURRENT", "OLDEST", "Adapter", "Api"]


@frozen
class Adapter:
    """What takes a spec of one version to the next, and for how long."""

    adapt: Callable[[Any], Any]
    """``spec -> spec``; objects of the plugin are wrapped with `pruners.specs.wrapped`."""
    until: str
    """The release that no longer has this adapter, for example ``"0.4"``."""
    change: str
    """What changed from this version to the next, in a few words."""


@frozen
class Api:
    """One version of the plugin API, and the adapters of those before it."""

    version: int = API
    adapters: Mapping[int, Adapter] = field(factory=dict)
    """``{version: what takes its specs to the next}``."""

    def settle(self, spec: Spec) -> tuple[Spec, str]:
        """
        Return the spec as of this version, and what to warn of; empty where it needs no adapter.

        Raises
        ------
        IncompatiblePlugin
            If the spec is newer, or so old that an adapter is missing.
        """
        if spec.api > self.version:
            raise IncompatiblePlugin(_named(spec, too_new(spec.api, self.version)), newer=True)
        outdated = ""
        settled: Any = spec
        while settled.api < self.version:
            adapter = self.adapters.get(settled.api)
            if adapter is None:
                raise IncompatiblePlugin(_named(spec, self._too_old(spec.api)))
            outdated = outdated or self._outdated(settled.api, adapter)
            settled = evolve(adapter.adapt(settled), api=settled.api + 1)
        return settled, outdated

    def _too_old(self, api: int) -> str:
        oldest = min([self.version, *self.adapters])
        return f"it is written for plugin API {api}, and this Pruners takes {oldest} to {self.version}"

    def _outdated(self, api: int, adapter: Adapter) -> str:
        return (
            f"is written for plugin API {api}, and this Pruners has {self.version} ({adapter.change}). "
            f"It is adapted until Pruners {adapter.until}"
        )


def _named(spec: Spec, why: str) -> str:
    return f"{spec.kind} {spec.name!r} cannot be used: {why}"


CURRENT = Api()
"""The API of this release. There is one version so far, so nothing to adapt."""
