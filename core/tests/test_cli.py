"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from click.testing import CliRunner

import pruners
from pruners import registry
from pruners.cli import main
from pruners.cli.details import described

NETWORK = """
import numpy as np

calls = []

def build():
    calls.append("build")
    return {"body": np.array([[4.0, -3.0], [2.0, -1.0]]), "head": np.array([[1.0, 2.0, 3.0, 4.0]])}

def train(model, attach):
    pruning = attach()
    for _ in range(4):
        model["body"] += 0.5
        pruning.step()

def idle(model, attach):
    pass

def broken():
    return 1 / 0

def half():
    import torch
    torch.manual_seed(0)
    return torch.nn.Linear(4, 2).to(torch.bfloat16)

def half_arrays():
    import ml_dtypes
    calls.append("build")
    return {"body": np.ones((2, 2), ml_dtypes.bfloat16)}

def undefined(model):
    calls.append("evaluate")
    return float("nan")

def total(model):
    return sum(abs(w).sum() for w in model.values())

number = 3
"""

RECIPE = """
model = "network:build"
output = "pruned.npz"
[[rules]]
match = "body"
sparsity = 0.5
"""


def call(*args, status=0):
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def network(tmp_path, monkeypatch):
    """Stand in a folder with a module `network`, as a user does."""
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "network", raising=False)
    yield tmp_path
    sys.modules.pop("network", None)


class Dist:
    """A distribution with a name and a version."""

    name, version = "pruners-broken", "0.3"


class BrokenEntryPoint:
    """An entry point whose module cannot be imported."""

    name, group, dist = "broken", "pruners", Dist()

    def load(self):
        raise ModuleNotFoundError("No module named 'sparse_magic'")


@pytest.fixture
def one_is_broken(monkeypatch):
    found = registry.discover([*registry.entry_points(group=registry.GROUP), BrokenEntryPoint()])
    monkeypatch.setattr(registry, "installed", lambda: found)


# list


def test_list_shows_kind_name_package_and_version():
    lines = call("list").output.splitlines()
    level = next(line.split() for line in lines if " level " in line)
    assert level[:4] == ["pruner", "level", "pruners-level", pruners.__version__]
    assert any(line.split()[:2] == ["backend", "numpy"] for line in lines if line.strip())


def test_list_shows_what_is_broken_and_exits_1(one_is_broken):
    output = call("list", status=1).output
    assert (
        "broken: pruners-broken 0.3 (broken): ModuleNotFoundError: No module named 'sparse_magic'" in output
    )
    assert " level " in output


def test_list_as_json(one_is_broken):
    values = json.loads(call("list", "--json", status=1).output)
    assert "level" in [plugin["name"] for plugin in values["plugins"]]
    assert values["failures"] == [
        {
            "distribution": "pruners-broken",
            "version": "0.3",
            "entry_point": "broken",
            "cause": "ModuleNotFoundError: No module named 'sparse_magic'",
        }
    ]


def test_list_with_nothing_installed(monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda: registry.Installed((), ()))
    assert "pip install pruners[numpy]" in call("list").output


