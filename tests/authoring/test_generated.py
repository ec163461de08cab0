"""Each package that `pruners new` writes installs, is listed, and passes its own tests."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from conftest import GENERATED

KINDS = {name: arguments[0] for name, arguments in GENERATED.items()}
OPTIONAL = {
    "pruner": {
        "check_the_order_of_channels_does_not_matter",
        "check_masks_are_the_same_on_every_backend",
        "check_a_declared_reach_is_true",
    },
    "schedule": set(),
    "pattern": {"check_masks_are_the_same_on_every_backend", "check_layers_can_be_cut_where_it_says"},
    "backend": set(),
}
"""Checks that a new package of each kind may leave out: they ask for more than is installed, or promised."""
ORDER = ("pruner", "schedule", "pattern", "backend")


def test_every_kind_and_every_need_is_generated():
    from pruners.specs import NEEDS

    assert set(KINDS.values()) == set(ORDER)
    asked = {need for arguments in GENERATED.values() for each in arguments for need in each.split(",")}
    assert asked >= NEEDS


def test_all_are_listed_and_nothing_is_broken(installed, written):
    listed = json.loads(installed.run("-m", "pruners", "list", "--json", cwd=written))
    assert listed["failures"] == []
    found = {each["name"]: (each["kind"], each["distribution"]) for each in listed["plugins"]}
    assert {name: (kind, f"pruners-{name}") for name, kind in KINDS.items()}.items() <= found.items()


def test_the_wheel_of_core_brings_every_template(installed, written, tmp_path):
    for name, (kind, *options) in GENERATED.items():
        # As if from elsewhere: here the name is taken by the package that was written and installed.
        installed.run("-m", "pruners", "new", kind, f"my-{name}", *options, cwd=tmp_path)
        files = [
            {path.relative_to(folder).as_posix().replace("my-", "").replace("my_", "")
             for path in folder.rglob("*") if path.is_file()}
            for folder in (tmp_path / f"pruners-my-{name}", written / f"pruners-{name}")
        ]  # fmt: skip
        assert files[0] == files[1]


def test_a_name_that_is_taken_is_told_with_its_distribution(installed, tmp_path):
    told = installed.run("-m", "pruners", "new", "pruner", "tiniest", cwd=tmp_path, status=2)
    assert "there is a pruner 'tiniest' already, in pruners-tiniest 0.1.0" in told


def test_the_doctor_finds_all_well(installed, written):
    assert "All is well." in installed.run("-m", "pruners", "doctor", cwd=written)


def test_each_passes_its_own_tests(installed, written):
    folders = [str(folder / "tests") for folder in sorted(written.iterdir())]
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", "/dev/null", "-rs")
    told = installed.run("-m", "pytest", *options, *folders, cwd=written)
    assert "passed" in told
    assert "failed" not in told
    assert "no worked example" not in told


@pytest.mark.parametrize("name", GENERATED)
def test_each_can_be_checked_outside_pytest(installed, written, name):
    found = json.loads(
        installed.run(
            "-m", "pruners", "check", name, "--tests", f"pruners-{name}/tests", "--json", cwd=written
        )
    )
    assert [(each["kind"], each["name"], each["ok"]) for each in found] == [(KINDS[name], name, True)]
    records = found[0]["records"]
    assert {record["status"] for record in records} <= {"passed", "skipped"}
    skipped = [record["check"] for record in records if record["status"] == "skipped"]
    assert set(skipped) <= OPTIONAL[KINDS[name]], skipped
    assert len(skipped) <= len(records) // 4


def code_lines(path: Path) -> int:
    """Count the lines of a module that are neither blank, nor a comment, nor part of a docstring."""
    text = path.read_text()
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            told |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if line.split("#")[0].strip() and number not in told)


def test_a_pruner_that_only_scores_is_short(written):
    folder = written / "pruners-tiniest"
    modules = sorted((folder / "src" / "pruners_tiniest").glob("*.py"))
    assert [path.name for path in modules] == ["__init__.py", "_tiniest.py"]
    assert sum(code_lines(path) for path in modules) <= 12
    assert len((folder / "tests" / "test_conformance.py").read_text().splitlines()) <= 9


@pytest.mark.parametrize("name", GENERATED)
def test_each_package_is_complete(written, name):
    folder = written / f"pruners-{name}"
    module = f"pruners_{name.replace('-', '_')}"
    for path in (
        "pyproject.toml",
        "README.md",
        ".gitignore",
        ".github/workflows/test.yml",
        f"src/{module}/__init__.py",
        f"src/{module}/py.typed",
        "tests/test_conformance.py",
    ):
        assert (folder / path).is_file(), path
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "MODULE" not in text
            assert "STEM" not in text
            assert text.replace("${{ matrix.python }}", "").count("$") == text.count("$ ")
    assert "python-version: ${{ matrix.python }}" in (folder / ".github/workflows/test.yml").read_text()
    assert 'license = "Apache-2.0"' in (folder / "pyproject.toml").read_text()
    assert "api=1," in (folder / f"src/{module}/__init__.py").read_text()


@pytest.mark.parametrize("name", GENERATED)
def test_the_examples_in_each_readme_run(installed, written, name):
    readme = (written / f"pruners-{name}" / "README.md").read_text()
    for block in readme.split("```python\n")[1:]:
        installed.run(
            "-W", "error", "-c", block.partition("```")[0].replace('"level"', '"tiniest"'), cwd=written
        )
