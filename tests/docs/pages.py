"""
Run the code blocks of a Markdown page, in order, in one namespace and one working directory.

``python``            runs; with a title that has a suffix it is a file, and is written
``py``                is shown and does not run: what was typed for another tool
``pycon``             runs as a doctest
``toml``, ``yaml``    are files: they need a title, and are written
``console``           ``$ pruners ...``, ``$ pytest ...`` and ``$ torchrun ...`` run, what is shown is
                      compared; commands that change this environment (``pip``, ``make``, ...) must name
                      things that exist
``text``              with the title "output" is compared with what the block before it printed

A line ``--8<-- "path"`` stands for a file below ``docs``, as on the site.

Where outputs are compared, spaces do not count and ``...`` stands for anything.

``<!-- environment: mxnet -->`` says that the blocks behind it run where MXNet is installed, in the nox
session of that name and not in this one; ``<!-- environment: docs -->`` ends that.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sybil import Document, Example, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.region import Lexeme

ROOT = Path(__file__).parents[2]
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
EXECUTED = {"python", "pycon", "console"}
RUN = {"pruners": "pruners", "pytest": "pytest", "torchrun": "torch.distributed.run"}
"""Programs that are run, by the module that is."""
IGNORED = {"bash", "markdown", "mermaid", "py"}
DOCS, MXNET = "docs", "mxnet"
"""Environments that blocks run in; the first is where the site is built."""

PAGES = sorted(
    path
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/**/*.md",
        "core/README.md",
        "plugins/*/README.md",
        "backends/*/README.md",
    )
    for path in ROOT.glob(pattern)
    if "docs/examples/" not in path.as_posix()  # run where these packages are installed: tests/gallery
)

_fences = RawFencedCodeBlockLexer(re.compile(r"(?P<language>[a-z]+)?(?P<info>[^\n]*)\n"))
_environment = re.compile(r"^<!-- environment: (\w+) -->$", re.MULTILINE)
_included = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
_run_python = PythonEvaluator()
_doctests = DocTestStringParser(DocTestEvaluator(LOOSE))


class Page:
    """One page and where it runs: `folder` is its working directory, `printed` what it said last."""

    def __init__(self, path: Path, folder: Path, environment: str = DOCS) -> None:
        self.path = path
        self.environment = environment
        self.folder = folder
        self.printed = ""
        self.document = Document.parse(str(path), self._regions)
        self.languages = [region.lexemes["language"] for region in _fences(self.document)]

    def run(self) -> None:
        """Run every block; an error names the page and the line."""
        for example in self.document.examples():
            example.evaluate()

    def _regions(self, document: Document):
        for region, environment in in_environments(document):
            if environment != self.environment:
                continue
            language, source = region.lexemes["language"], region.lexemes["source"]
            title = re.search(r'title="([^"]+)"', region.lexemes["info"])
            region.parsed = Lexeme(included(source), source.offset, source.line_offset)
            region.evaluator = self._evaluator(language, title and title[1])
            if language == "pycon":
                for part in _doctests(source, document.path):
                    part.adjust(region, source)
                    yield part
            elif region.evaluator:
                yield region

    def _evaluator(self, language: str | None, title: str | None):
        if language in {"python", "toml", "yaml"} and title and Path(title).suffix:
            return lambda example: self._write(title, example)
        if language == "text" and title == "output":
            return self._compare_with_last
        if language == "python":
            return self._python
        if language == "console":
            return self._console
        if language in {"pycon", "text", *IGNORED}:
            return None
        return lambda example: f"no rule for a block {language!r} without title; see tests/docs/pages.py"

    def _write(self, title: str, example: Example) -> None:
        path = self.folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed)
        forget(path.stem)

    def _python(self, example: Example) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            _run_python(example)
        self.printed = printed.getvalue()

    def _compare_with_last(self, example: Example) -> str | None:
        return difference(example.parsed, self.printed)

    def _console(self, example: Example) -> str | None:
        for command, shown in commands(example.parsed):
            program, *arguments = shlex.split(command)
            if program not in RUN:
                check_only(program, arguments)
                self._install(program, arguments)
            else:
                output = self._call(program, arguments)
                if shown.strip():
                    wrong = difference(shown, output)
                    if wrong:
                        return f"$ {command}\n{wrong}"
        return None

    def _call(self, program: str, arguments: list[str]) -> str:
        run = subprocess.run(
            [sys.executable, "-m", RUN[program], *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{self.folder / 'site'}"},
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise AssertionError(f"$ {program} {shlex.join(arguments)}\n{run.stdout}{run.stderr}")
        return run.stdout

    def _install(self, program: str, arguments: list[str]) -> None:
        """Follow ``pip install -e .``, beside this environment and not into it."""
        if program != "pip" or "." not in arguments:
            return
        site = self.folder / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(site), str(self.folder)], check=True)
        sys.path.insert(0, str(site))
        sys.path.insert(0, str(self.folder))  # before it, so that later changes to the files count
        forget()


def included(block: str) -> str:
    """Return a block with the files in it that a line ``--8<-- "path"`` names, below ``docs``."""
    return _included.sub(lambda line: (ROOT / "docs" / line[1]).read_text(), block)


def forget(module: str | None = None) -> None:
    """Let a module that was written anew be imported anew, and plugins be found anew."""
    import pruners

    sys.modules.pop(module, None)
    importlib.invalidate_caches()
    pruners.installed.cache_clear()


def difference(shown: str, printed: str) -> str | None:
    """Return what is wrong with what a page shows, or None."""
    checker = doctest.OutputChecker()
    if checker.check_output(shown, printed, LOOSE):
        return None
    return checker.output_difference(doctest.Example("", shown), printed, LOOSE | doctest.REPORT_NDIFF)


def commands(block: str) -> list[tuple[str, str]]:
    """Return each command of a console block with the output shown below it."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if parts[0].strip():
        raise AssertionError(f"a console block begins with '$ ', not with {parts[0]!r}")
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts[1:])]


