"""Ids in files and on standard input arrive to the letter, or are refused: half an id may be somebody else's."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lethe.config.params import Params
from lethe.data.stages import build_data
from lethe.errors import RequestError
from lethe.forgetting.bulk import asks_of, read_asks, read_id
from lethe.forgetting.intake import submit_all
from lethe.forgetting.standing import ledger
from lethe.tables.ids import id_fault
from lethe.tables.interactions import Interactions
from tests.conftest import make_workspace

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda raw: id_fault(raw) is None)


def piped(content: bytes) -> SimpleNamespace:
    """Standard input that is no terminal."""
    return SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)


def csv_of(ids: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([["user"], *([raw] for raw in ids)])
    return text.getvalue()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(IDS, unique=True, min_size=1))
def test_every_id_that_a_gate_lets_in_can_be_asked_for_in_a_file(tmp_path: Path, ids: list[str]) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(csv_of(ids), encoding="utf-8", newline="")
    assert [ask.user for ask in read_asks(str(path))] == ids


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x1c", "\x0b", "\n", "\r"])
def test_marks_that_end_lines_elsewhere_end_none_here(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given_in = csv_of([f"a{mark}b", "c"]).encode()
    monkeypatch.setattr("sys.stdin", piped(given_in))
    assert [ask.user for ask in read_asks("-")] == [f"a{mark}b", "c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("user\na,b\n", "line 2 has 2 columns, its head names 1"),
        ("item,user\nx\n", "line 2 has 1 columns, its head names 2"),
        ('user\n"a"b\n', "line 2: "),
        ('user\n"a\n', "line 2: "),
        ("user,user\na,b\n", "column 'user' must stand in the head line once"),
        ("", "must hold at least one id"),
        ("user,item\n", "must hold at least one id"),
        ("\ufeff\n\n", "must hold at least one id"),
    ],
)
def test_half_an_id_is_nobodys(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(content)
    with pytest.raises(RequestError, match=said):
        read_asks(str(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"user": 7},\n {"user": 8}]', "is JSON or HTML, must be CSV"),
        (b'{"user": 7}\n{"user": 8}\n', "is JSON or HTML, must be CSV"),
        (b"[7, 8]", "is JSON or HTML, must be CSV"),
        (b"\n<!DOCTYPE html><p>404", "is JSON or HTML, must be CSV"),
        (b"user;item\n7;1\n", "stand between ';', must be commas"),
        (b"User\titem\n7\t1\n", "stand between '.t', must be commas"),
        (b"sep=;\nuser;item\n7;1\n", "stand between ';', must be commas"),
        ("user\n7\n".encode("utf-16-le"), "must be CSV in UTF-8"),
        (b"PK\x03\x04\x14\x00\x00", "must be CSV in UTF-8"),
        (b"\xff\xfeu", "must be CSV in UTF-8"),
    ],
    ids=["array", "lines", "numbers", "page", "semicolon", "tab", "excel", "utf-16", "workbook", "bytes"],
)
def test_files_of_another_kind_are_no_ids(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "asked.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=said):
        read_asks(str(path))


@pytest.mark.parametrize("raw", ["{}", "[1]", "<html>", "a;user", "sep=;"])
def test_ids_that_look_like_such_files_stand_below_a_head_line(raw: str, tmp_path: Path) -> None:
    path = tmp_path / "asked.csv"
    path.write_text(f"user\n{raw}\n")
    assert [ask.user for ask in read_asks(str(path))] == [raw]


@pytest.mark.parametrize(
    ("line", "raw"),
    [(b"a\n", "a"), (b"a\r\n", "a"), (b"a", "a"), (b"a\rb \n", "a\rb "), ("é\u2028".encode(), "é\u2028")],
)
def test_one_id_from_the_input(line: bytes, raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", piped(line))
    assert read_id() == raw


def test_an_id_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", piped(b"\xff\n"))
    with pytest.raises(RequestError, match="must be UTF-8"):
        read_id()


def test_of_several_lines_none_is_taken_for_the_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", piped(b"a\nb\n"))
    with pytest.raises(RequestError, match="has several lines, must be one id; for many give --file -"):
        read_id()


def test_who_asks_for_all_and_for_an_item_is_asked_for_all_too(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("user,item,external_id\na,x,T\na,,T\na,y,T\nb,,\n")
    asks = [(ask.user, ask.items) for ask in read_asks(str(path))]
    assert asks == [("a", ("x", "y")), ("a", ()), ("b", ())]


@pytest.mark.parametrize(
    ("content", "asked"),
    [("user\nuser\nuser-003\n", ["user", "user-003"]), ("USER\nuser-003\n", ["user-003"])],
    ids=["both", "a head line alone"],
)
def test_a_first_line_that_is_somebodys_id_too_is_asked_about(content: str, asked: list[str], tmp_path: Path) -> None:
    people = np.array(["user", "user-003", "other"], dtype=object).repeat(4)
    rows = Interactions.of(people, np.tile(np.arange(4), 3), np.ones(12), np.arange(12))
    workspace = make_workspace(tmp_path / "w", rows)
    build_data(workspace, Params.read(workspace.params), "tiny", [])
    with pytest.raises(RequestError, match="its first line is somebody's id, or the name of the column; write it once"):
        submit_all(workspace, None, asks_of(b"user\nuser-003\n"))
    assert ledger(workspace).all() == []
    asks = asks_of(content.encode())
    assert [ask.user for ask in asks] == asked
    assert [answer.request.state for answer in submit_all(workspace, None, asks)] == ["accepted"] * len(asked)
