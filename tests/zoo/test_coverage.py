"""Results as lines, the form that counts, and the page."""

from __future__ import annotations

from attrs import evolve

from .catalogue import ZOO
from .coverage import page
from .results import Result, add, best, read

GOOD = Result(
    "torchvision/resnet18",
    "ResNet",
    "module",
    "64x64",
    dtype="float64",
    error=1e-15,
    exact=True,
    groups=3,
    units=960,
    left=480,
    parameters=(1000, 300),
    macs=(2_000_000, 500_000),
    whole={"fc.weight": "the model returns it"},
    trains="yes",
    forward=0.01,
    seconds={"analysis": 0.02, "scores": 0.001, "planning": 0.002, "removal": 0.01, "proof": 0.04},
)
SMALL = evolve(GOOD, parameters=(1000, 900))
REFUSED = Result("torchvision/resnet18", "ResNet", "module", refused="no channel can leave")


def test_results_come_back_from_the_file_and_the_latest_counts(tmp_path):
    path = tmp_path / "folder" / "results.jsonl"
    assert read(path) == {}
    add(path, REFUSED)
    add(path, GOOD)
    assert read(path) == {("torchvision/resnet18", "module"): GOOD}


def test_a_result_says_what_is_missing():
    assert GOOD.good and GOOD.verdict == "exact"
    assert SMALL.verdict == "exact, but only 10% fewer parameters"
    assert REFUSED.verdict == "refused: no channel can leave"
    assert evolve(GOOD, exact=False, error=0.01).verdict == "differs by 1.0e-02"
    assert evolve(GOOD, trains="it fell over").verdict == "does not train: it fell over"
    assert not any(each.good for each in (SMALL, REFUSED, evolve(GOOD, trains="it fell over")))


def test_in_place_counts_before_a_graph_unless_it_falls_short():
    graph = evolve(GOOD, form="graph")

    def counted(*results: Result) -> str:
        return best({(each.name, each.form): each for each in results})["torchvision/resnet18"].form

    assert counted(graph, GOOD) == "module"
    assert counted(SMALL, graph) == "graph"
    assert counted(REFUSED, evolve(graph, parameters=(1000, 900))) == "graph"
    assert counted(SMALL, evolve(graph, exact=False)) == "module"


def test_the_page_has_totals_rows_exceptions_and_reasons():
    other = evolve(SMALL, name=ZOO[0].name)
    text = page({(each.name, each.form): each for each in (GOOD, other)})
    assert "| networks | 2 |" in text
    assert "| exact and at least 40% fewer parameters | 1 |" in text
    assert "| analysis, median in forward passes | 2.0 |" in text
    assert "| resnet18 | in place | 64x64 | 3 | 960 | 1 k → 300 (−70%) | 2 M → 500 k (−75%) | 1e-15 |" in text
    assert f"| {ZOO[0].name} | exact, but only 10% fewer parameters | not yet understood |" in text
    assert "- **torchvision/resnet18**: the model returns it (1: `fc.weight`)." in text
    assert "nox -s zoo" in text
