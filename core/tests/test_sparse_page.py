"""A decoder written from docs/format.md alone reads what `pruners.save` writes, and does not import ours."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners

WIDTHS = {"BOOL": 1, "I8": 1, "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8}
NAMES = {
    "bool": "BOOL",
    "int8": "I8",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}


def decoded(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Return type, shape and bytes of every tensor, written from docs/format.md and nothing else."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    manifest = json.loads(header["__metadata__"]["pruners"])
    raw = {}
    for name in header.keys() - {"__metadata__"}:
        first, last = header[name]["data_offsets"]
        raw[name] = data[start + first : start + last]
    result = {name: (header[name]["dtype"], header[name]["shape"], raw[name]) for name in raw}
    for name, entry in manifest.get("packed", {}).items():
        kind = "lanes" if entry["pattern"] == "groups" else "mask"
        index, values = raw[f"{name}:{kind}"], raw[f"{name}:values"]
        del result[f"{name}:{kind}"], result[f"{name}:values"]
        width, count = WIDTHS[entry["dtype"]], header[f"{name}:values"]["shape"][0]
        elements = math.prod(entry["shape"])
        out = bytearray(elements * width)
        if entry["pattern"] == "bytemask":
            size = -(-elements // 8)
            rest = iter(index[-(-size // 8) :])
            index = [next(rest) if index[b // 8] >> b % 8 & 1 else 0 for b in range(size)]
        if kind == "mask":
            places = [i for i in range(elements) if index[i // 8] >> i % 8 & 1]
        else:
            size, keep, length, step = (entry[each] for each in ("size", "keep", "length", "step"))
            blocks, row = -(-length // size), -(-count // 8)
            places = []
            for value in range(count):
                found = [index[r * row + value // 8] >> value % 8 & 1 for r in range(size.bit_length() - 1)]
                lane = sum(bit << r for r, bit in enumerate(found))
                rest, t = divmod(value // keep, step)
                o, j = divmod(rest, blocks)
                inside = j * size + lane < length
                places.append(((o * length + j * size + lane) * step + t) if inside else None)
        for value, place in enumerate(places):
            if place is not None:
                out[place * width : (place + 1) * width] = values[value * width : (value + 1) * width]
        result[name] = (entry["dtype"], entry["shape"], bytes(out))
    return result


def grouped(shape: tuple[int, ...], axis: int, size: int, keep: int, apart: int = 1) -> np.ndarray:
    """Values at `keep` of every `size` lanes along an axis, elsewhere in each row; lanes lie `apart`."""
    random = np.random.default_rng(0)
    array = np.zeros(shape, np.float32)
    runs = np.moveaxis(array, axis, -1)
    for place in np.ndindex(runs.shape[:-1]):
        for start in range(apart):
            for first in range(start, shape[axis], size * apart):
                group = runs[place][first : first + size * apart : apart]
                group[random.permutation(len(group))[:keep]] = random.uniform(1, 2)
    return array


def scattered(shape: tuple[int, ...], sparsity: float, seed: int = 0) -> np.ndarray:
    """Values at places of no pattern."""
    random = np.random.default_rng(seed)
    return np.where(random.random(shape) < sparsity, 0, random.normal(size=shape)).astype(np.float32)


def read(path: Path) -> dict:
    return {name: (dtype, tuple(shape), data) for name, (dtype, shape, data) in decoded(path).items()}


def expected(model: dict[str, np.ndarray]) -> dict:
    return {n: (NAMES[array.dtype.name], array.shape, array.tobytes()) for n, array in model.items()}


CASES = {
    "few zeros": (scattered((37, 53), 0.6), "bitmask", None),
    "many zeros": (scattered((37, 53), 0.9), "bytemask", None),
    "2:4": (grouped((16, 64), 1, 4, 2), "groups", (4, 2, 64, 1)),
    "1:16 of the inputs": (grouped((16, 64, 3, 3), 1, 16, 1), "groups", (16, 1, 64, 9)),
    "shorter banks": (grouped((16, 100), 1, 64, 3), "groups", (64, 3, 100, 1)),
    "interleaved banks": (grouped((16, 512), 1, 32, 3, apart=8), "groups", (32, 3, 64, 8)),
    "too small": (np.zeros(5, np.float32), None, None),
}


@pytest.mark.parametrize(("array", "pattern", "numbers"), CASES.values(), ids=list(CASES))
def test_every_pattern_is_read(tmp_path, array, pattern, numbers):
    if pattern == "groups" and array.shape != (16, 64):
        array[3, np.flatnonzero(array[3])[0]] = 0  # a group stores a zero
    path = tmp_path / "m.safetensors"
    pruners.save({"w": array}, path, sparse=True)
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    entry = json.loads(header["__metadata__"]["pruners"]).get("packed", {}).get("w", {})
    assert entry.get("pattern") == pattern
    assert numbers is None or tuple(entry[key] for key in ("size", "keep", "length", "step")) == numbers
    assert read(path) == expected({"w": array})


def test_a_whole_model_is_read(tmp_path):
    model = {name: array for name, (array, *_) in CASES.items()}
    pruners.save(model, tmp_path / "m.safetensors", sparse=True)
    assert read(tmp_path / "m.safetensors") == expected(model)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    st.sampled_from([*NAMES]),
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from([0.5, 0.9, 1]),
)
@settings(max_examples=60, deadline=None)
def test_anything_is_read(tmp_path_factory, shape, dtype, power, keep, sparsity):
    path = tmp_path_factory.mktemp("page") / "m.safetensors"
    kind = getattr(ml_dtypes, dtype) if dtype == "bfloat16" else np.dtype(dtype)
    model = {"a": grouped(shape, len(shape) - 1, 2**power, keep), "b": scattered(shape, sparsity)}
    model = {name: array.astype(kind) for name, array in model.items()}
    pruners.save(model, path, sparse=True)
    assert read(path) == expected(model)
