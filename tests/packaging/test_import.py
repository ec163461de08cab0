"""Importing Pruners and listing plugins is light: no array library, under 0.3 s."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

RUNS = 5
LIMIT = 0.3
HEAVY = {
    "numpy",
    "torch",
    "mxnet",
    "tensorflow",
    "jax",
    "array_api_compat",
    "ml_dtypes",
    "scipy",
    "matplotlib",
}

CHILD = """
import sys, time
began = time.perf_counter()
import pruners
found = pruners.installed()
took = time.perf_counter() - began
import json
print(json.dumps({
    "took": took,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "plugins": sorted(f"{plugin.kind} {plugin.name}" for plugin in found.plugins),
    "failures": [str(failure) for failure in found.failures],
}))
"""


def import_and_list() -> dict:
    """Return what one fresh interpreter saw."""
    run = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_listing_finds_every_first_party_plugin_and_loads_no_array_library():
    seen = import_and_list()
    registered = {entry.name for entry in entry_points(group="pruners")}
    assert {"level", "agp", "bank", "numpy", "torch"} <= registered  # else the check would be empty
    assert seen["failures"] == []
    assert {"pruner level", "schedule agp", "pattern bank", "backend numpy", "backend torch"} <= set(
        seen["plugins"]
    )
    assert not HEAVY & set(seen["modules"])


def test_listing_takes_less_than_the_limit():
    # The best of several runs: what else the machine does can only add time.
    assert min(import_and_list()["took"] for _ in range(RUNS)) < LIMIT


def test_every_public_name_can_be_loaded():
    import pruners

    assert len(pruners.__all__) == len(set(pruners.__all__))
    for name in pruners.__all__:
        assert getattr(pruners, name) is not None
