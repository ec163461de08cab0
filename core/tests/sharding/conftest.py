"""The sharded model's backend, found by everything that opens models."""

import pytest

from pruners import registry

from .sharded import ShardedBackend, ShardedModel


@pytest.fixture(autouse=True)
def sharded_backend(monkeypatch):
    """Let `pruners` open sharded models."""
    installed = registry.backend_for

    def backend_for(model):
        return ShardedBackend() if isinstance(model, ShardedModel) else installed(model)

    for module in ("opening", "registry", "api", "reports"):
        monkeypatch.setattr(f"pruners.{module}.backend_for", backend_for, raising=False)
