"""The page for people: it says what the certificate says, loads nothing, and is made of nothing but the certificate."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.errors import ArtifactError
from lethe.forgetting import page as pages
from lethe.forgetting.certificate import Erasure, check, write
from lethe.forgetting.page import Page
from tests.forgetting.certificates import content, sampled, verification


def page(tmp_path: Path, one: Erasure | None = None) -> Page:
    return pages.page_of(check(write(one or content(), tmp_path / "certificates")))


class Shown(HTMLParser):
    """The texts and the attributes of an HTML file; fails at a tag that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_it_says_what_was_removed_from_where_until_when_and_how_to_check(tmp_path: Path) -> None:
    shown = Shown()
    shown.feed(pages.html(page(tmp_path)))
    assert shown.open == []
    said = " ".join(shown.texts)
    for part in (
        "10 rows",
        "2 January 2026",
        "the file that was imported",
        "its owner removes the rows",
        "the next epoch",
        "model ease, settings reg 100.5",
        "check_certificate.py",
        "req-0123456789abcdef",
        "byte for byte",
    ):
        assert part in said, part
    for one in content().plain()["scan"]["stores"]:
        assert one in said or one == "reports"


@pytest.mark.parametrize(("kind", "asked"), [("user", False), ("interaction", True)])
def test_the_way_to_check_names_the_items_where_single_ones_were_asked_about(
    kind: str, asked: bool, tmp_path: Path
) -> None:
    values = content().plain()
    one = content(request=values["request"] | {"kind": kind}, users=values["users"] if kind == "user" else None)
    assert ("--user - --item ITEM --item ITEM" in pages.text(page(tmp_path, one))) == asked


def test_it_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    text = pages.html(page(tmp_path))
    shown = Shown()
    shown.feed(text)
    assert not {name for name, _ in shown.attributes} & {"src", "href", "onload", "onclick"}
    assert "<script" not in text
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_what_stands_in_a_certificate_can_not_become_mark_up(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    values = content().plain()["families"]["sharded"] | {"chosen": evil}
    text = pages.html(page(tmp_path, content(families={"sharded": values})))
    assert evil not in text
    assert "&lt;script&gt;" in text


def test_each_claim_has_words_of_its_own(tmp_path: Path) -> None:
    after = content().after
    every = (
        content(**verification("equal", served=after, rebuilt=after)),
        content(),
        sampled(1, "mine"),
        content(**verification("not run", reason="no time")),
    )
    said = [page(tmp_path, one).blocks[2].points[0] for one in every]
    assert len(set(said)) == len(every)
    assert "was not shown here" in said[-1]


def test_what_was_not_searched_is_said(tmp_path: Path) -> None:
    scan = content().scan.plain() | {"not_searched": ["reports: old.7z"], "typed_only": 1}
    (block,) = [b for b in page(tmp_path, content(scan=scan)).blocks if b.heading == "What was not in reach"]
    assert "old.7z" in block.points[0]
    assert "not in free text" in block.points[1]


def test_the_pdf_is_a_function_of_the_certificate(tmp_path: Path) -> None:
    pytest.importorskip("fpdf")
    first, second = (pages.pdf(page(tmp_path)) for _ in range(2))
    assert first.startswith(b"%PDF-")
    assert first == second
    values = content().plain()["families"]["sharded"] | {"chosen": "наилучший, 最良"}
    assert pages.pdf(page(tmp_path, content(families={"sharded": values}))) != first


def test_the_command_writes_the_page_and_checks_first(tmp_path: Path) -> None:
    path = write(content(), tmp_path / "certificates")
    run = CliRunner().invoke
    assert run(app, ["certificate", "show", str(path), "--html", str(tmp_path / "page.html")]).exit_code == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    shown = run(app, ["certificate", "show", str(path)])
    assert "What was not in reach" in shown.output
    checked = run(app, ["certificate", "check", str(path)])
    assert "NOT compared with a key you trust" in checked.output
    path.write_bytes(path.read_bytes().replace(b'"payload": "ey', b'"payload": "eY'))
    for command in (["check", str(path)], ["show", str(path), "--html", str(tmp_path / "other.html")]):
        failed = run(app, ["certificate", *command])
        assert isinstance(failed.exception, ArtifactError)
    assert not (tmp_path / "other.html").exists()
