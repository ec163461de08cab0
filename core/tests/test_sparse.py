"""Sparse files: every bit comes back, in the fewest bytes, and the page on the format is enough."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import pruners
from pruners.storage.container import reading
from pruners.storage.lazily import open_arrays
from pruners.storage.manifest import Manifest
from pruners.storage.models import read_arrays
from pruners.storage.tensors import NUMPY

EXTENDED = [name for name in NUMPY if name == "bfloat16" or name.startswith("float8")]
PLAIN = [np.dtype(name) for name in NUMPY if name not in EXTENDED]
TYPES = PLAIN + [np.dtype(getattr(ml_dtypes, name)) for name in EXTENDED if name in vars(ml_dtypes)]


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def pruned(shape: tuple[int, ...], sparsity: float, seed: int = 0) -> np.ndarray:
    """Normal weights, float32, of which a fraction is zero."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal(shape).astype(np.float32)
    places = random.permutation(weights.size)[: round(weights.size * sparsity)]
    weights.reshape(-1)[places] = 0
    return weights


def grouped(outer: int, length: int, step: int, size: int, keep: int, seed: int = 0) -> np.ndarray:
    """Weights (outer, length, step) of which `keep` in every `size` along the middle are not zero."""
    random = np.random.default_rng(seed)
    runs = random.random((outer, step, -(-length // size), size))
    runs.reshape(outer, step, -1)[..., length:] = 1
    weights = np.where(runs.argsort(-1).argsort(-1) < keep, 1 + runs, 0)
    return np.moveaxis(weights.reshape(outer, step, -1)[..., :length], 1, 2).astype(np.float32)


def packed_in(path: Path) -> dict:
    with reading(path) as file:
        return json.loads(file.metadata["pruners"]).get("packed", {})


def size_of(path: Path) -> int:
    return path.stat().st_size


def round_trip(path: Path, model: dict[str, np.ndarray]) -> None:
    """Every way to read gives every bit back."""
    pruners.save(model, path, sparse=True)
    fresh = pruners.load({name: np.ones((1,) * a.ndim, a.dtype) for name, a in model.items()}, path)
    for found in (fresh, read_arrays(path)[0], open_arrays(path), open_arrays(path, check=False)):
        assert set(found) == set(model)
        for name, array in model.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert bits(found[name]) == bits(array)


@st.composite
def sparse_arrays(draw):
    """Arrays of any type, random bits in any pattern of zeros: unstructured, grouped along any axis."""
    dtype = draw(st.sampled_from(TYPES))
    shape = tuple(draw(st.lists(st.integers(1, 70), min_size=1, max_size=3)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    raw = random.integers(0, 256, (math.prod(shape), dtype.itemsize), np.uint8)
    raw = raw & 1 if dtype == np.bool_ else raw
    raw[random.random(len(raw)) < draw(st.sampled_from([0, 0.3, 0.9, 1]))] = 0
    if draw(st.booleans()):
        size, keep = 2 ** draw(st.integers(1, 8)), draw(st.integers(1, 4))
        lanes = np.moveaxis(np.zeros(shape, np.int8), draw(st.integers(0, len(shape) - 1)), -1)
        lanes[...] = np.arange(lanes.shape[-1]) % size >= keep
        base = lanes
        while base.base is not None:
            base = base.base
        raw[base.reshape(-1) == 1] = 0
    array = raw.reshape(-1).view(dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


@given(
    st.dictionaries(st.sampled_from(["w", "w:mask", "w:values", "w:lanes", "é"]), sparse_arrays(), min_size=1)
)
@settings(max_examples=80, deadline=None)
def test_every_bit_comes_back(tmp_path_factory, model):
    round_trip(tmp_path_factory.mktemp("any") / "m.safetensors", model)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_type_is_packed(tmp_path, dtype):
    path = tmp_path / "m.safetensors"
    array = np.zeros((64, 128), dtype)
    array[:, 3] = np.ones(64).astype(dtype)
    array[5, 7:10] = np.ones(3).astype(dtype)
    round_trip(path, {"w": array})
    assert packed_in(path)["w"]["dtype"] == NUMPY[dtype.name]


def test_negative_zero_nan_and_subnormals_are_values(tmp_path):
    path = tmp_path / "m.safetensors"
    weights = pruned((128, 128), 0.95)
    patterns = [0x80000000, 0x7FC00001, 0xFFC12345, 0x7F800001, 0x7F800000, 0x00000001, 0x80000001]
    weights.view(np.uint32).reshape(-1)[: len(patterns)] = patterns
    round_trip(path, {"w": weights})
    assert packed_in(path)["w"]["pattern"] == "bytemask"
    assert load_file(path)["w:values"].view(np.uint32)[: len(patterns)].tolist() == patterns


@pytest.mark.parametrize(("sparsity", "most"), [(0.75, 1.14), (0.9, 0.5), (0.95, 0.27)])
def test_float32_weights_take_few_bytes(tmp_path, sparsity, most):
    path = tmp_path / "m.safetensors"
    model = {f"layer{each}.weight": pruned((256, 128, 3, 3), sparsity, each) for each in range(3)}
    round_trip(path, model)
    assert size_of(path) <= most * 3 * 256 * 128 * 9
    assert {e["pattern"] for e in packed_in(path).values()} == {"bitmask" if sparsity < 0.8 else "bytemask"}


@pytest.mark.parametrize(
    ("array", "entry"),
    [
        (grouped(64, 128, 1, 4, 2).reshape(64, 128), (4, 2, 128, 1)),
        (grouped(64, 64, 9, 4, 1).reshape(64, 64, 3, 3), (4, 1, 64, 9)),
        (grouped(64, 128, 1, 64, 6).reshape(64, 128), (64, 6, 128, 1)),
        (grouped(64, 100, 1, 64, 6).reshape(64, 100), (64, 6, 100, 1)),
        (grouped(64, 64, 8, 32, 3).reshape(64, 512), (32, 3, 64, 8)),
        (grouped(1, 128, 64, 16, 1).reshape(128, 64), (16, 1, 128, 64)),
    ],
    ids=["2:4", "1:4 along inputs", "banks", "shorter last banks", "interleaved banks", "along outputs"],
)
def test_groups_are_found(tmp_path, array, entry):
    path = tmp_path / "m.safetensors"
    round_trip(path, {"w": array})
    found = packed_in(path)["w"]
    assert found["pattern"] == "groups"
    assert tuple(found[key] for key in ("size", "keep", "length", "step")) == entry
    mask = array.size // 8 + np.count_nonzero(array) * 4
    assert sum(each.nbytes for each in load_file(path).values()) <= mask


def test_groups_with_fewer_values_than_the_others(tmp_path):
    array = grouped(64, 128, 1, 64, 6).reshape(64, 128)
    array[0, :70] = array[3] = 0
    round_trip(tmp_path / "m.safetensors", {"w": array})
    assert packed_in(tmp_path / "m.safetensors")["w"]["keep"] == 6


def test_what_a_pattern_of_the_plugins_leaves_is_packed_as_groups(tmp_path):
    path = tmp_path / "m.safetensors"
    for pattern, size in (
        (pruners.pattern("nm", block=4, keep=2), 4),
        (pruners.pattern("bank", size=64), 64),
    ):
        model = {"w": np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)}
        sparsity = 0.5 if size == 4 else 0.9
        model = pruners.prune(model, "level", sparsity=sparsity, pattern=pattern)
        round_trip(path, model)
        assert packed_in(path)["w"]["size"] == size


def test_what_would_not_be_smaller_is_stored_as_it_is(tmp_path):
    path = tmp_path / "m.safetensors"
    model = {
        "dense": pruned((64, 64), 0.01),
        "few": np.zeros(100, np.float32),
        "scalar": np.array(0.0),
    }
    round_trip(path, model)
    dense = tmp_path / "dense.safetensors"
    pruners.save(model, dense)
    assert path.read_bytes() == dense.read_bytes()
    with reading(path) as file:
        assert json.loads(file.metadata["pruners"])["format"] == 1


def test_a_tensor_of_zeros_takes_almost_nothing(tmp_path):
    round_trip(tmp_path / "m.safetensors", {"w": np.zeros((256, 256), np.float32)})
    assert size_of(tmp_path / "m.safetensors") < 256 * 256 // 16


def test_names_that_are_taken_leave_a_tensor_as_it_is(tmp_path):
    path = tmp_path / "m.safetensors"
    model = {"w": pruned((64, 64), 0.9), "w:values": np.ones(3), "v": pruned((64, 64), 0.9)}
    round_trip(path, model)
    assert set(packed_in(path)) == {"v"}


def test_tied_tensors_are_stored_once(tmp_path):
    path = tmp_path / "m.safetensors"
    shared = pruned((64, 64), 0.9)
    pruners.save({"in": shared, "out": shared}, path, sparse=True)
    assert set(load_file(path)) == {"in:mask", "in:values"}
    tied = np.zeros((3, 64), np.float32)
    fresh = pruners.load({"in": tied, "out": tied}, path)
    assert fresh["in"] is fresh["out"] and bits(fresh["out"]) == bits(shared)
    pruners.save({"in": shared, "out": shared.copy()}, path, sparse=True)
    assert bits(pruners.load({"in": tied, "out": tied}, path)["out"]) == bits(shared)
    pruners.save({"in": shared, "out": shared * 2}, path, sparse=True)
    with pytest.raises(pruners.StateError, match="'in' and 'out' as one tensor"):
        pruners.load({"in": tied, "out": tied}, path)


def test_kept_indices_are_those_of_the_model(tmp_path):
    from pruners.structure import history
    from pruners.structure.plan import RemovalPlan

    class Model:
        def __init__(self, rows: int) -> None:
            self.weight = pruned((rows, 64), 0.9)

    path, model = tmp_path / "m.safetensors", Model(32)
    history.record(model, RemovalPlan(kept={"weight": {0: np.arange(0, 64, 2)}}))
    pruners.save(model, path, sparse=True)
    fresh = pruners.load(Model(64), path)
    assert history.kept_of(fresh)["weight"][0].tolist() == list(range(0, 64, 2))
    assert bits(fresh.weight) == bits(model.weight)


MOBILENET = [(32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
MOBILENET += [(512, 512)] * 5 + [(512, 1024), (1024, 1024)]


def mobilenet(classes: int = 102) -> dict[str, np.ndarray]:
    """Tensors of a MobileNet v1: 75 % of the pointwise and 80 % of the last layer's weights are zero."""
    model = {"first.weight": pruned((32, 3, 3, 3), 0)}
    for index, (into, out) in enumerate(MOBILENET):
        model[f"{index}.depthwise.weight"] = pruned((into, 1, 3, 3), 0, index)
        model[f"{index}.pointwise.weight"] = pruned((out, into, 1, 1), 0.75, index)
    widths = [32, *(width for pair in MOBILENET for width in pair)]
    model |= {f"norm{each}": pruned((4, width), 0, each) for each, width in enumerate(widths)}
    return {**model, "last.weight": pruned((classes, 1024), 0.8), "last.bias": pruned((classes,), 0)}


def test_the_historical_mobilenet(tmp_path):
    """
    12 MB to 4.3 MB, as PaddlePaddle's mobile models have it for 102 kinds of flowers.

    Those are gzip files of dense float32 in units of 2**20 bytes; with 1000 classes the dense file
    would have 17 million bytes. Here the same weights are packed, and read without unzipping.
    """
    model = mobilenet()
    pointwise = sum(a.size for name, a in model.items() if "pointwise" in name)
    assert (pointwise, model["last.weight"].size) == (3_139_584, 104_448)
    assert 16.9e6 < sum(array.nbytes for array in mobilenet(1000).values()) < 17.1e6
    pruners.save(model, tmp_path / "dense.safetensors")
    round_trip(tmp_path / "sparse.safetensors", model)
    assert 12e6 < size_of(tmp_path / "dense.safetensors") < 13.5e6
    assert size_of(tmp_path / "sparse.safetensors") <= 4.3e6


def test_the_safetensors_library_reads_the_parts(tmp_path):
    path = tmp_path / "m.safetensors"
    weights = pruned((64, 64), 0.9)
    pruners.save({"w": weights, "b": np.ones(3)}, path, sparse=True)
    found = load_file(path)
    assert set(found) == {"w:mask", "w:values", "b"}
    assert found["w:values"].tolist() == weights[weights != 0].tolist()
    again = tmp_path / "again.safetensors"
    with reading(path) as file:
        metadata = dict(file.metadata)
    save_file(found, again, metadata=metadata)
    assert bits(read_arrays(again)[0]["w"]) == bits(weights)


def test_a_manifest_names_the_models_tensors(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"w": pruned((64, 64), 0.9), "b": np.ones(3)}, path, sparse=True)
    with reading(path) as file:
        assert Manifest.of(file).shapes == {"w": ("F32", (64, 64)), "b": ("F64", (3,))}
