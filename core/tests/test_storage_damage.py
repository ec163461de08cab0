"""Files that cannot be believed: one clear error, the model untouched, nothing executed, little memory."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import pruners
from pruners.storage.container import checksum, reading
from pruners.storage.manifest import KEY, SUM_KEY
from pruners.structure import history
from pruners.structure.plan import RemovalPlan


class Model:
    def __init__(self, width: int) -> None:
        self.width = width
        self.weight = np.arange(float(width * 2), dtype=np.float32).reshape(width, 2)
        self.bias = np.full(width, -0.0)


def contents(model: Model) -> tuple:
    return model.width, model.weight.tobytes(), model.bias.tobytes(), list(vars(model))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a file with everything in it."""
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    model = Model(3)
    history.record(
        model, RemovalPlan(kept={"weight": {0: np.array([0, 2, 7])}, "bias": {0: np.array([0, 2, 7])}})
    )
    pruners.save(model, path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def refuse(path, match: str = ".") -> None:
    """Loading raises `StateError` and the model is, bit for bit, as it was."""
    model = Model(8)
    before = contents(model)
    with pytest.raises(pruners.StateError, match=match) as caught:
        pruners.load(model, path)
    assert contents(model) == before
    assert len(str(caught.value)) < 1000


def accept_or_refuse(path) -> None:
    """Loading raises `StateError` and changes nothing, or gives the values that were saved."""
    model = Model(8)
    before = contents(model)
    try:
        pruners.load(model, path)
    except pruners.StateError as error:
        assert contents(model) == before and len(str(error)) < 1000
    else:
        assert contents(model)[1:] == contents(Model(3))[1:] and type(model.width) is int


def parted(data: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + data


def with_manifest(data: bytes, **changes: object) -> bytes:
    """Return the file with entries of its manifest changed, and a checksum that fits."""
    header, rest = parted(data)
    manifest = {**json.loads(header["__metadata__"][KEY]), **changes}
    text = json.dumps({name: value for name, value in manifest.items() if value is not ...})
    header["__metadata__"] = {KEY: text, SUM_KEY: checksum(text.encode())}
    return joined(header, rest)


def test_the_file_itself_is_good(folder, good):
    path = folder / "good.safetensors"
    path.write_bytes(good)
    model = pruners.load(Model(8), path)
    assert contents(model) == contents(Model(3)) and model.bias.dtype == np.float64
    for changed in (joined(*parted(good)), with_manifest(good)):
        path.write_bytes(changed)
        assert contents(pruners.load(Model(8), path)) == contents(Model(3))


@given(st.data())
@settings(max_examples=300, deadline=None)
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


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_random_bytes_are_refused(folder, data):
    path = folder / "random.safetensors"
    path.write_bytes(data)
    refuse(path)
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    refuse(path)


@given(st.data())
@settings(max_examples=200, deadline=None)
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
FIELDS = ["format", "pruners", "backend", "form", "tensors", "aliases", "transient", "sizes", "kept"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(...), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_hostile_manifests_are_refused_or_harmless(folder, good, changes):
    path = folder / "hostile.safetensors"
    path.write_bytes(with_manifest(good, **changes))
    accept_or_refuse(path)


@given(st.dictionaries(st.sampled_from(["weight", "bias", "__metadata__", "x"]), JSON, max_size=4))
@settings(max_examples=200, deadline=None)
def test_hostile_headers_are_refused(folder, good, changes):
    header, rest = parted(good)
    path = folder / "header.safetensors"
    path.write_bytes(joined({**header, **changes}, rest))
    accept_or_refuse(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "has format 3, this version reads 1 and 2.*update pruners"),
        ({"format": 2}, "format 2, and no other, has an entry 'packed'"),
        ({"format": True}, "has format True"),
        ({"packed": {}}, "format 2, and no other, has an entry 'packed'"),
        ({"format": ...}, "has format None"),
        ({"form": "graph"}, "in the form 'graph', a whole program"),
        ({"backend": "torch"}, "from a model of 'torch'; this is one of 'numpy'"),
        ({"tensors": {}, "kept": {"sets": [], "parameters": {}}}, "other tensors than its header"),
        ({"aliases": {"other": "nothing"}}, "ties 'other' to no tensor"),
        ({"aliases": {"weight": "bias"}}, "ties 'weight' to no tensor"),
        ({"sizes": {"": {"width": 1 << 70}}}, "is no integer"),
        ({"sizes": {"": {"width": True}}}, "is no integer"),
        ({"sizes": {"block": {"width": 3}}}, "has module 'block', which the model lacks"),
        ({"kept": {"sets": [[2, 1, 0]], "parameters": {"weight": {"0": 0}}}}, "do not rise"),
        ({"kept": {"sets": [[0, 1]], "parameters": {"weight": {"0": 0}}}}, "does not fit"),
        ({"kept": {"sets": [[0, 1, 2]], "parameters": {"weight": {"5": 0}}}}, "does not fit"),
        ({"kept": {"sets": [[0, 1, 2]], "parameters": {"weight": {"0": -1}}}}, "does not fit"),
        ({"kept": {"sets": [[0, 1, 2]], "parameters": {"nothing": {"0": 0}}}}, "nothing"),
    ],
)
def test_a_wrong_manifest_is_named(folder, good, changes, message):
    path = folder / "named.safetensors"
    path.write_bytes(with_manifest(good, **changes))
    refuse(path, message)


def deep() -> str:
    return "[" * 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a JSON object"),
        (deep(), "not JSON"),
        ('{"a":' + deep(), "not JSON"),
        ('{"a": NaN}', "not JSON"),
        ('{"a": 1, "a": 2}', "not JSON"),
        ('{"a": ' + "9" * 10_000 + "}", "not JSON|not a type"),
        ('{"a": {"dtype": "F32", "shape": [], "data_offsets": [0]}}', "offsets"),
        ('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "shape"),
        ('{"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}', "shape"),
        ('{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}', "shape"),
        (json.dumps({"a": {"dtype": "F32", "shape": [1] * 65, "data_offsets": [0, 4]}}), "shape"),
        ('{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}', "unknown type 'F99'"),
        ('{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}', "unknown type"),
        ('{"a": {"dtype": "F32", "shape": [4611686018427387903, 9], "data_offsets": [0, 4]}}', "offsets"),
        ('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', "begins at byte 4"),
        ('{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}', "need 36 bytes of data, it has 4"),
        (
            '{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},'
            ' "b": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}',
            "begins at byte 2 of the data, not at 3",
        ),
        (
            '{"__metadata__": [], "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
            "table of texts",
        ),
        (
            '{"__metadata__": {"pruners": 1}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}',
            "texts",
        ),
        ('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', "pruners.save did not write it"),
    ],
)
def test_a_wrong_header_is_named(folder, text, message):
    path = folder / "header.safetensors"
    path.write_bytes(joined(text, bytes(4)))
    refuse(path, message)


