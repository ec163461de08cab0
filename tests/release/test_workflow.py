"""Continuous integration is nox: one job per session, and no logic beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

from .archives import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOW = yaml.safe_load((FOLDER / "tests.yml").read_text())
JOBS = WORKFLOW["jobs"]
LIST = "nox --list --json"
USES = re.compile(r"actions/(checkout|setup-python)@v\d+")
RUNS = {
    "python -m pip install nox",
    f'echo "sessions=$({LIST})" >> "$GITHUB_OUTPUT"',
    'nox --session "${{ matrix.session }}"',
}


@pytest.fixture(scope="module")
def sessions():
    """Return what the first job hands to the second."""
    command = [sys.executable, "-m", *LIST.split()]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)


def test_there_is_one_workflow_of_two_jobs():
    assert [path.name for path in FOLDER.iterdir()] == ["tests.yml"]
    assert list(JOBS) == ["list", "run"]
    assert WORKFLOW["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_does_nothing_but_call_nox(job):
    for step in JOBS[job]["steps"]:
        assert set(step) <= {"id", "uses", "with", "run"}
        assert ("run" in step) != ("uses" in step)
        assert step.get("run") in RUNS if "run" in step else USES.fullmatch(step["uses"])
    assert set(JOBS[job]) <= {"needs", "name", "runs-on", "outputs", "strategy", "steps"}


def test_there_is_a_job_for_each_session_that_is_listed():
    matrix = JOBS["run"]["strategy"]["matrix"]
    assert matrix == {"include": "${{ fromJson(needs.list.outputs.sessions) }}"}
    assert JOBS["run"]["needs"] == "list"
    assert JOBS["run"]["strategy"]["fail-fast"] is False
    steps = [step["run"] for step in JOBS["run"]["steps"] if "run" in step]
    assert steps == ["python -m pip install nox", 'nox --session "${{ matrix.session }}"']


def test_the_list_is_what_a_bare_nox_runs(sessions):
    listed = {each["session"] for each in sessions}
    assert {"lint", "docs", "wheels", "numpy", "torch", "mxnet"} <= listed
    assert all("test" in each["tags"] for each in sessions)
    assert not {"release", "version", "demo", "benchmarks"} & listed
    assert {path.parent.name for path in ROOT.glob("backends/*/pyproject.toml")} <= listed


def test_a_job_has_the_python_of_its_session(sessions):
    used = [step["with"]["python-version"] for step in JOBS["run"]["steps"] if "with" in step]
    assert used == ["${{ matrix.python }}"]
    assert all(re.fullmatch(r"3\.\d+", each["python"]) for each in sessions)


def test_names_of_jobs_differ(sessions):
    names = [each["session"] for each in sessions]
    assert len(names) == len(set(names))
    assert JOBS["run"]["name"] == "${{ matrix.session }}"


def test_contributors_are_told_of_every_session():
    command = [sys.executable, "-m", "nox", "--list"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    defined = set(re.findall(r"^[*-] (\S+)", listing, re.MULTILINE))
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == defined
