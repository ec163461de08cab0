"""What this tree publishes, and reading wheels and source distributions of it."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PUBLISHED = ("core", "plugins/*", "backends/*", "runtimes/*", "tests/conformance")
ASKS = ("docs/examples/*", "docs/tutorial/*")
"""Packages with versions of their own, that ask for these."""

FOLDERS = sorted(path.parent for each in PUBLISHED for path in ROOT.glob(f"{each}/pyproject.toml"))


def project(folder: Path) -> dict:
    """Return the table ``project`` of a pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


@dataclass(frozen=True)
class Package:
    """A folder with a pyproject.toml."""

    folder: Path

    @property
    def about(self) -> dict:
        """The table ``project``."""
        return project(self.folder)

    @property
    def module(self) -> str:
        """What is imported."""
        return self.about["name"].replace("-", "_")

    @property
    def stem(self) -> str:
        """How the names of its archives begin."""
        return f"{self.module}-{self.about['version']}"

    @property
    def sources(self) -> set[str]:
        """The files that are installed, relative to ``src``."""
        found = (self.folder / "src").rglob("*")
        return {
            path.relative_to(self.folder / "src").as_posix()
            for path in found
            if path.is_file() and "__pycache__" not in path.parts
        }


PACKAGES = [Package(folder) for folder in FOLDERS]


def name(package: Package) -> str:
    """Return the folder of a package, relative to the root."""
    return package.folder.relative_to(ROOT).as_posix()


def wheel(package: Package, dist: Path) -> dict[str, bytes]:
    """Return each file in the wheel of a package."""
    with zipfile.ZipFile(dist / f"{package.stem}-py3-none-any.whl") as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def sdist(package: Package, dist: Path) -> dict[str, bytes]:
    """Return each file in the source distribution of a package."""
    with tarfile.open(dist / f"{package.stem}.tar.gz") as archive:
        members = [member for member in archive if not member.isdir()]
        assert all(member.isfile() for member in members), "a link or a device"
        return {member.name: archive.extractfile(member).read() for member in members}


def metadata(text: bytes) -> Message:
    """Return core metadata; the long description is the payload."""
    return Parser().parsestr(text.decode())
