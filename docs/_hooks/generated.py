"""Put what is generated in place of marks: ``<!-- facts: NAME -->``, ``plugins``, and others."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import benchmarked
import conformance
import facts

_MARK = re.compile(
    r"^<!-- (?:facts: (?P<plugin>[a-z-]+)|(?P<what>plugins|conformance|benchmarks)) -->$", re.MULTILINE
)


def fill(markdown: str) -> str:
    """Return a page with every mark replaced."""
    return _MARK.sub(_generated, markdown)


def _generated(mark: re.Match[str]) -> str:
    if mark["plugin"]:
        return facts.facts(mark["plugin"], conformance.read())
    if mark["what"] == "benchmarks":
        return benchmarked.page()
    return facts.index() if mark["what"] == "plugins" else conformance.page(conformance.read())


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page: a hook of MkDocs."""
    return fill(markdown)
