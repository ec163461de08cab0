"""``pruners.measure``: what is counted, timed in turn, compared, refused, and left as it was."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import textwrap

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner
from rich.console import Console

import pruners
from pruners import registry
from pruners.cli import main
from pruners.measuring import differing
from pruners.measuring.latency import Latency
from pruners.measuring.results import Measurement, ModelFigures, RuntimeRow
from pruners.measuring.rounds import WARM_UP, interleaved

PLUGIN = '''
import numpy as np
import pruners

CALLS = []
OPENED = []

class Network:
    """Two dense layers with a ReLU between, computed by NumPy.

    Parameters
    ----------
    label : str
        What CALLS calls it.
    """

    def __init__(self, label="network"):
        self.label = label

    def open(self, model, *, threads):
        if "broken" in model:
            raise pruners.ExportError("there is no kernel for 'broken'")
        OPENED.append((self.label, threads))

        def run(inputs):
            CALLS.append((self.label, float(model["first"][0, 0])))
            return [np.maximum(inputs[0] @ model["first"].T, 0) @ model["second"].T]

        return run

    def describe(self):
        return {"runtime": "NumPy " + np.__version__}

class Bug(Network):
    def open(self, model, *, threads):
        raise ZeroDivisionError("a bug")

@pruners.hookimpl
def provide_runtimes():
    yield pruners.RuntimeSpec(name="network", factory=Network, format="numpy", summary="two dense layers")
    yield pruners.RuntimeSpec(name="again", factory=lambda: Network("again"), format="numpy")
    yield pruners.RuntimeSpec(name="bug", factory=Bug, format="numpy")
    yield pruners.RuntimeSpec(name="files", factory=Network, format="onnx")
    yield pruners.RuntimeSpec(name="elsewhere", factory=Network, format="onnx", modules=("no_such_engine",))
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a distribution with runtimes, as pip would leave it, and return its module."""
    (tmp_path / "fake_runtimes.py").write_text(PLUGIN)
    info = tmp_path / "fake_runtimes-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-runtimes\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[pruners]\nfake = fake_runtimes\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.installed.cache_clear()
    import fake_runtimes

    yield fake_runtimes
    sys.modules.pop("fake_runtimes")
    monkeypatch.undo()
    registry.installed.cache_clear()


def network(width=8, seed=0, first=1.0):
    draw = np.random.default_rng(seed)
    model = {
        "first": draw.normal(size=(width, 4)).astype(np.float32),
        "second": draw.normal(size=(3, width)).astype(np.float32),
    }
    model["first"][0, 0] = first
    return model


INPUTS = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


def masked(model, sparsity=0.75):
    return pruners.prune({name: array.copy() for name, array in model.items()}, "level", sparsity=sparsity)


def test_without_inputs_sizes_alone(tmp_path):
    dense = network(width=512)
    sparse = masked(dense, 0.9)
    found = pruners.measure({"dense": dense, "sparse": sparse})
    assert found.rows == () and found.batch is None
    assert [model.parameters for model in found.models] == [3584, 3584]
    assert [model.nonzeros for model in found.models] == [3584, 3584 - 1843 - 1382]
    assert [model.macs for model in found.models] == [None, None]
    assert [dict(model.memory) for model in found.models] == [{"parameters": 4 * 3584}] * 2
    for name, model in (("dense", dense), ("sparse", sparse)):
        figures = next(each for each in found.models if each.name == name)
        for kind, packed in (("dense file", False), ("sparse file", True)):
            path = tmp_path / "saved.safetensors"
            pruners.save(model, path, sparse=packed)
            assert figures.bytes[kind] == path.stat().st_size
    least = found.models[1].bytes["sparse file"]
    whole = found.models[0].bytes["dense file"]
    assert found.sentences() == (
        f"sparse takes {least:,} bytes on disk (sparse file), {least / whole:.3f} of dense's {whole:,}.",
    )


def test_one_model_needs_no_name(plugin):
    found = pruners.measure(network(), INPUTS, "network", rounds=2)
    assert [model.name for model in found.models] == ["model"]
    assert [(row.model, row.runtime, row.latency.rounds) for row in found.rows] == [("model", "network", 2)]
    assert found.batch == 2
    assert found.machine["runtimes"] == {"network": {"runtime": f"NumPy {np.__version__}"}}


