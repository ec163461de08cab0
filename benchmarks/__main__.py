"""Run every benchmark in turn, each in a process of its own: ``python -m benchmarks``."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

for script in ("selection.py", "mask_step.py", "channels.py", "structure.py", "file_size.py", "runtimes.py"):
    subprocess.run([sys.executable, HERE / script, *sys.argv[1:]], check=True)
