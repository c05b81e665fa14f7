"""The ledger: every forget request, its state, and an append-only, hash-chained log of each change.

The ids of people are in it only while they are needed. ``erase`` removes a request's subject, and from the file as
well (SQLite: secure_delete and VACUUM, no write-ahead log; PostgreSQL: VACUUM FULL); the keyed digest stays. A chain of
plain hashes shows any change but a rewriting of the whole; that shows against the heads which signed certificates name.

Who has an open request is hidden from the service: the list of hidden users is written inside the transaction that
takes the request, before it is committed, so that nobody is accepted and not hidden. A kill in between leaves somebody
hidden who is not accepted, which the next change mends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from lethe.core.canonical import Json, digest_json
from lethe.errors import RequestError
from lethe.forgetting.ledger import log
from lethe.forgetting.ledger.database import requests as requests_table
from lethe.forgetting.ledger.records import from_row, to_row
from lethe.forgetting.ledger.requests import (
    BEFORE_EXECUTING,
    LEGAL,
    NOTHING_HELD,
    OPEN,
    Fact,
    ForgetRequest,
    Held,
    State,
    check_line,
)
from lethe.forgetting.ledger.result import Result
from lethe.forgetting.ledger.store import Store, rows, update, where

Change = tuple[ForgetRequest, Json]
"""A request as it becomes, and what the log says of it."""
Ending = Callable[[ForgetRequest], Result | None]
"""The result of a request that is to be accepted and ends at once, because nothing is held; None where it doesn't."""


