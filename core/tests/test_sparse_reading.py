"""Sparse files are written and read one tensor at a time, and can be mapped."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import pruners
from pruners.storage.lazily import open_arrays


def pruned(shape: tuple[int, ...], sparsity: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.random(shape) < sparsity, 0, random.normal(size=shape)).astype(np.float32)


def test_a_tensor_that_changes_while_it_is_saved_is_refused(tmp_path, monkeypatch):
    from pruners.storage import models

    for weights in (pruned((64, 64), 0.9), np.eye(64, dtype=np.float32)):
        pack = models.packing.pack

        def changed(tensors, weights=weights, pack=pack):
            found = pack(tensors)
            weights[0] = 1 - (weights[0] != 0)
            return found

        monkeypatch.setattr(models.packing, "pack", changed)
        with pytest.raises(pruners.StateError, match="'w' changed while it was saved"):
            pruners.save({"w": weights}, tmp_path / "m.safetensors", sparse=True)
        monkeypatch.undo()
        assert not list(tmp_path.iterdir())


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    model = {f"w{each}": pruned((512, 512), 0.9, each) for each in range(20)}
    tracemalloc.start()
    pruners.save(model, path, sparse=True)
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    arrays = open_arrays(path)
    before = tracemalloc.get_traced_memory()[0]
    for name in model:
        assert arrays[name].any()
    lazily = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    whole = 20 * 512 * 512 * 4
    assert saving < whole / 4 and lazily < whole / 4


def test_mapped_arrays_live_longer_than_the_file_is_open_and_are_read_only(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"w": pruned((64, 64), 0.9), "b": np.arange(300.0), "e": np.ones(0)}, path, sparse=True)
    arrays = open_arrays(path)
    assert (len(arrays), arrays.manifest.backend, arrays["e"].shape) == (3, "numpy", (0,))
    dense = arrays["b"]
    assert not dense.flags.writeable and arrays["w"].flags.writeable
    del arrays
    assert dense.tolist() == list(range(300))
    with pytest.raises(KeyError):
        open_arrays(path)["nothing"]


def test_a_mapped_array_is_held_against_its_checksum_unless_asked_not_to(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"b": np.arange(300.0)}, path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(pruners.StateError, match="does not match its checksum"):
        open_arrays(path)["b"]
    assert open_arrays(path, check=False)["b"][:299].tolist() == list(range(299))
