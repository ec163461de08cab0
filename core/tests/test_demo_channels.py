"""The demo of channels: it tells the truth, checks itself, and fails when a promise is broken."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner

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
    folder = tmp_path_factory.mktemp("demo") / "out"
    arguments = ["demo", "--channels", "--seeds", "1", "--epochs", "2", "--output", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruners.demo.measuring.ROUNDS", 9)
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder, result.output


def row(output: str, start: str) -> list[str]:
    """Return the cells of the one printed row that begins so."""
    (line,) = (line.strip() for line in output.splitlines() if line.strip().startswith(start + "  "))
    return re.split(r"\s{2,}", line)


def test_it_prints_both_networks(told):
    _, output = told
    assert "42 optimizer steps each" in output
    for start in ("at step 21, before the removal", "just after it"):
        assert len(row(output, start)) == 4
    assert "Proved: " in output
    assert "Checked by counting anew" in output
    assert "Broken promise" not in output


def test_half_the_channels_leave(told):
    _, output = told
    rows = re.findall(r"^ (conv|stage\d\S*).*?(\d+) +(\d+) *$", output, re.MULTILINE)
    assert len(rows) == 12
    channels, kept = (sum(int(each[place]) for each in rows) for place in (1, 2))
    assert (channels, kept) == (448, 224)


def test_the_files_are_what_was_printed(told):
    folder, output = told
    load = pytest.importorskip("safetensors.numpy").load_file
    files = [folder / f"channels-{name}.safetensors" for name in ("dense", "pruned")]
    assert row(output, "bytes of the file")[1:3] == [f"{file.stat().st_size:,}" for file in files]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    sizes = [
        sum(array.size for name, array in load(file).items() if not name.endswith(statistics))
        for file in files
    ]
    assert row(output, "parameters")[1:3] == [f"{size:,}" for size in sizes]
    assert sizes[0] == 272_186
    assert row(output, "parameters")[3] == f"{1 - sizes[1] / sizes[0]:.1%}"


def test_the_report_has_the_channels_and_both_networks_measured(told):
    folder, output = told
    sections = json.loads((folder / "channels.json").read_text())["sections"]
    dense, removed = sections["summary"]["models"]
    assert (dense["name"], removed["name"]) == ("dense", "removed")
    assert f"{dense['parameters']:,}" in output and f"{removed['parameters']:,}" in output
    assert removed["macs"] < dense["macs"] and removed["file"] < dense["file"]
    groups = sections["channels"]["groups"]
    assert sum(group["kept"] for group in groups) < sum(group["units"] for group in groups)
    assert "channels.html" in output


def test_the_macs_of_training_are_those_of_both_halves(told):
    _, output = told
    dense, pruned = (int(each.replace(",", "")) for each in row(output, "MACs for one image")[1:3])
    expected = [f"{42 * dense:,}", f"{21 * dense + 21 * pruned:,}"]
    assert row(output, "MACs of 42 training steps, per image")[1:3] == expected


def test_the_figure_shows_bars_in_two_colours(told):
    folder, _ = told
    image = pytest.importorskip("matplotlib.image").imread(folder / "channels.png")[..., :3]
    assert image.shape[0] > 800
    assert image.shape[1] > 1200
    lower = (255 * image[image.shape[0] // 2 :]).round().astype(int).reshape(-1, 3)
    colours = Counter(map(tuple, lower))
    for colour in ("1e3a5f", "c2410c"):
        assert colours[tuple(bytes.fromhex(colour))] > 10_000


@pytest.fixture(scope="module")
def trained(needed):
    """Train one dense and one pruned network for one epoch."""
    import torch

    from pruners.demo.channels.training import train
    from pruners.demo.training import load_data

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = load_data()
    runs = [train(data, epochs=1, seed=0, pruned=pruned, advance=lambda: None) for pruned in (False, True)]
    torch.set_num_threads(threads)
    return *runs, data.test_images


def test_two_trainings_keep_what_they_promise(trained):
    from pruners.demo.channels.checking import broken_promises

    dense, pruned, _ = trained
    assert broken_promises(dense, pruned) == []
    assert [point[0] for point in pruned.accuracy].count(pruned.cut.step) == 2
    steps = [step for step, _ in pruned.accuracy]
    assert steps == sorted(steps)
    assert broken_promises(dense, dense) == ["no channel was removed"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: {"steps": 3}, "dense took 21 steps and pruned 3"),
        (
            lambda run: {"cut": evolve(run.cut, difference=1e-3)},
            "differed from the masked network's by 1.0e-03",
        ),
        (
            lambda run: {"cut": evolve(run.cut, difference=float("nan"))},
            "differed from the masked network's by nan",
        ),
        (
            lambda run: {"size": evolve(run.size, parameters=7)},
            "parameters: 272186 and 7, but the report says 272186 and ",
        ),
        (
            lambda run: {"size": evolve(run.size, macs=10**9)},
            "MACs: 1000000000 are no fewer than ",
        ),
        (
            lambda run: {"size": evolve(run.size, channels={**run.size.channels, "conv.weight": 1})},
            "conv.weight: 1 of 16 channels, not ",
        ),
    ],
)
def test_broken_promises_are_found(trained, change, words):
    from pruners.demo.channels.checking import broken_promises

    dense, pruned, _ = trained
    assert any(words in each for each in broken_promises(dense, evolve(pruned, **change(pruned))))


def test_a_proof_above_its_tolerance_is_found(trained):
    from pruners.demo.channels.checking import broken_promises

    dense, pruned, _ = trained
    removal = evolve(pruned.cut.removal, proof=evolve(pruned.cut.removal.proof, error=0.5))
    pruned = evolve(pruned, cut=evolve(pruned.cut, removal=removal))
    assert broken_promises(dense, pruned) == ["the proof's error 5.0e-01 is above its tolerance"]


def test_an_optimizer_without_a_parameter_is_found(trained):
    import torch

    from pruners.demo.channels.checking import broken_promises

    dense, pruned, _ = trained
    others = [each for name, each in pruned.model.named_parameters() if name != "fc.bias"]
    optimizer = torch.optim.SGD(others, lr=0.1, momentum=0.9)
    for each in others:
        optimizer.state[each]["momentum_buffer"] = torch.zeros_like(each)
    optimizer.state[others[0]]["momentum_buffer"] = torch.zeros(1)
    assert broken_promises(dense, evolve(pruned, optimizer=optimizer)) == [
        "conv.weight: the optimizer lost it",
        "fc.bias: the optimizer lost it",
    ]


def test_a_file_of_another_network_is_found(trained, tmp_path):
    import pruners
    from pruners.demo.channels.checking import broken_file

    _, pruned, images = trained
    file = tmp_path / "m.safetensors"
    pruners.save(pruned.model, file)
    assert broken_file(pruned, file, images) == []
    other = copy.deepcopy(pruned.model)
    other.get_parameter("fc.bias").data += 1
    pruners.save(other, file)
    assert broken_file(pruned, file, images) == [
        "m.safetensors: loaded into a new network, it gives other outputs"
    ]


def test_masking_is_seen_by_the_comparison(trained):
    import torch

    from pruners.demo.channels.checking import difference, masked
    from pruners.demo.channels.network import ResNet20
    from pruners.structure.plan import RemovalPlan

    images = trained[2][:8]
    torch.manual_seed(0)
    model = ResNet20()
    kept = {"conv.weight": {0: np.arange(1, 16)}, "norm.running_var": {0: np.arange(1, 16)}}
    smaller = masked(copy.deepcopy(model), RemovalPlan(kept))
    assert not smaller.conv.weight[0].any()
    assert smaller.norm.running_var[0] == 1
    assert torch.equal(smaller.conv.weight[1:], model.conv.weight[1:])
    assert difference(model, model, images) == 0
    assert difference(model, smaller, images) > 1e-3


def test_a_broken_promise_exits_1(trained, monkeypatch, tmp_path):
    dense, pruned, _ = trained
    wrong = evolve(pruned, size=evolve(pruned.size, parameters=7))
    monkeypatch.setattr("pruners.demo.channels.story.train_pairs", lambda *_, **__: ([dense], [wrong]))
    monkeypatch.setattr("pruners.demo.measuring.ROUNDS", 9)
    result = CliRunner().invoke(
        main, ["demo", "--channels", "--output", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert "Broken promise: seed 0: parameters: 272186 and 7" in result.output
    assert "Checked by counting anew" not in result.output


def test_a_missing_plugin_is_named_before_anything_runs(monkeypatch, tmp_path):
    from pruners import registry

    monkeypatch.setattr(demo, "find_spec", lambda module: object())
    monkeypatch.setattr(demo, "CHANNEL_PLUGINS", (("pruner", "taylor"),))
    monkeypatch.setattr(registry, "installed", lambda: registry.Installed((), ()))
    result = CliRunner().invoke(main, ["demo", "--channels", "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "'taylor'" in result.stderr
    assert not (tmp_path / "out").exists()