def test_every_round_runs_every_row_once_timed_and_once_before(plugin):
    models = {"a": network(first=1.0), "b": network(first=2.0)}
    pruners.measure(models, INPUTS, ["network", "again"], rounds=6)
    opening, calls = plugin.CALLS[:4], plugin.CALLS[4:]
    assert len(set(opening)) == 4
    rounds = [calls[start : start + 8] for start in range(0, len(calls), 8)]
    assert len(rounds) == WARM_UP + 6
    for calls in rounds:
        assert calls[::2] == calls[1::2], "each runs twice in a row"
        assert sorted(calls[::2]) == sorted(opening), "and every row once in each round"
    assert len({tuple(calls) for calls in rounds}) > 1, "the order is drawn anew"


def test_the_order_comes_from_the_seed():
    def order(seed):
        seen = []
        interleaved([lambda each=each: seen.append(each) for each in range(5)], 4, seed)
        return seen

    assert order(1) == order(1) != order(2)


def test_warm_up_and_what_runs_before_are_not_counted():
    calls = []
    (times,) = interleaved([lambda: calls.append(None)], 3)
    assert len(times) == 3
    assert len(calls) == 2 * (WARM_UP + 3)


def test_threads_are_handed_on_and_stated(plugin):
    found = pruners.measure(network(), INPUTS, ["network", "again"], rounds=1, threads=3)
    assert plugin.OPENED == [("network", 3), ("again", 3)]
    assert found.threads == 3
    assert any("(3 threads, batch 2)" in each for each in _two(found).sentences())


def _two(found: Measurement) -> Measurement:
    """Return the same with every model twice, so that there is something to compare."""
    import attrs

    other = [attrs.evolve(model, name="other") for model in found.models]
    rows = [attrs.evolve(row, model="other") for row in found.rows]
    return attrs.evolve(found, models=(*found.models, *other), rows=(*found.rows, *rows))


def test_options_of_a_runtime_come_with_its_name(plugin):
    found = pruners.measure(network(), INPUTS, [("network", {"label": "x"}), "network"], rounds=1)
    assert [row.runtime for row in found.rows] == ["network(label='x')", "network"]
    assert plugin.OPENED[0] == ("x", 1)


def test_what_a_runtime_cannot_run_is_a_row_that_says_why(plugin):
    models = {"fine": network(), "odd": {**network(), "broken": np.ones(2)}}
    found = pruners.measure(models, INPUTS, ["network", "files", "bug"], rounds=1)
    rows = {(row.model, row.runtime): row for row in found.rows}
    assert rows["fine", "network"].latency is not None
    assert rows["odd", "network"].note == "there is no kernel for 'broken'"
    assert rows["fine", "files"].note == "models of numpy cannot be written as 'onnx'"
    assert rows["fine", "bug"].note == "ZeroDivisionError: a bug"
    values = rows["odd", "network"].to_dict()
    assert (values["median_ms"], values["low_ms"], values["high_ms"], values["rounds"]) == (None,) * 3 + (0,)
    told = found.sentences()
    assert "network did not run odd: there is no kernel for 'broken'." in told
    assert "files did not run fine, odd: models of numpy cannot be written as 'onnx'." in told


