"""An interrupt at any moment: the model is as before, or the work is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pruners
from pruners.interrupts import checkpoint, open_to_interrupts, shielded, whole
from pruners.progress import Counted, steps


def interrupt() -> None:
    """Send this process what a user's Ctrl-C sends."""
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), shielded():
        interrupt()
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_waits_for_a_checkpoint_and_comes_once():
    done = []
    with shielded():
        interrupt()
        done.append(1)
        with pytest.raises(KeyboardInterrupt):
            checkpoint()
        checkpoint()
    checkpoint()
    assert done == [1]


def test_user_code_is_interrupted_and_what_follows_is_not():
    done = []
    with shielded():
        try:
            with open_to_interrupts():
                interrupt()
                done.append("never")
        except KeyboardInterrupt:
            interrupt()
            done.append("clean")
        with pytest.raises(KeyboardInterrupt):
            checkpoint()
    assert done == ["clean"]


def test_an_interrupt_that_came_before_meets_user_code():
    with shielded():
        interrupt()
        with pytest.raises(KeyboardInterrupt), open_to_interrupts():
            raise AssertionError("the interrupt comes first")


def test_work_inside_user_code_is_whole_too():
    done = []

    @whole
    def inner() -> None:
        interrupt()
        done.append("inner")

    with shielded(), pytest.raises(KeyboardInterrupt), open_to_interrupts():
        inner()
        done.append("never")
    assert done == ["inner"]


def test_steps_and_items_are_checkpoints():
    seen = []
    with shielded():
        with pytest.raises(KeyboardInterrupt), steps("work", 3) as done:
            interrupt()
            seen.append("whole")
            done()
        with pytest.raises(KeyboardInterrupt):
            for item in Counted([1, 2, 3], "items"):
                seen.append(item)
                if item == 2:
                    interrupt()
    assert seen == ["whole", 1, 2]


def test_the_third_interrupt_passes_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), shielded():
        interrupt()
        interrupt()
        done.append(2)
        interrupt()
        done.append(3)
    assert done == [2]


def test_a_handler_of_the_users_own_is_asked_and_stays():
    asked = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        mine = signal.getsignal(signal.SIGINT)
        with shielded():
            interrupt()
            assert not asked
        assert asked == [signal.SIGINT] and signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_user_code_sets_stays():
    before = signal.getsignal(signal.SIGINT)
    try:
        with shielded(), open_to_interrupts():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with shielded():
            interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_work_and_leave_the_handler_alone():
    found: list[Any] = []

    def work() -> None:
        with shielded():
            found.append(signal.getsignal(signal.SIGINT))
            checkpoint()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


