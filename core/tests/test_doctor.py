"""``pruners doctor``: what is wrong, why, and what to type."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import textwrap
from importlib.metadata import DistributionFinder, MetadataPathFinder

import pytest
from click.testing import CliRunner

import pruners
from pruners import registry
from pruners.cli import main
from pruners.diagnosis.findings import findings

HOOK = """
import pruners

@pruners.hookimpl
def provide_pruners():
    {body}
"""
GOOD = HOOK.format(body="yield pruners.PrunerSpec(name='{name}', factory='collections:OrderedDict')")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write distributions as pip would leave them; only these are seen."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = []

    def write(distribution, source, *metadata, module=None, version="0.3", editable=None):
        module = module or f"fake_{distribution.replace('-', '_')}"
        if source is not None:
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}", *metadata]
        (info / "METADATA").write_text("\n".join(head) + "\n")
        (info / "entry_points.txt").write_text(f"[pruners]\n{distribution} = {module}\n")
        if editable:
            about = {"url": editable.as_uri(), "dir_info": {"editable": True}}
            (info / "direct_url.json").write_text(json.dumps(about))
        written.append(module)

    def installed():
        context = DistributionFinder.Context(path=[str(tmp_path)])
        dists = MetadataPathFinder.find_distributions(context)
        return registry.discover(e for dist in dists for e in dist.entry_points if e.group == "pruners")

    monkeypatch.setattr(registry, "installed", installed)
    yield write
    for module in written:
        sys.modules.pop(module, None)


def call(*arguments, status=1):
    result = CliRunner().invoke(main, ["doctor", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def only():
    found = findings(registry.installed())
    assert len(found) == 1, found
    return found[0]


def test_all_is_well(install):
    install("plugin-x", GOOD.format(name="x"), "Requires-Python: >=3.8", "Requires-Dist: pruners>=0.0.1")
    told = call(status=0)
    assert "1 plugins of 1 packages can be used.\nAll is well." in told


def test_the_environment_is_told(install):
    told = call(status=0)
    assert f"pruners: {pruners.__version__}, plugin API {pruners.specs.API}" in told
    assert (
        f"Python: {platform.python_version()} ({platform.python_implementation()}), {platform.platform()}"
        in told
    )
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.startswith("  ")}
    import numpy

    assert lines["numpy"][0] == numpy.__version__
    assert {"mxnet", "torch"} <= set(lines)


@pytest.mark.parametrize(
    ("source", "cause", "command"),
    [
        (HOOK.format(body="yield").replace("provide_pruners", "provide_pruner"),
         "unknown hook 'provide_pruner'. Did you mean 'provide_pruners'?", "pip install --upgrade plugin-x"),
        (GOOD.format(name="x").replace("@pruners.hookimpl", ""),
         "provide_pruners is ignored; decorate it", "pip install --upgrade plugin-x"),
        (GOOD.format(name="Not A Name"), "'name' must match regex", "pip install --upgrade plugin-x"),
        ("raise SystemExit('no GPU')", "SystemExit: no GPU", "pip install --upgrade plugin-x"),
        ("import sparse_magic", "it imports 'sparse_magic', which is not installed",
         "pip install sparse-magic"),
        (HOOK.format(body="yield pruners.PrunerSpec(name='x', factory='a:b', api=99)"),
         "it is written for plugin API 99", "pip install --upgrade pruners"),
        (HOOK.format(body="yield pruners.PrunerSpec(name='x', factory='a:b', colour='red')"),
         "it may be written for a newer Pruners", "pip install --upgrade pruners"),
        (GOOD.format(name="x").replace("collections:OrderedDict", "no_such_module:Late"),
         "pruner 'x' is made by 'no_such_module:Late', and there is no such module",
         "pip install --force-reinstall plugin-x"),
        (GOOD.format(name="x").replace("collections:OrderedDict", "fake_plugin_x.late:Late"),
         "and there is no such module", "pip install --force-reinstall plugin-x"),
    ],
    ids=["misspelled", "undecorated", "name", "exits", "imports", "newer", "fields", "factory", "submodule"],
)  # fmt: skip
def test_each_fault_has_its_cause_and_its_command(install, source, cause, command):
    install("plugin-x", source)
    finding = only()
    assert finding.package == "plugin-x 0.3"
    assert cause in finding.cause
    assert finding.commands[0] == command
    told = call()
    assert f"\nplugin-x 0.3\n  Cause:  {finding.cause}\n  Type:   {command}\n" in told
    assert "All is well" not in told


def test_the_author_is_told_the_file(install, tmp_path):
    install("plugin-x", "1 / 0", editable=tmp_path)
    finding = only()
    assert finding.commands == ('python -c "import fake_plugin_x"',)
    assert finding.author == f"see {tmp_path / 'fake_plugin_x.py'}"
    assert f"  Author: see {tmp_path}" in call()


def test_a_package_whose_files_are_gone_is_installed_again(install, tmp_path):
    install("plugin-x", None)
    assert only().commands == ("pip install --force-reinstall plugin-x",)
    assert "its module 'fake_plugin_x' is not there: the package is incomplete" in only().cause


def test_an_editable_package_whose_files_are_gone_is_installed_from_its_folder(install, tmp_path):
    install("plugin-x", None, editable=tmp_path)
    assert only().commands == (f"pip install -e {tmp_path}",)


def test_a_missing_requirement_is_what_to_install(install):
    install(
        "plugin-x", "import sparse_magic", "Requires-Dist: sparse-magic-lib>=2,<3", "Requires-Dist: numpy>=1"
    )
    finding = only()
    assert finding.cause == (
        "ModuleNotFoundError: No module named 'sparse_magic': it needs sparse-magic-lib<3,>=2, "
        "which is not installed"
    )
    assert finding.commands == ("pip install 'sparse-magic-lib<3,>=2'",)


def test_what_only_an_extra_needs_is_not_missed(install):
    install("plugin-x", GOOD.format(name="x"), 'Requires-Dist: sparse-magic-lib; extra == "test"')
    assert findings(registry.installed()) == ()


def test_a_plugin_for_another_pruners_is_upgraded_itself(install):
    install("plugin-x", GOOD.format(name="x"), "Requires-Dist: pruners<0.0.1")
    finding = only()
    assert finding.cause == f"it needs pruners<0.0.1, and pruners {pruners.__version__} is installed"
    assert finding.commands == ("pip install --upgrade plugin-x",)


def test_another_version_of_a_library_is_installed(install):
    install("plugin-x", GOOD.format(name="x"), "Requires-Dist: attrs>=999")
    assert only().commands == ("pip install 'attrs>=999'",)


def test_a_plugin_for_another_python_says_so(install):
    install("plugin-x", "def oops(:", "Requires-Python: >=3.99")
    finding = only()
    assert "SyntaxError" in finding.cause
    assert f"it needs Python >=3.99, and this is Python {platform.python_version()}" in finding.cause
    assert finding.commands == ("pip install --force-reinstall plugin-x",)


def test_two_packages_with_one_name_are_one_finding_and_others_go_before_ours(install):
    install("plugin-a", GOOD.format(name="same"))
    install("pruners-level", GOOD.format(name="same"), version="0.1")
    finding = only()
    assert finding.package == "plugin-a 0.3 and pruners-level 0.1"
    assert finding.commands == ("pip uninstall plugin-a", "pip uninstall pruners-level")
    assert "  Type:   pip uninstall plugin-a\n  or:     pip uninstall pruners-level\n" in call()


def test_one_package_that_claims_a_name_twice_is_its_authors_to_mend(install):
    install("plugin-x", GOOD.format(name="x") + "    yield pruners.PrunerSpec(name='x', factory='a:b')\n")
    finding = only()
    assert "is provided twice by the package plugin-x 0.3" in finding.cause
    assert (finding.commands, finding.author) == (("pip install --upgrade plugin-x",), "yield each name once")


RUNTIME = """
    import pruners

    @pruners.hookimpl
    def provide_runtimes():
        yield pruners.RuntimeSpec(name="engine", factory="collections:OrderedDict", format="onnx", modules={})
