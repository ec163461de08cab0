"""
Tables of conformance, made from what test runs wrote and never typed.

``python docs/_hooks/conformance.py build/conformance/*.jsonl`` puts the lines that tests wrote (see
``pruners_conformance.recording``) together in ``docs/conformance.json``; the page is made from that file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from pruners.known import PACKAGES

RESULTS = Path(__file__).parents[1] / "conformance.json"
REFERENCE = "numpy"
SEVERITY = ("skipped", "passed", "expected failure", "unexpected pass", "failed")
"""Outcomes of a check, worst last: a check that ran with several options has the worst of them."""
BAD = ("failed", "unexpected pass")
KINDS = {"pruner": "Pruners", "schedule": "Schedules", "pattern": "Patterns", "backend": "Backends"}
COMPARED = "check_masks_are_the_same_on_every_backend"
OWN_TESTS = ("plugins/", "backends/")
NOT_RUN = "not run"


@frozen
class Verdict:
    """What came of all checks of one plugin in one environment."""

    checks: Mapping[str, str]
    notes: tuple[Mapping[str, str], ...] = ()
    """Every outcome but a pass: check, options, outcome and reason."""

    def having(self, *outcomes: str) -> list[str]:
        """Return the checks with one of these outcomes."""
        return [check for check, outcome in self.checks.items() if outcome in outcomes]

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return bool(self.having("passed")) and not self.having(*BAD)


@frozen
class Results:
    """Verdicts by environment, kind and name."""

    environments: Mapping[str, Mapping[str, str]]
    """``{environment: {library: version}}``, "date" among them."""
    verdicts: Mapping[tuple[str, str, str], Verdict] = field(factory=dict)

    def cell(self, environment: str, kind: str, name: str) -> str:
        """Return what a table says about one plugin in one environment."""
        found = self.verdicts.get((environment, kind, name))
        if found is None or not found.having("passed", "expected failure", *BAD):
            return NOT_RUN
        failed = found.having(*BAD)
        if failed:
            return f"**fails** {len(failed)} of {len(found.checks)}: " + ", ".join(map(promise, failed))
        passed = len(found.having("passed"))
        known = len(found.having("expected failure"))
        words = [f"passed {passed}"]
        if known:
            words.append(f"{known} known failure{'s' if known > 1 else ''}")
        if environment != REFERENCE and found.checks.get(COMPARED) == "passed":
            words.append("same masks")
        return ", ".join(words)


def read(path: Path = RESULTS) -> Results:
    """Return the results that are written down; none where there is no file yet."""
    if not path.exists():
        return Results({})
    stored = json.loads(path.read_text())
    return Results(
        stored["environments"],
        {
            (environment, each["kind"], each["plugin"]): Verdict(each["checks"], tuple(each["notes"]))
            for environment, plugins in stored["plugins"].items()
            for each in plugins
        },
    )


def write(results: Results, path: Path = RESULTS) -> None:
    """Write results down, a line for each plugin, in an order that does not change from run to run."""
    groups = []
    for environment in results.environments:
        lines = [
            json.dumps({"kind": kind, "plugin": name, "checks": verdict.checks, "notes": verdict.notes})
            for (found, kind, name), verdict in sorted(results.verdicts.items())
            if found == environment
        ]
        groups.append(f"{json.dumps(environment)}: [\n" + ",\n".join(lines) + "\n]")
    environments = json.dumps(results.environments, indent=1)
    path.write_text('{"environments": ' + environments + ',\n"plugins": {' + ",\n".join(groups) + "}}\n")


def merge(lines: Iterable[Mapping[str, Any]]) -> Results:
    """Return the results in lines that tests wrote, as far as they come from a plugin's own tests."""
    environments: dict[str, dict[str, str]] = {}
    outcomes: dict[tuple[str, str, str], dict[str, str]] = {}
    notes: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for line in lines:
        if not line["test"].startswith(OWN_TESTS):
            continue
        environment = _environment(line["backends"])
        _agree(environments, environment, {**line["versions"], "date": line["date"]})
        key = (environment, line["kind"], line["plugin"])
        checks = outcomes.setdefault(key, {})
        before = checks.get(line["check"], SEVERITY[0])
        checks[line["check"]] = max(before, line["outcome"], key=SEVERITY.index)
        if line["outcome"] != "passed":
            options = ", ".join(f"{name}={value}" for name, value in line["options"].items())
            note = {name: line[name] for name in ("check", "outcome", "reason")} | {"options": options}
            if note not in notes.setdefault(key, []):
                notes[key].append(note)
    ordered = {name: environments[name] for name in sorted(environments, key=_reference_first)}
    return Results(ordered, {key: Verdict(each, tuple(notes.get(key, ()))) for key, each in outcomes.items()})


