"""OpenVINO as a runtime: what it opens, how it is set, what it says of itself."""

import os
import subprocess
import sys

import numpy as np
import onnx.parser
import openvino
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
    running = pruners.runtime("openvino").open(path, threads=1)
    left, right = np.full((2, 3), 5, np.float32), np.full((2, 3), 3, np.float32)
    less, more = running([left, right])
    assert (less == 2).all()
    assert (more == 8).all()
    again = running([left[:1], right[:1]])
    assert again[0].shape == (1, 3)
    assert (less == 2).all(), "what was given before is the caller's"


@pytest.mark.parametrize("threads", [1, 2])
def test_it_computes_in_float32_on_the_threads_asked_for(path, threads):
    running = pruners.runtime("openvino").open(str(path), threads=threads)
    running([np.ones((1, 3), np.float32)] * 2)
    (request,) = running.requests.values()
    compiled = request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
    assert compiled.get_property("NUM_STREAMS") == 1
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32


def test_they_say_what_they_are():
    about = pruners.runtime("openvino").describe()
    assert about["runtime"].startswith("OpenVINO 20")
    assert about["precision"] == "float32"
    rounded = pruners.runtime("openvino-int8", sparse_rate=0.8).describe()
    assert rounded["sparse_rate"] == "0.8"
    assert rounded["rounding"].startswith("NNCF ")


def test_refusals(path, tmp_path):
    with pytest.raises(pruners.ExportError, match="cannot open 'nothing.onnx'"):
        pruners.runtime("openvino").open(tmp_path / "nothing.onnx", threads=1)
    running = pruners.runtime("openvino").open(path, threads=1)
    with pytest.raises(pruners.ExportError, match="takes 2 inputs, got 1"):
        running([np.ones((1, 3), np.float32)])
    with pytest.raises(pruners.ExportError, match="cannot run the model"):
        running([np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)])
    with pytest.raises(pruners.NeedsData, match="pass data=batches"):
        pruners.runtime("openvino-int8").convert(path, tmp_path / "net.xml", [])


def test_bfloat16_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    text = NETWORK.replace("float[", "bfloat16[")
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    with pytest.raises(pruners.ExportError, match="no bfloat16 with NumPy"):
        pruners.runtime("openvino").open(path, threads=1)


def test_nncf_is_imported_so_that_it_reports_nothing():
    code = (
        "import pruners, os\n"
        "pruners.runtime('openvino-int8')\n"
        "from nncf.telemetry.wrapper import telemetry\n"
        "print(type(telemetry).__name__, os.environ.get('NNCF_CI'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NNCF_CI"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["MagicMock", "None"]
