"""The page: tags whose text is escaped unless it is markup already, tables, and the frame around the sections."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = ["Markup", "Section", "facts", "note", "page", "paragraph", "reading", "table", "tag"]

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""Of the page: whatever may be in it, it cannot call anybody."""


SHORT = 26
"""Letters of a text in a table that is not wrapped."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page, with the name that links to it."""

    name: str
    title: str
    body: Markup


def tag(element: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element; children and attributes are escaped, except children that are `Markup`.

    ``class_`` is the attribute ``class``, and an underscore inside a name a hyphen.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{element}{written}>{join(children)}</{element}>")


def join(parts: Iterable[Any]) -> Markup:
    """Return parts one after another, each escaped unless it is `Markup`."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(str(part)) for part in parts))


def paragraph(*children: Any) -> Markup:
    """Return a paragraph."""
    return tag("p", *children)


def reading(*children: Any) -> Markup:
    """Return the sentence beside a chart that says how to read it."""
    return tag("p", *children, class_="reading")


def note(*children: Any) -> Markup:
    """Return a remark that must not be overlooked."""
    return tag("p", *children, class_="note")


def table(
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, text: Collection[int] = (0,), caption: str = ""
) -> Markup:
    """Return a table that scrolls by itself where it is too wide.

    text
        columns that hold text, aligned left; all others hold figures, aligned right. The first names its row
    """
    kinds = ["text" if column in text else "figure" for column in range(len(head))]
    top = tag("tr", *(tag("th", cell, class_=kind, scope="col") for cell, kind in zip(head, kinds, strict=True)))
    body = []
    for row in rows:
        cells = []
        for column, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
            class_ = kind
            if kind == "text" and not isinstance(cell, Markup):
                # Short texts stay whole; long ones are wrapped, but never to a column of single words.
                class_ += " one-line" if len(cell) <= SHORT else " long"
            cells.append(tag("td", cell, class_=class_) if column else tag("th", cell, class_=class_, scope="row"))
        body.append(tag("tr", *cells))
    title = [tag("caption", caption)] if caption else []
    whole = tag("table", *title, tag("thead", top), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex="0")


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Return names with their values, one below the other."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def page(title: str, header: Markup, sections: Sequence[Section], library: str) -> str:
    """Return the page, with everything that it needs inside.

    library
        plotly's JavaScript; it comes last, so that the text is there before it
    """
    links = [tag("li", tag("a", each.title, href=f"#{each.name}")) for each in sections]
    body = join(
        tag("section", tag("h2", each.title), each.body, id=each.name, aria_label=each.title) for each in sections
    )
    contents = tag("nav", tag("ol", *links), aria_label="Contents")
    without = "<noscript><p>The charts need JavaScript, which is switched off; the tables do not.</p></noscript>"
    own = files(__package__)
    style = own.joinpath("style.css").read_text(encoding="utf-8")
    script = own.joinpath("charts.js").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'{header}\n<div class="columns">\n{contents}\n<main>\n{without}\n{body}\n</main>\n</div>\n'
        f"<script>{library}</script>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )
