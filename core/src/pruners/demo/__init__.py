"""The demo: one network trained dense and pruned, measured, drawn, and its own claims checked."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ..errors import PrunersError

PACKAGES = {
    "torch": "torch",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "jinja2": "jinja2",
    "safetensors": "safetensors",
}
"""Modules the demo imports, and the package each is in."""

PLUGINS = (("backend", "torch"), ("pruner", "level"), ("schedule", "agp"), ("pattern", "bank"))
CHANNEL_PLUGINS = (("backend", "torch"), ("pruner", "taylor"))


def run_demo(
    *, channels: bool = False, seeds: int = 3, epochs: int = 10, output: str | Path = "demo-output"
) -> bool:
    """
    Train dense and pruned networks on handwritten digits and print how they compare.

    Parameters
    ----------
    channels : bool, default False
        Whether to remove half the channels of a residual network, instead of setting 90 % of the
        weights of a convolutional one to zero.
    seeds : int, default 3
        Repetitions, each with its own initial weights and order of batches; dense and pruned share them.
    epochs : int, default 10
        Passes over the 1347 training images, the same for both networks.
    output : path, default "demo-output"
        Folder for the networks, the figure and the report; made if it is not there.

    Returns
    -------
    bool
        Whether every claim held: sparsity reached, equal counts in all banks, zeros exactly +0.0;
        with `channels`, sizes as reported, outputs as proved, and the file loads again.

    Raises
    ------
    PrunersError
        If a package the demo needs is not installed.
    """
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise PrunersError(f"the demo needs {', '.join(missing)}: pip install {' '.join(missing)}")
    _check_plugins(CHANNEL_PLUGINS if channels else PLUGINS)
    if channels:
        from .channels.story import tell
    else:
        from .story import tell

    return tell(seeds=seeds, epochs=epochs, output=Path(output))


def _check_plugins(plugins: Iterable[tuple[str, str]]) -> None:
    """Raise `UnknownName`, which says what to install, before the training and not after it."""
    from ..registry import installed

    for kind, name in plugins:
        installed().find(kind, name)
