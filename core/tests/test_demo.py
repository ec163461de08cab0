"""The demo: it tells the truth, checks itself, and fails when a promise is broken."""

from __future__ import annotations

import copy
import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import pruners
from pruners import demo
from pruners.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def needed():
    for module in demo.PACKAGES:
        pytest.importorskip(module)


@pytest.fixture(scope="module")
def told(needed, tmp_path_factory):
    """Run the whole demo once, small, as the command line does."""
    import torch

    torch.manual_seed(5)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    folder = tmp_path_factory.mktemp("demo") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruners.demo.measuring.ROUNDS", 9)
        result = CliRunner().invoke(main, ["demo", "--seeds", "2", "--epochs", "2", "--output", str(folder)])
    assert result.exit_code == 0, result.output
    untouched = torch.equal(torch.get_rng_state(), random) and torch.get_num_threads() == threads
    return folder, result.output, untouched


def test_it_prints_both_networks_and_every_layer(told):
    _, output, _ = told
    for row in (
        "dense",
        "pruned, 90% zeros",
        "conv1.weight",
        "conv2.weight",
        "conv3.weight",
        "fc.weight",
        "total",
    ):
        assert any(line.strip().startswith(row) for line in output.splitlines()), row
    assert "42 steps each" in output
    assert "conv1.weight stays dense: " in output
    assert "80 banks, 6 of 64 kept" in output
    assert "Checked by counting anew" in output
    assert "Broken promise" not in output


def test_the_files_hold_what_was_printed(told):
    folder, output, _ = told
    load = pytest.importorskip("safetensors.numpy").load_file
    weights = [array for array in load(folder / "pruned.safetensors").values() if array.ndim > 1]
    zeros = sum(int((array == 0).sum()) for array in weights)
    assert zeros / sum(array.size for array in weights) >= 0.9
    assert f"{zeros:,}" in output
    for name in ("dense", "pruned"):
        stored = (folder / f"{name}.safetensors").read_bytes()
        zipped = folder / f"{name}.safetensors.gz"
        assert gzip.decompress(zipped.read_bytes()) == stored
        row = next(line for line in output.splitlines() if line.strip().startswith(name) and "bytes" in line)
        assert f"{len(stored):,} bytes" in row
        assert f"{zipped.stat().st_size:,} bytes" in row


def test_the_figure_is_an_image_worth_looking_at(told):
    folder, _, _ = told
    image = pytest.importorskip("matplotlib.image").imread(folder / "demo.png")
    assert image.shape[0] > 800
    assert image.shape[1] > 1200
    assert len(np.unique((image[::4, ::4, 0] * 255).astype(np.uint8))) > 30


def test_the_report_has_both_networks_measured_and_the_accuracy_over_time(told):
    folder, output, _ = told
    sections = json.loads((folder / "report.json").read_text())["sections"]
    dense, masked = sections["summary"]["models"]
    assert (dense["name"], masked["name"]) == ("dense", "masked")
    assert masked["nonzeros"] < 0.11 * dense["nonzeros"]
    assert dense["latency"] and masked["latency"] and masked["file"] < dense["file"]
    recorded = [record["metrics"]["accuracy"] for record in sections["history"]["records"]]
    assert len(recorded) > 10 and f"{masked['accuracy']:.2%}" in output
    assert {"layers", "masks", "sensitivity"} < set(sections)
    assert "<svg" in (folder / "report.html").read_text()
    assert "report.html" in output


def test_the_caller_keeps_threads_and_random_state(told):
    assert told[2]


@pytest.fixture(scope="module")
def trained(needed):
    """Train one dense and one pruned network for one epoch."""
    import torch

    from pruners.demo.training import load_data, train

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.warns(pruners.SkippedLayer):
        pruned = train(load_data(), seed=0, epochs=1, pruned=True, advance=lambda: None)
    dense = train(load_data(), seed=0, epochs=1, pruned=False, advance=lambda: None)
    torch.set_num_threads(threads)
    return dense, pruned


@pytest.fixture
def runs(trained):
    """Give each test copies of the two networks that it may damage."""
    from attrs import evolve

    return tuple(evolve(run, model=copy.deepcopy(run.model)) for run in trained)