"""


def test_runtimes_are_listed_with_what_they_run_on(install):
    install("plugin-x", RUNTIME.format(("numpy",)))
    import numpy

    lines = [line.split() for line in call(status=0).splitlines()]
    assert ["engine", "onnx", "numpy", numpy.__version__, "plugin-x", "0.3"] in lines
    assert json.loads(call("--json", status=0))["runtimes"] == [
        {
            "name": "engine",
            "format": "onnx",
            "modules": [f"numpy {numpy.__version__}"],
            "package": "plugin-x 0.3",
        }
    ]


def test_what_a_missing_runtime_needs_is_no_framework(install):
    install("plugin-x", RUNTIME.format(("no_such_engine",)))
    finding = only()
    assert finding.cause == "runtime 'engine' needs the module 'no_such_engine', which is not installed"
    assert finding.commands == ("pip install no_such_engine",)
    assert "no_such_engine" not in call().partition("Cause:")[0]


def test_a_missing_framework_is_what_to_install(install):
    hook = HOOK.replace("provide_pruners", "provide_backends")
    body = "yield pruners.BackendSpec(name='frame', factory='a:b', modules=('no_such_frame.core',))"
    install("plugin-x", hook.format(body=body))
    finding = only()
    assert finding.cause == "backend 'frame' needs the module 'no_such_frame.core', which is not installed"
    assert finding.commands == ("pip install no_such_frame",)
    assert any(line.split() == ["no_such_frame.core", "not", "installed", "plugin-x", "0.3"]
               for line in call().splitlines())  # fmt: skip


def test_several_faults_are_all_told(install):
    install("plugin-x", "raise SystemExit(3)")
    install("plugin-y", "import sparse_magic")
    told = json.loads(call("--json"))
    assert [each["package"] for each in told["findings"]] == ["plugin-x 0.3", "plugin-y 0.3"]
    assert told["environment"]["pruners"].startswith(pruners.__version__)
    assert {"module", "version", "backends"} == set(told["frameworks"][0])
    assert told["notes"] == []


CHILD = """
import sys
from pruners.cli import main
try:
    main(["doctor"])
except SystemExit:
    pass
print(sorted({"numpy", "torch", "mxnet", "scipy"} & set(sys.modules)))
"""


def test_no_framework_is_imported():
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert "plugin API" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