def check_only(program: str, arguments: list[str]) -> None:
    """Check a command that is shown and not run: what it names must exist."""
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        wrong = [target for target in arguments if target not in targets]
    elif program in {"nox", ".venv/bin/nox"}:
        asked = arguments[: arguments.index("--")] if "--" in arguments else arguments
        wrong = [name for name in asked if not name.startswith("-") and name not in sessions()]
    elif program == "pip":
        wrong = [name for name in arguments if name.startswith("pruners") and not installable(name)]
        wrong += [name for name in arguments if name.startswith("./") and not list(ROOT.glob(name[2:]))]
    elif program in {"git", "cd", "python3", "python", "source"}:
        wrong = []
    else:
        raise AssertionError(f"$ {program}: run it or add a check for it in tests/docs/pages.py")
    if wrong:
        raise AssertionError(f"$ {program} {shlex.join(arguments)}: there is no {wrong[0]!r}")


def sessions() -> set[str]:
    """Return the names of the nox sessions: written ones and one per backend."""
    written = re.findall(r"^@nox.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    return {*written, *(path.parent.name for path in ROOT.glob("backends/*/pyproject.toml"))}


def installable(name: str) -> bool:
    """Return whether a first-party package of this name, with these extras, is in the tree."""
    package, _, extras = re.sub(r"[=<>~!].*", "", name).partition("[")
    if package == "pruners":
        core = (ROOT / "core/pyproject.toml").read_text()
        return all(
            re.search(rf"^{extra} = \[", core, re.MULTILINE)
            for extra in extras.rstrip("]").split(",")
            if extra
        )
    folder = package.removeprefix("pruners-")
    return (
        any(
            (ROOT / parent / folder / "pyproject.toml").is_file()
            for parent in ("plugins", "backends", "tests", "docs/tutorial")
        )
        or (ROOT / "docs/tutorial" / package / "pyproject.toml").is_file()
    )


def regions(path: Path) -> list[Region]:
    """Return the fenced blocks of a page."""
    return list(_fences(Document(path.read_text(), str(path))))


def in_environments(document: Document) -> Iterator[tuple[Region, str]]:
    """Yield the fenced blocks of a page, each with the environment it runs in."""
    marks = list(_environment.finditer(document.text))
    for region in _fences(document):
        before = [mark[1] for mark in marks if mark.end() <= region.start]
        environment = before[-1] if before else DOCS
        if environment not in {DOCS, MXNET}:
            raise AssertionError(f"{document.path}: no environment {environment!r}; see tests/docs/pages.py")
        yield region, environment


def environments(path: Path) -> list[tuple[Region, str]]:
    """Return the fenced blocks of a page with the environments they run in."""
    return list(in_environments(Document(path.read_text(), str(path))))