def test_list_imports_no_array_library_and_is_fast():
    code = (
        "import sys\n"
        "from pruners.cli import main\n"
        "try:\n    main(['list'])\nexcept SystemExit as end:\n    status = end.code\n"
        "loaded = {'numpy', 'torch', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "sys.exit(status)"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - start)
        assert run.returncode == 0, run.stdout + run.stderr
        assert " level " in run.stdout
    assert min(times) < 1.0


# info


def test_info_shows_options_with_defaults_and_meanings():
    output = call("info", "agp").output
    assert output.startswith("schedule agp, from pruners-agp ")
    rows = {line.split()[0]: line for line in output.splitlines() if line.startswith("  ")}
    assert rows["stop"].split()[1] == "required"
    assert rows["every"].split()[1] == "1"
    assert "steps from one update to the next" in rows["every"]
    assert "Paper: " in output


def test_info_of_every_installed_plugin():
    for plugin in pruners.installed().plugins:
        output = call("info", plugin.name, "--kind", plugin.kind).output
        assert output.startswith(
            f"{plugin.kind} {plugin.name}, from {plugin.distribution} {plugin.version}\n"
        )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["levle"], "Error: nothing installed is named 'levle'. Did you mean 'level'?"),
        (["levle", "--kind", "pruner"], "Error: no pruner named 'levle'. Did you mean 'level'?"),
    ],
)
def test_info_of_an_unknown_name(args, message):
    result = call("info", *args, status=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_info_says_what_to_install(monkeypatch):
    monkeypatch.setattr(registry, "installed", lambda: registry.Installed((), ()))
    assert "pip install pruners-agp" in call("info", "agp", status=2).stderr


def test_meanings_come_from_the_parameters_section():
    doc = """Do.

    Parameters
    ----------
    p, q : float
        First line,
        second line.
    r : int

    Notes
    -----
    s : no option
    """
    import inspect

    assert described(inspect.cleandoc(doc)) == {
        "p": "First line, second line.", "q": "First line, second line.", "r": ""
    }  # fmt: skip
    assert described("nothing") == {}


# run


def test_run_prunes_at_once_and_writes(network):
    output = call("run", "recipe.toml").output
    assert "2 of 8 listed weights are zero: sparsity 0.2500." in output
    assert "Wrote pruned.npz" in output
    with np.load("pruned.npz") as saved:
        np.testing.assert_array_equal(saved["body"], [[4, -3], [0, 0]])
        np.testing.assert_array_equal(saved["head"], [[1, 2, 3, 4]])


def test_run_without_train_goes_to_the_end_of_the_schedule(network):
    (network / "recipe.toml").write_text(
        RECIPE + 'schedule = {name = "agp", start = 5, stop = 10}\n', encoding="utf-8"
    )
    call("run", "recipe.toml")
    with np.load("pruned.npz") as saved:
        assert np.count_nonzero(saved["body"]) == 2


def test_run_with_train_prunes_in_the_session_of_the_recipe(network):
    text = 'train = "network:train"\n' + RECIPE + 'schedule = {name = "agp", start = 0, stop = 4}\n'
    (network / "recipe.toml").write_text(text)
    output = call("run", "recipe.toml").output
    row = next(line for line in output.splitlines() if line.strip().startswith("body"))
    assert row.split()[3:6] == ["4", "2", "0.5000"]
    assert "level, asked 0.5" in row
    with np.load("pruned.npz") as saved:
        assert np.count_nonzero(saved["body"]) == 2
        assert saved["body"][0, 0] == 6.0  # trained, then written


def test_run_as_json(network):
    values = json.loads(call("run", "recipe.toml", "--json").output)
    assert (values["zeros"], values["weights"]) == (2, 8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"network:build"', '"network"', "recipe.toml: model: must be 'module:function', got 'network'"),
        ('"network:build"', '"netwrk:build"', "no module 'netwrk'"),
        ('"network:build"', '"network:bild"', "module 'network' has no 'bild'"),
        ('"network:build"', '"network:number"', "must be a function, it is of type int"),
        ('model = "network:build"', "", "recipe.toml: model: is missing"),
        ("pruned.npz", "nowhere/pruned.npz", "recipe.toml: output: there is no folder 'nowhere'"),
        ('"body"', '"bdy"', "rule 'bdy' matches no layer"),
        ("sparsity = 0.5", "sparsty = 0.5", "recipe.toml: rules[0].sparsty: unknown key. Did you"),
        ("sparsity = 0.5", "sparsity = 1.5", "must be a fraction in [0, 1)"),
        ("output", 'train = "network:idle"\noutput', "'network:idle' never called attach"),
        ("output", 'train = "network:walk"\noutput', "train: 'network:walk': module 'network' has"),
    ],
)  # fmt: skip
def test_run_reports_a_user_error_in_one_line(network, old, new, message):
    (network / "recipe.toml").write_text(RECIPE.replace(old, new))
    result = call("run", "recipe.toml", status=2)
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not (network / "pruned.npz").exists()


@pytest.mark.parametrize(
    ("model", "output", "message"),
    [
        ("build", "out.xyz", "recipe.toml: output: must end in .safetensors or .npz, got 'out.xyz'"),
        ("build", "out", "recipe.toml: output: must end in"),
        ("build", "folder.npz", "recipe.toml: output: 'folder.npz' is a folder"),
        ("half_arrays", "out.npz", "recipe.toml: output: 'out.npz' cannot hold 'body': .npz has no type"),
    ],
)
def test_run_refuses_a_file_it_could_not_write_before_any_work(network, model, output, message):
    if model == "half_arrays":
        pytest.importorskip("ml_dtypes")
    (network / "folder.npz").mkdir()
    text = 'train = "network:broken"\n' + RECIPE.replace("pruned.npz", output)
    (network / "recipe.toml").write_text(text.replace("network:build", f"network:{model}"))
    assert_one_line(call("run", "recipe.toml", status=2), message)
    assert not (network / output).is_file()
    if model == "build":
        assert "network" not in sys.modules or sys.modules["network"].calls == []


