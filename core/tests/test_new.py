"""``pruners new``: what it writes, and what it refuses; that it works is tested in tests/authoring."""

from __future__ import annotations

import ast
from importlib.metadata import version

import pytest
from click.testing import CliRunner

import pruners
from pruners import registry
from pruners.authoring import NewPlugin, class_name, render
from pruners.cli import main
from pruners.specs import NEEDS

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

KINDS = ("pruner", "schedule", "pattern", "backend")


def new(*arguments, status=0):
    result = CliRunner().invoke(main, ["new", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def project(plugin):
    return tomllib.loads(render(plugin)["pyproject.toml"])["project"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_named_and_the_next_step_is_told(tmp_path, kind):
    told = new(kind, "tiny-one", "--into", tmp_path).splitlines()
    folder = tmp_path / "pruners-tiny-one"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert sorted(told[:-1]) == sorted(f"Wrote {path.as_posix()}" for path in files)
    assert told[-1] == (
        f"Next: cd {folder.as_posix()} && pip install -e '.[test]' && pytest && pruners check tiny-one"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", "two-words", "none", "class", "a1-b2"])
def test_every_name_gives_python_that_can_be_read(kind, name):
    plugin = NewPlugin(kind=kind, name=name)
    for path, text in render(plugin).items():
        if path.endswith(".py"):
            ast.parse(text)
        assert "$" not in text.replace("${{", "").replace("$ ", "")
    assert class_name(plugin).isidentifier()
    about = project(plugin)
    assert about["name"] == f"pruners-{name}"
    assert about["entry-points"]["pruners"] == {name: f"pruners_{name.replace('-', '_')}"}
    assert about["license"] == "Apache-2.0"


def test_a_class_is_named_as_people_write_classes():
    assert class_name(NewPlugin(kind="pruner", name="two-words")) == "TwoWords"
    assert class_name(NewPlugin(kind="pattern", name="none")) == "NonePattern"


def test_it_asks_for_this_release_of_pruners_and_of_the_checks():
    major, minor, *_ = version("pruners").split(".")
    about = project(NewPlugin(kind="pruner", name="x"))
    assert about["dependencies"] == [f"pruners>={major}.{minor}"]  # its API says until when; no bound above
    pin = f">={major}.{minor},<{major}.{int(minor) + 1}"  # a new release may hold new checks
    assert f"pruners-conformance{pin}" in about["optional-dependencies"]["test"]


@pytest.mark.parametrize("unit", ["weight", "channel"])
@pytest.mark.parametrize("need", sorted(NEEDS))
def test_there_is_an_example_for_everything_that_a_pruner_can_need(need, unit):
    plugin = NewPlugin(kind="pruner", name="x", unit=unit, needs=(need,))
    files = render(plugin)
    assert f'needs={{"{need}"}},' in files["src/pruners_x/__init__.py"]
    assert f"\ndef {need}(view):\n" in files["src/pruners_x/_x.py"]
    assert f'    unit = "{unit}"\n' in files["src/pruners_x/_x.py"]
    assert f"    {need}=" in files["tests/test_conformance.py"]


def test_needs_may_be_given_together_or_one_by_one(tmp_path):
    new("pruner", "x", "--needs", "gradients,activations", "--into", tmp_path / "a")
    new("pruner", "x", "--needs", "activations", "--needs", "gradients", "--into", tmp_path / "b")
    first, second = (tmp_path / each / "pruners-x" / "src/pruners_x/_x.py" for each in "ab")
    assert first.read_text() == second.read_text()
    assert "[activations(view), gradients(view)]" in first.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pruner", "Bad_Name"), "'Bad_Name' is no name for a pruner: it begins with"),
        (("pruner", "Bad_Name"), "Try 'bad-name'."),
        (("pattern", "2d"), "Try 'd'."),
        (("pruner", "x-"), "Try 'x'."),
        (("pruner", "a--b"), "Try 'a-b'."),
        (("pruner", "é"), "single hyphens between them.\n"),
        (("pruner", "level"), "there is a pruner 'level' already, in pruners-level"),
        (("schedule", "linear"), f"in pruners-linear {version('pruners')}; take another name"),
        (("pattern", "linear"), "there is a package 'pruners-linear' already"),
        (("pruner", "conformance"), "there is a package 'pruners-conformance' already"),
        (
            ("pruner", "x", "--needs", "telepathy"),
            "a pruner cannot need 'telepathy'; it can need activated, ",
        ),
        (
            ("schedule", "x", "--unit", "channel"),
            "--unit and --needs are for a pruner; a schedule has neither",
        ),
        (("backend", "x", "--needs", "scales"), "--unit and --needs are for a pruner"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path, arguments, message):
    told = new(*arguments, "--into", tmp_path, status=2)
    assert message in told
    assert told.count("Error: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_published_name_that_is_not_installed_is_taken_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("pruners.authoring.installed", lambda: pruners.Installed((), ()))
    told = new("pruner", "level", "--into", tmp_path, status=2)
    assert "in pruners-level, which is not installed; take another name" in told


def test_a_name_that_a_broken_plugin_holds_is_told_with_both_distributions(tmp_path, monkeypatch):
    error = pruners.PluginConflict("twice")
    rivals = tuple(
        pruners.Failure(name, "1.0", "x", error, concerns=("pruner", "x"))
        for name in ("plugin-a", "plugin-b")
    )
    monkeypatch.setattr("pruners.authoring.installed", lambda: pruners.Installed((), rivals))
    told = new("pruner", "x", "--into", tmp_path, status=2)
    assert "there is a pruner 'x' already, in plugin-a 1.0 and plugin-b 1.0" in told


def test_nothing_is_overwritten(tmp_path):
    new("pruner", "x", "--into", tmp_path)
    readme = tmp_path / "pruners-x" / "README.md"
    readme.write_text("mine")
    assert "exists already; nothing is overwritten" in new("pruner", "x", "--into", tmp_path, status=2)
    assert readme.read_text() == "mine"


def test_an_empty_folder_may_be_there_already_and_a_file_may_not(tmp_path):
    (tmp_path / "pruners-x").mkdir()
    new("pruner", "x", "--into", tmp_path)
    (tmp_path / "pruners-y").write_text("a file")
    assert "exists already" in new("pruner", "y", "--into", tmp_path, status=2)


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    told = new("pruner", "x", "--into", tmp_path / "file" / "below", status=2)
    assert "cannot be written to: Not a directory" in told


def test_the_kinds_are_told(tmp_path):
    told = new("scheduler", "x", "--into", tmp_path, status=2)
    assert "'pruner', 'schedule', 'pattern', 'backend'" in told


def test_a_name_of_another_kind_is_free():
    found = registry.installed()
    assert "agp" in found.names("schedule")
    with pytest.raises(pruners.PrunersError, match="package 'pruners-agp'"):
        NewPlugin(kind="pruner", name="agp").check()
    NewPlugin(kind="pruner", name="one-shot").check()  # a schedule of the package pruners-constant