class Interrupting:
    """Send an interrupt at one line that our code runs, counted from the first."""

    def __init__(self, at: int) -> None:
        self.at, self.lines = at, 0

    def __call__(self, frame: Any, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if f"{os.sep}pruners" not in name or f"{os.sep}tests{os.sep}" in name:
            return None
        if name.endswith("interrupts.py"):
            return None  # between two lines of it the handler is changed: a signal finds the one or the other
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                sys.settrace(None)
                interrupt()
        return self


def interrupted(work: Callable[[], object], at: int) -> tuple[bool, bool, int]:
    """Return whether the interrupt was sent, whether it was raised, and how many lines were run."""
    tracer = Interrupting(at)
    raised = False
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    except KeyboardInterrupt:
        raised = True
    finally:
        sys.settrace(before)
    return tracer.lines >= at, raised, tracer.lines


def moments(work: Callable[[], object], most: int) -> list[int]:
    """Return at which lines to interrupt: all of them, or evenly `most`."""
    work()  # what is done once in a process is done
    total = interrupted(work, 1 << 60)[2]
    assert total > 30, "the work runs no line of ours"
    return list(range(1, total, max(1, total // most)))


def small() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {"a": random.normal(size=(8, 8)), "b": random.normal(size=(4, 8)).astype(np.float32)}


def bits(model: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in model.items()}


def test_a_scan_puts_every_weight_back():
    model = small()
    before = bits(model)

    def scan() -> None:
        pruners.sensitivity(model, lambda model: float(model["a"].sum()), sparsities=[0.5, 0.9])

    for at in moments(scan, 150):
        sent, raised, _ = interrupted(scan, at)
        assert sent and raised
        assert bits(model) == before, f"line {at}"
    scan()


@pytest.mark.parametrize("call", [0, 1, 2, 4])
def test_an_interrupt_from_evaluate_puts_every_weight_back(call):
    model = small()
    before, calls = bits(model), []

    def evaluate(model: Any) -> float:
        calls.append(1)
        if len(calls) > call:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        pruners.sensitivity(model, evaluate, sparsities=[0.5, 0.9])
    assert bits(model) == before


def test_pruning_is_done_or_not_begun():
    dense = small()
    pruned = bits(pruners.prune(small(), "level", sparsity=0.5))
    seen = set()
    for at in moments(lambda: pruners.prune(small(), "level", sparsity=0.5), 150):
        model = {name: array.copy() for name, array in dense.items()}
        sent, raised, _ = interrupted(lambda model=model: pruners.prune(model, "level", sparsity=0.5), at)
        assert sent and raised
        assert bits(model) in (bits(dense), pruned), f"line {at}"
        seen.add(bits(model) == pruned)
        assert bits(pruners.prune(model, "level", sparsity=0.5)) == pruned, "the next call works"
    assert seen == {True, False}


def test_a_step_of_a_session_is_done_or_not_begun():
    rule = pruners.Rule(
        "*", schedule=pruners.schedule("linear", start=0, stop=4, every=1, final_sparsity=0.8)
    )

    def session() -> tuple[dict[str, np.ndarray], pruners.Pruning]:
        model = small()
        pruning = pruners.attach(model, rule)
        pruning.step()
        return model, pruning

    model, pruning = session()
    before = (bits(model), pruning.state_dict())
    pruning.step()
    after = (bits(model), pruning.state_dict())
    pruning.step()
    later = bits(model)
    assert before != after
    for at in moments(session()[1].step, 120):
        model, pruning = session()
        sent, raised, _ = interrupted(pruning.step, at)
        assert sent and raised
        found = (bits(model), pruning.state_dict())
        assert found in (before, after), f"line {at}"
        for _ in range(1 + (found == before)):
            pruning.step()
        assert bits(model) == later


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_is_the_old_or_the_new_one(tmp_path, sparse):
    path = tmp_path / "m.safetensors"
    old = {"w": np.ones((30, 30))}
    new = {"w": np.where(np.arange(900).reshape(30, 30) % 7, 0.0, 2.0), "v": np.arange(5.0)}
    pruners.save(old, path)
    whole_old = path.read_bytes()
    pruners.save(new, path, sparse=sparse)
    whole_new = path.read_bytes()
    for at in moments(lambda: pruners.save(new, path, sparse=sparse), 120):
        path.write_bytes(whole_old)
        sent, raised, _ = interrupted(lambda: pruners.save(new, path, sparse=sparse), at)
        assert sent and raised
        assert path.read_bytes() in (whole_old, whole_new), f"line {at}"
        assert list(tmp_path.iterdir()) == [path], "nothing lies beside it"


@pytest.mark.parametrize("shape", [(8, 8), (3, 3)])
def test_loading_is_done_or_not_begun(tmp_path, shape):
    path = tmp_path / "m.safetensors"
    pruners.save(small(), path)

    def other() -> dict[str, np.ndarray]:
        return {"a": np.full(shape, 7.0), "b": np.full((4, 8), 7, np.float32)}

    seen = set()
    for at in moments(lambda: pruners.load(other(), path), 120):
        model = other()
        sent, raised, _ = interrupted(lambda model=model: pruners.load(model, path), at)
        assert sent and raised
        assert bits(model) in (bits(other()), bits(small())), f"line {at}"
        seen.add(bits(model) == bits(small()))
    assert seen == {True, False}


LONG = """
import time
import numpy as np

def build():
    return {f"w{i}": np.ones((8, 8)) for i in range(50)}

def evaluate(model):
    if not (model["w0"] == 0).any():
        return 1.0
    print("pruned", flush=True)
    time.sleep(30)
    return 1.0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_command_line_ends_with_one_line_and_status_130(tmp_path):
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    command = [sys.executable, "-m", "pruners", "sensitivity", "long:build", "long:evaluate"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "pruned\n"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (130, "", "Interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("delay", [0.001 * 1.6**step for step in range(8)])
def test_a_signal_from_outside_finds_weights_and_files_whole(tmp_path, delay):
    path = tmp_path / "m.safetensors"
    model = {"w": np.where(np.arange(40000).reshape(200, 200) % 3, 0.0, 1.5)}
    pruners.save(model, path)
    before, files = bits(model), {path.read_bytes()}
    pruners.save(model, path, sparse=True)
    files.add(path.read_bytes())
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        while True:
            pruners.sensitivity(model, lambda model: float(model["w"].sum()), sparsities=[0.9])
            pruners.save(model, path, sparse=True)
            pruners.save(model, path)
    timer.join()
    assert bits(model) == before
    assert path.read_bytes() in files and list(tmp_path.iterdir()) == [path]
