"""ONNX Runtime as a runtime: what it opens, how it is set, what it says of itself."""

import os
import subprocess
import sys

import numpy as np
import onnx.parser
import onnxruntime
import pytest

import pruners

NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
agraph (float[N, 3] left, float[N, 3] right) => (float[N, 3] less, float[N, 3] more)
{
    less = Sub(left, right)
    more = Add(left, right)
}
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(onnx.parser.parse_model(NETWORK).SerializeToString())
    return file


def test_inputs_and_outputs_are_in_the_order_of_the_file(path):
    running = pruners.runtime("onnxruntime").open(path, threads=1)
    left, right = np.full((2, 3), 5, np.float32), np.full((2, 3), 3, np.float32)
    less, more = running([left, right])
    assert (less == 2).all()
    assert (more == 8).all()
    assert running([left[:1], right[:1]])[0].shape == (1, 3)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("optimisation", "level"),
    [("all", "ORT_ENABLE_ALL"), ("off", "ORT_DISABLE_ALL"), ("basic", "ORT_ENABLE_BASIC")],
)
def test_threads_and_optimisation_are_set(path, threads, optimisation, level):
    running = pruners.runtime("onnxruntime", optimisation=optimisation).open(str(path), threads=threads)
    options = running.session.get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.inter_op_num_threads == 1
    assert options.graph_optimization_level == getattr(onnxruntime.GraphOptimizationLevel, level)
    assert running.session.get_providers() == ["CPUExecutionProvider"]


def test_it_says_what_it_is():
    about = pruners.runtime("onnxruntime", optimisation="extended").describe()
    assert about["runtime"] == f"ONNX Runtime {onnxruntime.__version__}"
    assert about["optimisation"] == "extended"


def test_refusals(path, tmp_path):
    with pytest.raises(pruners.OptionError, match="optimisation"):
        pruners.runtime("onnxruntime", optimisation="most")
    with pytest.raises(pruners.ExportError, match="cannot open 'nothing.onnx'"):
        pruners.runtime("onnxruntime").open(tmp_path / "nothing.onnx", threads=1)
    running = pruners.runtime("onnxruntime").open(path, threads=1)
    with pytest.raises(pruners.ExportError, match=r"takes 2 inputs \(left, right\), got 1"):
        running([np.ones((1, 3), np.float32)])
    with pytest.raises(pruners.ExportError, match="cannot run the model.*double"):
        running([np.ones((1, 3))] * 2)


def test_types_without_kernels_are_refused_with_what_to_do(tmp_path):
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["": 21]>'
        "product (bfloat16[2,2] x, bfloat16[2,2] y) => (bfloat16[2,2] z) { z = Gemm(x, y) }"
    )
    (tmp_path / "narrow.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(pruners.ExportError, match=r"Gemm.*try the model in float32"):
        pruners.runtime("onnxruntime").open(tmp_path / "narrow.onnx", threads=1)


def test_statistics_of_use_are_switched_off_and_the_environment_is_as_it_was(path, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    code = (
        "import os, sys, pruners\n"
        "pruners.runtime('onnxruntime').open(sys.argv[1], threads=1)\n"
        "print(os.environ.get('ORT_DISABLE_TELEMETRY'), os.listdir(os.environ['TMPDIR']))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**environment, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[0] == "None []"
