"""``pruners.measure`` on modules: what is counted, run, compared; flags, threads and files as before."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

import pruners
from pruners.measuring.fresh import SUPPORTED


class Small(nn.Module):
    """A convolution with a batch norm and a dropout, and a linear layer."""

    def __init__(self, channels=8):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(channels, 5)
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, torch.get_num_threads(), torch.is_grad_enabled()))
        return self.head(self.drop(self.norm(self.conv(x)).relu()).mean((2, 3)))


INPUT = torch.linspace(-1, 1, 2 * 3 * 6 * 6).reshape(2, 3, 6, 6)
MACS = 2 * 8 * 6 * 6 * 27 + 2 * 8 * 5


def test_live_models_are_counted_and_timed():
    dense = Small()
    sparse = pruners.prune(copy.deepcopy(dense), "level", sparsity=0.75)
    found = pruners.measure({"dense": dense, "sparse": sparse}, INPUT, rounds=3)
    first, second = found.models
    assert (first.parameters, first.macs, first.backend) == (8 * 27 + 8 + 8 + 8 + 5 * 8 + 5, MACS, "torch")
    assert second.macs == MACS
    zeros = 6 * 27 + 30
    assert int((second.parameters - second.nonzeros) - (first.parameters - first.nonzeros)) == zeros
    assert first.memory == {"parameters": 4 * first.parameters}
    assert [(row.model, row.runtime, row.latency.rounds) for row in found.rows] == [
        ("dense", "torch", 3),
        ("sparse", "torch", 3),
    ]
    assert [(row.file_bytes, row.peak_bytes, row.error) for row in found.rows] == [(None, None, None)] * 2
    assert (found.batch, found.threads) == (2, 1)
    assert found.machine["versions"]["torch"] == torch.__version__


def test_removed_channels_are_fewer_macs():
    dense = Small()
    removed = pruners.remove(copy.deepcopy(dense), sparsity=0.5, example_inputs=INPUT, measure=0).model
    found = pruners.measure({"dense": dense, "removed": removed}, INPUT, rounds=1)
    assert [model.macs for model in found.models] == [MACS, MACS // 2]


@pytest.mark.parametrize("inputs", [INPUT, (INPUT,), {"x": INPUT}], ids=["one", "tuple", "mapping"])
def test_every_form_of_inputs(inputs):
    found = pruners.measure(Small(), inputs, ["torch", "torch-export"], rounds=1, memory=False)
    assert all(row.latency for row in found.rows)
    assert found.batch == 2


def test_the_model_runs_in_evaluation_mode_on_the_threads_and_is_as_before():
    model = Small()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = INPUT.clone()
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(1)
    try:
        pruners.measure(model, given, "torch", rounds=2, threads=2)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    timed = model.seen[-8:]
    assert timed == [(False, 2, False)] * 8
    assert model.training and model.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(given, INPUT) and torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.requires_grad for parameter in model.parameters())


class Writes(nn.Module):
    """Writes to its input."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x.add_(1)
        return self.head(x)


def test_inputs_that_a_model_writes_to_are_as_before():
    x = torch.zeros(1, 4)
    pruners.measure(Writes(), x, "torch", rounds=2)
    assert torch.equal(x, torch.zeros(1, 4))


def test_exported_programs_are_timed_and_compared():
    found = pruners.measure(Small().train(), INPUT, ["torch", "torch-export"], rounds=2, memory=False)
    live, exported = found.rows
    assert exported.latency.rounds == 2
    assert exported.file_bytes > 4 * found.models[0].parameters
    assert exported.error < 1e-6
    assert live.file_bytes is None


@pytest.mark.skipif(not SUPPORTED, reason="needs Linux")
def test_memory_is_that_of_a_fresh_process():
    def rows(width):
        model = nn.Sequential(nn.Linear(1000, width), nn.Linear(width, 2))
        return pruners.measure(model, torch.ones(1, 1000), "torch-export", rounds=1).rows[0]

    small, large = rows(10), rows(10_000)
    assert large.note == small.note == ""
    grown = large.peak_bytes - small.peak_bytes
    assert 40e6 < grown < 200e6, "the weights, 40 MB, and a few copies of them at most"


def test_a_model_that_does_not_run_is_said():
    with pytest.raises(pruners.TraceError, match="does not run on the example inputs"):
        pruners.measure(Small(), torch.ones(1, 7), "torch")


def test_models_of_other_frameworks_have_rows_that_say_so():
    numpy = pytest.importorskip("numpy")
    if "numpy" not in pruners.installed().names("backend"):
        pytest.skip("needs pruners-numpy")
    found = pruners.measure({"a": Small(), "b": {"w": numpy.ones((2, 3), "f4")}}, INPUT, "torch", rounds=1)
    assert found.rows[1].note == "torch runs models of torch, and this is one of numpy"


SCRIPT = """
    import os, signal, sys, tempfile, threading, time
    import torch, pruners
    from torch import nn

    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.runs = 0

        def forward(self, x):
            self.runs += 1
            if self.runs == {runs}:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            return self.head(x)

    torch.set_num_threads(2)
    model = Slow().train()
    keys = sorted(vars(model))
    try:
        pruners.measure(model, torch.ones(1, 4), {runtimes!r}, rounds=30, threads=1, memory=False)
    except KeyboardInterrupt:
        print("interrupted")
    print(torch.get_num_threads(), model.training, model.head.training, sorted(vars(model)) == keys)
    print(os.listdir(tempfile.gettempdir()))
"""


@pytest.mark.parametrize(
    ("runs", "runtimes"),
    [(1, ["torch"]), (12, ["torch"]), (3, ["torch", "torch-export"]), (12, ["torch", "torch-export"])],
    ids=["recording", "timing", "exporting", "timing both"],
)
def test_an_interrupt_leaves_nothing_behind(tmp_path, runs, runtimes):
    (tmp_path / "temporary").mkdir()
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(runs=runs, runtimes=runtimes))
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary"), "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["interrupted", "2 True True True", "[]"], done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs signals to groups")
def test_an_interrupt_from_outside_while_memory_is_measured(tmp_path):
    (tmp_path / "temporary").mkdir()
    source = """
        import os, sys, tempfile, torch, pruners
        from pruners.measuring import fresh

        run = fresh.subprocess.run

        def told(*arguments, **options):
            print("measuring", flush=True)
            return run(*arguments, **options)

        fresh.subprocess.run = told
        model = torch.nn.Linear(4, 2)
        try:
            pruners.measure(model, torch.ones(1, 4), "torch-export")
        except KeyboardInterrupt:
            print("interrupted", os.listdir(tempfile.gettempdir()))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "measuring\n"
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert rest == "interrupted []\n"
