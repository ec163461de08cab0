"""The adapter to TensorBoard: steps, tags and values, read back from what a real writer wrote."""

from __future__ import annotations

import numpy as np
import pytest

import pruners
from pruners.tensorboard import TensorBoard


class Notes:
    """A writer of numbers only."""

    def __init__(self):
        self.scalars = []

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))


def session(model):
    ramp = pruners.schedule("linear", start=0, stop=4, every=2)
    return pruners.attach(model, pruners.Rule(sparsity=0.5, schedule=ramp))


def test_each_number_is_written_once_at_its_own_step():
    pruning = session({"w": np.arange(1.0, 9.0).reshape(2, 4)})
    board = TensorBoard(pruning, writer := Notes(), layers=False)
    pruning.record(accuracy=0.9)
    for _ in range(3):
        pruning.step()
    board.write()
    assert writer.scalars == [
        ("pruning/sparsity", 0.0, 0),
        ("pruning/sparsity", 0.25, 2),
        ("pruning/accuracy", 0.9, 0),
    ]
    board.write()
    assert len(writer.scalars) == 3
    pruning.step()
    pruning.record(loss=1.5, accuracy=0.8)
    board.write()
    assert writer.scalars[3:] == [
        ("pruning/sparsity", 0.5, 4),
        ("pruning/loss", 1.5, 4),
        ("pruning/accuracy", 0.8, 4),
    ]


def test_layers_are_written_as_they_are_now_under_a_prefix():
    pruning = session({"a": np.ones((2, 4)), "b": np.arange(8.0).reshape(2, 4)})
    TensorBoard(pruning, writer := Notes(), prefix="run").write()
    assert writer.scalars == [
        ("run/sparsity", 1 / 16, 0),
        ("run/sparsity/a", 0.0, 0),
        ("run/sparsity/b", 1 / 8, 0),
    ]


def test_a_writer_without_histograms_is_refused_where_they_are_asked():
    with pytest.raises(pruners.OptionError, match="need add_histogram, which Notes lacks"):
        TensorBoard(session({"w": np.ones((2, 4))}), Notes(), histograms=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_real_writer_writes_what_tensorboard_reads(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    pruning = session(model)
    with SummaryWriter(str(tmp_path)) as writer:
        board = TensorBoard(pruning, writer, histograms=True)
        for step in range(5):
            pruning.record(accuracy=step / 10)
            board.write()
            pruning.step()
        board.write()

    found = EventAccumulator(str(tmp_path))
    found.Reload()
    numbers = {
        tag: [(event.step, round(event.value, 6)) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }
    assert numbers["pruning/sparsity"] == [(0, 0.0), (2, 0.25), (4, 0.5)]
    assert numbers["pruning/accuracy"] == [(step, step / 10) for step in range(5)]
    assert numbers["pruning/sparsity/0.weight"] == [(0, 0), (1, 0), (2, 0.25), (3, 0.25), (4, 0.5), (5, 0.5)]
    assert set(numbers) == {f"pruning/{tag}" for tag in ("sparsity", "accuracy", *_layers("sparsity"))}
    assert set(found.Tags()["histograms"]) == {f"pruning/{tag}" for tag in _layers("kept")}
    kept = found.Histograms("pruning/kept/1.weight")[-1]
    assert kept.step == 5
    assert (kept.histogram_value.num, round(kept.histogram_value.sum, 6)) == (2, 1.0)


def _layers(tag):
    return [f"{tag}/0.weight", f"{tag}/1.weight"]
