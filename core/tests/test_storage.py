"""Files that `pruners.save` writes: every bit comes back, and other readers can read them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import pruners
from pruners.storage.container import METADATA, reading, write
from pruners.storage.models import read_arrays
from pruners.storage.tensors import NUMPY, WIDTHS, StoredTensor, from_array, to_array
from pruners.structure import history
from pruners.structure.plan import RemovalPlan

EXTENDED = [name for name in NUMPY if name == "bfloat16" or name.startswith("float8")]
PLAIN = [np.dtype(name) for name in NUMPY if name not in EXTENDED]
TYPES = PLAIN + [np.dtype(getattr(ml_dtypes, name)) for name in EXTENDED if name in vars(ml_dtypes)]
LIBRARY = [dtype for dtype in PLAIN if dtype.kind != "c"]
"""What every version of the library has in NumPy."""


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


class Model:
    """A model whose attributes are arrays, and integers that mirror their sizes."""

    def __init__(self, width: int, **arrays: np.ndarray) -> None:
        self.width = width
        self.kernel = (3, width)
        self.steps = [1, width]
        self.flag = True
        self.scale = 0.5
        self.weight = np.arange(float(width * 2)).reshape(width, 2)
        vars(self).update(arrays)


@st.composite
def arrays(draw, types=TYPES):
    """Arrays of any type and shape, of any bits: NaN payloads, -0.0, infinities."""
    dtype = draw(st.sampled_from(types))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    count = int(np.prod(shape)) * dtype.itemsize
    data = np.frombuffer(draw(st.binary(min_size=count, max_size=count)), np.uint8)
    if dtype == np.bool_:
        data = data & 1
    array = data.copy().view(dtype).reshape(shape)
    return array.T if draw(st.booleans()) else array


def test_every_type_that_can_be_stored_has_a_width_and_a_name_in_numpy():
    assert set(NUMPY.values()) == set(WIDTHS)
    assert {dtype.itemsize for dtype in TYPES} == {1, 2, 4, 8}
    assert all(WIDTHS[NUMPY[dtype.name]] == dtype.itemsize for dtype in TYPES)


@given(st.dictionaries(st.text(min_size=1, max_size=8), arrays(), min_size=1, max_size=4))
@settings(deadline=None)
def test_every_bit_comes_back_into_arrays_of_any_size(tmp_path_factory, model):
    model.pop(METADATA, None)
    path = tmp_path_factory.mktemp("any") / "model.safetensors"
    fresh = {name: np.ones((1,) * array.ndim, array.dtype) for name, array in model.items()}
    pruners.save(model, path) if model else path.touch()
    if model:
        assert pruners.load(fresh, path) is fresh
    for name, array in model.items():
        assert (fresh[name].dtype, fresh[name].shape) == (array.dtype, array.shape)
        assert bits(fresh[name]) == bits(array)


@given(st.dictionaries(st.sampled_from("abcdef"), arrays(LIBRARY), min_size=1))
@settings(deadline=None)
def test_files_are_read_by_the_safetensors_library(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("library") / "model.safetensors"
    write(path, {name: from_array(name, array) for name, array in model.items()}, lambda sums: {})
    with safetensors.safe_open(path, framework="np") as file:
        assert set(file.keys()) == set(model)
        for name, array in model.items():
            assert bits(file.get_tensor(name)) == bits(array)


@given(st.dictionaries(st.sampled_from("abcdef"), arrays(LIBRARY), min_size=1))
@settings(deadline=None)
def test_files_of_the_safetensors_library_are_read(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("library") / "model.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in model.items()}, path)
    with reading(path) as file:
        assert {name: bits(to_array(name, each)) for name, each in file.tensors.items()} == {
            name: bits(array) for name, array in model.items()
        }


def test_float8_lies_in_the_file_as_the_library_describes_it(tmp_path):
    model = {"w": np.arange(16).astype(ml_dtypes.float8_e4m3fn).reshape(4, 4)}
    pruners.save(model, tmp_path / "w.safetensors")
    (name, found), *_ = safetensors.deserialize((tmp_path / "w.safetensors").read_bytes())
    assert (name, found["dtype"], found["shape"], bytes(found["data"])) == (
        "w",
        "F8_E4M3",
        [4, 4],
        bits(model["w"]),
    )


def test_big_endian_and_strided_arrays_are_stored_as_little_endian_and_dense(tmp_path):
    whole = np.arange(24.0).reshape(4, 6)
    model = {"big": np.arange(3, dtype=">f4"), "part": whole[::2, ::-3], "fortran": np.asfortranarray(whole)}
    pruners.save(model, tmp_path / "m.safetensors")
    found = load_file(tmp_path / "m.safetensors")
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in model.items()
    }


def test_arrays_that_keep_shape_and_type_keep_their_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"same": np.ones(3), "shorter": np.ones(2), "other": np.ones(3, np.float32)}, path)
    fresh = {"same": np.zeros(3), "shorter": np.zeros(3), "other": np.zeros(3)}
    before = dict(fresh)
    pruners.load(fresh, path)
    assert fresh["same"] is before["same"] and before["same"].tolist() == [1, 1, 1]
    assert before["shorter"].tolist() == [0, 0, 0] and fresh["shorter"].tolist() == [1, 1]
    assert fresh["other"].dtype == np.float32


def test_tied_arrays_are_stored_once_and_stay_tied(tmp_path):
    path = tmp_path / "m.safetensors"
    shared = np.ones((2, 3))
    pruners.save({"in": shared, "out": shared}, path)
    assert set(load_file(path)) == {"in"}
    tied = np.zeros((4, 3))
    fresh = pruners.load({"in": tied, "out": tied}, path)
    assert fresh["in"] is fresh["out"] and bits(fresh["out"]) == bits(shared)
    with pytest.raises(pruners.StateError, match="'in' and 'out' as one tensor, the model two"):
        pruners.load({"in": np.zeros((2, 3)), "out": np.zeros((2, 3))}, path)
    apart = pruners.load({"in": np.zeros((2, 3)), "out": np.zeros((2, 3))}, path, strict=False)
    assert apart["in"] is not apart["out"] and bits(apart["out"]) == bits(shared)


def test_what_the_model_ties_must_be_equal_in_the_file(tmp_path):
    path = tmp_path / "m.safetensors"
    tied = np.zeros(2)
    pruners.save({"in": np.ones(2), "out": np.ones(2)}, path)
    assert pruners.load({"in": tied, "out": tied}, path)["out"].tolist() == [1, 1]
    pruners.save({"in": np.ones(2), "out": np.full(2, 5.0)}, path)
    with pytest.raises(pruners.StateError, match="'in' and 'out' as one tensor"):
        pruners.load({"in": tied, "out": tied}, path)
    assert tied.tolist() == [1, 1]


def test_integers_that_mirror_sizes_come_back(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save(Model(5), path)
    fresh = Model(8)
    fresh.flag, fresh.scale, fresh.kernel = False, 0.25, (3, 8)
    pruners.load(fresh, path)
    assert (fresh.width, fresh.kernel, fresh.steps, fresh.weight.shape) == (5, (3, 5), [1, 5], (5, 2))
    assert (fresh.flag, fresh.scale) == (False, 0.25)


def test_integers_are_set_only_where_the_model_has_one_of_the_same_kind(tmp_path):
    path = tmp_path / "m.safetensors"
    saved = Model(5)
    saved.lazily_made = 7
    pruners.save(saved, path)
    fresh = Model(8)
    fresh.width, fresh.kernel = "eight", 3
    pruners.load(fresh, path)
    assert (fresh.width, fresh.kernel, fresh.steps) == ("eight", 3, [1, 5])
    assert "lazily_made" not in vars(fresh)


def test_kept_indices_of_all_removals_are_saved_and_known_after_loading(tmp_path):
    path = tmp_path / "m.safetensors"
    model = Model(3)
    history.record(model, RemovalPlan(kept={"weight": {0: np.array([0, 2, 3, 5])}}))
    history.record(model, RemovalPlan(kept={"weight": {0: np.array([0, 1, 3])}}))
    pruners.save(model, path)
    arrays, manifest = read_arrays(path)
    assert manifest.kept["weight"][0].tolist() == [0, 2, 5] and arrays["weight"].shape == (3, 2)
    fresh = pruners.load(Model(8), path)
    assert history.kept_of(fresh)["weight"][0].tolist() == [0, 2, 5]
    pruners.save(Model(8), path)
    pruners.load(fresh, path)
    assert history.kept_of(fresh) == {}


def test_equal_sets_of_indices_are_written_once(tmp_path):
    path = tmp_path / "m.safetensors"
    model = Model(3, bias=np.zeros(3), other=np.zeros(2))
    kept = np.array([1, 4, 6])
    history.record(
        model, RemovalPlan(kept={"weight": {0: kept}, "bias": {0: kept.copy()}, "other": {0: kept[:2]}})
    )
    pruners.save(model, path)
    with reading(path) as file:
        written = json.loads(file.metadata["pruners"])["kept"]
    assert written == {
        "sets": [[1, 4, 6], [1, 4]],
        "parameters": {"weight": {"0": 0}, "bias": {"0": 0}, "other": {"0": 1}},
    }


def test_a_file_is_complete_or_as_it_was(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"w": np.ones(3)}, path)
    before = path.read_bytes()

    def fail() -> np.ndarray:
        raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="gone"):
        write(path, {"a": from_array("a", np.ones(9)), "b": StoredTensor("F32", (2,), fail)}, lambda sums: {})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_link_is_followed_and_permissions_are_those_of_any_new_file(tmp_path):
    real, link, plain = tmp_path / "real.safetensors", tmp_path / "link.safetensors", tmp_path / "plain"
    real.touch()
    link.symlink_to(real)
    plain.touch()
    pruners.save({"w": np.ones(3)}, link)
    assert link.is_symlink() and real.stat().st_size
    assert stat.S_IMODE(real.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize(
    ("path", "message"),
    [("model.pt", r"model\.pt.*must end in '\.safetensors'"), ("none/model.safetensors", "No such file")],
)
def test_where_nothing_can_be_written_the_message_says_why(tmp_path, path, message):
    with pytest.raises(pruners.StateError, match=message):
        pruners.save({"w": np.ones(3)}, tmp_path / path)
    assert not list(tmp_path.iterdir())


def test_what_safetensors_cannot_hold_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(pruners.StateError, match="'w' is of type complex128"):
        pruners.save({"w": np.ones(3, complex)}, path)
    with pytest.raises(pruners.StateError, match="'t' is of type datetime64"):
        pruners.save({"t": np.zeros(3, "datetime64[s]")}, path)
    with pytest.raises(pruners.StateError, match="cannot be named '__metadata__'"):
        pruners.save({"__metadata__": np.ones(3)}, path)
    assert not path.exists()


def test_a_backend_that_cannot_store_says_so(tmp_path, monkeypatch):
    class Opened:
        layers = {}

    class Backend:
        name = "elsewhere"

        def open(self, model):
            return Opened()

    monkeypatch.setattr("pruners.storage.models.backend_for", lambda model: Backend())
    with pytest.raises(pruners.StateError, match="'elsewhere' cannot be saved"):
        pruners.save(object(), tmp_path / "m.safetensors")


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    alive: list[int] = []

    class Counted(np.ndarray):
        def __array_finalize__(self, other: object) -> None:
            pass

    def tensor(index: int) -> StoredTensor:
        def read() -> np.ndarray:
            import weakref

            data = np.zeros(4096, np.uint8).view(Counted)
            alive.append(index)
            weakref.finalize(data, alive.remove, index)
            assert len(alive) <= 2
            return data

        return StoredTensor("U8", (4096,), read)

    write(tmp_path / "m.safetensors", {str(index): tensor(index) for index in range(20)}, lambda sums: {})
    assert (tmp_path / "m.safetensors").stat().st_size > 20 * 4096


def test_paths_may_be_text_or_path(tmp_path):
    pruners.save({"w": np.ones(3)}, os.fspath(tmp_path / "m.safetensors"))
    assert pruners.load({"w": np.zeros(3)}, Path(tmp_path / "m.safetensors"))["w"].sum() == 3