class Ledger(Store):
    """What may become of a request. What takes several ids does all or nothing."""

    # --- taking requests -----------------------------------------------------------------------------------------

    def take(
        self,
        requests: Sequence[ForgetRequest],
        *,
        accept: bool = True,
        end: Ending = lambda _: None,
        actor: str = "",
    ) -> list[tuple[ForgetRequest, bool]]:
        """Put new requests in, and unless something has to be established first accept them, or ``end`` them where
        nothing is held: each as it then is, and whether it is new.

        While a request about the same subject is open, or where one has the same external id, that one is returned
        and nothing is added. Raises RequestError where an external id is that of a request about somebody else.
        """
        taken: list[tuple[ForgetRequest, bool]] = []
        with self.change() as connection:
            known = _known(connection, requests)
            changes: list[Change] = []
            for request in requests:
                _check_actor(actor, request)
                same = [known[name] for name in _names_of(request) if name in known]
                if any(other.subject != request.subject for other in same):
                    raise RequestError("external_id: is that of a request about somebody else, give each its own")
                new = request if same or not accept else _decided(request, end)
                if not same:
                    changes += [(request, _by(actor)), *([(new, _said_of(new))] if accept else [])]
                    known |= dict.fromkeys(_names_of(request), new)
                elif request.external_id:
                    known[request.dataset, request.external_id] = same[0]
                taken.append((same[0] if same else new, not same))
            final = {request.id: request for request, _ in changes}
            if final:
                connection.execute(requests_table.insert(), [to_row(request) for request in final.values()])
            self._log(connection, changes)
        return taken

    def accept(
        self,
        held: Mapping[str, Held],
        *,
        end: Ending = lambda _: None,
        actor: str = "",
        since: State | None = None,
        also_item: bool | None = None,
    ) -> list[ForgetRequest]:
        """Accept requests that were only received, or that failed, with what is held of each now {id: held}, or ``end``
        them where that is nothing. With ``since``, those that have left that state meanwhile are left alone.
        ``also_item``: what was said of them."""
        said = {} if also_item is None else {"also_item": also_item}
        with self.change() as connection:
            changes = []
            for id, old in rows(connection, held).items():
                if since is not None and old.state != since:
                    continue
                _must_lead_to(old, "accepted")
                _check_actor(actor, old)
                told = old if also_item is None else replace(old, also_item=also_item, said_item=True)
                new = _decided(replace(told, held=held[id], failure=None), end)
                changes.append((new, _said_of(new) | said | _by(actor)))
            self._put(connection, changes)
        if any(request.user is None for request, _ in changes):
            self.vacuum()
        return [request for request, _ in changes]

    # --- changing them -------------------------------------------------------------------------------------------

    def advance(self, id: str, state: State, **detail: Any) -> ForgetRequest:
        """Bring a request into its next state; see ``advance_all``."""
        return self.advance_all([id], state, **detail)[0]

    def advance_all(self, ids: Collection[str], state: State, **detail: Any) -> list[ForgetRequest]:
        """Bring requests into their next state. ``detail`` is plain JSON for the log, without ids of people.
        Raises RequestError for a step that is not legal; "completed" is reached by ``complete`` alone."""
        assert state not in ("accepted", "completed"), "a state with a way of its own"
        ending = state not in OPEN
        with self.change() as connection:
            changes = []
            for old in rows(connection, ids).values():
                _must_lead_to(old, state)
                if ending and old.state == "failed" and "executing" in {e.state for e in log.read(connection, old.id)}:
                    raise RequestError(
                        f"state: {old.id} failed after its rows were removed; lethe forget retry ends it"
                    )
                _check_actor(detail.get("actor", ""), old)
                new = replace(old, state=state)
                changes.append((_without_subject(new) if ending else new, detail))
            self._put(connection, changes)
        if ending:
            self.vacuum()
        return [request for request, _ in changes]

    def fail(self, ids: Collection[str], code: str) -> list[ForgetRequest]:
        """Set requests aside that can't be brought to an end, so that they hold up no other; ``code`` says why."""
        with self.change() as connection:
            changes: list[Change] = []
            for old in rows(connection, ids).values():
                _must_lead_to(old, "failed")
                changes.append((replace(old, state="failed", failure=code), {"failure": code}))
            self._put(connection, changes)
        return [request for request, _ in changes]

    def hold(self, id: str, on: bool, actor: str = "") -> ForgetRequest:
        """Keep a request from being executed, or (not ``on``) let it go its way; its subject stays hidden."""
        return self._note(id, {"hold": on}, actor, lambda old: replace(old, on_hold=on))

    def establish(
        self, id: str, fact: Fact, actor: str = "", *, look: Callable[[Sequence[log.Event]], None] = lambda _: None
    ) -> ForgetRequest:
        """Record that something about the asking was established, by whom and when. ``look`` is shown the request's
        log first, and raises RequestError where it may not be."""

        def with_fact(old: ForgetRequest) -> ForgetRequest:
            return replace(old, facts=tuple(sorted({*old.facts, fact})))

        return self._note(id, {"established": fact}, actor, with_fact, look)

    def lift(self, dataset: str, user_digest: str, since: int | None = None, actor: str = "") -> list[ForgetRequest]:
        """Record that somebody who was forgotten may be known again. Raises RequestError where nobody was, or while a
        request about them is open."""
        with self.change() as connection:
            c = requests_table.c
            query = sa.select(requests_table).where(c.dataset == dataset, c.user_digest == user_digest)
            mine = [from_row(row) for row in connection.execute(query).mappings()]
            if any(request.state in OPEN for request in mine):
                raise RequestError("user: a request about them is open; bring it to an end or withdraw it first")
            done = [r for r in mine if r.state == "completed"]
            whole = [replace(request, lifted=True) for request in done if request.kind == "user"]
            if not whole:
                only = ", but of single interactions, which stay forgotten" if done else ""
                raise RequestError(f"user: no request about them was completed in {dataset}{only}")
            detail: Json = {"lifted": True if since is None else since} | _by(actor)
            self._put(connection, [(request, detail) for request in whole])
        return whole

    def erase(self, ids: Collection[str]) -> list[ForgetRequest]:
        """Remove the subjects of verified requests from the ledger and its file; safe to repeat."""
        with self._transaction(write=True) as connection:
            requests = rows(connection, ids)
            for request in requests.values():
                if request.state not in ("verified", "completed"):
                    raise RequestError(f"state: {request.id} is {request.state}, its subject is still needed")
            update(connection, map(_without_subject, requests.values()))
        self.vacuum()
        return self.get_all(ids)

    def complete(self, id: str, result: Result) -> ForgetRequest:
        """End one verified request; see ``complete_all``."""
        return self.complete_all({id: result})[0]

    def complete_all(self, results: Mapping[str, Result]) -> list[ForgetRequest]:
        """End verified requests {id: result}; a subject is erased if it is still there."""
        return self._complete(results, ("verified",))

    def nothing_held(self, id: str, result: Result) -> ForgetRequest:
        """End a request that covers no row any more: an earlier one took them with it."""
        return self._complete({id: result}, NOTHING_HELD)[0]

    # --- below ---------------------------------------------------------------------------------------------------

    def _complete(self, results: Mapping[str, Result], legal: tuple[State, ...]) -> list[ForgetRequest]:
        with self.change() as connection:
            changes: list[Change] = []
            for id, old in rows(connection, results).items():
                if old.state not in legal:
                    raise RequestError(f"state: {id} is {old.state}, it can't become completed")
                new = _completed(old, results[id])
                changes.append((new, _said_of(new)))
            self._put(connection, changes)
        self.vacuum()
        return [request for request, _ in changes]

    def _note(
        self,
        id: str,
        detail: Json,
        actor: str,
        change: Callable[[ForgetRequest], ForgetRequest],
        look: Callable[[Sequence[log.Event]], None] = lambda _: None,
    ) -> ForgetRequest:
        with self.change() as connection:
            old = rows(connection, [id])[id]
            if old.state not in BEFORE_EXECUTING:
                states = ", ".join(BEFORE_EXECUTING)
                raise RequestError(f"state: {id} is {old.state}, this is for requests that are {states}")
            _check_actor(actor, old)
            look(events := log.read(connection, id))
            new, said = change(old), detail | _by(actor)
            if new != old or said not in [event.detail for event in events]:  # A form that is sent twice says no more.
                self._put(connection, [(new, said)])
        return new

    def _put(self, connection: sa.Connection, changes: Sequence[Change]) -> None:
        update(connection, [request for request, _ in changes])
        self._log(connection, changes)

    def _log(self, connection: sa.Connection, changes: Sequence[Change]) -> None:
        named = any(log.names(request.user, detail) for request, detail in changes if request.user is not None)
        assert not named, "detail names the subject, and the log can never be erased from"
        # A request that is accepted is hidden first, and what the list then says is written down.
        accepting = any("held" in detail for _, detail in changes)
        hidden = self.hide(connection) if accepting else frozenset[str]()
        entries = [
            (r.id, r.state, detail | ({"hidden": r.user_digest in hidden} if "held" in detail else {}))
            for r, detail in changes
        ]
        log.append(connection, entries, self._clock())


