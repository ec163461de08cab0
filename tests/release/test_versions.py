"""One version everywhere: packages, what they ask of each other, the module, the changelog, the pages."""

from __future__ import annotations

import datetime
import re
import shutil
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from .archives import ASKS, FOLDERS, ROOT, project
from .versions import pages, shown, write

OTHERS = sorted(path.parent for each in ASKS for path in ROOT.glob(f"{each}/pyproject.toml"))
EVERYTHING = [*FOLDERS, *OTHERS]
VERSION = project(ROOT / "core")["version"]
FIRST_PARTY = {project(folder)["name"] for folder in FOLDERS}


def asked_of_each_other(folder: Path) -> list[Requirement]:
    """Return what a package asks of the packages of this repository, in any extra."""
    about = project(folder)
    extras = about.get("optional-dependencies", {}).values()
    found = [Requirement(text) for texts in (about["dependencies"], *extras) for text in texts]
    return [each for each in found if each.name in FIRST_PARTY - {about["name"]}]


def ident(folder: Path) -> str:
    return folder.relative_to(ROOT).as_posix()


def test_there_are_packages_to_check():
    assert len(FOLDERS) >= 15
    assert len(OTHERS) >= 6


@pytest.mark.parametrize("folder", FOLDERS, ids=ident)
def test_versions_agree(folder):
    assert project(folder)["version"] == VERSION


def test_the_module_says_the_same():
    text = (ROOT / "core/src/pruners/__init__.py").read_text()
    assert re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE) == [VERSION]


@pytest.mark.parametrize("folder", FOLDERS, ids=ident)
def test_packages_ask_for_each_other_in_this_minor_version(folder):
    major, minor, _ = VERSION.split(".")
    asked = asked_of_each_other(folder)
    assert asked
    series = {f">={major}.{minor}", f"<{major}.{int(minor) + 1}"}
    assert [str(each) for each in asked if set(map(str, each.specifier)) != series] == []


@pytest.mark.parametrize("folder", OTHERS, ids=ident)
def test_examples_can_be_installed_beside_this_version(folder):
    asked = asked_of_each_other(folder)
    assert asked
    assert [str(each) for each in asked if not each.specifier.contains(VERSION)] == []


def sections() -> list[tuple[str, str]]:
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    matches = [re.fullmatch(r"(\d+\.\d+\.\d+) - (unreleased|\d{4}-\d{2}-\d{2})", each) for each in headings]
    assert all(matches), f"not of the form '0.1.0 - 2026-01-31': {headings}"
    return [(match[1], match[2]) for match in matches]


def test_the_changelog_begins_with_this_version():
    assert sections()[0][0] == VERSION


def test_only_the_newest_section_is_undated_and_they_descend():
    versions = [Version(version) for version, _ in sections()]
    assert versions == sorted(set(versions), reverse=True)
    dates = [date for _, date in sections()]
    assert "unreleased" not in dates[1:]
    written = [datetime.date.fromisoformat(date) for date in dates if date != "unreleased"]
    assert written == sorted(written, reverse=True)


def test_pages_show_this_version():
    found = list(shown(ROOT))
    assert found, "no page shows a version: is the pattern still right?"
    assert [(path.name, version) for path, version in found if version != VERSION] == []


def copied(tmp_path: Path) -> Path:
    """Return a copy of all that names a version."""
    named = [folder / "pyproject.toml" for folder in EVERYTHING]
    for path in [*named, ROOT / "core/src/pruners/__init__.py", *pages(ROOT)]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_one_command_writes_another_version_everywhere(tmp_path):
    root = copied(tmp_path)
    changed = {path.relative_to(root) for path in write(root, "7.10.3")}
    assert {(folder / "pyproject.toml").relative_to(ROOT) for folder in FOLDERS} <= changed
    for folder in FOLDERS:
        copy = root / folder.relative_to(ROOT)
        assert project(copy)["version"] == "7.10.3"
        assert {each.specifier.contains("7.10.3") for each in asked_of_each_other(copy)} == {True}
        assert {each.specifier.contains("7.11") for each in asked_of_each_other(copy)} == {False}
    for folder in OTHERS:
        copy = root / folder.relative_to(ROOT)
        assert project(copy)["version"] == project(folder)["version"]
        assert all(each.specifier.contains("7.10.3") for each in asked_of_each_other(copy))
    assert '__version__ = "7.10.3"' in (root / "core/src/pruners/__init__.py").read_text()
    assert {version for _, version in shown(root)} == {"7.10.3"}
    assert "pruners-conformance==7.10.*" in (root / "tests/conformance/README.md").read_text()


def test_writing_the_present_version_changes_nothing(tmp_path):
    assert write(copied(tmp_path), VERSION) == []


@pytest.mark.parametrize("version", ["1", "v0.2.0", "0.2", "0.2.0.dev1", ""])
def test_what_is_no_version_is_refused(tmp_path, version):
    with pytest.raises(SystemExit, match="three numbers"):
        write(tmp_path, version)
