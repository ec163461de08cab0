"""The page of benchmarks shows every record, and no number that is in none."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs/_hooks"
RESULTS = ROOT / "benchmarks/results"
HOOK_NAMES = ("measured", "benchmark_tables", "goals", "benchmarked")


@pytest.fixture(scope="module")
def hooks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(HOOKS), *sys.path])
        found = {name: __import__(name) for name in HOOK_NAMES}
        yield found
        for name in HOOK_NAMES:
            sys.modules.pop(name)


@pytest.fixture
def page(hooks):
    return hooks["benchmarked"].page


def record(folder, name, figures, date="2026-01-02", notes="", tables=""):
    document = {
        "date": date,
        "machine": {"processor": "Some core", "system": "Linux"},
        "versions": {"python": "3.11", "peer": "7.8"},
        "threads": 1,
        "figures": figures,
    }
    (folder / f"{name}-{date}.json").write_text(json.dumps(document), encoding="utf-8")
    text = f"# {name}, {date}\n\nSome core.\n\n{notes}\n\n{tables}"
    (folder / f"{name}-{date}.md").write_text(text, encoding="utf-8")


def test_every_benchmark_that_was_recorded_is_on_the_page(page, hooks):
    shown = page()
    names = {path.stem[: -len("-0000-00-00")] for path in RESULTS.glob("*.json")}
    assert names >= {"selection", "mask-step", "mask-step-mxnet", "structure", "channels", "file-size"}
    found = hooks["benchmarked"].results()
    assert found.keys() == names
    for result in found.values():
        assert hooks["measured"].machine(result) in shown
    assert shown.count("\n## ") == len(names), "a heading for each, after that of the goals"


def told(figures, number):
    """Yield what the page must say of each row of each list: its name, or its numbers where it has none."""
    parts = figures if isinstance(figures, list) else list(figures.values())
    for part in (part for part in parts if isinstance(part, (list, dict))):
        names = [part[key] for key in ("title", "model", "case", "network", "name") if key in part]
        if names:
            yield str(names[0])
        elif figures is parts and not any(isinstance(each, (list, dict)) for each in part.values()):
            yield " | ".join(map(number, part.values()))
        else:
            yield from told(part, number)


def test_every_row_of_every_record_is_on_the_page(page, hooks):
    shown = page()
    for name, result in hooks["benchmarked"].results().items():
        rows = list(told(result["figures"], hooks["benchmark_tables"].number))
        assert rows, name
        assert [row for row in rows if row not in shown] == [], name


def test_without_records_there_are_goals_and_no_other_number(page, tmp_path):
    lines = page(tmp_path).splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert len(rows) >= 15
    assert all("| not measured |  |" in row for row in rows)
    others = [line for line in lines if not line.startswith("| ")]
    told = f"Reached: 0; missed: 0; not measured: {len(rows)}."
    assert [line for line in others if re.search(r"\d", line)] == [told]


def test_what_is_typed_by_hand_has_no_numbers():
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert "<!-- benchmarks -->" in text
    assert not re.search(r"\d", text)


def test_other_figures_make_another_page(page, hooks, tmp_path):
    shutil.copytree(RESULTS, tmp_path / "results")
    before = page(tmp_path / "results")

    def changed(value):
        if isinstance(value, float):
            return value * 1.37
        if isinstance(value, dict):
            return {key: changed(each) for key, each in value.items()}
        return [changed(each) for each in value] if isinstance(value, list) else value

    for path in (tmp_path / "results").glob("*.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**result, "figures": changed(result["figures"])}), encoding="utf-8")
    after = page(tmp_path / "results")
    for name in hooks["benchmarked"].results():
        heading = (
            f"\n## {hooks['benchmarked'].TITLES[name][0]}" if name in hooks["benchmarked"].TITLES else None
        )
        if heading and name in (*hooks["benchmark_tables"].TABLES, "mask-step", "mask-step-mxnet"):
            assert section(before, heading) != section(after, heading), name


def section(page, heading):
    return page.split(heading + "\n")[1].split("\n## ")[0]


def test_the_newest_record_of_a_benchmark_counts(page, tmp_path):
    record(tmp_path, "mask-step", [{"case": "ResNet", "way": "pruners", "masking ns/weight": 0.111}])
    later = [{"case": "ResNet", "way": "pruners", "masking % of plain": 2.5, "masking ns/weight": 0.7}]
    record(tmp_path, "mask-step", later, date="2026-02-01")
    shown = page(tmp_path)
    assert "0.111" not in shown and "2026-02-01" in shown and "2026-01-02" not in shown
    assert "at most 2 % of a step | 2.5 | **no** |" in shown
    assert "Missed are a ResNet-18 on small images (mask-step); every case (mask-step)." in shown


def test_a_benchmark_that_is_not_known_is_shown_too(page, tmp_path):
    record(tmp_path, "new-thing", [{"case": "some", "ms": 1234.5, "peer ms": None}], notes="Beside peer 7.8.")
    shown = page(tmp_path)
    assert "## New thing" in shown and "Beside peer 7.8." in shown
    assert "| case | ms | peer ms |\n| --- | --- | --- |\n| some | 1,234 |  |" in shown


def test_figures_of_a_form_of_their_own_are_shown_as_they_were_recorded(page, tmp_path):
    record(tmp_path, "runtimes", {"deep": [1]}, tables="## One\n\n| a |\n| --- |\n| 5 |\n\n## Two\n\ntext\n")
    shown = page(tmp_path)
    assert "## Runtimes" in shown
    assert "### One\n\n| a |\n| --- |\n| 5 |\n\n### Two\n\ntext" in shown