def test_a_header_may_not_be_longer_than_the_file_or_the_format_allows(folder, good):
    path = folder / "long.safetensors"
    path.write_bytes((1 << 63).to_bytes(8, "little") + good[8:])
    refuse(path, "no header that fits")


def test_little_memory_is_asked_for_whatever_a_file_claims(folder):
    path = folder / "claims.safetensors"
    path.write_bytes(
        joined('{"a": {"dtype": "F64", "shape": [1099511627776], "data_offsets": [0, 8]}}', bytes(8))
    )
    tracemalloc.start()
    try:
        refuse(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_what_is_no_file_of_ours_is_refused(folder, tmp_path):
    refuse(tmp_path, "there is no file")
    refuse(tmp_path / "none.safetensors", "there is no file")
    save_file({"weight": np.ones((2, 2), np.float32)}, folder / "plain.safetensors")
    refuse(folder / "plain.safetensors", "pruners.save did not write it")


def test_a_pickle_is_refused_and_not_run(folder):
    import pickle

    class Shouts:
        def __reduce__(self):
            return (exit, (3,))

    (folder / "pickled.safetensors").write_bytes(pickle.dumps(Shouts()))
    refuse(folder / "pickled.safetensors", "not a whole safetensors file")


def test_names_that_do_not_fit_are_listed(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"a": np.ones(2), "b": np.ones(2)}, path)
    model = {name: np.zeros(2) for name in ("b", "c", "d", "e", "f")}
    with pytest.raises(pruners.StateError) as caught:
        pruners.load(model, path)
    message = str(caught.value)
    assert "the file has tensor 'a', which the model lacks" in message
    assert "the model has tensors 'c', 'd', 'e' and 1 more, which the file lacks" in message
    assert not any(array.any() for array in model.values())
    pruners.load(model, path, strict=False)
    assert {name for name, array in model.items() if array.any()} == {"b"}


@pytest.mark.parametrize("other", [np.zeros((2, 2)), np.zeros(2, np.int64), np.zeros(2, bool)])
@pytest.mark.parametrize("strict", [True, False])
def test_another_number_of_axes_or_kind_of_numbers_is_another_model(tmp_path, other, strict):
    path = tmp_path / "m.safetensors"
    pruners.save({"a": np.ones(2), "w": np.ones(2)}, path)
    model = {"a": np.zeros(2), "w": other}
    with pytest.raises(pruners.StateError, match=r"belongs to another model: tensor 'w' is F64 \(2,\) there"):
        pruners.load(model, path, strict=strict)
    assert not model["a"].any() and model["w"] is other


def test_a_model_that_cannot_take_the_arrays_is_left_alone(tmp_path):
    from collections import UserDict
    from types import MappingProxyType

    class Refuses(UserDict):
        def __setitem__(self, name, value):
            if name == "b" and "b" in self.data:
                raise RuntimeError("no more b")
            super().__setitem__(name, value)

    path = tmp_path / "m.safetensors"
    pruners.save({"a": np.ones(3), "b": np.ones(3), "c": np.ones(2)}, path)
    arrays = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2)}
    with pytest.raises(pruners.StateError, match="'a' changes its shape.*a mappingproxy cannot"):
        pruners.load(MappingProxyType(dict(arrays)), path)
    model = Refuses(arrays)
    with pytest.raises(RuntimeError, match="no more b"):
        pruners.load(model, path)
    assert model["a"] is arrays["a"] and not arrays["c"].any()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save({"w": np.ones(10_000)}, path)
    with reading(path) as file:
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(pruners.StateError, match="ends after"):
            [each.read() for each in file.tensors.values()]
