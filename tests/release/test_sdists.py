"""Every source distribution: what git holds, and the same wheel as the tree."""

from __future__ import annotations

import subprocess

import pytest

from .archives import PACKAGES, ROOT, name, sdist, wheel

each_package = pytest.mark.parametrize("package", PACKAGES, ids=name)
ADDED = {"PKG-INFO", ".gitignore"}
"""What the build adds: the metadata, and what git ignores."""


def tracked(package) -> set[str]:
    """Return the files of a package that git holds."""
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=package.folder, capture_output=True, check=True, text=True
    )
    return {path for path in run.stdout.split("\0") if path}


def test_there_is_nothing_but_a_wheel_and_an_sdist_of_each_package(dist):
    assert {path.name for path in dist.iterdir()} == {
        f"{package.stem}{ending}" for package in PACKAGES for ending in (".tar.gz", "-py3-none-any.whl")
    }


@each_package
def test_an_sdist_holds_what_git_holds(package, dist):
    files = sdist(package, dist)
    prefix = f"{package.stem}/"
    assert {path.removeprefix(prefix) for path in files} - ADDED == tracked(package)
    assert files[f"{prefix}LICENSE"] == (ROOT / "LICENSE").read_bytes()


@each_package
def test_the_wheel_and_the_sdist_say_the_same(package, dist):
    about = wheel(package, dist)[f"{package.stem}.dist-info/METADATA"]
    assert sdist(package, dist)[f"{package.stem}/PKG-INFO"] == about


@each_package
def test_the_wheel_built_from_the_sdist_is_the_one_built_from_the_tree(package, dist, tree):
    assert wheel(package, dist) == wheel(package, tree)
