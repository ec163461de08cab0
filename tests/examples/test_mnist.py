"""The examples on MNIST, each where its framework is: targets met exactly, zeros kept, networks that work."""

from __future__ import annotations

import gzip
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driving import EXAMPLES, run

SCRIPTS = {"torch": "pytorch_mnist.py", "mxnet": "mxnet_mnist.py"}
HERE = [script for name, script in SCRIPTS.items() if importlib.util.find_spec(name)]
FEW = ["--steps", "100", "--pretrain", "40", "--sparse", "40", "--frequency", "10"]
ZEROS = {"conv1.weight": 0, "conv2.weight": 13824, "dense1.weight": 28672, "dense2.weight": 640}
"""Of digits of 8 x 8: each target times the number of weights, 18432, 32768 and 1280."""
each_framework = pytest.mark.parametrize("script", HERE)


def test_a_framework_is_here():
    assert HERE


@each_framework
@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_every_layer_is_as_sparse_as_was_asked(script, mode, monkeypatch, capsys):
    found = run(script, ["--mode", mode, *FEW], monkeypatch, capsys)
    assert {name: int(found.rows[name][2].replace(",", "")) for name in ZEROS} == ZEROS
    assert [found.rows[name][1] for name in ZEROS] == ["dense", "75.0%", "87.5%", "50.0%"]
    assert {name: int((found.values(name) == 0).sum()) for name in ZEROS} == ZEROS
    assert found.rows["all"] == ["", "", "43,136", "81.7%"]
    assert found.accuracy("in the end") > 0.6


@each_framework
def test_banks_are_balanced(script, monkeypatch, capsys):
    found = run(script, FEW, monkeypatch, capsys)
    banks = (found.values("dense1.weight") != 0).reshape(128, 4, 64).sum(2)
    assert (banks == 8).all()


@each_framework
def test_zeros_come_step_by_step_after_pretraining(script, monkeypatch, capsys):
    early = ["--steps", "50", "--pretrain", "40", "--sparse", "40", "--frequency", "10"]
    before = run(script, [*early[:1], "49", *early[2:]], monkeypatch, capsys)
    assert {int(before.rows[name][2]) for name in ZEROS} == {0}
    after = run(script, early, monkeypatch, capsys)
    sparsity = 0.875 * (1 - 0.75**3)
    kept = -(-int(32768 * (1 - sparsity)) // 512)  # the same number in each of 512 banks, rounded up
    assert int(after.rows["dense1.weight"][2].replace(",", "")) == 32768 - 512 * kept


@each_framework
def test_fine_tuning_keeps_the_zeros_and_learns(script, monkeypatch, capsys):
    found = run(script, ["--mode", "sparse", *FEW], monkeypatch, capsys)
    assert {name: int((~kept).sum()) for name, kept in found.attached.items()} == ZEROS
    for name, kept in found.attached.items():
        values = found.values(name)
        assert not values[~kept].any() and not np.signbit(values[~kept]).any()
        assert (values[kept] != 0).all()
    assert found.accuracy("in the end") > found.accuracy("on new images") + 0.3


@pytest.fixture(params=["", ".gz"], ids=["unpacked", "packed"])
def folder(request, tmp_path):
    """Files as those of MNIST: three grey levels that tell the class."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 128), ("t10k", 32)):
        y = draw.integers(0, 3, count).astype(np.uint8)
        x = (y[:, None, None] * 100 + draw.integers(0, 50, (count, 28, 28))).astype(np.uint8)
        for name, header, array in (("images-idx3", 16, x), ("labels-idx1", 8, y)):
            data = bytes(header) + array.tobytes()
            path = tmp_path / f"{part}-{name}-ubyte{request.param}"
            path.write_bytes(gzip.compress(data) if request.param else data)
    return tmp_path


@each_framework
def test_files_of_mnist_are_read(script, folder, monkeypatch, capsys):
    quick = ["--steps", "4", "--pretrain", "1", "--sparse", "2", "--frequency", "1", "--batch", "8"]
    found = run(script, ["--mode", "sparse", "--data", str(folder), *quick], monkeypatch, capsys)
    assert found.rows["dense1.weight"][:3] == ["128 x 3136", "87.5%", "351,232"]


def test_images_and_labels_go_together(folder, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import mnist

    data = mnist.images(folder)
    assert data.x.shape == (128, 1, 28, 28) and data.x_test.shape == (32, 1, 28, 28)
    assert data.x.dtype == np.float32 and data.x.min() >= 0 and data.x.max() <= 1
    assert (data.x.mean((1, 2, 3)) * 255 - 24.5) / 100 == pytest.approx(data.y, abs=0.05)
    assert mnist.digits(28).x.shape == (1400, 1, 28, 28)
    sys.modules.pop("mnist")
