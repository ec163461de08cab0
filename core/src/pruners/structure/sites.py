"""Which axis carries the labels where a reshape parts one axis into several: heads or their width."""

from __future__ import annotations

import re

import numpy as np
from attrs import define, field, frozen

from .program import Op

_FEW = 3
"""Axes this short are rarely channels: query, key and value; two branches."""


@frozen
class Site:
    """Places in the code that part an axis alike: the blocks of one stage are one site."""

    module: str
    lengths: tuple[int, ...]
    candidates: tuple[int, ...]


@define(eq=False)
class Sites:
    """What was chosen at each site, and what it led to."""

    prefer: str = "width"
    """"width" takes the last axis (the width of heads), "heads" the one before it."""
    chosen: dict[Site, int] = field(factory=dict)
    carriers: dict[Site, list[np.ndarray]] = field(factory=dict)
    modules: dict[Site, str] = field(factory=dict)
    """The module where each site was met first."""

    def choose(self, op: Op, lengths: tuple[int, ...], candidates: list[int]) -> tuple[Site, int]:
        """Return the axis, among `candidates`, that may become shorter."""
        module = re.sub(r"\d+", "#", op.place.module)
        site = Site(f"{module} {op.place.line}", lengths, tuple(candidates))
        if site not in self.chosen:
            likely = [axis for axis in candidates if lengths[axis] > _FEW] or candidates
            heads = candidates[-2] if len(candidates) > 2 else likely[0]
            self.chosen[site] = heads if self.prefer == "heads" else likely[-1]
        self.modules.setdefault(site, op.place.module)
        return site, self.chosen[site]

    def note(self, site: Site, carrier: np.ndarray) -> None:
        """Remember the labels that a site's choice led to."""
        self.carriers.setdefault(site, []).append(carrier)

    def revised(self, dead: list[Site]) -> Sites:
        """
        Return new sites in which the last dead one of each module takes its next candidate.

        Those before it in the module are dead because of it, or will be revised next.
        """
        last = {self.modules[site]: site for site in dead}
        chosen = dict(self.chosen)
        for site in last.values():
            here = site.candidates.index(chosen[site])
            chosen[site] = site.candidates[here - 1]
        return Sites(self.prefer, chosen)