def test_where_nothing_runs_the_reason_is_raised(plugin):
    with pytest.raises(pruners.ExportError, match="model cannot be run in bug: ZeroDivisionError: a bug"):
        pruners.measure(network(), INPUTS, "bug")
    with pytest.raises(
        pruners.ExportError, match="cannot be run in numpy: models of this framework have no forward pass"
    ):
        pruners.measure(network(), INPUTS, "numpy")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("network",), {"rounds": 0}, pruners.OptionError, "rounds is 0; give a whole number of at least 1"),
        (("network",), {"rounds": 2.5}, pruners.OptionError, "rounds is 2.5"),
        (("network",), {"threads": True}, pruners.OptionError, "threads is True"),
        ((["network", "again", "network"],), {}, pruners.OptionError, "runtimes has 'network' twice"),
        (([7],), {}, pruners.OptionError, "a runtime is a name, or a name and a mapping of options; got 7"),
        (([("numpy", {"a": 1})],), {}, pruners.OptionError, "'numpy' is the framework itself"),
        (([("network", {"lable": 1})],), {}, pruners.OptionError, "Did you mean 'label'"),
        (("netwrk",), {}, pruners.UnknownName, "Did you mean 'network'"),
        (("nmpy",), {}, pruners.UnknownName, "Did you mean 'numpy'"),
        (("elsewhere",), {}, pruners.BrokenPlugin, "needs the module 'no_such_engine'"),
        (
            ("network",),
            {"evaluate": lambda model: float("nan")},
            pruners.OptionError,
            "evaluate must return a finite number; of 'model' it returned nan",
        ),
        (("network",), {"evaluate": lambda model: "good"}, pruners.OptionError, "it returned 'good'"),
    ],
)
def test_what_cannot_be_measured_is_said(plugin, arguments, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        pruners.measure(network(), INPUTS, *arguments, **options)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ({}, pruners.OptionError, "model is an empty mapping"),
        ({1: network()}, pruners.OptionError, "got the name 1"),
        (
            {"dense": object()},
            pruners.NoBackend,
            "no installed backend handles a model of type builtins.object",
        ),
    ],
)
def test_models_come_by_name(model, error, message):
    with pytest.raises(error, match=re.escape(message)):
        pruners.measure(model)


def test_runtimes_need_inputs(plugin):
    with pytest.raises(pruners.OptionError, match="there are no example_inputs to run a model on"):
        pruners.measure(network(), runtimes="network")


def test_accuracy_is_what_evaluate_says():
    dense, sparse = network(), masked(network())
    found = pruners.measure(
        {"dense": dense, "sparse": sparse}, evaluate=lambda model: np.count_nonzero(model["first"]) / 32
    )
    assert [model.accuracy for model in found.models] == [1.0, 0.25]
    assert "sparse evaluates to 0.25, dense to 1 (-0.75)." in found.sentences()


