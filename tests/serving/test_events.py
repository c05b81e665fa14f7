"""What people did since the last training: kept for a while, followed by the next answer, and bounded."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lethe.config.serving import Events
from lethe.core import keys
from lethe.core.keys import subject_digest
from lethe.errors import ConfigError
from lethe.serving import events as buffers
from lethe.serving.event import Event
from lethe.serving.event_file import Named, count, discard, files, keep_out, make, transaction, wipe
from lethe.serving.events import EventBuffer, Unavailable

NOBODY = Named()


def seen() -> bool:
    return False


def opened(path: Path, **settings: float) -> EventBuffer:
    """A buffer that is ready, with nobody kept out."""
    make(path)
    keep_out(path, NOBODY, only=True)
    return EventBuffer(path, Events(**settings))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "events.sqlite"


def items(buffer: EventBuffer, user: int | str) -> list[str]:
    return [event.item_id for event in buffer.of("tiny", user)]


def take(buffer: EventBuffer, user: int | str, *item_ids: str, dataset: str = "tiny") -> None:
    buffer.take(dataset, user, [Event(item) for item in item_ids], seen)


def test_what_one_worker_takes_every_other_has_oldest_first(path: Path) -> None:
    buffer, other = opened(path), EventBuffer(path, Events())
    buffer.take("tiny", 7, [Event("a", 4.0, "rec-1"), Event("b")], seen)
    take(other, "7", "c")
    assert other.of("tiny", "7") == [Event("a", 4.0, "rec-1"), Event("b"), Event("c")], "7 and '7' are one id"
    assert items(buffer, "07") == items(buffer, 8) == [], "and no other spelling is"
    assert buffer.of("other", 7) == []


def test_events_leave_by_themselves(path: Path) -> None:
    now = 1000.0
    opened(path)
    buffer = EventBuffer(path, Events(minutes=1), clock=lambda: now)
    take(buffer, "u", "a")
    now += 59
    take(buffer, "u", "b")
    assert items(buffer, "u") == ["a", "b"]
    now += 1
    assert items(buffer, "u") == ["b"], "not read any more, whoever looks after the file"
    assert rows(path) == 2
    buffer.expire()
    assert rows(path) == 1
    now += 59
    take(buffer, "v", "a")
    assert rows(path) == 1, "what others do takes it along too"


def test_a_worker_that_idles_lets_them_go_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(path)
    take(EventBuffer(path, Events(minutes=1), clock=lambda: 0.0), "u", "a")
    swept = threading.Event()
    monkeypatch.setattr(buffers.time, "sleep", lambda _: (swept.set(), threading.Event().wait()))
    EventBuffer.begin(path, Events())
    assert swept.wait(10)
    assert rows(path) == 0


def test_there_are_never_more_of_one_user_or_in_all_than_the_settings_say(path: Path) -> None:
    buffer = opened(path, per_user=3, rows=5)
    take(buffer, "u", *"abcde")
    assert items(buffer, "u") == ["c", "d", "e"]
    for user in "vwxyz":
        take(buffer, user, "a")
    assert rows(path) == 5
    assert items(buffer, "u") == [], "the oldest go"


def test_of_whoever_is_kept_out_nothing_stays_and_nothing_comes(path: Path) -> None:
    buffer = opened(path)
    take(buffer, "gone", "a", "b")
    take(buffer, "stays", "a", "b", "gone")
    named = Named(users=frozenset({subject_digest("tiny", "gone")}))
    assert count(path, named) == keep_out(path, named) == 2
    take(buffer, "gone", "c")
    buffer.take("tiny", "hidden", [Event("c")], lambda: True)
    assert items(buffer, "gone") == items(buffer, "hidden") == []
    assert items(buffer, "stays") == ["a", "b", "gone"]
    one = Named(
        interactions=frozenset({subject_digest("tiny", "stays", "a")}),
        items=frozenset({subject_digest("tiny", "gone")}),
    )
    assert keep_out(path, one) == 2
    take(buffer, "stays", "a", "gone", "b")
    assert items(buffer, "stays") == ["b", "b"], "single interactions, and a person who is an item"
    take(buffer, "gone", "a", dataset="other")
    assert len(buffer.of("other", "gone")) == 1, "who is forgotten in one dataset is known in others"


def test_only_those_are_kept_out_who_are_named_last(path: Path) -> None:
    buffer = opened(path)
    keep_out(path, Named(users=frozenset({subject_digest("tiny", "one")})))
    keep_out(path, Named(users=frozenset({subject_digest("tiny", "two")})))
    for user in ("one", "two"):
        take(buffer, user, "a")
    assert rows(path) == 0
    keep_out(path, Named(users=frozenset({subject_digest("tiny", "two")})), only=True)
    for user in ("one", "two"):
        take(buffer, user, "a")
    assert (items(buffer, "one"), items(buffer, "two")) == (["a"], [])


def test_nothing_of_what_was_wiped_is_left_in_any_file(path: Path) -> None:
    buffer = opened(path)
    for number in range(300):
        take(buffer, f"user-{number}", *"abc")
    named = Named(users=frozenset(subject_digest("tiny", f"user-{number}") for number in range(0, 300, 3)))
    assert all(any(digest.encode() in file.read_bytes() for file in files(path)) for digest in named.users)
    keep_out(path, named)
    # A worker has the buffer open all the while, so that the log beside it stays.
    assert path.with_name("events.sqlite-wal") in files(path)
    left = b"".join(file.read_bytes() for file in files(path))
    assert not [digest for digest in named.users if digest.encode() in left]
    assert subject_digest("tiny", "user-1").encode() in left
    assert rows(path) == 600


def test_no_id_of_a_person_is_in_the_file(path: Path) -> None:
    buffer = opened(path)
    take(buffer, "canary-person@example.org", "a")
    assert b"canary" not in b"".join(file.read_bytes() for file in files(path))
    assert path.stat().st_mode & 0o077 == 0


def test_an_event_and_a_request_at_once_leave_nothing(path: Path) -> None:
    """Each of many customers is told of by several workers while their request is taken."""
    buffer, users = opened(path), [f"user-{number}" for number in range(40)]
    begun = threading.Barrier(4)

    def worker(item: str) -> None:
        own = EventBuffer(path, Events())
        begun.wait()
        for user in users:
            take(own, user, item)

    def requests() -> None:
        begun.wait()
        for user in users:
            keep_out(path, Named(users=frozenset({subject_digest("tiny", user)})))

    with ThreadPoolExecutor(4) as pool:
        done = [*(pool.submit(worker, item) for item in "abc"), pool.submit(requests)]
        for one in done:
            one.result()
    assert rows(path) == 0
    assert [items(buffer, user) for user in users] == [[]] * len(users)


def test_a_request_waits_for_an_event_that_is_being_taken_and_wipes_it(path: Path) -> None:
    """The worst moment: the worker has looked whether the user is hidden, and has not yet written."""
    buffer, looked, on = opened(path), threading.Event(), threading.Event()

    def hidden() -> bool:
        looked.set()
        assert on.wait(10)
        return False

    named = Named(users=frozenset({subject_digest("tiny", "u")}))
    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(buffer.take, "tiny", "u", [Event("a")], hidden)
        assert looked.wait(10)
        asked = pool.submit(keep_out, path, named)
        assert not asked.done()
        on.set()
        taken.result()
        assert asked.result() == 1
    assert rows(path) == 0


def test_where_there_is_no_buffer_nothing_is_taken_and_answers_go_without(path: Path) -> None:
    buffer = EventBuffer(path, Events())
    assert buffer.of("tiny", "u") == []
    with pytest.raises(Unavailable, match=r"^events: can't be kept now \(No such file"):
        take(buffer, "u", "a")
    assert not path.exists(), "a worker makes none: it would keep nobody out"
    make(path)
    with pytest.raises(Unavailable):
        take(buffer, "u", "a")
    keep_out(path, Named(users=frozenset({subject_digest("tiny", "x")})))
    with pytest.raises(Unavailable):
        take(buffer, "u", "a")
    keep_out(path, NOBODY, only=True)
    take(buffer, "u", "a")
    discard(path)
    assert files(path) == []
    assert buffer.of("tiny", "u") == [], "not from a file that is gone"


def test_a_buffer_of_another_key_is_nobodys(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = opened(path)
    take(buffer, "u", "a")
    monkeypatch.setenv("LETHE_KEY_DIR", str(tmp_path / "other"))
    keys.fingerprint()
    with pytest.raises(Unavailable, match=r"^events: the buffer was made under another key$"):
        take(buffer, "u", "b")
    keep_out(path, NOBODY, only=True)
    assert rows(path) == 0
    take(buffer, "u", "b")
    assert items(buffer, "u") == ["b"]


def test_a_damaged_or_busy_buffer_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "PATIENCE", 0.05)
    opened(path)
    buffer = EventBuffer(path, Events())
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        transaction(other),
        pytest.raises(Unavailable, match=r"^events: can't be kept now \(database is locked\)$"),
    ):
        take(buffer, "u", "a")
    discard(path)
    path.write_bytes(b"no database" * 100)
    line = r"^events\.sqlite: the events that the service keeps can't be wiped \(file is not a database\); stop"
    with pytest.raises(ConfigError, match=line):
        keep_out(path, Named(users=frozenset({subject_digest("tiny", "u")})))
    assert buffer.of("tiny", "u") == []


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def test_numbers_are_not_needed_to_be_dense(path: Path) -> None:
    """Bounds hold after a wipe as well."""
    buffer = opened(path, per_user=2, rows=4)
    rng = np.random.default_rng(3)
    for step in range(60):
        take(buffer, f"user-{rng.integers(4)}", *"abc"[: rng.integers(1, 4)])
        if step % 7 == 0:
            wipe(path, Named(users=frozenset({subject_digest("tiny", "user-1")})))
        assert rows(path) <= 4
        assert all(len(items(buffer, f"user-{user}")) <= 2 for user in range(4))
