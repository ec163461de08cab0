"""The example for torchrun, as its first lines say it is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from .launching import ROOT


@pytest.mark.parametrize("option", [[], ["--sharded"]], ids=["copies", "pieces"])
def test_it_prunes_while_it_trains(option, tmp_path):
    script = ROOT / "examples/torchrun_prune.py"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", script, *option]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*command, "--epochs", "2"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    assert "90.0% zeros" in run.stdout
    assert "44,236 of 50,432 listed weights are zero" in run.stdout
    assert run.stdout.count("listed weights are zero") == 1  # only the first rank speaks
    accuracy = float(re.search(r"has not seen: ([\d.]+)%", run.stdout)[1])
    assert accuracy > 50