def test_run_writes_npz_for_numpy_only(network):
    pytest.importorskip("torch")
    (network / "recipe.toml").write_text(
        'train = "network:broken"\n' + RECIPE.replace("network:build", "network:half")
    )
    assert_one_line(call("run", "recipe.toml", status=2), "output: 'pruned.npz' can hold a NumPy model only")
    assert not (network / "pruned.npz").exists()


def test_run_builds_nothing_when_the_training_function_is_missing(network):
    (network / "recipe.toml").write_text('train = "network:walk"\n' + RECIPE)
    call("run", "recipe.toml", status=2)
    assert sys.modules["network"].calls == []


def test_an_error_in_the_users_own_code_keeps_its_traceback(network):
    (network / "recipe.toml").write_text(RECIPE.replace("network:build", "network:broken"))
    with pytest.raises(ZeroDivisionError):
        call("run", "recipe.toml")
    (network / "needy.py").write_text("import not_there_at_all")
    (network / "recipe.toml").write_text(RECIPE.replace("network:build", "needy:build"))
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        call("run", "recipe.toml")


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_each(network):
    (network / "recipe.toml").write_text(RECIPE + 'pattern = "bank"\n')
    lines = call("run", "recipe.toml").stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("SkippedLayer: layer 'body' stays dense: ")


# report


def test_report_of_a_function(network):
    assert "0 of 8 listed weights are zero" in call("report", "network:build").output


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_report_of_a_file(network, suffix):
    arrays = {"w": np.array([[0.0, 1.0], [0.0, 2.0]], np.float32), "b": np.zeros(3, np.float32)}
    if suffix == "npz":
        np.savez("m.npz", **arrays)
    else:
        pytest.importorskip("safetensors.numpy").save_file(arrays, "m.safetensors")
    values = json.loads(call("report", f"m.{suffix}", "--json", "--compressed").output)
    assert (values["zeros"], values["weights"], values["parameters"]) == (2, 4, 7)
    assert values["compressed"] > 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.npz", None, "there is no file 'm.npz'"),
        ("m.npz", b"not a zip", "'m.npz' is not a readable .npz file"),
        ("m.safetensors", b"\0" * 20, "'m.safetensors' is not a readable .safetensors file"),
        ("m.npz", b"PK\3\4 and no more", "'m.npz' is not a readable .npz file"),
        ("m.safetensors", b"", "'m.safetensors' is not a readable .safetensors file"),
        ("m.pt", b"", "MODEL 'm.pt' is a file of a kind that is not read; give a .safetensors or .npz file"),
        ("m.pt", None, "MODEL must be 'module:function', got 'm.pt'"),
    ],
)
def test_report_of_something_unreadable(network, name, content, message):
    if content is not None:
        (network / name).write_bytes(content)
    assert_one_line(call("report", name, status=2), message)


def assert_one_line(result, message):
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_cut_npz_is_one_clear_line(network):
    np.savez_compressed("whole.npz", w=np.random.default_rng(0).normal(size=(50, 50)))
    whole = (network / "whole.npz").read_bytes()
    middle = len(whole) // 2
    (network / "m.npz").write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    assert_one_line(call("report", "m.npz", status=2), "'m.npz' is not a readable .npz file")


