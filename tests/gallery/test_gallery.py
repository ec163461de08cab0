"""The packages of the gallery, installed as anybody's: found, documented, and working with each other."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import pruners
from pruners.versions import API

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/docs"))
from conftest import place  # noqa: E402, F401
from pages import Page, regions  # noqa: E402

FOLDERS = sorted(path.parent for path in ROOT.glob("docs/examples/*/pyproject.toml"))
GALLERY = ROOT / "docs/gallery.md"
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def name_of(folder):
    return folder.name.removeprefix("pruners-")


def plugin_of(folder):
    (found,) = [plugin for plugin in pruners.installed().plugins if plugin.distribution == folder.name]
    return found


def test_there_are_five():
    assert len(FOLDERS) >= 5
    kinds = {plugin_of(folder).kind for folder in FOLDERS}
    assert kinds == {"pruner", "schedule", "pattern"}


@each
def test_it_is_listed_under_its_name_and_came_as_a_wheel(folder):
    plugin = plugin_of(folder)
    assert plugin.name == name_of(folder)
    assert plugin.spec.api == API
    assert "arXiv:" in plugin.spec.paper
    module = __import__(folder.name.replace("-", "_"))
    assert not Path(module.__file__).is_relative_to(ROOT / "docs"), "install it, do not link it"


@each
def test_its_description_is_that_of_a_package_of_its_own(folder):
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    module = folder.name.replace("-", "_")
    assert about["name"] == folder.name
    assert about["entry-points"]["pruners"] == {name_of(folder): module}
    assert any(each.startswith("pruners>=") and "<" in each for each in about["dependencies"])
    assert (folder / "src" / module / "py.typed").is_file()


@each
def test_it_uses_public_names_and_no_framework(folder):
    for path in (folder / "src").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"\b(torch|mxnet|tensorflow|jax)\b", text), path
        for module in re.findall(r"^(?:from|import) (pruners[\w.]*)", text, re.MULTILINE):
            assert module in {"pruners", "pruners.options", "pruners.ramps", "pruners.selection"}, path


@each
def test_its_conformance_is_nine_lines_or_fewer(folder):
    lines = (folder / "tests/test_conformance.py").read_text().splitlines()
    assert len(lines) <= 9


@each
def test_its_readme_is_short_names_the_paper_and_runs(folder, place):  # noqa: F811
    readme = folder / "README.md"
    text = readme.read_text()
    assert len(text.splitlines()) <= 35
    links = re.findall(r"\]\(([^)#\s]+)", text)
    assert all((folder / link).exists() for link in links)
    assert "**Formula.**" in text and "arXiv:" in text
    assert "python" in {region.lexemes["language"] for region in regions(readme)}
    Page(readme, place).run()


@each
def test_the_gallery_shows_its_module(folder):
    module = folder.name.replace("-", "_")
    shown = f'--8<-- "examples/{folder.name}/src/{module}/_{name_of(folder)}.py"'
    assert shown in GALLERY.read_text().splitlines()
    assert f"`{folder.name}`" in GALLERY.read_text()


def test_the_gallery_runs(place):  # noqa: F811
    pytest.importorskip("torch")
    Page(GALLERY, place).run()


@pytest.mark.parametrize("pattern", [None, "tile"])
@pytest.mark.parametrize("scope", ["layer", "model"])
def test_they_work_with_each_other_alike_on_every_backend(pattern, scope):
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    weights = {"weight": draw.normal(size=(8, 12, 3, 3)).astype(np.float32)}
    rule = pruners.Rule(
        "weight",
        pruner="lamp",
        schedule=pruners.schedule("cosine", stop=4),
        pattern=pattern,
        scope=scope,
        sparsity=0.7,
    )
    module = torch.nn.Conv2d(12, 8, 3, bias=False)
    module.weight.data[:] = torch.from_numpy(weights["weight"])
    sessions = [pruners.attach(model, rule) for model in (weights, module)]
    for _ in range(4):
        for session in sessions:
            session.step()
        arrays, tensors = (np.asarray(session.masks["weight"]) for session in sessions)
        np.testing.assert_array_equal(arrays, tensors)
    assert 0.6 < 1 - arrays.mean() <= 0.75
