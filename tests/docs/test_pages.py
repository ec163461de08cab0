"""Every example in the README and on the site runs, and every plugin has a page with one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import EXECUTED, MXNET, PAGES, ROOT, Page, commands, difference, environments, regions

PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
TUTORIALS = {"write-a-pruner": "pruners-smallest", "write-a-backend": "pruners-mininet"}
"""The package in the tree that each tutorial builds."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path, place):
    Page(path, place).run()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_block_runs_where_its_framework_is(path):
    for region, environment in environments(path):
        imports = re.search(r"^(>>> )?(import|from) (mxnet|torch)", region.lexemes["source"], re.MULTILINE)
        if imports:
            assert (imports[3] == MXNET) == (environment == MXNET), f"{path.name}: mark the block"


def test_blocks_of_mxnet_are_run_by_a_session_of_the_tests():
    assert '"tests/docs/test_mxnet.py"' in (ROOT / "noxfile.py").read_text()
    assert (ROOT / "tests/docs/test_mxnet.py").is_file()


def test_every_plugin_has_its_page():
    assert (
        sorted(path.stem for path in (ROOT / "docs/plugins").glob("*.md") if path.stem != "index") == PLUGINS
    )


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("page", ["docs/plugins/{}.md", "plugins/{}/README.md"])
def test_a_plugin_page_has_an_example_that_runs(name, page):
    assert EXECUTED & {region.lexemes["language"] for region in regions(ROOT / page.format(name))}


@pytest.mark.parametrize("name", PLUGINS)
def test_the_readme_lists_every_plugin(name):
    assert f"[{name}](plugins/{name})" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
    assert not [link for link in links if "://" not in link and not (path.parent / link).exists()]


@pytest.mark.parametrize("page", TUTORIALS)
def test_a_tutorial_builds_the_package_that_is_in_the_tree(page, place):
    Page(ROOT / f"docs/tutorial/{page}.md", place).run()
    package = ROOT / "docs/tutorial" / TUTORIALS[page]
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix in {".py", ".toml"}]
    assert len(files) == {"pruners-smallest": 3, "pruners-mininet": 9}[package.name]
    for path in files:
        assert (place / path.relative_to(package)).read_text() == path.read_text(), path


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\n1 / 0\n```\n", ZeroDivisionError),
        ("```pycon\n>>> 1 + 1\n3\n```\n", Exception),
        ('```python\nprint(1)\n```\n```text title="output"\n2\n```\n', Exception),
        ("```console\n$ pruners list\nnothing\n```\n", Exception),
        ("```console\n$ pruners no-such-command\n```\n", AssertionError),
        ("```console\n$ make no-such-target\n```\n", AssertionError),
        ("```console\n$ pip install pruners-no-such-plugin\n```\n", AssertionError),
        ("```console\n$ pip install ./no/such/folder\n```\n", AssertionError),
        ("```console\n$ nox -s no-such-session\n```\n", AssertionError),
        ("```console\n$ frobnicate\n```\n", AssertionError),
        ("```toml\na = 1\n```\n", Exception),
        ('```python\n--8<-- "no/such/file.py"\n```\n', FileNotFoundError),
    ],
)
def test_a_wrong_page_is_refused(text, error, place):
    path = place / "page.md"
    path.write_text(text)
    with pytest.raises(error):
        Page(path, place).run()


def test_what_another_tool_was_given_is_shown_beside_what_runs(place):
    path = place / "page.md"
    path.write_text(
        '```py title="Another tool"\n1 / 0\n```\n'
        '```python title="Pruners"\nprint(1)\n```\n```text title="output"\n1\n```\n'
    )
    Page(path, place).run()
    assert [each.name for each in place.iterdir()] == ["page.md"]


def test_a_right_page_is_taken(place):
    path = place / "page.md"
    path.write_text(
        '```python title="part.py"\nvalue = 2\n```\n'
        "```python\nimport part\nprint(part.value)\n```\n"
        '```text title="output"\n2\n```\n'
        "```pycon\n>>> part.value + 1\n3\n```\n"
        "```console\n$ make test\n$ pip install pruners[torch]\n$ nox -s torch\n```\n"
    )
    Page(path, place).run()


MARKED = """\
```python
seen = ["docs"]
```
<!-- environment: mxnet -->
```python
seen = ["mxnet"]
```
```pycon
>>> seen
['mxnet']
```
<!-- environment: docs -->
```pycon
>>> seen
['docs']
```
"""


@pytest.mark.parametrize("environment", ["docs", "mxnet"])
def test_only_the_blocks_of_one_environment_run(place, environment):
    path = place / "page.md"
    path.write_text(MARKED)
    Page(path, place, environment).run()
    path.write_text(MARKED.replace(f"['{environment}']\n", "[]\n"))
    with pytest.raises(AssertionError, match="Expected"):
        Page(path, place, environment).run()


def test_an_unknown_environment_is_refused(place):
    path = place / "page.md"
    path.write_text("<!-- environment: mxnte -->\n```python\n1 / 0\n```\n")
    with pytest.raises(AssertionError, match="no environment 'mxnte'"):
        Page(path, place)


def test_outputs_are_compared_loosely():
    assert difference("a  b\n...\nc", "a b\nx\ny\nc\n") is None
    assert difference("a b", "a c") is not None


def test_commands_are_read_with_their_output():
    assert commands("$ a b\n1\n2\n$ c\n") == [("a b", "1\n2\n"), ("c", "")]
