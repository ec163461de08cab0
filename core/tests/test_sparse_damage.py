"""Sparse files that cannot be believed: one clear error, the model untouched, little memory."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners.storage.container import checksum
from pruners.storage.lazily import open_arrays
from pruners.storage.manifest import KEY, SUM_KEY


def weights() -> dict[str, np.ndarray]:
    """A tensor for each pattern, one of them with shorter groups at the ends of its runs, and a dense one."""
    random = np.random.default_rng(0)
    mask, bytemask = (
        np.where(random.random((37, 53)) < share, random.normal(size=(37, 53)), 0).astype(np.float32)
        for share in (0.4, 0.1)
    )
    whole, shorter = np.zeros((33, 67), np.float32), np.zeros((31, 101), np.float32)
    for row in whole:
        row[(np.arange(0, 64, 16)[:, None] + random.permutation(16)[:2]).reshape(-1)] = 1
    for row in shorter:
        row[[random.integers(0, 64), 64 + random.integers(0, 37)]] = 2
    packed = {"mask": mask, "bytemask": bytemask, "whole": whole[:, :64].copy(), "shorter": shorter}
    return {**packed, "dense": np.arange(3.0)}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    pruners.save(weights(), path, sparse=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def parted(data: bytes) -> tuple[dict, dict, dict[str, bytes]]:
    """Return a file's header, manifest and the bytes of each tensor."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    manifest = json.loads(header.pop("__metadata__")[KEY])
    places = {name: entry["data_offsets"] for name, entry in header.items()}
    return header, manifest, {name: data[start + a : start + b] for name, (a, b) in places.items()}


def joined(header: dict, manifest: object, tensors: dict[str, bytes]) -> bytes:
    """Return a file whose offsets and checksums fit whatever it says."""
    end, entries = 0, {}
    for name, data in tensors.items():
        entries[name] = {**header[name], "data_offsets": [end, end := end + len(data)]}
        if isinstance(manifest, dict) and name in manifest.get("tensors", {}):
            described = {key: header[name][key] for key in ("dtype", "shape")}
            manifest["tensors"][name] = {**described, "crc32": checksum(data)}
    text = json.dumps(manifest)
    entries["__metadata__"] = {KEY: text, SUM_KEY: checksum(text.encode())}
    head = json.dumps(entries).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(tensors.values())


def refuse(path, match: str = ".") -> None:
    """Loading raises `StateError` and the model is, bit for bit, as it was."""
    model = {name: np.full(array.shape, 7, array.dtype) for name, array in weights().items()}
    with pytest.raises(pruners.StateError, match=match) as caught:
        pruners.load(model, path)
    assert all((array == 7).all() for array in model.values())
    assert len(str(caught.value)) < 1000


def accept_or_refuse(path) -> None:
    """Loading and mapping raise `StateError`, or give what was saved."""
    saved = weights()
    model = {name: np.full(array.shape, 7, array.dtype) for name, array in saved.items()}
    try:
        pruners.load(model, path)
    except pruners.StateError as error:
        assert all((array == 7).all() for array in model.values()) and len(str(error)) < 1000
    else:
        assert all(model[name].tobytes() == saved[name].tobytes() for name in saved)
    try:
        arrays = open_arrays(path)
        assert all(arrays[name].tobytes() == saved[name].tobytes() for name in arrays)
    except pruners.StateError as error:
        assert len(str(error)) < 1000


def test_the_file_itself_is_good(folder, good):
    path = folder / "good.safetensors"
    path.write_bytes(joined(*parted(good)))
    model = pruners.load({name: np.zeros((1,) * a.ndim, a.dtype) for name, a in weights().items()}, path)
    assert all(model[name].tobytes() == array.tobytes() for name, array in weights().items())
    patterns = {name: entry["pattern"] for name, entry in parted(good)[1]["packed"].items()}
    expected = {"mask": "bitmask", "bytemask": "bytemask", "whole": "groups", "shorter": "groups"}
    assert patterns == expected
    assert parted(good)[1]["packed"]["shorter"]["length"] % parted(good)[1]["packed"]["shorter"]["size"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_flipped_bit_is_found(folder, good, data):
    place = data.draw(st.integers(0, len(good) * 8 - 1))
    changed = bytearray(good)
    changed[place // 8] ^= 1 << place % 8
    path = folder / "flipped.safetensors"
    path.write_bytes(changed)
    refuse(path)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_file_cut_short_or_with_more_behind_it_is_refused(folder, good, data):
    path = folder / "cut.safetensors"
    path.write_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    refuse(path)
    path.write_bytes(good + data.draw(st.binary(min_size=1, max_size=20)))
    refuse(path)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_spliced_files_are_refused_or_harmless(folder, good, data):
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(good))] * 2)))
    path = folder / "spliced.safetensors"
    path.write_bytes(good[:begin] + data.draw(st.binary(max_size=30)) + good[end:])
    accept_or_refuse(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 8, 16, 64, 128, 256, 512, 101, -1, 1 << 40, 1 << 61, 1 << 62, 1 << 70])
