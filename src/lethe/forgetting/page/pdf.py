"""The page as PDF, by fpdf2, which is optional: lethe-recsys[pdf]."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lethe.errors import ConfigError
from lethe.forgetting.page.words import Block, Page

if TYPE_CHECKING:
    from fpdf import FPDF

_GREY = 90
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""The page is a function of the certificate: the day it was printed on is no part of it."""


def pdf(page: Page) -> bytes:
    """The whole file. Raises ConfigError where fpdf2 is not installed."""
    document = _document(page.title)
    document.set_font(size=20, style="B")
    document.multi_cell(0, 10, page.title, new_x="LMARGIN", new_y="NEXT")
    document.set_font(size=11)
    document.multi_cell(0, 6, page.summary, new_x="LMARGIN", new_y="NEXT")
    for block in page.blocks:
        _block(document, block)
    _heading(document, "This certificate")
    _table(document, tuple(page.facts.items()))
    return bytes(document.output())


def _document(title: str) -> FPDF:
    try:
        from fpdf import FPDF
    except ModuleNotFoundError:
        raise ConfigError("pdf: fpdf2 is not installed; install lethe-recsys[pdf], or print the HTML page") from None
    import matplotlib

    # Matplotlib brings a font with the letters of many scripts; the PDF standard's own have Western European ones only.
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    document = FPDF(format="A4")
    document.set_creation_date(_EPOCH)
    document.set_title(title)
    document.set_lang("en")
    document.set_margins(20, 18)
    document.set_auto_page_break(True, 18)
    for style, name in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold")):
        document.add_font("body", style, fonts / f"{name}.ttf")
    document.add_font("code", "", fonts / "DejaVuSansMono.ttf")
    document.set_font("body", size=10)
    document.add_page()
    return document


def _block(document: FPDF, block: Block) -> None:
    _heading(document, block.heading)
    for text in (*block.paragraphs, *(f"• {point}" for point in block.points)):
        document.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
        document.ln(1.5)
    if block.table:
        _table(document, block.table, head=True)
    document.set_font("code", size=8)
    for text in block.commands:
        document.multi_cell(0, 4.5, text, new_x="LMARGIN", new_y="NEXT")
    document.set_font("body", size=10)


def _heading(document: FPDF, text: str) -> None:
    document.ln(5)
    document.set_font("body", size=12, style="B")
    document.multi_cell(0, 7, text, new_x="LMARGIN", new_y="NEXT")
    document.set_font("body", size=10)


def _table(document: FPDF, rows: tuple[tuple[str, ...], ...], *, head: bool = False) -> None:
    document.set_font("body", size=8)
    document.set_draw_color(_GREY)
    with document.table(
        borders_layout="HORIZONTAL_LINES", first_row_as_headings=head, line_height=4.5, padding=0.8, wrapmode="CHAR"
    ) as table:
        for row in rows:
            table.row(row)
    document.set_font("body", size=10)
