"""The analysis of large networks: their groups, and that it takes no time worth naming."""

from time import process_time

import numpy as np
import pytest

from pruners.structure.costs import costs
from pruners.structure.engine import analyse

from .large import resnet, transformer

SECONDS = 1.0
"""About ten times what it takes."""


def best(work, rounds=3):
    """Return the least processor time of some rounds, and what the last gave."""
    least = np.inf
    for _ in range(rounds):
        start = process_time()
        result = work()
        least = min(least, process_time() - start)
    return least, result


@pytest.mark.parametrize(
    ("make", "operations", "groups", "units"),
    [(resnet, 195, 37, 11456), (transformer, 558, 49, 24 * (64 + 4096) + 1024)],
)
def test_large_networks(make, operations, groups, units):
    writer = make()
    assert len(writer.program.ops) == operations
    programs = {"eval": writer.program}
    seconds, structure = best(lambda: analyse(programs, weights=writer.weights, rescales=True))
    assert len(structure.groups) == groups
    assert sum(map(len, structure.groups)) == units
    assert seconds < SECONDS
    seconds, total = best(lambda: costs(structure, writer.program.parameters))
    assert seconds < SECONDS / 4
    seconds, _ = best(lambda: total.macs(np.zeros(structure.size, bool)))
    assert seconds < SECONDS / 20