def test_models_and_files_are_as_before(plugin, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    model = masked(network())
    before = {name: array.tobytes() for name, array in model.items()}
    pruners.measure(model, INPUTS, ["network", "files"], rounds=1)
    with pytest.raises(pruners.ExportError):
        pruners.measure(model, INPUTS, "files")
    assert {name: array.tobytes() for name, array in model.items()} == before
    assert os.listdir(tmp_path / "temporary") == []


def test_progress_is_shown_where_somebody_asks(plugin):
    shown = io.StringIO()
    with pruners.show_progress(Console(file=shown, force_terminal=True, width=100)):
        pruners.measure(network(), INPUTS, "network", rounds=2)
    for what in ("counting, models", "opening, models in runtimes", "timing, rounds"):
        assert what in shown.getvalue()


def test_how_far_outputs_are_apart():
    expected = [np.array([1.0, -4.0, np.inf, np.nan], np.float32), np.array([2, 3])]
    assert differing.error(expected, [each.copy() for each in expected]) == 0
    off = [expected[0] + np.array([0, 0.5, 0, 0], np.float32), expected[1]]
    assert differing.error(expected, off) == 0.125
    lost = [np.array([1.0, -4.0, 5.0, np.nan], np.float32), expected[1]]
    assert differing.error(expected, lost) == np.inf
    gained = [np.array([1.0, np.nan, np.inf, np.nan], np.float32), expected[1]]
    assert differing.error(expected, gained) == np.inf
    with pytest.raises(pruners.ExportError, match="it gives 1 output and the live model 2 outputs"):
        differing.error(expected, expected[:1])
    with pytest.raises(
        pruners.ExportError, match=re.escape("its output 1 is (2, 1), and the live model's (2,)")
    ):
        differing.error(expected, [expected[0], expected[1][:, None]])


def measured(dense, pruned, **options):
    """Return a measurement of two latencies, each (median, low, high)."""
    models = tuple(
        ModelFigures(name=name, backend="torch", parameters=100, nonzeros=nonzeros, macs=macs)
        for name, nonzeros, macs in (("dense", 100, 1000), ("pruned", 10, options.pop("macs", 1000)))
    )
    rows = tuple(
        RuntimeRow(model=name, runtime="engine", latency=Latency(*times, 20), error=options.get("error"))
        for name, times in (("dense", dense), ("pruned", pruned))
    )
    return Measurement(models=models, rows=rows, threads=1, rounds=20, batch=1, machine={"processor": "P"})


def test_faster_only_where_the_spreads_are_apart():
    apart = measured((3.04, 3.0, 3.1), (2.0, 1.9, 2.1))
    assert apart.sentences()[1] == (
        "pruned is 1.52 times as fast as dense in engine here (1 thread, batch 1): "
        "dense 3.04 ms (3.00 to 3.10), pruned 2.00 ms (1.90 to 2.10)."
    )
    overlapping = measured((3.0, 2.0, 3.2), (2.0, 1.9, 2.1))
    assert overlapping.sentences()[1].startswith(
        "No faster here: pruned in engine (1 thread, batch 1): dense"
    )
    noise = measured((1.02, 1.019, 1.021), (1.0, 0.999, 1.001))
    assert noise.sentences()[1].startswith("No faster here: pruned")
    slower = measured((1.0, 0.9, 1.1), (2.0, 1.9, 2.1))
    assert "No faster here: pruned in engine (1 thread, batch 1): slower, dense" in slower.sentences()[1]
    wide = measured((3.0, 1.0, 9.0), (2.0, 1.9, 2.1))
    assert wide.sentences()[1].startswith(
        "Cannot be told: pruned in engine (1 thread, batch 1): something else was running here, measure again"
    )
    assert apart.sentences()[-1] == (
        "Times are medians of 20 rounds in turn, with the middle half in brackets, on 1 thread of P."
    )


@pytest.mark.parametrize("width", [60, 200])
def test_figures_are_whole_on_a_narrow_terminal(width):
    found = measured((3.04, 3.0, 3.1), (2.0, 1.9, 2.1))
    models = tuple(
        evolve(
            model,
            parameters=123_456_789,
            macs=148_557_824_000,
            bytes={"dense file": 46_824_312, "sparse file": 5_775_302},
            memory={"parameters": 46_758_048},
            accuracy=0.9371,
        )
        for model in found.models
    )
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(evolve(found, models=models))
    table = console.file.getvalue().partition("runtime")[0]
    for figure in ("123,456,789", "148,557,824,000", "46,824,312", "5,775,302", "46,758,048", "0.9371"):
        assert table.count(figure) == 2
    assert "\u2026" not in table
    assert ("pruned" in table.splitlines()[1]) == (width == 60)


def test_macs_are_said_plainly():
    same = measured((1.0, 0.9, 1.1), (1.0, 0.9, 1.1))
    assert same.sentences()[0] == "pruned takes 1,000 MACs, as many as dense: zeros are multiplied, too."
    fewer = measured((1.0, 0.9, 1.1), (1.0, 0.9, 1.1), macs=520)
    assert fewer.sentences()[0] == "pruned takes 520 MACs, 0.520 of dense's 1,000."


def test_a_restless_machine_is_pointed_out():
    told = measured((1.0, 0.9, 1.5), (1.0, 0.9, 1.1)).sentences()
    assert told[-2].startswith(
        "In 1 of 2 rows the middle half is wider than 50% of the median: something else"
    )
    assert not any("middle half is" in each for each in measured((1, 0.8, 1.2), (1, 0.9, 1.1)).sentences())


def test_outputs_that_differ_are_pointed_out():
    same = (1.0, 0.9, 1.1)
    told = measured(same, same, error=0.02).sentences()
    assert "Outputs of pruned in engine differ from the live model's by up to 0.02 of the largest." in told
    assert not any("Outputs" in each for each in measured(same, same, error=1e-3).sentences())


def test_the_shape_of_the_plain_values(plugin):
    values = pruners.measure(
        {"dense": network(), "sparse": masked(network())}, INPUTS, ["network", "files"], rounds=2
    ).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert set(values) == {"machine", "threads", "rounds", "batch", "models", "rows", "sentences"}
    assert set(values["models"][0]) == {
        "name", "backend", "parameters", "nonzeros", "macs", "bytes", "memory", "accuracy", "note"
    }  # fmt: skip
    assert set(values["rows"][0]) == {
        "model", "runtime", "median_ms", "low_ms", "high_ms", "rounds", "file_bytes", "peak_bytes", "error",
        "note",
    }  # fmt: skip
    assert values["machine"]["logical cores"] == os.cpu_count()
    assert values["machine"]["processor"]
    assert "load average" in values["machine"]
    assert values["machine"]["versions"]["numpy"] == np.__version__


def test_printing_gives_tables_and_sentences(plugin):
    found = pruners.measure({"dense": network(), "sparse": masked(network())}, INPUTS, "network", rounds=2)
    text = str(found)
    heads = [line.split() for line in text.splitlines()]
    assert ["network", "dense"] in [words[:2] for words in heads]
    assert ["dense", "56", "56"] in [words[:3] for words in heads]
    assert all(sentence in text for sentence in found.sentences())
    assert "MACs" not in text.splitlines()[0], "a column without a figure is left out"


MODULE = """
    import numpy as np

    def build(first=1.0, zeros=0):
        model = {"first": np.ones((8, 4), np.float32), "second": np.ones((3, 8), np.float32)}
        model["first"][:zeros] = 0
        return model

    def sparse():
        return build(zeros=6)

    def inputs():
        return np.ones((2, 4), np.float32)

    def judge(model):
        return float(model["first"].mean())

    def bad():
        raise ValueError("a bug of the user's")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mynetwork.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("mynetwork", None)


def call(*arguments, status=0):
    result = CliRunner().invoke(main, ["measure", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_from_the_command_line(plugin, module, tmp_path):
    arguments = ["mynetwork:sparse", "--dense", "mynetwork:build", "--inputs", "mynetwork:inputs"]
    arguments += ["--runtimes", "network,again", "--rounds", "2", "--evaluate", "mynetwork:judge"]
    values = json.loads(call(*arguments, "--json", "--output", "found.json"))
    assert [(model["name"], model["nonzeros"]) for model in values["models"]] == [
        ("dense", 56),
        ("sparse", 32),
    ]
    assert [model["accuracy"] for model in values["models"]] == [1.0, 0.25]
    assert [(row["model"], row["runtime"]) for row in values["rows"]] == [
        ("dense", "network"), ("dense", "again"), ("sparse", "network"), ("sparse", "again")
    ]  # fmt: skip
    assert json.loads((tmp_path / "found.json").read_text()) == values
    text = call(*arguments, "--output", "found.json")
    assert "Wrote found.json" in text and "sparse evaluates to 0.25" in text


def test_inputs_from_a_shape(plugin, module):
    values = json.loads(
        call("mynetwork:build", "--shape", "5,4", "--runtimes", "network", "--rounds", "1", "--json")
    )
    assert values["batch"] == 5


def test_files_have_sizes_alone(module, tmp_path):
    pruners.save(network(), tmp_path / "a.safetensors")
    values = json.loads(call("a.safetensors", "other=a.safetensors", "--json"))
    assert [model["name"] for model in values["models"]] == ["a", "other"]
    assert values["rows"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mynetwork:build", "mynetwork:build"], "two models are called 'build'; write NAME=MODEL"),
        (["mynetwork:build", "--shape", "5,4", "--inputs", "mynetwork:inputs"], "give --inputs or --shape"),
        (["mynetwork:build", "--shape", "5,x"], "'5,x' is not a shape such as 1,3,32,32"),
        (["mynetwork:build", "--shape", "0,4"], "lengths are at least 1"),
        (["mynetwork:build", "--runtimes", "network"], "there are no example_inputs"),
        (["mynetwork:build", "--evaluate", "mynetwork:nothing"], "has no 'nothing'"),
        (["mynetwork:build", "--output", "no/such/found.json"], "there is no folder"),
        (["mynetwork:build", "--rounds", "0"], "0 is not in the range x>=1"),
        ([], "Missing argument 'MODEL...'"),
    ],
)
def test_mistakes_on_the_command_line(plugin, module, arguments, message):
    assert message in " ".join(call(*arguments, status=2).split())
