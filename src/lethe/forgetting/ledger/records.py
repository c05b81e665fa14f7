"""A request as a row of the ledger's table, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lethe.core.canonical import Json, canonical_json
from lethe.core.keys import subject_digest
from lethe.forgetting.ledger.requests import OPEN, ForgetRequest, Held
from lethe.forgetting.ledger.result import Result

_PLAIN = (
    "id",
    "dataset",
    "kind",
    "also_item",
    "subject_digest",
    "user_digest",
    "reason",
    "state",
    "ticket",
    "external_id",
    "on_hold",
    "failure",
    "lifted",
    "said_item",
)
"""What stands in the table as it is."""


def to_row(request: ForgetRequest) -> dict[str, str | bool | None]:
    """The row of a request; its ids are in the column ``subject`` alone."""
    return {
        **{name: getattr(request, name) for name in _PLAIN},
        "subject": None if request.user is None else _text(_ids_of(request)),
        "held": _text(asdict(request.held)),
        "facts": _text(request.facts),
        "received": request.received.isoformat(),
        "due": request.due.isoformat(),
        # Once it is ended the subject may come back and ask again: that is a new request.
        "idempotency_key": request.subject if request.state in OPEN else request.id,
        "result": None if request.result is None else _text(request.result.plain()),
    }


def _ids_of(request: ForgetRequest) -> Json:
    return {"user": request.user, "items": [*request.items], "nonce": request.nonce}


def _text(value: Any) -> str:
    return canonical_json(value).decode()


def from_row(row: sa.RowMapping) -> ForgetRequest:
    subject = json.loads(row["subject"]) if row["subject"] else {"user": None, "items": [], "nonce": None}
    values = {name: row[name] for name in _PLAIN}
    if values["user_digest"] is None:
        # Of a request about interactions that an older Lethe took.
        user = subject["user"]
        values["user_digest"] = "" if user is None else subject_digest(row["dataset"], user)
    return ForgetRequest(
        **values,
        user=subject["user"],
        items=tuple(subject["items"]),
        nonce=subject.get("nonce"),
        held=Held(**json.loads(row["held"] or "{}")),
        facts=tuple(json.loads(row["facts"] or "[]")),
        received=datetime.fromisoformat(row["received"]),
        due=datetime.fromisoformat(row["due"]),
        result=Result.parse(json.loads(row["result"])) if row["result"] else None,
    )
