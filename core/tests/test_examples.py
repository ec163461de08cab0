"""The examples run, and do what they say; those on MNIST are tested in tests/examples and tests/across."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pruners.cli import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_example_is_here():
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.py")}
    assert found == {
        "prune_while_training.py",
        "from_config_list.py",
        "recipe/digits.py",
        "mnist.py",
        "pytorch_mnist.py",
        "mxnet_mnist.py",
        "torchrun_prune.py",
    }
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(Path(name).name in readme or Path(name).parent.name in readme for name in found)


def test_from_config_list(capsys):
    model = runpy.run_path(str(EXAMPLES / "from_config_list.py"))["main"]()
    assert np.count_nonzero(model["body.weight"] == 0) == 1600
    assert np.count_nonzero(model["head.weight"]) == 400
    assert "epoch 4: sparsity 0.8000" in capsys.readouterr().out


@pytest.fixture
def torch_examples():
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_prune_while_training(torch_examples, capsys):
    accuracy = runpy.run_path(str(EXAMPLES / "prune_while_training.py"))["main"]()
    assert accuracy > 0.85
    output = capsys.readouterr().out
    assert "29,184     0.8906" in output
    assert f"Accuracy on 450 digits it has not seen: {accuracy:.1%}" in output


def test_the_recipe(torch_examples, tmp_path, monkeypatch):
    shutil.copytree(EXAMPLES / "recipe", tmp_path / "recipe")
    monkeypatch.chdir(tmp_path / "recipe")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "digits", raising=False)
    result = CliRunner().invoke(main, ["run", "recipe.toml"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert float(result.output.split("accuracy: ")[1].split("%")[0]) > 85
    assert "43,776 of 50,432 listed weights are zero" in result.output
    report = CliRunner().invoke(main, ["report", "pruned.safetensors"], catch_exceptions=False)
    assert "43,776 of 50,432 listed weights are zero" in report.output
    scan = CliRunner().invoke(
        main,
        ["sensitivity", "digits:trained", "digits:accuracy", "--sparsities", "0.5", "--drop", "0.5"],
        catch_exceptions=False,
    )
    assert "Within 0.5 of dense: hidden1.weight 0.5, hidden2.weight 0.5, output.weight 0.5" in scan.output
    sys.modules.pop("digits", None)