def _environment(backends: list[str]) -> str:
    others = [name for name in backends if name != REFERENCE]
    if len(others) > 1:
        raise ValueError(
            f"results from beside {' and '.join(others)}: run the checks with one framework alone"
        )
    return others[0] if others else REFERENCE


def _agree(environments: dict[str, dict[str, str]], name: str, versions: dict[str, str]) -> None:
    """Take the versions of an environment: the latest date, and of each library one version."""
    before = environments.setdefault(name, versions)
    for library, version in versions.items():
        if library == "date":
            before["date"] = max(before["date"], version)
        elif before.get(library) != version:
            raise ValueError(
                f"on {name} there are results from {library} {before.get(library)} and {version}: keep one"
            )


def _reference_first(name: str) -> tuple[bool, str]:
    return name != REFERENCE, name


def promise(check: str) -> str:
    """Return the name of a check as words."""
    return check.removeprefix("check_").replace("_", " ")


def page_of(kind: str, name: str) -> str:
    """Return the page of a first-party plugin, from the top of the site."""
    return f"plugins/{PACKAGES[kind, name].removeprefix('pruners-')}.md"


def page(results: Results) -> str:
    """Return the tables of the page of conformance."""
    if not results.environments:
        return "No results have been written down yet."
    parts = [_environments(results)]
    for kind, title in KINDS.items():
        parts += [f"## {title}", _table(results, kind)]
    parts += ["## Known failures", _known(results), "## What does not apply", _skipped(results)]
    return "\n\n".join(parts)


def _environments(results: Results) -> str:
    rows = ["| environment | date | versions |", "|---|---|---|"]
    for name, about in results.environments.items():
        versions = ", ".join(f"{library} {about[library]}" for library in about if library != "date")
        rows.append(f"| {name} | {about['date']} | {versions} |")
    return "\n".join(rows)


def _table(results: Results, kind: str) -> str:
    names = list(results.environments)
    rows = [f"| {kind} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for each, name in PACKAGES:
        if each == kind:
            cells = [results.cell(environment, kind, name) for environment in names]
            label = name if kind == "backend" else f"[{name}]({page_of(kind, name)})"
            rows.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _known(results: Results) -> str:
    found = [
        f"- {name}{_with(note)}: *{promise(note['check'])}*: {note['reason']}"
        for name, note in _notes(results, "expected failure")
    ]
    return "\n".join(dict.fromkeys(found)) or "None."


def _skipped(results: Results) -> str:
    """Return which checks say nothing about which plugins, by reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, note in _notes(results, "skipped"):
        named = reasons.setdefault((note["check"], note["reason"]), [])
        if name not in named:
            named.append(name)
    rows = ["| check | of | why |", "|---|---|---|"]
    rows += [
        f"| {promise(check)} | {', '.join(names)} | {why} |"
        for (check, why), names in sorted(reasons.items())
    ]
    return "\n".join(rows)


def _notes(results: Results, outcome: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for (_, kind, name), verdict in sorted(results.verdicts.items()):
        for note in verdict.notes:
            if note["outcome"] == outcome and (kind, name) in PACKAGES:
                yield name, note


def _with(note: Mapping[str, str]) -> str:
    return f" with `{note['options']}`" if note["options"] else ""


def main(paths: list[str], into: Path = RESULTS) -> None:
    """Put files of lines together in the file that the page is made from."""
    if not paths:
        raise SystemExit("name the files that the tests wrote: nox -s numpy torch mxnet makes them")
    lines = (json.loads(line) for path in paths for line in Path(path).read_text().splitlines())
    write(merge(lines), into)


if __name__ == "__main__":
    main(sys.argv[1:])
