"""These tests need MXNet, which has an environment of its own."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("mxnet") else ["*"]
