"""Files packed and written out again without the model."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from attrs import asdict
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

import pruners
from pruners.cli import main
from pruners.storage.models import read_arrays
from pruners.storage.repacking import repack


def model() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    weights = random.normal(size=(64, 64)).astype(np.float32)
    weights[random.random((64, 64)) < 0.9] = 0
    weights[0, 0] = -0.0
    return {"w": weights, "b": np.arange(3.0), "i": np.arange(4)}


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].tobytes() == array.tobytes() and found[name].dtype == array.dtype
        for name, array in wanted.items()
    )


def call(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["pack", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_a_plain_file_of_anybody_becomes_a_sparse_one_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file(model(), "plain.safetensors", metadata={"author": "somebody"})
    told = call("plain.safetensors", "sparse.safetensors")
    before, after = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("plain", "sparse"))
    assert after < before / 4
    assert told == (
        f"{before:,} bytes in plain.safetensors, {after:,} in sparse.safetensors ({after / before:.0%}); "
        "1 of 3 tensors without their zeros\n"
    )
    arrays, manifest = read_arrays("sparse.safetensors")
    assert same(arrays, model()) and manifest.backend == "numpy"
    loaded = pruners.load(
        {name: np.ones_like(array) for name, array in model().items()}, "sparse.safetensors"
    )
    assert same(loaded, model())

    found = json.loads(call("sparse.safetensors", "dense.safetensors", "--dense", "--json"))
    assert found == {
        "before": after,
        "after": (tmp_path / "dense.safetensors").stat().st_size,
        "tensors": 3,
        "packed": 0,
    }
    assert same(load_file("dense.safetensors"), model()), "any reader of safetensors finds it again"
    assert b'"author":"somebody"' in (tmp_path / "dense.safetensors").read_bytes()


def test_what_pruners_saved_keeps_all_that_its_file_says(tmp_path):
    dense, sparse, again = (tmp_path / f"{name}.safetensors" for name in ("dense", "sparse", "again"))
    pruners.save(model(), dense)
    pruners.save(model(), sparse, sparse=True)
    for source, packed, target in ((dense, True, sparse), (sparse, False, dense)):
        repack(source, again, sparse=packed)
        assert again.stat().st_size == target.stat().st_size
        (arrays, manifest), (_, wanted) = read_arrays(again), read_arrays(target)
        assert same(arrays, model())
        assert asdict(manifest) == asdict(wanted)


def test_a_file_may_take_its_own_place(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save(model(), path)
    found = repack(path, path)
    assert found.after == path.stat().st_size < found.before
    assert list(tmp_path.iterdir()) == [path]
    assert same(read_arrays(path)[0], model())


def test_the_header_says_whose_a_file_is_unless_somebody_knows_better(tmp_path):
    source, target = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file(model(), source, metadata={"format": "pt"})
    repack(source, target)
    assert read_arrays(target)[1].backend == "torch"
    repack(source, target, backend="mxnet")
    assert read_arrays(target)[1].backend == "mxnet"
    message = "says that its model is one of 'mxnet'; leave backend='torch' out"
    with pytest.raises(pruners.OptionError, match=message):
        repack(target, target, backend="torch")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("no.safetensors", "out.safetensors", "there is no file 'no.safetensors'"),
        ("bad.safetensors", "out.safetensors", "is not a whole safetensors file"),
        ("good.safetensors", "out.npz", "the file's name must end in '.safetensors'"),
        ("good.safetensors", "no/out.safetensors", "cannot be written"),
    ],
)
def test_what_cannot_be_packed_is_refused_in_one_line(tmp_path, monkeypatch, source, target, message):
    monkeypatch.chdir(tmp_path)
    pruners.save(model(), "good.safetensors")
    (tmp_path / "bad.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes()[:-1])
    before = sorted(path.name for path in tmp_path.iterdir())
    told = call(source, target, status=2)
    assert message in told and told.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_sparse_file_is_reported_as_its_model(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save(model(), path, sparse=True)
    result = CliRunner().invoke(main, ["report", str(path), "--json"])
    assert result.exit_code == 0, result.output
    assert [layer["name"] for layer in json.loads(result.output)["layers"]][:1] == ["w"]


RECIPE = """
model = "few:build"
output = "{output}"
sparse = {sparse}
[[rules]]
match = "*"
sparsity = 0.9
"""


@pytest.fixture
def few(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "few.py").write_text(
        "import numpy as np\n\ndef build():\n    return {'w': np.arange(1.0, 4097).reshape(64, 64)}\n",
        encoding="utf-8",
    )

    def run(output: str, sparse: str) -> tuple[int, str]:
        (tmp_path / "recipe.toml").write_text(RECIPE.format(output=output, sparse=sparse), encoding="utf-8")
        result = CliRunner().invoke(main, ["run", "recipe.toml"])
        return result.exit_code, result.output

    return run


def test_a_recipe_writes_a_sparse_file(few, tmp_path):
    for name, sparse in (("sparse", "true"), ("dense", "false")):
        status, told = few(f"{name}.safetensors", sparse)
        assert (status, f"Wrote {name}.safetensors" in told) == (0, True), told
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("sparse", "dense")]
    assert sizes[0] < sizes[1] / 4
    weights = load_file(tmp_path / "dense.safetensors")["w"]
    assert np.count_nonzero(weights) == 410
    assert np.array_equal(read_arrays(tmp_path / "sparse.safetensors")[0]["w"], weights)


def test_a_recipe_cannot_leave_zeros_out_of_other_files(few):
    status, told = few("out.npz", "true")
    assert status == 2
    assert "recipe.toml: sparse: needs an output that ends in .safetensors, got 'out.npz'" in told


def test_reading_needs_numpy_and_no_framework(tmp_path):
    path = tmp_path / "m.safetensors"
    pruners.save(model(), path, sparse=True)
    code = (
        "import sys\n"
        "from pruners.storage.models import read_arrays\n"
        f"arrays, _ = read_arrays({str(path)!r})\n"
        "print(sorted(arrays), sorted({'torch', 'mxnet', 'safetensors', 'jax'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "['b', 'i', 'w'] []\n"
