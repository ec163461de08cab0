"""These tests need PyTorch and MXNet in one environment."""

import importlib.util

together = all(importlib.util.find_spec(name) for name in ("torch", "mxnet"))
collect_ignore_glob = [] if together else ["*"]
