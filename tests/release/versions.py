"""
Write one version into everything that names it: ``python -m tests.release.versions 0.2.0``.

Every ``version`` and ``__version__``, what packages of this repository ask of each other, and what
pages show of them. The section of the changelog is for a person to write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .archives import ASKS, PUBLISHED, ROOT, project

PAGES = ("README.md", *(f"{each}/README.md" for each in PUBLISHED), "docs/**/*.md")
RECORDS = ("docs/coverage*.md", "docs/examples/**/*.md")
"""Pages that say with which version something was measured."""

_number = r"(\d+\.\d+\.\d+)"
_static = re.compile(rf'^((?:__)?version(?:__)? = "){_number}(?=")', re.MULTILINE)
_bounds = re.compile(r'(?<=["`])(pruners(?:-[\w-]+)?(?:\[[\w,]+\])?)(?:>=\d+\.\d+,<\d+\.\d+|==\d+\.\d+\.\*)')


def write(root: Path, version: str) -> list[Path]:
    """Write a version below a folder; return the files that have changed."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise SystemExit(f"a version is three numbers as in 0.2.0, got {version!r}")
    changed = []
    for path, text in _rewritten(root, version):
        if text != path.read_text():
            path.write_text(text)
            changed.append(path)
    return changed


def shown(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield each version of a package of this repository that a page shows."""
    pattern = _shown(root)
    for path in pages(root):
        for match in pattern.finditer(path.read_text()):
            yield path, match[2]


def pages(root: Path) -> list[Path]:
    """Return the pages that show the version of the tree."""
    records = {path for each in RECORDS for path in root.glob(each)}
    return sorted({path for each in PAGES for path in root.glob(each)} - records)


def asked(text: str, version: str) -> str:
    """
    Return a text that asks for packages of this repository in one minor version.

    >>> asked('["pruners>=0.1,<0.2", "pruners-conformance==0.1.*", "numpy>=0.1,<0.2"]', "0.9.3")
    '["pruners>=0.9,<0.10", "pruners-conformance==0.9.*", "numpy>=0.1,<0.2"]'
    """
    major, minor, _ = version.split(".")

    def bound(match: re.Match[str]) -> str:
        if "==" in match[0]:
            return f"{match[1]}=={major}.{minor}.*"
        return f"{match[1]}>={major}.{minor},<{major}.{int(minor) + 1}"

    return _bounds.sub(bound, text)


def _rewritten(root: Path, version: str) -> Iterator[tuple[Path, str]]:
    for path in (path for each in PUBLISHED for path in root.glob(f"{each}/pyproject.toml")):
        yield path, asked(_static.sub(rf"\g<1>{version}", path.read_text(), count=1), version)
    for path in (path for each in ASKS for path in root.glob(f"{each}/pyproject.toml")):
        yield path, asked(path.read_text(), version)
    module = root / "core/src/pruners/__init__.py"
    yield module, _static.sub(rf"\g<1>{version}", module.read_text(), count=1)
    pattern = _shown(root)
    for page in pages(root):
        yield page, asked(pattern.sub(rf"\g<1>{version}", page.read_text()), version)


def _shown(root: Path) -> re.Pattern[str]:
    """Return what finds the name of a published package with a version behind it."""
    found = (path.parent for each in PUBLISHED for path in root.glob(f"{each}/pyproject.toml"))
    names = "|".join(re.escape(project(folder)["name"]) for folder in found)
    return re.compile(rf"(?<![\w-])((?:{names}),? +){_number}\b")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say one version: nox -s version -- 0.2.0")
    for path in write(ROOT, sys.argv[1]):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
