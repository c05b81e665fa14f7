"""The page as one HTML file: no script, nothing loaded, light and dark, to be printed."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from lethe.forgetting.page.words import Block, Page

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5c5c66; --line: #d5d5dc; --paper: #fff; --code: #f3f3f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf1; --soft: #a4a4b0; --line: #3c3c46; --paper: #17171b; --code: #24242b; }
}
body { margin: 0 auto; max-width: 46rem; padding: 2.5rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .75rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
.summary { font-size: 1.1rem; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } td { overflow-wrap: anywhere; }
code { display: block; background: var(--code); padding: .5rem .75rem; margin: .4rem 0; overflow-wrap: anywhere;
  font: .88rem/1.5 ui-monospace, monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin-top: 2.5rem; padding-top: 1rem;
  border-top: 2px solid var(--line); font-size: .9rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } }
@media print {
  :root { --ink: #000; --soft: #444; --line: #bbb; --paper: #fff; --code: #f3f3f6; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } h2 { break-after: avoid; } tr, code { break-inside: avoid; }
}
"""


def html(page: Page) -> str:
    """The whole file."""
    title = escape(page.title)
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts.items())
    body = "\n".join(line for block in page.blocks for line in _block(block))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        f'<body>\n<main>\n<h1>{title}</h1>\n<p class="summary">{escape(page.summary)}</p>\n{body}\n'
        f"<dl>{facts}</dl>\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(block.heading)}</h2>"
    yield from (f"<p>{escape(text)}</p>" for text in block.paragraphs)
    if block.table:
        head, *rows = block.table
        yield f'<div class="scroll"><table>\n<thead>{_row(head, "th")}</thead>\n<tbody>'
        yield from (_row(row, "td") for row in rows)
        yield "</tbody>\n</table></div>"
    if block.points:
        points = "".join(f"<li>{escape(text)}</li>" for text in block.points)
        yield f"<ul>{points}</ul>"
    yield from (f"<code>{escape(text)}</code>" for text in block.commands)
    yield "</section>"


def _row(cells: tuple[str, ...], kind: str) -> str:
    scope = ' scope="col"' if kind == "th" else ""
    return "<tr>" + "".join(f"<{kind}{scope}>{escape(cell)}</{kind}>" for cell in cells) + "</tr>"
