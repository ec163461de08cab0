"""What every package of this repository must have, read from the tree and not from a list."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(
    path.parent
    for pattern in (
        "core/pyproject.toml",
        "plugins/*/pyproject.toml",
        "backends/*/pyproject.toml",
        "runtimes/*/pyproject.toml",
        "tests/conformance/pyproject.toml",
    )
    for path in ROOT.glob(pattern)
)
PLUGINS = [folder for folder in FOLDERS if folder.parent.name == "plugins"]
BACKENDS = [folder for folder in FOLDERS if folder.parent.name == "backends"]
RUNTIMES = [folder for folder in FOLDERS if folder.parent.name == "runtimes"]
PARTS = [*PLUGINS, *BACKENDS, *RUNTIMES]


def ident(folder: Path) -> str:
    return folder.relative_to(ROOT).as_posix()


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


each_package = pytest.mark.parametrize("folder", FOLDERS, ids=ident)
each_part = pytest.mark.parametrize("folder", PARTS, ids=ident)


def test_there_are_packages_to_check():
    assert len(PLUGINS) >= 12
    assert {folder.name for folder in BACKENDS} >= {"mxnet", "numpy", "torch"}
    assert {folder.name for folder in RUNTIMES} >= {"onnxruntime", "openvino"}


def test_no_folder_is_forgotten():
    for parent in ("plugins", "backends", "runtimes"):
        folders = {path for path in (ROOT / parent).iterdir() if path.is_dir()}
        assert folders == {folder for folder in PARTS if folder.parent.name == parent}


@each_package
def test_metadata(folder):
    about = project(folder)
    assert about["name"] == "pruners" or about["name"] == f"pruners-{folder.name}"
    assert about["license"] == "Apache-2.0"
    assert about["requires-python"].split(",")[0] == ">=3.10"
    assert about["description"].endswith(".")
    assert (folder / about["readme"]).read_text().startswith("# ")


@each_package
def test_files(folder):
    module = project(folder)["name"].replace("-", "_")
    assert (folder / "src" / module / "py.typed").is_file()
    assert list((folder / "tests").rglob("test_*.py"))
    licence = (ROOT / "LICENSE").read_bytes()
    assert (folder / "LICENSE").read_bytes() == licence  # a copy: a build sees this folder only


@each_part
def test_entry_point_names_the_module(folder):
    module = project(folder)["name"].replace("-", "_")
    assert project(folder)["entry-points"]["pruners"] == {folder.name: module}


@pytest.mark.parametrize("folder", [*PLUGINS, *RUNTIMES], ids=ident)
def test_a_plugin_names_no_framework(folder):
    for source in (folder / "src").rglob("*.py"):
        assert not re.search(r"\b(torch|mxnet|tensorflow|jax)\b", source.read_text()), source


@pytest.mark.parametrize("folder", PLUGINS, ids=ident)
def test_a_plugin_runs_the_conformance_checks(folder):
    tests = "".join(path.read_text() for path in (folder / "tests").glob("*.py"))
    assert "pruners_conformance" in tests


@pytest.mark.parametrize("folder", BACKENDS, ids=ident)
def test_a_backend_has_its_constraints_and_python(folder):
    text = (folder / "constraints.txt").read_text()
    assert text.startswith("#"), "say why, above the pins"
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    assert re.fullmatch(r"3\.\d+", settings["tool"]["pruners"]["python"])


def test_the_algorithms_extra_lists_exactly_the_plugins():
    listed = project(ROOT / "core")["optional-dependencies"]["algorithms"]
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in listed]
    assert names == sorted(project(folder)["name"] for folder in PLUGINS)


@pytest.mark.parametrize("folder", BACKENDS, ids=ident)
def test_each_backend_is_an_extra_with_the_algorithms(folder):
    extra = project(ROOT / "core")["optional-dependencies"][folder.name]
    assert "pruners[algorithms]" in extra
    assert any(requirement.startswith(f"pruners-{folder.name}>=") for requirement in extra)


@pytest.mark.parametrize("folder", RUNTIMES, ids=ident)
def test_each_runtime_is_in_an_extra(folder):
    extras = project(ROOT / "core")["optional-dependencies"]
    requirements = [each for extra in extras.values() for each in extra]
    assert any(each.startswith(f"{project(folder)['name']}>=") for each in requirements)


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_machine_or_a_package_index():
    # Written in pieces, so that this file does not name them either.
    hosts = ["py" + "pi.org", "python" + "hosted.org", "download.py" + "torch.org", "--index" + "-url"]
    paths = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/", "/o" + "pt/", "/t" + "mp/"]
    pattern = re.compile("|".join(map(re.escape, hosts)) + "|(?<![\\w.*}])(?:" + "|".join(paths) + ")")
    found = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert not found


def test_every_installed_first_party_name_says_what_to_install():
    import pruners
    from pruners.known import PACKAGES

    names = {(folder.name, project(folder)["name"]) for folder in PARTS}
    published = {package for _, package in names}
    found = {
        (plugin.kind, plugin.name): plugin.distribution
        for plugin in pruners.installed().plugins
        if plugin.distribution in published
    }
    assert found, "install the packages first"
    assert {key: PACKAGES.get(key) for key in found} == found
    assert set(PACKAGES.values()) == published
