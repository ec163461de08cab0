"""One network in a process of its own: ``python -m tests.zoo.worker NAME FORM PRUNER SIZE FILE``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from .catalogue import find
from .results import to_json
from .running import run


def main(name: str, form: str, pruner: str, size: str, file: str) -> None:
    warnings.simplefilter("ignore")  # what old model code warns of is not our subject
    result = run(find(name), "graph" if form == "graph" else "module", pruner, size == "small")
    Path(file).write_text(to_json(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
