"""Who may see and do what, and what no other page, log or address gets to know."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from lethe.console.app import application
from lethe.console.rooms import ROOMS
from lethe.console.sessions import COOKIE
from lethe.core.workspace import Workspace
from lethe.forgetting.standing import ledger
from lethe.serving import access
from lethe.serving.access import Keys, Role
from tests.console.conftest import ASKING, KEYS, Visitor, known, problem, settings, visitor, words

STATIC = Path(application.__code__.co_filename).parent / "static"
SENT = ["/ui/requests/new", "/ui/requests/file", "/ui/requests/{id}", "/ui/run", "/ui/certificates", "/ui/try"]
READ = [*SENT, "/ui/requests", "/ui/run/stores", "/ui/certificates/{id}", "/ui/certificates/{id}/file"]
READ += ["/ui/models", "/ui/models/sharded", "/ui/drift"]


def paths(workspace: Workspace, written: list[str]) -> list[str]:
    (done,) = ledger(workspace).in_state("completed")
    return [path.replace("{id}", done.id) for path in written]


def room_of(path: str) -> str:
    return next(name for name, room in ROOMS.items() if path.startswith(room.path))


def test_without_a_key_every_page_leads_to_the_login_and_nothing_is_done(lived: Workspace) -> None:
    came, before = visitor(lived), ledger(lived).all()
    for path in paths(lived, READ):
        answer = came.http.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login")
    came.get("/ui/login")
    for path in paths(lived, SENT):
        answer = came.post(path, user=ASKING, dataset="tiny", action="cancel")
        assert answer.status_code == 401
        assert problem(answer).startswith("session: there is none; log in with a key, nothing was changed")
    assert ledger(lived).all() == before


@pytest.mark.parametrize("name", list(KEYS))
def test_a_role_gets_its_own_pages_and_a_line_for_the_others(lived: Workspace, name: str) -> None:
    came, role = visitor(lived, name), KEYS[name][0]
    menu = set(re.findall(r'<li><a href="(/ui/[a-z]+)"', came.get("/ui").text))
    assert menu == {room.path for room in ROOMS.values() if role in room.roles}
    assert menu
    for path in paths(lived, READ):
        may, answer = role in ROOMS[room_of(path)].roles, came.get(path)
        assert answer.status_code == (200 if may else 403), path
        if not may:
            assert problem(answer).startswith(f"role: your key is of the role {role}, this page needs ")
    for path in paths(lived, SENT):
        if role not in ROOMS[room_of(path)].roles:
            assert came.post(path, user=ASKING, dataset="tiny").status_code == 403


def test_a_wrong_key_and_too_many_of_them_are_refused(lived: Workspace) -> None:
    came = visitor(lived)
    came.get("/ui/login")
    answers = [came.post("/ui/login", key=key) for key in ("", "x" * 30, KEYS["ann"][1][:-1])]
    assert {answer.status_code for answer in answers} == {401}
    assert {problem(answer)[:29] for answer in answers} == {"key: is not one of this proje"}
    assert not any(KEYS["ann"][1][:-1] in answer.text for answer in answers)
    assert 429 in {came.post("/ui/login", key="x" * 30).status_code for _ in range(10)}


def test_without_any_key_nobody_is_in_and_the_login_says_what_to_do(lived: Workspace) -> None:
    came = visitor(lived, keys=Keys(None))
    assert "lethe keys api NAME --role operator" in words(came.get("/ui/login"))
    came = visitor(lived)
    assert "lethe keys api NAME" not in words(came.get("/ui/login"))


def test_a_form_of_another_page_is_refused(ann: Visitor, lived: Workspace) -> None:
    before = ledger(lived).all()
    own = ann.token
    ben = visitor(lived, "ben")
    for token in ("", "0" * 64, ben.token, "ü"):
        ann.token = token
        answer = ann.post("/ui/requests/new", user=ASKING, dataset="tiny")
        assert answer.status_code == 403
        assert problem(answer).startswith("form: is not of this session")
    ann.token = own
    foreign = {"token": own, "user": ASKING, "dataset": "tiny"}
    answer = ann.http.post("/ui/requests/new", data=foreign, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert ann.http.post("/ui/requests/new", json=foreign).status_code == 400
    assert ann.http.put("/ui/requests/new", data=foreign).status_code == 405
    assert ledger(lived).all() == before
    stranger = visitor(lived)
    stranger.get("/ui/login")
    stranger.token = own
    assert stranger.post("/ui/login", key=KEYS["ann"][1]).status_code == 401, "nobody is logged in by another's form"


def test_a_session_ends_and_what_was_typed_can_be_sent_after_the_next_login(
    lived: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(lived, "console", session_minutes=1)
    ann = visitor(lived, "ann")
    ann.get("/ui/requests/new")
    typed = ann.token
    import itsdangerous.timed

    now = itsdangerous.timed.time.time()
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + 61)
    answer = ann.post("/ui/requests/new", user=ASKING, dataset="tiny")
    assert answer.status_code == 401
    assert problem(answer).startswith("session: it has ended after 1 minutes; log in again, nothing was changed")
    assert "session: it has ended after 1 minutes" in words(ann.get("/ui/requests"))
    assert ledger(lived).open() == []
    ann.log_in("ann")
    ann.token = typed
    assert ann.post("/ui/requests/new", user=ASKING, dataset="tiny").status_code == 200
    assert len(ledger(lived).open()) == 1


def test_a_key_that_is_taken_out_ends_its_session_at_once(lived: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = access.add(file, "cleo", Role.OPERATOR)
    came = visitor(lived, keys=Keys(file))
    came.get("/ui/login")
    came.post("/ui/login", key=key)
    assert came.get("/ui/requests").status_code == 200
    access.remove(file, "cleo")
    access.add(file, "cleo", Role.OPERATOR)
    answer = came.post("/ui/requests/new", user=ASKING, dataset="tiny")
    assert answer.status_code == 401
    assert problem(answer).startswith("session: its key was taken out or changed; log in with another")


def test_the_cookie_can_not_be_made_or_changed_and_holds_no_key(ann: Visitor, lived: Workspace) -> None:
    cookie = ann.http.cookies[COOKIE]
    assert KEYS["ann"][1] not in cookie
    body, signature = cookie.split(".", 1)
    for forged in ("x", f"{body}x.{signature}", f"{body}.{signature[:-2]}", ""):
        stranger = visitor(lived)
        stranger.http.cookies.set(COOKIE, forged)
        assert stranger.http.get("/ui/requests", follow_redirects=False).status_code == 303
    assert visitor(lived, "ann").http.cookies[COOKIE] != cookie


def test_the_cookie_is_for_the_console_alone(lived: Workspace) -> None:
    for scheme, secure in (("http", False), ("https", True)):
        http = TestClient(application(lived, known()), base_url=f"{scheme}://127.0.0.1")
        said = http.get("/ui/login").headers["set-cookie"]
        assert {"HttpOnly", "Path=/ui", "SameSite=strict"} <= set(said.split("; ")), said
        assert ("Secure" in said) == secure


def test_logging_out_ends_it(ann: Visitor, lived: Workspace) -> None:
    ann.get("/ui/requests")
    assert ann.http.get("/ui/logout").status_code == 403, "a link of others logs nobody out"
    assert "You are logged out" in words(ann.post("/ui/logout"))
    assert ann.http.get("/ui/requests", follow_redirects=False).status_code == 303


def answers(came: Visitor, workspace: Workspace) -> Iterator[Any]:
    for path in (*paths(workspace, READ), "/ui/login", "/ui/none", "/", "/livez", "/ui/static/console.css"):
        yield came.http.get(path, follow_redirects=False)


def test_every_answer_is_kept_nowhere_and_loads_nothing_from_elsewhere(lived: Workspace) -> None:
    pages = [answer for name in (None, "ben") for answer in answers(visitor(lived, name), lived)]
    assert len(pages) > 30
    for answer in pages:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?:https?:)?//""", answer.text)
        assert not re.search(r"<[^>]+\s(?:style|on[a-z]+)\s*=", answer.text), "the policy would stop it"