def safetensors_file(path, kind, values):
    """Write one 1x2 tensor `w` by hand, as the format has it."""
    header = json.dumps({"w": {"dtype": kind, "shape": [1, 2], "data_offsets": [0, len(values)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + values)


def test_report_of_bfloat16_where_nothing_imported_its_types_before(network):
    pytest.importorskip("ml_dtypes")
    pytest.importorskip("safetensors")
    safetensors_file(network / "m.safetensors", "BF16", b"\x80\x3f\x00\x00")  # 1.0 and 0.0
    run = subprocess.run(
        [sys.executable, "-m", "pruners", "report", "m.safetensors", "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    values = json.loads(run.stdout)
    assert (values["zeros"], values["weights"], values["stored"]) == (1, 2, 4)


def test_report_of_bfloat16_without_ml_dtypes_says_what_to_install(network):
    pytest.importorskip("safetensors")
    safetensors_file(network / "m.safetensors", "BF16", b"\x80\x3f\x00\x00")
    code = (
        "import sys\n"
        "sys.modules['ml_dtypes'] = None\n"
        "from pruners.cli import main\n"
        "main(['report', 'm.safetensors'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "pip install ml-dtypes" in run.stderr


def test_report_of_float8_names_the_tensor_and_its_type(network):
    pytest.importorskip("safetensors")
    safetensors_file(network / "m.safetensors", "F8_E4M3", b"\x01\x00")
    assert_one_line(call("report", "m.safetensors", status=2), "tensor 'w' is of type F8_E4M3")


def test_report_of_an_npz_that_lost_its_types_does_not_list_nothing(network):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    np.savez("m.npz", w=np.ones((2, 2), ml_dtypes.bfloat16))
    assert_one_line(call("report", "m.npz", status=2), "array 'w' is of type |V2, raw bytes")


def test_report_of_a_file_without_arrays(network):
    np.savez("m.npz")
    assert_one_line(call("report", "m.npz", status=2), "'m.npz' holds no arrays")


def test_report_of_a_bfloat16_model_that_run_wrote(network):
    pytest.importorskip("torch")
    (network / "recipe.toml").write_text(
        'model = "network:half"\noutput = "half.safetensors"\n[[rules]]\nsparsity = 0.5\n'
    )
    call("run", "recipe.toml")
    assert "4 of 8 listed weights are zero" in call("report", "half.safetensors").output


def test_pickled_arrays_are_never_loaded(network):
    np.savez("m.npz", w=np.array([{"a": 1}], dtype=object))
    assert "allow_pickle" in call("report", "m.npz", status=2).stderr


# sensitivity


def test_sensitivity_prints_the_table_and_the_budget(network):
    output = call(
        "sensitivity", "network:build", "network:total", "--sparsities", "0.25,0.5", "--drop", "1"
    ).output
    row = next(line for line in output.splitlines() if line.strip().startswith("body"))
    assert row.split() == ["body", "4", "19", "17"]
    assert "Within 1 of dense: body 0.25, head 0.25" in output


def test_sensitivity_as_json_with_a_plot(network):
    pytest.importorskip("matplotlib")
    output = call(
        "sensitivity", "network:build", "network:total",
        "--sparsities", "0.5", "--layers", "head", "--drop", "5", "--plot", "scan.png", "--json",
    ).output  # fmt: skip
    values = json.loads(output)
    assert [layer["name"] for layer in values["layers"]] == ["head"]
    assert values["budget"] == {"head": 0.5}
    assert (network / "scan.png").read_bytes().startswith(b"\x89PNG")


def test_sensitivity_as_json_writes_null_for_what_is_no_number(network):
    args = ("sensitivity", "network:build", "network:undefined", "--sparsities", "0.5", "--json")

    def refuse(constant):
        raise AssertionError(constant)

    values = json.loads(call(*args).output, parse_constant=refuse)
    assert values["baseline"] is None
    assert values["layers"][0]["metrics"] == [None]


@pytest.mark.parametrize("plot", ["p.xyz", "p", "nowhere/p.png"])
def test_sensitivity_checks_the_plot_before_it_scans(network, plot):
    pytest.importorskip("matplotlib")
    args = ("sensitivity", "network:build", "network:undefined", "--plot", plot)
    assert_one_line(call(*args, status=2), f"plot '{plot}'")
    assert sys.modules["network"].calls == []


def test_sensitivity_where_lower_is_better(network):
    args = ("sensitivity", "network:build", "network:total", "--sparsities", "0.5", "--drop", "0")
    assert "body 0, head 0" in call(*args).output
    assert "body 0.5, head 0.5" in call(*args, "--lower-is-better").output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sparsities", "0.5,x"], "'0.5,x' is not a list of numbers such as 0.5,0.7,0.9"),
        (["--sparsities", "1.5"], "got 1.5"),
        (["--pruner", "levle"], "Did you mean 'level'?"),
        (["--layers", "bdy"], "matches no layer"),
        (["--drop", "-1"], "-1"),
    ],
)
def test_sensitivity_refuses_wrong_options(network, args, message):
    assert message in call("sensitivity", "network:build", "network:total", *args, status=2).stderr


# everything


def test_python_m_pruners_is_the_command_line(network):
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    for args, status, text in [
        (["--version"], 0, pruners.__version__),
        (["info", "nope"], 2, "nothing installed"),
    ]:
        run = subprocess.run(
            [sys.executable, "-m", "pruners", *args],
            capture_output=True, text=True, check=False, env=environment, encoding="utf-8",
        )  # fmt: skip
        assert run.returncode == status
        assert text in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


def test_the_script_is_declared():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="pruners")
    assert isinstance(script, EntryPoint)
    assert script.load() is main


def test_every_command_has_help():
    assert sorted(main.commands) == [
        "check", "demo", "doctor", "export", "info", "list", "measure", "new", "pack", "report", "run",
        "sensitivity",
    ]  # fmt: skip
    for name in main.commands:
        assert call(name, "--help").output.startswith("Usage:")
