"""A card as headings, sentences and tables, and the two ways to write it: Markdown, and HTML that stands alone."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MARKDOWN_FILE, HTML_FILE = "card.md", "card.html"

STYLE = """
:root { color-scheme: light; --ink: #1c2733; --soft: #55636f; --paper: #fff; --line: #d5dbe1 }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e6e9ec; --soft: #a9b4be; --paper: #15191d; --line: #39434c }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line) }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--soft); font-weight: 600 }
.wide { overflow-x: auto }
.wide:focus-visible { outline: 2px solid #d08a1d; outline-offset: 2px }
h1, h2, p, td { overflow-wrap: anywhere } td { min-width: 4.5rem }
@media (max-width: 40rem) { table { width: max-content } td { max-width: 16rem } }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 9.5pt }
  .wide { overflow: visible } h2 { break-after: avoid } tr { break-inside: avoid }
  table { font-size: 8pt; width: 100% } td { min-width: 0 } th, td { padding-right: .4rem }
}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences, each a paragraph, and tables below them."""

    heading: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """Everything that is said of one version."""

    title: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """As Markdown with tables."""
        lines = [f"# {_plain(self.title)}"]
        for section in self.sections:
            lines += ["", f"## {_plain(section.heading)}"]
            for sentence in section.sentences:
                lines += ["", _plain(sentence)]
            for table in section.tables:
                lines += ["", _row(table.headings), _row(["---"] * len(table.headings)), *map(_row, table.rows)]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """As one page: its style inside, no script, nothing fetched from anywhere."""
        body = [f"<h1>{html.escape(self.title)}</h1>"]
        for section in self.sections:
            body.append(f"<h2>{html.escape(section.heading)}</h2>")
            body += [f"<p>{html.escape(sentence)}</p>" for sentence in section.sentences]
            body += [_table(table, of=section.heading) for table in section.tables]
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
        )


def write_card(folder: Path, card: Card) -> None:
    """Writes both forms beside the version's files."""
    (folder / MARKDOWN_FILE).write_text(card.markdown(), encoding="utf-8")
    (folder / HTML_FILE).write_text(card.html(), encoding="utf-8")


def _plain(text: str) -> str:
    """One line in which nothing is markup: names come from files that people write."""
    line = " ".join(text.split()).replace("\\", "\\\\")
    for mark in "|*`<[":
        line = line.replace(mark, f"\\{mark}")
    return line


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell if cell == "---" else _plain(cell) for cell in cells) + " |"


def _table(table: Table, *, of: str) -> str:
    """In a box that scrolls, also by keys: on a phone, columns squeezed to its width make a page of 30 screens."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.headings)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{html.escape(of)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>"
    )