FIELDS = ["dtype", "shape", "pattern", "size", "keep", "length", "step"]


@given(
    st.sampled_from(["mask", "bytemask", "whole", "shorter"]),
    st.dictionaries(
        st.sampled_from(FIELDS), JSON | NUMBERS | st.lists(NUMBERS, max_size=4), min_size=1, max_size=4
    ),
)
@settings(max_examples=200, deadline=None)
def test_hostile_entries_are_refused_or_give_an_array_of_the_size_of_the_file(folder, good, name, changes):
    header, manifest, tensors = parted(good)
    manifest["packed"][name].update(changes)
    path = folder / "entry.safetensors"
    path.write_bytes(joined(header, manifest, tensors))
    try:
        arrays = open_arrays(path)
        assert sum(arrays[each].nbytes for each in arrays) < 512 * len(good)
    except pruners.StateError as error:
        assert len(str(error)) < 1000


@given(
    st.dictionaries(
        st.sampled_from(["mask", "bytemask", "whole", "dense", "mask:mask", "new"]), JSON, max_size=3
    )
    | JSON
)
@settings(max_examples=150, deadline=None)
def test_hostile_tables_of_packed_tensors_are_refused_or_harmless(folder, good, changes):
    header, manifest, tensors = parted(good)
    replaced = {**manifest["packed"], **changes} if isinstance(changes, dict) else changes
    path = folder / "table.safetensors"
    path.write_bytes(joined(header, {**manifest, "packed": replaced}, tensors))
    accept_or_refuse(path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_hostile_bytes_whose_checksums_fit_are_refused_or_stay_in_their_tensor(folder, good, data):
    header, manifest, tensors = parted(good)
    name = data.draw(st.sampled_from(sorted(tensors)))
    changed = bytearray(tensors[name])
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "bytes.safetensors"
    path.write_bytes(joined(header, manifest, {**tensors, name: bytes(changed)}))
    try:
        arrays = open_arrays(path)
        found = {each: arrays[each] for each in arrays}
    except pruners.StateError as error:
        assert "packed tensor" in str(error)
    else:
        saved = weights()
        assert {each: array.shape for each, array in found.items()} == {n: a.shape for n, a in saved.items()}
        others = [each for each in saved if each != name.split(":")[0]]
        assert all(found[each].tobytes() == saved[each].tobytes() for each in others)


def with_bytes(good: bytes, name: str, change) -> bytes:
    header, manifest, tensors = parted(good)
    data = np.frombuffer(tensors[name], np.uint8).copy()
    change(data)
    return joined(header, manifest, {**tensors, name: data.tobytes()})


def set_one(data: np.ndarray) -> None:
    data[np.flatnonzero(data != 255)[0]] |= 255


def clear_one(data: np.ndarray) -> None:
    data[np.flatnonzero(data)[0]] = 0


def set_all(data: np.ndarray) -> None:
    data[:] = 255


def set_first(data: np.ndarray) -> None:
    data[:8] = 255


def clear_last(data: np.ndarray) -> None:
    data[-1] = 0


def clear_all(data: np.ndarray) -> None:
    data[:] = 0


def largest_lanes(data: np.ndarray) -> None:
    data[:] = 255
    data[7::8] = 63  # 62 lanes: 8 bytes for each of their bits


def set_last(data: np.ndarray) -> None:
    data[-1] |= 128


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mask:mask", set_one, r"tensor 'mask' is wrong: its mask has more than \d+ bits set for \d+ values"),
        ("mask:mask", clear_one, r"its mask has \d+ bits set for \d+ values"),
        ("mask:mask", set_last, "its mask has bits set behind the last element"),
        ("bytemask:mask", set_first, r"its mask has more than \d+ bits set for \d+ values"),
        ("bytemask:mask", clear_one, r"its mask has \d+ bits set for \d+ values"),
        ("bytemask:mask", clear_last, r"its mask has \d+ bits set for \d+ values"),
        ("whole:lanes", set_all, "the lanes of a group do not rise"),
        ("whole:lanes", clear_all, "the lanes of a group do not rise"),
        ("shorter:lanes", set_last, "its lanes have bits set behind the last one"),
        ("shorter:lanes", largest_lanes, "a value lies behind the end of its run"),
    ],
)
def test_an_index_that_cannot_be_is_named(folder, good, name, change, message):
    path = folder / "index.safetensors"
    path.write_bytes(with_bytes(good, name, change))
    refuse(path, message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": {"pattern": "later"}}, "unknown pattern 'later'"),
        ({"bytemask": {"pattern": "bitmask"}}, "'bytemask:mask' is"),
        ({"bytemask": {"shape": [1 << 50]}}, "no mask of 1125899906842624 elements has"),
        ({"bytemask": {"shape": [8]}}, "no mask of 8 elements has"),
        ({"mask": {"dtype": "F64"}}, "'mask:values' is"),
        ({"mask": {"dtype": "F99"}}, "'mask' is 'F99'"),
        ({"mask": {"shape": [1 << 60]}}, "'mask:mask' is"),
        ({"mask": {"shape": [1 << 61] * 60}}, "'mask:mask' is"),
        ({"mask": {"shape": [-1]}}, "'mask' is 'F32'"),
        ({"whole": {"size": 3}}, "no groups keep . of 3"),
        ({"whole": {"size": 512}}, "no groups keep . of 512"),
        ({"whole": {"keep": 0}}, "no groups keep 0"),
        ({"whole": {"keep": 16}}, "no groups keep 16"),
        ({"whole": {"length": 0}}, "in runs of 0"),
        ({"whole": {"length": 65}}, "are no runs of 65"),
        ({"whole": {"step": 0}}, "are no runs of 64 with step 0"),
        ({"whole": {"step": 1 << 61}}, "are no runs of 64"),
        ({"whole": {"step": True}}, "the groups of 'whole'"),
        ({"whole": {"shape": [1 << 61, 64]}}, "'whole:lanes' is"),
        ({"whole": {"shape": [0, 64]}}, "0 elements are no runs"),
        ({"dense": {"dtype": "F64", "shape": [3], "pattern": "bitmask"}}, "dense:values"),
        ({"mask:mask": {"dtype": "U8", "shape": [3], "pattern": "bitmask"}}, "mask:mask:values"),
    ],
)
def test_an_entry_that_cannot_be_is_named_before_memory_is_asked_for(folder, good, changes, message):
    header, manifest, tensors = parted(good)
    for name, change in changes.items():
        manifest["packed"][name] = {**manifest["packed"].get(name, {}), **change}
    path = folder / "entry.safetensors"
    path.write_bytes(joined(header, manifest, tensors))
    refuse(path, message)
    tracemalloc.start()
    with pytest.raises(pruners.StateError, match=message):
        open_arrays(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20


def test_a_bitmask_is_no_bytemask(folder, good):
    header, manifest, tensors = parted(good)
    manifest["packed"]["mask"]["pattern"] = "bytemask"
    path = folder / "entry.safetensors"
    path.write_bytes(joined(header, manifest, tensors))
    refuse(path, r"tensor 'mask' is wrong: its mask has (more than )?\d+ bits set for \d+ values")


def test_a_tensor_cannot_be_there_packed_and_as_it_is(folder, good):
    header, manifest, tensors = parted(good)
    header["mask"], tensors["mask"] = {"dtype": "F32", "shape": [2]}, bytes(8)
    manifest["tensors"]["mask"] = {}
    path = folder / "both.safetensors"
    path.write_bytes(joined(header, manifest, tensors))
    refuse(path, "'mask' is there packed and as it is")


@pytest.mark.parametrize("number", [1, 3, None])
def test_packed_tensors_belong_to_their_format(folder, good, number):
    header, manifest, tensors = parted(good)
    path = folder / "format.safetensors"
    path.write_bytes(joined(header, {**manifest, "format": number}, tensors))
    refuse(
        path, "format 2, and no other" if number == 1 else f"has format {number}, this version reads 1 and 2"
    )


def test_a_small_file_makes_no_large_array(folder):
    path = folder / "small.safetensors"
    pruners.save({"w": np.eye(1, 1 << 22, dtype=np.float64)}, path, sparse=True)
    assert path.stat().st_size * 512 > 8 << 22
