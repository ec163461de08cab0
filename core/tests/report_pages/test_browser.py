"""The page in a real browser, where there is one: 360 pixels wide, and no wider."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html import escape

import pytest

import pruners

from . import making

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync", "--hide-scrollbars"]
FRAME = """<!DOCTYPE html><title>not yet</title>
<iframe style="width: 360px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<script>document.querySelector("iframe").addEventListener("load", (event) => {{
  const seen = event.target.contentDocument;
  const parts = [...seen.querySelectorAll("body *")].filter((each) => !each.closest(".scroll"));
  const right = Math.max(...parts.map((each) => each.getBoundingClientRect().right));
  const words = [...seen.querySelectorAll("svg text")].map((each) => each.getBoundingClientRect().height);
  document.title = [seen.documentElement.scrollWidth, Math.ceil(right), Math.min(...words)].join(" ");
}});</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_phone_scrolls_down_only_and_words_in_figures_can_be_read(tmp_path):
    weights = making.model()
    weights["a.very." + "long." * 30 + "weight"] = weights["fc.weight"].copy()
    dense = {name: array.copy() for name, array in weights.items()}
    pruners.page(
        making.session(weights),
        tmp_path / "report.html",
        dense=dense,
        removal=making.REMOVAL,
        measurement=making.MEASUREMENT,
        sensitivities=making.scan(dense),
        title="Pruning report: some.module:a_function_with_a_long_name_that_builds_the_model",
    )
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=escape((tmp_path / "report.html").read_text())))
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    seen = subprocess.run(
        [BROWSER, *OPTIONS, *root, profile, "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    width, right, smallest = re.search(r"<title>([\d.]+) ([\d.]+) ([\d.]+)</title>", seen).groups()
    assert float(width) == 360
    assert float(right) <= 360
    assert float(smallest) >= 8
