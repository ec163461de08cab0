"""The demo: one network trained dense and pruned, measured, drawn, and its own claims checked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ..errors import PrunersError

PACKAGES = {
    "torch": "torch",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "safetensors": "safetensors",
}
"""Modules the demo imports, and the package each is in."""


def run_demo(*, seeds: int = 3, epochs: int = 10, output: str | Path = "demo-output") -> bool:
    """
    Train dense and pruned networks on handwritten digits and print how they compare.

    Parameters
    ----------
    seeds : int, default 3
        Repetitions, each with its own initial weights and order of batches; dense and pruned share them.
    epochs : int, default 10
        Passes over the 1347 training images, the same for both networks.
    output : path, default "demo-output"
        Folder for the two networks, their compressed copies and the figure; made if it is not there.

    Returns
    -------
    bool
        Whether every claim held: sparsity reached, equal counts in all banks, zeros exactly +0.0.

    Raises
    ------
    PrunersError
        If a package the demo needs is not installed.
    """
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise PrunersError(f"the demo needs {', '.join(missing)}: pip install {' '.join(missing)}")
    _check_plugins()
    from .story import tell

    return tell(seeds=seeds, epochs=epochs, output=Path(output))


def _check_plugins() -> None:
    """Raise `UnknownName`, which says what to install, before the training and not after it."""
    from ..registry import installed

    for kind, name in (("backend", "torch"), ("pruner", "level"), ("schedule", "agp"), ("pattern", "bank")):
        installed().find(kind, name)
