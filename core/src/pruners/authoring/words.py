"""The words that differ from one kind of new plugin to the next."""

from __future__ import annotations

SUMMARIES = {
    "weight": "removes the weights with the smallest absolute value",
    "channel": "removes the output channels with the smallest L1 norm",
    "schedule": "a ramp along a parabola: fast at first, slow in the end",
    "pattern": "removes whole columns: all weights that read one input",
    "backend": "models that are a network of named arrays",
}
PAPERS = {
    "weight": "Han et al., NIPS 2015, arXiv:1506.02626",
    "channel": "Li et al., ICLR 2017, arXiv:1608.08710",
    "pattern": "Wen et al., NIPS 2016, arXiv:1608.03665",
}
REQUIREMENTS = {
    "schedule": ("attrs>=24.1",),
    "pattern": ("numpy>=1.22",),
    "backend": ("array-api-compat>=1.11", "numpy>=1.22"),
}
GIVEN = {
    "activations": 'activations={"w": ([[1.0, 10.0]], [[0.0, 0.0]])},',
    "activated": 'activated={"w": [[1.0, 10.0]]},',
    "consumers": 'consumers={"w": ([[[1.0], [10.0]]], [[[1.0], [1.0]]])},',
    "gradients": 'gradients={"w": [[1.0, 1.0], [10.0, 10.0]]},',
    "inputs": 'inputs={"w": [[[1.0, 1.0], [10.0, 10.0]]]},',
    "scales": 'scales={"w": [1.0, 10.0]},',
}
"""What the worked example is given for each thing a pruner can need: ten times as much in output 1."""


def words_of(kind: str, unit: str, needs: tuple[str, ...], least: str) -> dict[str, str]:
    """Return what fills the templates of this kind besides its names."""
    requirements = [f"pruners{least}", *REQUIREMENTS.get(kind, ()), *(("numpy>=1.22",) if needs else ())]
    words = {
        "dependencies": ", ".join(f'"{each}"' for each in sorted(requirements)),
        "where": f"the {'algorithm' if kind == 'pruner' else kind} is in the module beside it.",
    }
    if needs:
        return words | _measuring(unit, needs)
    variant = unit if kind == "pruner" else kind
    return words | {"summary": SUMMARIES[variant], "paper": PAPERS.get(variant, ""), "needs": ""}


def _measuring(unit: str, needs: tuple[str, ...]) -> dict[str, str]:
    channel = unit == "channel"
    return {
        "summary": f"removes the {unit}s with the smallest magnitude times {', '.join(needs)}",
        "paper": "none: an example to be replaced",
        "needs": f"\n        needs={{{', '.join(f'{each!r}' for each in needs)}}},".replace("'", '"'),
        "unit": unit,
        "measured": " and ".join(needs),
        "reduced": ", summed over each channel" if channel else "",
        "calls": _calls(needs),
        "result": "scores.sum(axis=tuple(range(1, scores.ndim)))" if channel else "scores",
        "mask": "[0, 1]" if channel else "[[0, 0], [1, 1]]",
        "given": "\n".join(f"    {GIVEN[each]}" for each in needs),
        "loss": ", loss=loss" if "gradients" in needs else "",
    }


def _calls(needs: tuple[str, ...]) -> str:
    calls = [f"{each}(view)" for each in needs]
    if len(calls) < 4:
        return ", ".join(calls)
    return "".join(f"\n            {call}," for call in calls) + "\n        "
