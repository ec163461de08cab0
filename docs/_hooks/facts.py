"""What a plugin's page says at its top: from its spec, its docstring, its class and results of tests."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import conformance
import measured
from docstrings import to_markdown
from numpydoc.docscrape import NumpyDocString

import pruners
from pruners.known import PACKAGES
from pruners.registry import load, options_of

DATA = {
    "activated": "outputs of layers past their nonlinearity",
    "activations": "outputs of layers",
    "consumers": "what the next layer reads",
    "gradients": "gradients of the loss",
    "inputs": "inputs of layers",
}
"""What needs ``data=``, in words."""
ALSO = "scales", "the scales of batch norms, found on `example_inputs=`"
OPTIONAL: Mapping[str, tuple[type, str]] = {
    "allocates": (pruners.Allocates, "decides itself how much of each layer goes"),
    "adjusts": (pruners.Adjusts, "repairs what remains after a removal"),
    "prepares": (pruners.Prepares, "measures once, before anything is pruned"),
}
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_CITATION = re.compile(r" \[\d+\]_")
_SENTENCE = re.compile(r"(?:`[^`]*`|[^`])*?\.(?=\s|$)")


def facts(name: str, results: conformance.Results) -> str:
    """Return the facts of one first-party plugin as Markdown."""
    kind = _kind_of(name)
    plugin = pruners.installed().find(kind, name)
    factory = load(plugin)
    written = NumpyDocString(inspect.getdoc(factory) or "")
    parts = [
        "| | |\n|---|---|\n" + "\n".join(f"| {label} | {what} |" for label, what in _rows(plugin, results))
    ]
    formula = "\n".join(written["Extended Summary"]).strip()
    if formula:
        parts.append("**Formula.** " + to_markdown(_CITATION.sub("", formula)))
    options = _options(factory, written["Parameters"])
    if options:
        parts.append("**Options**\n\n" + options)
    figures = measured.table(name)
    if figures:
        parts.append("**Measured**\n\n" + figures)
    return "\n\n".join(parts)


def _kind_of(name: str) -> Any:
    kinds = [kind for kind, each in PACKAGES if each == name]
    if len(kinds) != 1:
        raise ValueError(f"{name!r} is the name of {len(kinds)} plugins of this project; facts need one")
    return kinds[0]


def _rows(plugin: pruners.Plugin, results: conformance.Results) -> Iterator[tuple[str, str]]:
    spec = plugin.spec
    yield "kind", _kind_in_words(plugin)
    yield "what it does", spec.summary
    others = [
        f"`{each.name}`"
        for each in pruners.installed().plugins
        if each.kind == plugin.kind and each.spec.factory == spec.factory and each.name != plugin.name
    ]
    if others:
        yield "also called", ", ".join(others)
    yield "package", f"`{plugin.distribution}` {plugin.version}"
    yield "install", f"`pip install {plugin.distribution}`"
    if spec.paper:
        yield "paper", _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", spec.paper)
    if plugin.kind == "pruner":
        yield "looks at", looks_at(spec.needs)
        also = [words for protocol, words in OPTIONAL.values() if isinstance(load(plugin)(), protocol)]
        if also:
            yield "also", "; ".join(also)
    yield from _partners(plugin)
    for environment, about in results.environments.items():
        cell = results.cell(environment, plugin.kind, plugin.name)
        version = about.get(environment, "")
        yield f"[conformance](../conformance.md) on {environment} {version}".rstrip(), cell


def _kind_in_words(plugin: pruners.Plugin) -> str:
    if plugin.kind != "pruner":
        return plugin.kind
    unit = load(plugin)().unit
    other = {"weight": "channel", "channel": "weight"}[unit]
    choice = f'; of {other}s with `unit="{other}"`' if "unit" in (options_of(load(plugin)) or {}) else ""
    return f"pruner of {unit}s{choice}"


def looks_at(needs: Iterable[str]) -> str:
    """Return in words what a pruner needs, and what to pass for it."""
    needs = set(needs)
    words = [DATA[each] for each in sorted(needs & set(DATA))]
    passed = ["`data=`"] * bool(words) + ["`loss=`"] * ("gradients" in needs)
    parts = [f"{' and '.join(words)}: pass {' and '.join(passed)}"] if words else []
    if ALSO[0] in needs:
        parts.append(ALSO[1])
    return "; ".join(parts) or "weights only"


def _partners(plugin: pruners.Plugin) -> Iterator[tuple[str, str]]:
    if plugin.kind != "pruner":
        yield "pruners", "any" if plugin.kind == "schedule" else f"of weights: {_links('pruner', 'weight')}"
    if plugin.kind != "schedule":
        yield "schedules", f"any: {_links('schedule')}"
    if plugin.kind == "schedule":
        yield "patterns", f"any: {_links('pattern')}"
    if plugin.kind == "pruner":
        whole = load(plugin)().unit == "channel"
        yield "patterns", "none: whole channels are a pattern" if whole else f"any: {_links('pattern')}"


def _links(kind: str, unit: str | None = None) -> str:
    names = [name for each, name in PACKAGES if each == kind]
    if unit:
        names = [each for each in names if load(pruners.installed().find("pruner", each))().unit == unit]
    return ", ".join(f"[{name}]({page(kind, name)})" for name in names)


def page(kind: str, name: str) -> str:
    """Return the page of a plugin, from another plugin's."""
    return conformance.page_of(kind, name).removeprefix("plugins/")


def _options(factory: Any, parameters: Iterable[Any]) -> str:
    """Return a table of options: types, defaults, and the first sentence on each, with ranges and units."""
    rows = []
    signature = options_of(factory) or {}
    for entry in parameters:
        kind = re.sub(r",? (default .*|optional)$", "", entry.type)
        meaning = " ".join(" ".join(entry.desc).split())
        first = _SENTENCE.match(meaning)
        for name in entry.name.split(", "):
            default = signature[name].default
            shown = "required" if default is inspect.Parameter.empty else f"`{default!r}`"
            cells = (f"`{name}`", _code_of(kind), shown, to_markdown(first[0] if first else meaning))
            rows.append(
                "| " + " | ".join(cell.replace("|", "&#124;").replace("\n", " ") for cell in cells) + " |"
            )
    return "\n".join(["| option | type | default | meaning |", "|---|---|---|---|", *rows]) if rows else ""


def _code_of(kind: str) -> str:
    return ", ".join(f"`{each.strip()}`" for each in kind.strip("{}").split(",")) if "{" in kind else kind


def index() -> str:
    """Return the table of all plugins."""
    rows = ["| kind | name | what it does | looks at | paper |", "|---|---|---|---|---|"]
    for kind in ("pruner", "schedule", "pattern"):
        found = [pruners.installed().find(kind, name) for each, name in PACKAGES if each == kind]
        for plugin in sorted(found, key=lambda each: ("of weights" not in _kind_in_words(each), each.name)):
            needs = looks_at(plugin.spec.needs) if kind == "pruner" else ""
            paper = _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", plugin.spec.paper)
            link = f"[{plugin.name}]({page(kind, plugin.name)})"
            rows.append(f"| {_kind_in_words(plugin)} | {link} | {plugin.spec.summary} | {needs} | {paper} |")
    return "\n".join(rows)
