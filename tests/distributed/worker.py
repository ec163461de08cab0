"""One rank of a test: ``python -m tests.distributed.worker module:scene rank ranks folder``."""

from __future__ import annotations

import datetime
import gc
import importlib
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed as group

SECONDS = 120
"""How long a rank waits for another before it gives up."""


def main(scene: str, rank: int, ranks: int, folder: Path) -> None:
    """Run one scene; what it returns, arrays by name, goes into a file of this rank's."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if ranks:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), LOCAL_RANK=str(rank))
        group.init_process_group(
            "gloo",
            init_method=f"file://{folder}/store",
            rank=rank,
            world_size=ranks,
            timeout=datetime.timedelta(seconds=SECONDS),
        )
    module, name = scene.split(":")
    found = getattr(importlib.import_module(f"tests.distributed.{module}"), name)(folder)
    np.savez(folder / f"rank{rank}.npz", **(found or {}))
    if ranks:
        gc.collect()  # a wrapper in a cycle holds the group, whose threads must end before the interpreter
        group.barrier()  # no rank leaves while another still talks to it
        group.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
