"""Show numpydoc docstrings in Markdown: formulas become MathML, reference lists become lists."""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_BLOCK = re.compile(r"^\.\. math::[ ]*(?P<formula>.*(?:\n(?:[ \t]+\S.*|[ \t]*$))*)", re.MULTILINE)
_INLINE = re.compile(r":math:`([^`]+)`")
_REFERENCE = re.compile(r"^\.\. \[(\d+)\] ", re.MULTILINE)
_OPTIONAL = re.compile(r"^(\w[\w, ]* : .+), optional$", re.MULTILINE)
_OPTIONAL_CHOICE = re.compile(r"^(\w+ : )\{([^}]*)\}, optional$", re.MULTILINE)
_CODE = re.compile(r"``(.+?)``", re.DOTALL)


def to_markdown(text: str) -> str:
    """Return a docstring with its formulas as MathML, which browsers draw without a script."""
    text = _BLOCK.sub(
        lambda match: f'\n<div class="formula">{_mathml(match["formula"], "block")}</div>\n\n', text
    )
    # In a span, or Markdown takes a line that begins with a formula for a block of HTML.
    text = _INLINE.sub(lambda match: f"<span>{_mathml(match[1], 'inline')}</span>", text)
    # What is not in a signature would be called required, and the first of several choices the default.
    text = _OPTIONAL_CHOICE.sub(r"\1\2, default: None", text)
    text = _OPTIONAL.sub(r"\1, default: None", text)
    text = _REFERENCE.sub(r"\1. ", text)
    return _CODE.sub(lambda match: f"`{' '.join(match[1].split())}`", text)


def _mathml(formula: str, display: str) -> str:
    return convert(" ".join(formula.split()), display=display)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once, before its sections are read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
