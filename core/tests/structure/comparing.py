"""Removes units from a network and says where it then differs from the masked one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pruners.structure.engine import Structure, analyse

from .interpreter import Choice, Network, Run, masked, outputs, reduced

TOLERANCE = 1e-9


def structure_of(network: Network, **options: Any) -> Structure:
    """Return what hangs together in a network."""
    return analyse(network.programs, weights=network.weights, **options)


def drawn(structure: Structure, random: np.random.Generator) -> np.ndarray:
    """Return roots that leave: of each group any number, none and all but one as likely as the rest."""
    gone = np.zeros(structure.size, bool)
    for group in structure.groups:
        count = random.choice([0, len(group) - 1, random.integers(0, len(group))])
        gone[random.permutation(group.units)[:count]] = True
    return gone


def alone(structure: Structure) -> Iterator[np.ndarray]:
    """Yield each unit that can leave, by itself."""
    for group in structure.groups:
        for root in group.units if len(group) > 1 else ():
            gone = np.zeros(structure.size, bool)
            gone[root] = True
            yield gone


def compare(network: Network, structure: Structure, gone: np.ndarray) -> None:
    """Assert that the smaller network gives what the masked one gives, in every mode and at every step."""
    for mode in network.programs:
        reference = masked(network, structure, mode, gone)
        result = reduced(network, structure, mode, gone)
        for left, right in zip(outputs(reference), outputs(result), strict=True):
            assert_equal(left, right, f"output of {mode}")
        _compare_steps(reference, result, Choice(structure, mode, gone), mode)


def _compare_steps(reference: Run, result: Run, choice: Choice, mode: str) -> None:
    for op in reference.program.ops:
        for value in op.outputs:
            kept = np.ix_(*choice.kept(value))
            assert_equal(
                reference.values[value][kept], result.values[value], f"{op.kind} {op.outputs} of {mode}"
            )


def assert_equal(expected: np.ndarray, found: np.ndarray, what: str) -> None:
    """Assert equality up to rounding, relative to the largest number."""
    assert expected.shape == found.shape, f"{what}: {expected.shape} masked, {found.shape} smaller"
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    with np.errstate(invalid="ignore"):
        error = float(np.where(same, 0.0, np.abs(expected - found)).max(initial=0.0)) / scale
    assert error <= TOLERANCE, f"{what}: differs by {error:.1e}"