def test_broken_promises_are_found(runs):
    import torch
    from attrs import evolve

    from pruners.demo.measuring import broken_promises

    dense, pruned = runs
    assert broken_promises(dense, pruned) == []
    assert "steps" in broken_promises(evolve(dense, steps=3), pruned)[0]

    weight = pruned.model.get_parameter("fc.weight")
    masked = torch.tensor(~pruned.masks["fc.weight"])
    with torch.no_grad():
        weight[masked] = -0.0
    assert broken_promises(dense, pruned) == ["fc.weight: a pruned weight is not +0.0"]
    with torch.no_grad():
        weight[masked] = 1.0
    broken = broken_promises(dense, pruned)
    assert broken[0].startswith("fc.weight: 0 zeros of 5120")
    assert broken[1] == "fc.weight: a pruned weight is not +0.0"


def test_unequal_banks_are_found(runs, monkeypatch):
    from pruners.demo import training
    from pruners.demo.measuring import broken_promises

    dense, pruned = runs
    mask = pruned.masks["fc.weight"].copy()
    kept = np.flatnonzero(mask[0])
    mask[0, kept[0]] = False
    monkeypatch.setattr(training.Run, "masks", property(lambda run: {"fc.weight": mask}))
    broken = broken_promises(dense, pruned)
    assert "fc.weight: banks keep 5 to 6 weights, not equally many" in broken


def test_a_file_with_other_zeros_is_found(runs, tmp_path):
    from pruners.demo.measuring import broken_file, write

    _, pruned = runs
    report = pruned.pruning.report()
    file = write(pruned.model, tmp_path / "m.safetensors").path
    assert broken_file(file, report) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruners.demo.measuring.TOTAL", 0.99)
        assert broken_file(file, report) == [f"total sparsity {report.sparsity:.4f} is below 0.99"]
    pruned.model.get_parameter("conv2.weight").data.zero_()
    write(pruned.model, file)
    assert broken_file(file, report)[0].startswith("conv2.weight: 36864 zeros in m.safetensors, 33408 in")


def test_a_broken_promise_exits_1(runs, monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr("pruners.demo.measuring.ROUNDS", 9)
    monkeypatch.setattr("pruners.demo.story.train_pairs", lambda *_, **__: ([runs[0]], [runs[1]]))
    with torch.no_grad():
        runs[1].model.get_parameter("fc.weight").fill_(1.0)
    result = CliRunner().invoke(main, ["demo", "--output", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 1
    assert "Broken promise: seed 0: fc.weight: 0 zeros of 5120, not 0.9062" in result.output
    assert "Checked by counting anew" not in result.output


@pytest.mark.parametrize(
    ("dense", "pruned", "words"),
    [
        ((10.0, 9.9, 10.1), (10.1, 9.9, 10.2), "no faster here: the reason."),
        ((10.0, 9.0, 11.0), (9.5, 8.5, 10.5), "no faster here: the reason."),
        ((10.0, 9.9, 10.1), (5.0, 4.9, 5.1), "100% faster here"),
        ((10.0, 9.9, 10.1), (20.0, 19.9, 20.1), "no faster here: it ran 50% slower"),
    ],
)
def test_the_verdict_follows_the_measurement(needed, dense, pruned, words):
    from pruners.demo.measuring import verdict
    from pruners.measuring.latency import Latency

    found = verdict(Latency(*dense, rounds=60), Latency(*pruned, rounds=60), because=": the reason")
    assert words in found


def test_a_missing_package_is_named_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(
        demo, "find_spec", lambda module: None if module in ("torch", "sklearn") else object()
    )
    result = CliRunner().invoke(main, ["demo", "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "the demo needs torch, scikit-learn: pip install torch scikit-learn" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_plugin_is_named_before_anything_runs(monkeypatch, tmp_path):
    from pruners import registry

    monkeypatch.setattr(demo, "find_spec", lambda module: object())
    monkeypatch.setattr(registry, "installed", lambda: registry.Installed((), ()))
    result = CliRunner().invoke(main, ["demo", "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "pip install pruners-torch" in result.stderr


def test_the_demo_is_loaded_only_when_it_runs():
    code = "import sys, pruners.cli, pruners.demo; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
