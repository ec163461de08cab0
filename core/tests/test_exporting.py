"""``pruners.export`` without any framework: where it can go, what it says, what it is compared with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import pruners
from pruners import export_targets
from pruners.cli import main
from pruners.dense_twins import dense_twin
from pruners.discovery import Failure, Installed, MissingFramework, Plugin
from pruners.export_targets import target
from pruners.export_work import calibration
from pruners.exports import Exported, Ran
from pruners.measuring.latency import Latency
from pruners.opening import open_model


class Opens:
    def __init__(self, converts=False):
        if converts:
            self.suffix, self.convert = ".own", lambda source, target, batches: None

    def open(self, model, *, threads):
        raise AssertionError("nothing is opened here")

    def describe(self):
        return {"runtime": "Opens 1.0"}


def spec(name, format, **options):
    return pruners.RuntimeSpec(name=name, format=format, factory=lambda: Opens(**options))


@pytest.fixture
def here(monkeypatch):
    """Install these runtimes and nothing else."""

    def install(*specs, failures=()):
        found = Installed(tuple(Plugin(each, "pruners-test", "1") for each in specs), failures)
        monkeypatch.setattr(export_targets, "installed", lambda: found)
        monkeypatch.setattr("pruners.registry.installed", lambda: found)

    return install


def test_a_format_is_proved_in_every_runtime_that_opens_it(here):
    here(spec("one", "onnx"), spec("two", "onnx"), spec("other", "pt2"), spec("own", "onnx", converts=True))
    found = target("onnx", ("onnx", "pt2"))
    assert [name for name, _ in found.runtimes] == ["one", "two"]
    assert found.converter is None


def test_a_runtime_with_a_file_of_its_own_is_a_target(here):
    here(spec("one", "onnx"), spec("own", "onnx", converts=True))
    found = target("own", ("onnx",))
    assert found.format == "onnx"
    assert [name for name, _ in found.runtimes] == ["own"]
    assert found.converter is found.runtimes[0][1]
    with pytest.raises(
        pruners.ExportError, match="'own' takes onnx files, which this backend does not write"
    ):
        target("own", ("pt2",))


def test_what_is_missing_is_said(here):
    here()
    with pytest.raises(
        pruners.ExportError,
        match="no runtime is installed that opens onnx files.*pip install pruners-onnxruntime",
    ):
        target("onnx", ("onnx",))
    with pytest.raises(pruners.UnknownName, match="pip install pruners-openvino"):
        target("openvino-int8", ("onnx",))
    error = MissingFramework("runtime", "onnxruntime", "onnxruntime")
    here(failures=(Failure("pruners-test", "1", "x", error, concerns=("runtime", "onnxruntime")),))
    with pytest.raises(pruners.ExportError, match="needs the module 'onnxruntime'"):
        target("onnx", ("onnx",))


@pytest.mark.parametrize("to", [None, 3, ["onnx"], "", "onx"])
def test_an_unknown_target(here, to):
    here(spec("one", "onnx"))
    with pytest.raises(pruners.OptionError, match=r"no file format of this backend \(onnx\)"):
        target(to, ("onnx",))


def test_a_framework_that_cannot_export(tmp_path):
    with pytest.raises(pruners.ExportError, match="models of numpy cannot be exported yet"):
        pruners.export({"w": np.ones((2, 2))}, tmp_path / "w.onnx", np.ones((1, 2)))
    assert not list(tmp_path.iterdir())


def latency(median):
    return Latency(median, 0.99 * median, 1.01 * median, 20)


def ran(**options):
    given = {"runtime": "one", "title": "One 1.0", "error": 2e-7, "numbers": 1000, "tolerance": 1e-4}
    return Ran(**{**given, **options})


def test_speed_is_said_plainly():
    faster = ran(dense=latency(1.42), latency=latency(1.0))
    assert faster.speed.startswith("1.42 times as fast as the dense export in One 1.0 here: 1.42 ms")
    same = ran(dense=latency(1.0), latency=latency(1.01))
    assert same.speed.startswith("No faster here in One 1.0: 1.00 ms")
    slower = ran(dense=latency(1.0), latency=latency(1.5))
    assert slower.speed.startswith("No faster here in One 1.0: slower, ")
    few = ran(dense=Latency(3.36, 2.93, 3.4, 3), latency=Latency(0.161, 0.159, 0.164, 3))
    assert few.speed.startswith("Cannot be told in One 1.0: 3 rounds are too few, 10 would do: 3.36 ms")
    assert few.gain == 0
    wide = ran(dense=Latency(7.3, 3.5, 14.9, 20), latency=Latency(0.96, 0.89, 4.9, 20))
    assert "something else was running here, measure again" in wide.speed
    assert ran(latency=latency(1.0)).speed.startswith("In One 1.0: ")
    assert ran().speed == "Latency in One 1.0 was not measured."


def test_a_proof_and_a_judgement():
    assert ran().proof == (
        "Proved in One 1.0: 1,000 outputs differ by at most 2.0e-07 of the largest from the live model's "
        "(tolerance 1e-04)."
    )
    rounded = ran(rounded=True, error=0.02, agreement=0.984, examples=64)
    assert rounded.proof.startswith(
        "Rounded, so not equal: in One 1.0, 1,000 outputs differ by at most 2.0e-02"
    )
    assert rounded.proof.endswith("the largest output is the same in 98.4% of 64 examples.")
    assert ran(rounded=True, agreement=1.0, examples=1).proof.endswith("100.0% of 1 example.")


def test_an_export_in_words_and_values():
    made = Exported(
        path="net.onnx",
        to="onnx",
        files={"net.onnx": 1200},
        ran=(ran(dense=latency(1.42), latency=latency(1.0)),),
        dense_bytes=2400,
        dense="Dense export: the model given as dense.",
        threads=2,
        rounds=20,
        notes=("A note.",),
    )
    assert made.sentences()[0] == "Written: net.onnx, 1,200 bytes; the dense export takes 2,400."
    assert made.sentences()[-2:] == ("Dense export: the model given as dense.", "A note.")
    assert "Times are medians of 20 rounds on 2 threads" in str(made)
    assert "1.42" in str(made).splitlines()[2]
    values = json.loads(json.dumps(made.to_dict()))
    assert values["bytes"] == 1200
    assert values["ran"][0]["gain"] == pytest.approx(0.42)
    assert values["sentences"] == list(made.sentences())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_twin_is_dense_and_as_large(dtype):
    drawn = np.random.default_rng(0)
    weights = drawn.normal(size=(64, 64)).astype(dtype)
    weights[drawn.random(weights.shape) < 0.9] = 0
    model = {"a": weights, "b": np.zeros((4, 8), dtype), "c": np.ones((3, 3), dtype)}
    before = {name: array.copy() for name, array in model.items()}
    twin, about = dense_twin(open_model(model), model)
    assert "zeros replaced by random numbers" in about
    for name, array in model.items():
        assert (array == before[name]).all()
        assert np.count_nonzero(twin.read(name)) == array.size
        assert twin.read(name).dtype == array.dtype
        assert (twin.read(name)[array != 0] == array[array != 0]).all()
    kept = np.abs(weights[weights != 0].astype(float)).mean()
    assert np.abs(twin.read("a").astype(float)).max() < 10 * kept


def test_no_twin_of_a_dense_model_nor_of_one_that_cannot_be_copied():
    model = {"a": np.ones((2, 2))}
    twin, about = dense_twin(open_model(model), model)
    assert twin is None
    assert "no weight is zero. Pass dense=" in about

    class Stubborn(dict):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is one of me")

    model = Stubborn(a=np.zeros((2, 2)))
    twin, about = dense_twin(open_model(model), model)
    assert twin is None
    assert "cannot be copied (RuntimeError: there is one of me)" in about


def test_labels_are_left_out_of_batches():
    assert calibration([("x", "y")], "given") == (("x",),)
    assert calibration([["x", "mask", "y"]], ("given", "given")) == (("x", "mask"),)
    assert calibration([{"x": 1, "label": 2}], {"x": 0}) == ({"x": 1},)
    assert calibration(["x"], "given") == ("x",)
    assert calibration(None, "given") == ("given",)
    with pytest.raises(pruners.NeedsData, match="no batch"):
        calibration(iter([]), "given")
    with pytest.raises(pruners.NeedsData, match="has no 'x'"):
        calibration([{"y": 1}], {"x": 0})
    with pytest.raises(pruners.NeedsData, match="has 1 parts, and example_inputs have 2"):
        calibration([("x",)], ("given", "given"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m:build", "--output", "net.onnx"), "give --inputs module:function or --shape"),
        (("w.npz", "--output", "net.onnx", "--shape", "1,2"), "MODEL 'w.npz' holds arrays"),
        (("m:build", "--output", "net.onnx", "--shape", "1,2"), "models of numpy cannot be exported yet"),
        (("m:build", "--output", "net.onnx", "--shape", "1,2", "--threads", "0"), "--threads"),
    ],
)
def test_the_command_refuses(arguments, message, tmp_path, monkeypatch):
    (tmp_path / "m.py").write_text("import numpy\n\ndef build():\n    return {'w': numpy.ones((2, 2))}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "m", raising=False)
    done = CliRunner().invoke(main, ["export", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
