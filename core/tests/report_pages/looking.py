"""A page as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from attrs import define, field

VOID = {"meta", "img", "br", "link", "input"}
LOADING = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


@define
class Element:
    tag: str
    attributes: dict
    text: list = field(factory=list)

    @property
    def said(self):
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """Every element with its text; anything that is closed out of turn is an error."""

    def __init__(self, text):
        super().__init__()
        self.raw, self.elements, self.open = text, [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        element = Element(tag, dict(attrs))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1].tag == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.text.append(data)

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    @property
    def sections(self):
        return {each.attributes["id"]: each.said for each in self.all("section")}


def read(path):
    return Page(Path(path).read_text(encoding="utf-8"))