def _names_of(request: ForgetRequest) -> list[tuple[str, str]]:
    """What makes another request the same one: its subject while it is open, its external id for ever."""
    subject = [("subject", request.subject)] if request.state in OPEN else []
    return [*subject, *([(request.dataset, request.external_id)] if request.external_id else [])]


def _known(connection: sa.Connection, requests: Sequence[ForgetRequest]) -> dict[tuple[str, str], ForgetRequest]:
    columns = requests_table.c
    known = [
        *where(connection, columns.idempotency_key, [request.subject for request in requests]),
        *where(connection, columns.external_id, [r.external_id for r in requests if r.external_id]),
    ]
    return {name: request for request in known for name in _names_of(request)}


def _must_lead_to(old: ForgetRequest, state: State) -> None:
    if state not in LEGAL[old.state]:
        raise RequestError(f"state: {old.id} is {old.state}, it can't become {state}")


def _check_actor(actor: str, request: ForgetRequest) -> None:
    check_line("actor", actor or None, () if request.user is None else (request.user, *request.items))


def _by(actor: str) -> Json:
    return {"actor": actor} if actor else {}


def _without_subject(request: ForgetRequest) -> ForgetRequest:
    return replace(request, user=None, items=())


def _decided(request: ForgetRequest, end: Ending) -> ForgetRequest:
    result = end(request)
    return replace(request, state="accepted") if result is None else _completed(request, result)


def _completed(request: ForgetRequest, result: Result) -> ForgetRequest:
    return _without_subject(replace(request, state="completed", result=result))


def _said_of(request: ForgetRequest) -> Json:
    """What the log says of a request that is accepted or completed."""
    return {"held": asdict(request.held)} if request.result is None else {"result": digest_json(request.result.plain())}
