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
TITLES = ("Pruners of weights", "Pruners of channels", "Schedules", "Patterns")
_DOI = re.compile(r"doi:(10\.\S+)")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_CITATION = re.compile(r" \[\d+\]_")
_SENTENCE = re.compile(r"(?:`[^`]*`|[^`])*?\.(?=\s|$)")


def facts(name: str, results: conformance.Results) -> str:
    """Return the facts of one first-party plugin as Markdown."""
    kind = _kind_of(name)
    plugin = pruners.installed().find(kind, name)
    factory = load(plugin)
    written = NumpyDocString(inspect.getdoc(factory) or "")
    rows = [f"| {name} | {plugin.spec.summary} |", "|---|---|"]
    rows += [f"| {label} | {what} |" for label, what in _rows(plugin, results)]
    parts = ["\n".join(rows)]
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
    others = [
        f"`{each.name}`"
        for each in pruners.installed().plugins
        if each.kind == plugin.kind and each.spec.factory == spec.factory and each.name != plugin.name
    ]
    if others:
        yield "also called", ", ".join(others)
    yield "package", f"`{plugin.distribution}` {plugin.version}"
    folder = f"./plugins/{plugin.distribution.removeprefix('pruners-')}"
    yield "install", f"`pip install {plugin.distribution}`, or from a clone `pip install {folder}`"
    if spec.paper:
        yield "paper", linked(spec.paper)
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
    """Return a type of numpydoc as Markdown: a choice without its braces, its values as code."""
    return re.sub(r'"[^"]*"', r"`\g<0>`", kind.replace("{", "").replace("}", ""))


def linked(paper: str) -> str:
    """Return the name of a paper with a link to it."""
    paper = _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)
    return _DOI.sub(r"[doi:\1](https://doi.org/\1)", paper)


def index() -> str:
    """Return a table of all plugins for each kind."""
    groups: dict[str, list[pruners.Plugin]] = {title: [] for title in TITLES}
    for kind, name in PACKAGES:
        if kind not in ("backend", "runtime"):
            plugin = pruners.installed().find(kind, name)
            of = f" of {load(plugin)().unit}s" if kind == "pruner" else ""
            groups[f"{kind.capitalize()}s{of}"].append(plugin)
    return "\n\n".join(f"## {title}\n\n{_index_of(found)}" for title, found in groups.items())


def _index_of(found: list[pruners.Plugin]) -> str:
    pruner = found[0].kind == "pruner"
    names = ["name", "what it does", *["looks at"] * pruner, "paper"]
    rows = [names, ["---"] * len(names)]
    for plugin in found:
        needs = [looks_at(plugin.spec.needs)] if pruner else []
        name = f"[{plugin.name}]({page(plugin.kind, plugin.name)})"
        rows.append([name, plugin.spec.summary, *needs, linked(plugin.spec.paper)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
