"""Every wheel: one package and nothing else, its licence, its types, and metadata a registry can show."""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest
from packaging.requirements import Requirement

from .archives import PACKAGES, ROOT, metadata, name, wheel

each_package = pytest.mark.parametrize("package", PACKAGES, ids=name)


def test_there_is_one_wheel_of_each_package(dist):
    assert len(PACKAGES) >= 15
    assert {path.name for path in dist.glob("*.whl")} == {
        f"{package.stem}-py3-none-any.whl" for package in PACKAGES
    }


@each_package
def test_a_wheel_installs_its_own_package_only(package, dist):
    files = wheel(package, dist)
    assert {path.partition("/")[0] for path in files} == {package.module, f"{package.stem}.dist-info"}
    assert {path for path in files if path.startswith(f"{package.module}/")} == package.sources


@each_package
def test_a_wheel_holds_the_files_of_the_tree(package, dist):
    files = wheel(package, dist)
    assert [
        path for path in package.sources if files[path] != (package.folder / "src" / path).read_bytes()
    ] == []


@each_package
def test_a_wheel_has_no_tests(package, dist):
    files = {path for path in wheel(package, dist) if not path.endswith(".tmpl")}  # of `pruners new`
    parts = re.compile(r"(^|/)(tests?/|conftest\.py$|test_[^/]*\.py$)")
    assert [path for path in files if parts.search(path)] == []


@each_package
def test_a_wheel_says_that_it_is_typed(package, dist):
    assert wheel(package, dist)[f"{package.module}/py.typed"] == b""


@each_package
def test_a_wheel_carries_the_licence(package, dist):
    files = wheel(package, dist)
    assert files[f"{package.stem}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    about = metadata(files[f"{package.stem}.dist-info/METADATA"])
    assert about["License-Expression"] == "Apache-2.0"
    assert about.get_all("License-File") == ["LICENSE"]


@each_package
def test_metadata_is_that_of_the_project(package, dist):
    about = metadata(wheel(package, dist)[f"{package.stem}.dist-info/METADATA"])
    assert about["Name"] == package.about["name"]
    assert about["Version"] == package.about["version"]
    assert about["Summary"] == package.about["description"]
    assert set(about["Requires-Python"].split(",")) == set(package.about["requires-python"].split(","))
    needed = [Requirement(each) for each in about.get_all("Requires-Dist")]
    assert {each for each in needed if "extra ==" not in str(each.marker)} == set(
        map(Requirement, package.about["dependencies"])
    )
    assert set(about.get_all("Provides-Extra", [])) == set(package.about.get("optional-dependencies", {}))


@each_package
def test_the_long_description_is_the_readme(package, dist):
    about = metadata(wheel(package, dist)[f"{package.stem}.dist-info/METADATA"])
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload().strip() == (package.folder / "README.md").read_text().strip()


@each_package
def test_the_long_description_has_no_link_that_only_works_in_the_repository(package, dist):
    about = metadata(wheel(package, dist)[f"{package.stem}.dist-info/METADATA"])
    assert re.findall(r"\]\((?!https?://|#)[^)]*\)", about.get_payload()) == []


@each_package
def test_a_wheel_registers_its_plugin(package, dist):
    text = wheel(package, dist).get(f"{package.stem}.dist-info/entry_points.txt", b"").decode()
    groups = dict(package.about.get("entry-points", {}))
    if scripts := package.about.get("scripts"):
        groups["console_scripts"] = scripts
    parser = ConfigParser()
    parser.optionxform = str  # names keep their case
    parser.read_string(text)
    assert {group: dict(parser[group]) for group in parser.sections()} == groups
