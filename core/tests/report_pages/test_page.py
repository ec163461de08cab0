"""The page as a whole: one file, no request, labelled, escaped, and what is missing is said."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

import pruners

from . import making
from .looking import LOADING, read

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make a page that has every section."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    weights = making.model()
    dense = {name: array.copy() for name, array in weights.items()}
    pruning = making.session(weights)
    before = {name: array.tobytes() for name, array in weights.items()}
    pruners.page(
        pruning,
        path,
        dense=dense,
        removal=making.REMOVAL,
        measurement=making.MEASUREMENT,
        exported=making.EXPORTED,
        sensitivities=making.scan(dense),
        scores=pruners.scores(dense, "level"),
        title="All of it",
    )
    assert {name: array.tobytes() for name, array in weights.items()} == before
    return path


def test_every_section_is_there_and_reached_from_the_top(whole):
    page = read(whole)
    names = ["summary", "history", "channels", "layers", "exported", "masks", "scores", "sensitivity"]
    assert list(page.sections) == names
    assert [link.attributes["href"] for link in page.all("a")] == [f"#{name}" for name in names]
    assert page.all("h1")[0].said == page.all("title")[0].said == "All of it"
    assert "Not in this report" not in page.raw


def test_nothing_is_asked_of_any_server_and_no_script_runs(whole):
    page = read(whole)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {each.tag for each in page.elements}
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.raw)
    assert "@import" not in page.raw
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name in LOADING:
                assert value.startswith(("#", "data:image/png;base64,")), (element.tag, name, value)
            assert "url(" not in value.replace("url(#", "")


def test_every_picture_says_what_is_to_be_seen(whole):
    page = read(whole)
    figures = page.all("svg")
    assert len(figures) == 2 + 4
    for figure in figures:
        assert figure.attributes["role"] == "img"
        assert len(figure.attributes["aria-label"]) > 20
    assert len(page.all("img")) == 2
    for picture in page.all("img"):
        assert picture.attributes["alt"].startswith("Mask of ")
        data = base64.b64decode(picture.attributes["src"].partition("base64,")[2])
        assert data.startswith(b"\x89PNG")


def test_ids_are_unique_and_every_reference_has_one(whole):
    page = read(whole)
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    assert len(ids) > 100
    used = set(re.findall(r"url\(#([^)]+)\)", page.raw)) | set(re.findall(r'href="#([^"]+)"', page.raw))
    used |= {each.attributes["aria-labelledby"] for each in page.all("section")}
    assert used <= set(ids)


def test_text_in_figures_is_text_and_colours_are_the_pages(whole):
    page = read(whole)
    words = {each.said for each in page.all("text")}
    assert {"sparsity", "accuracy", "loss", "optimizer steps", "|w|", "score", "metric"} <= words
    figures = "".join(re.findall(r"<svg.*?</svg>", page.raw, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", figures)) == set()
    light, _, dark = page.raw.partition("@media (prefers-color-scheme: dark)")
    named = [set(re.findall(r"(--\w+): #", scheme)) for scheme in (light, dark)]
    assert named[0] == named[1] >= set(re.findall(r"var\((--\w+)\)", page.raw))
    assert {f"--c{index}" for index in range(8)} < named[0]


def test_it_fits_a_phone(whole):
    page = read(whole)
    viewport = next(each for each in page.all("meta") if each.attributes.get("name") == "viewport")
    assert viewport.attributes["content"] == "width=device-width, initial-scale=1"
    assert page.raw.count('<div class="scroll"') == len(page.all("table")) + len(page.all("img"))


def test_the_json_beside_it_has_the_numbers_of_every_section(whole):
    values = json.loads(whole.with_suffix(".json").read_text())
    assert values["format"] == 1
    assert values["pruners"] == pruners.__version__
    assert values["title"] == "All of it"
    assert values["missing"] == {}
    sections = values["sections"]
    assert list(sections) == list(read(whole).sections)
    assert sections["layers"]["zeros"] == int(0.75 * 1152) + int(0.75 * 640)
    assert sections["channels"] == making.REMOVAL
    assert sections["summary"]["measurement"] == making.MEASUREMENT
    assert [row["step"] for row in sections["history"]["masks"]] == [0, 2, 4]
    assert sections["history"]["records"][3]["metrics"] == {"accuracy": 0.87, "loss": None}


def test_a_bare_model_has_what_can_be_counted_and_says_what_else_there_is(tmp_path):
    path = tmp_path / "bare.html"
    pruners.page(making.model(), path)
    page = read(path)
    assert list(page.sections) == ["summary", "layers"]
    last = page.all("footer")[0].said
    assert last.startswith("Not in this report: ")
    for how in ("measurement=", "session=", "removal=", "layers=", "dense=", "sensitivities="):
        assert how in last
    missing = json.loads(path.with_suffix(".json").read_text())["missing"]
    assert set(missing) == {
        "measurement",
        "history",
        "channels",
        "exported",
        "masks",
        "scores",
        "sensitivity",
    }


def test_names_are_data_wherever_they_come_from(tmp_path):
    evil = "<script>alert(1)</script>&\"'$x_1$"
    weights = {evil: np.arange(1.0, 65.0).reshape(8, 8), "_b": np.ones((2, 2))}
    dense = {name: array.copy() for name, array in weights.items()}
    pruning = pruners.attach(weights, pruners.Rule(sparsity=0.5))
    pruning.step()
    pruning.record(**{evil: 0.5, "$m_1$": 1.0})
    removal = json.loads(json.dumps(making.REMOVAL).replace("conv.weight", "<script>c"))
    path = tmp_path / "evil.html"
    pruners.page(
        pruning,
        path,
        dense=dense,
        removal=removal,
        measurement=json.loads(json.dumps(making.MEASUREMENT).replace("small", "<script>m")),
        sensitivities=pruners.sensitivity(dense, lambda model: 1.0, sparsities=[0.5]),
        title=evil,
    )
    page = read(path)
    assert not page.all("script")
    assert "<script" not in page.raw
    assert page.all("h1")[0].said == evil
    assert any(cell.said == evil for cell in page.all("td"))
    assert any(cell.said == "<script>m" for cell in page.all("td"))
    assert any(evil in figure.attributes["aria-label"] for figure in page.all("svg"))
    assert evil in page.all("img")[0].attributes["alt"]
    words = [text.said for text in page.all("text")]
    assert any(said.startswith("<script>alert(1)") for said in words)
    assert "$m_1$" in words


def test_three_hundred_layers_stay_readable_and_small(tmp_path):
    names = [f"blocks.{index}.weight" for index in range(300)]
    generator = np.random.default_rng(0)
    weights = {name: generator.standard_normal((16, 16, 3, 3)).astype(np.float32) for name in names}
    pruning = pruners.attach(weights, {name: index / 320 for index, name in enumerate(names)})
    path = tmp_path / "deep.html"
    pruners.page(pruning, path, layers="*", sensitivities=_long_scan(names))
    page = read(path)
    assert path.stat().st_size < 2_000_000
    assert "Sparsity of 300 layers over depth, from 0.00 to 0.93" in page.sections["layers"]
    assert "24 of 300 layers, evenly spread" in page.sections["masks"]
    assert len(page.all("img")) == 24
    drawn = [
        each["name"]
        for each in json.loads(path.with_suffix(".json").read_text())["sections"]["masks"]["layers"]
    ]
    assert (drawn[0], drawn[-1]) == (names[0], names[-1])


def _long_scan(names):
    layers = [{"name": name, "weights": 9, "metrics": [0.9, None], "reached": [0.5, 0.9]} for name in names]
    return {
        "baseline": 0.95,
        "higher_is_better": True,
        "sparsities": [0.5, 0.9],
        "layers": layers,
        "skipped": {},
    }


def test_files_there_are_replaced_only_when_all_is_made(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    with pytest.raises(pruners.OptionError, match="removal: not what Removal.report"):
        pruners.page(making.model(), path, removal={"groups": []})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"path": "report.pdf"}, pruners.OptionError, "must end in .html"),
        ({"path": "nowhere/report.html"}, pruners.OptionError, "no folder 'nowhere'"),
        ({"removal": 3}, pruners.OptionError, "removal must be a result of pruners .* got int"),
        ({"measurement": {"models": []}}, pruners.OptionError, "measurement: not what .* lacks 'rows'"),
        ({"measurement": making.REMOVAL}, pruners.OptionError, "measurement: not what .* lacks 'models'"),
        ({"exported": [{"ran": []}]}, pruners.OptionError, "exported: not what Exported.to_dict"),
        ({"sensitivities": {}}, pruners.OptionError, "sensitivities: not what .* lacks 'layers'"),
        ({"session": {}}, pruners.StateError, "not the state of a pruning session"),
        ({"layers": "no.such"}, pruners.OptionError, r"layers: .*no\.such"),
        ({"dense": {"other": np.ones((2, 2))}}, pruners.OptionError, r"dense: none of its layers \(other"),
        ({"scores": {"fc.weight": np.zeros(3)}, "layers": "fc"}, pruners.OptionError, "have shape .3,."),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, monkeypatch, options, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        pruners.page(making.model(), **{"path": "report.html", **options})
    assert not list(tmp_path.iterdir())


def test_a_state_of_another_model_is_refused(tmp_path):
    state = making.session(making.model()).state_dict()
    other = making.model()
    other["fc.weight"] = np.ones((10, 32))
    with pytest.raises(pruners.StateError, match="'fc.weight' has shape .10, 64. there and .10, 32."):
        pruners.page(other, tmp_path / "a.html", session=state)
    del other["fc.weight"]
    with pytest.raises(pruners.StateError, match="layer 'fc.weight', which the model lacks"):
        pruners.page(other, tmp_path / "a.html", session=state)
    with pytest.raises(pruners.OptionError, match="this is a session already"):
        pruners.page(making.session(making.model()), tmp_path / "a.html", session=state)


def test_a_saved_session_gives_the_page_of_a_running_one(tmp_path):
    weights = making.model()
    pruning = making.session(weights)
    pruners.page(pruning, tmp_path / "a.html")
    state = json.loads(json.dumps(pruning.state_dict()))
    pruners.page(weights, tmp_path / "b.html", session=state)
    running, saved = (json.loads((tmp_path / f"{name}.json").read_text())["sections"] for name in ("a", "b"))
    assert running["history"] == saved["history"]
    assert running["masks"] == saved["masks"]


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_what_to_type(tmp_path, monkeypatch, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(pruners.PrunersError, match=f"needs {module}: pip install pruners.report."):
        pruners.page(making.model(), tmp_path / "a.html")
    assert not list(tmp_path.iterdir())
