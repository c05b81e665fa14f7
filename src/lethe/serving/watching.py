"""What is looked up when somebody watches: the models' age, how many are hidden, the ledger, the last reports.

Environment, as ``lethe serve`` sets it; what is not set is not told:

LETHE_LEDGER_URL  the ledger's database, which is only read; by default LETHE_HIDDEN_USERS, where that is one
LETHE_REPORTS     the folder of the workspace's reports
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from lethe.errors import LetheError
from lethe.serving.figures import ByLabels, Gauge, Look
from lethe.serving.hidden import HiddenUsers
from lethe.serving.hidden_ledger import is_url, read_only
from lethe.tables.drift import Drift

_requests = sa.table("requests", sa.column("state"), sa.column("due"))
_WAITING = (
    sa.select(_requests.c.state, sa.func.count(), sa.func.min(_requests.c.due))
    .where(_requests.c.state.not_in(["completed", "cancelled", "withdrawn"]))
    .group_by(_requests.c.state)
)
STATES = ("received", "accepted", "planned", "executing", "verified", "failed")
"""Those that the ledger knows today, so that none waiting is a 0 and no gap."""


class _Decision(BaseModel):
    outcome: str
    at: datetime


class _Winner(BaseModel):
    decision: _Decision


class _Training(BaseModel):
    """Of reports/training.json, what is told of it."""

    winners: dict[str, _Winner]


def looks(made: Mapping[str, datetime], hidden: HiddenUsers) -> list[Look]:
    """All that this service can look up; ``made``: when the version of each family was registered.

    Raises DeploymentError for a URL that names no database.
    """
    all_looks: list[Look] = [lambda: models(made), lambda: hiding(hidden)]
    hidden_by = os.environ.get("LETHE_HIDDEN_USERS") or ""
    if url := os.environ.get("LETHE_LEDGER_URL") or (hidden_by if is_url(hidden_by) else ""):
        engine = read_only(url, "LETHE_LEDGER_URL")
        all_looks.append(lambda: ledger(engine))
    if folder := os.environ.get("LETHE_REPORTS"):
        all_looks += [lambda: decisions(Path(folder)), lambda: drift(Path(folder))]
    return all_looks


def models(made: Mapping[str, datetime]) -> Iterator[Gauge]:
    ages: ByLabels = {(family,): time.time() - at.timestamp() for family, at in made.items()}
    about = "Seconds since the version that a family serves was registered"
    yield Gauge("lethe_model_age_seconds", about, ("family",), ages)


def hiding(hidden: HiddenUsers) -> Iterator[Gauge]:
    digests = hidden.digests()
    about = "1; 0: nobody knows who is hidden, so that all answers are popular items"
    yield Gauge.plain("lethe_answers_from_models", about, digests is not None)
    if digests is not None:
        yield Gauge.plain("lethe_hidden_users", "Users who are answered as if nobody knew them", len(digests))


def ledger(engine: sa.Engine) -> Iterator[Gauge]:
    about = "1; 0: the ledger can't be read"
    try:
        with engine.connect() as connection:
            rows = connection.execute(_WAITING).all()
    except sa.exc.DBAPIError:
        yield Gauge.plain("lethe_ledger_up", about, 0)
        return
    yield Gauge.plain("lethe_ledger_up", about, 1)
    counts = {(state,): 0.0 for state in STATES} | {(state,): float(count) for state, count, _ in rows}
    yield Gauge("lethe_requests_waiting", "Forget requests that nobody has ended", ("state",), counts)
    if rows:
        nearest = min(datetime.fromisoformat(due).timestamp() for *_, due in rows)
        about = "Seconds until the next of them is due; below 0: overdue"
        yield Gauge.plain("lethe_request_due_seconds", about, nearest - time.time())


def decisions(reports: Path) -> Iterator[Gauge]:
    """What the last training decided of each family."""
    last: dict[str, _Decision] = {}
    with suppress(OSError, ValidationError):
        training = _Training.model_validate_json((reports / "training.json").read_bytes())
        last = {family: winner.decision for family, winner in sorted(training.winners.items())}
    outcomes: ByLabels = {
        (family, o): float(one.outcome == o) for family, one in last.items() for o in ("replaced", "kept")
    }
    about = "1 for what the last training came to: replaced (promoted) or kept"
    yield Gauge("lethe_decision", about, ("family", "outcome"), outcomes)
    ages: ByLabels = {(family,): time.time() - one.at.timestamp() for family, one in last.items()}
    yield Gauge("lethe_decision_age_seconds", "Seconds since the last training decided", ("family",), ages)


def drift(reports: Path) -> Iterator[Gauge]:
    """How far the last data of each dataset are from those that its epoch began with."""
    drifts = []
    for path in sorted((reports / "drift").glob("*.json")):
        with suppress(OSError, ValueError, LetheError):
            drifts.append(Drift.parse(json.loads(path.read_bytes()), path.name))
    moved = {(one.dataset, measure.of): measure for one in drifts for measure in one.moved}
    figures: tuple[tuple[str, str, ByLabels], ...] = (
        ("psi", "Population stability index of the last data against the epoch", {k: m.psi for k, m in moved.items()}),
        ("ks", "Kolmogorov and Smirnov's distance, likewise", {k: m.ks for k, m in moved.items()}),
        ("above", "1 where one of the two is above its limit", {k: float(m.above) for k, m in moved.items()}),
    )
    for name, about, values in figures:
        yield Gauge(f"lethe_drift_{name}", about, ("dataset", "of"), values)