def test_htmx_is_the_file_that_was_vendored() -> None:
    from lethe.core.canonical import digest_file

    assert digest_file(STATIC / "htmx.min.js") == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE").read_text()
    ours = [path.read_text() for path in STATIC.glob("*.js")]
    assert not any("localStorage" in text or "sessionStorage" in text for text in ours)


def test_too_much_is_refused_before_it_is_read_whole(ann: Visitor, lived: Workspace) -> None:
    settings(lived, "console", upload=2_000)
    for sent in ({"data": {"token": ann.token, "user": "x" * 3_000}}, {"files": {"file": ("f", b"x" * 3_000)}}):
        answer = ann.http.post("/ui/requests/new", **sent)  # type: ignore[arg-type]
        assert (answer.status_code, problem(answer)[:33]) == (413, "form: more than 2000 bytes, at mo")
    plain, parts = "application/x-www-form-urlencoded", "multipart/form-data"
    for content, kind in ((b"\xff=\xff", plain), (b"user=%ff", plain), (b"--x\r\nnonsense", parts)):
        answer = ann.http.post("/ui/requests/new", content=content, headers={"content-type": kind})
        assert answer.status_code == 400
        assert problem(answer).startswith("form: must be a form")


def test_a_bug_shows_its_place_and_never_what_it_says(
    ann: Visitor, lived: Workspace, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    def broken(_: object) -> None:
        raise ValueError(f"of {ASKING}")

    monkeypatch.setattr("lethe.console.figures.read_drift", lambda *_: broken(None))
    with caplog.at_level(logging.DEBUG):
        answer = ann.http.get("/ui/drift")
    assert answer.status_code == 500
    assert ASKING not in answer.text + caplog.text
    assert "broke down with ValueError at line" in caplog.text
    assert answer.text.startswith("console: broke down with ValueError at line")


def test_a_full_disk_is_one_line_and_what_was_typed_stays(
    ann: Visitor, lived: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    ann.get("/ui/requests/new")
    monkeypatch.setattr("lethe.serving.hidden.write_whole", full)
    answer = ann.post("/ui/requests/new", user=ASKING, ticket="7")
    assert answer.status_code == 500
    assert problem(answer) == f"{lived.hidden_users}: No space left on device; make room there, and run it again"
    assert re.search(r'name="ticket"[^>]* value="7"', answer.text)
    monkeypatch.undo()
    assert all(request.state == "completed" for request in ledger(lived).all()), "nobody is half taken"
