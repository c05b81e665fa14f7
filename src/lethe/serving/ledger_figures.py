"""What the ledger's database tells whoever watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from functools import cache

import sqlalchemy as sa

from lethe.serving.figures import Gauge
from lethe.serving.hidden_ledger import read_only

_requests = sa.table("requests", sa.column("state"), sa.column("due"))
_WAITING = (
    sa.select(_requests.c.state, sa.func.count(), sa.func.min(_requests.c.due))
    .where(_requests.c.state.not_in(["completed", "cancelled", "withdrawn"]))
    .group_by(_requests.c.state)
)
STATES = ("received", "accepted", "planned", "executing", "verified", "failed")
"""Those that the ledger knows today, so that none waiting is a 0 and no gap."""

_engine = cache(read_only)


def waiting(url: str, variable: str) -> Iterator[Gauge]:
    """How many requests wait in the ledger of a URL, which stood in that variable, and how long they may."""
    engine = _engine(url, variable)
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
