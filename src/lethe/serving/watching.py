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

from pydantic import BaseModel, ValidationError

from lethe.errors import LetheError
from lethe.serving.figures import ByLabels, Gauge, Look
from lethe.serving.hidden import HiddenUsers, is_url
from lethe.tables.drift import Drift


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
        all_looks.append(ledger(url))
    if folder := os.environ.get("LETHE_REPORTS"):
        all_looks += [lambda: decisions(Path(folder)), lambda: drift(Path(folder))]
    return all_looks


def models(made: Mapping[str, datetime]) -> Iterator[Gauge]:
    ages: ByLabels = {(family,): time.time() - at.timestamp() for family, at in made.items()}
    about = "Seconds since the version that a family serves was registered"
    yield Gauge("lethe_model_age_seconds", about, ("family",), ages)


def hiding(hidden: HiddenUsers) -> Iterator[Gauge]:
    count = hidden.count()
    about = "1; 0: nobody knows who is hidden, so that all answers are popular items"
    yield Gauge.plain("lethe_answers_from_models", about, count is not None)
    if count is not None:
        yield Gauge.plain("lethe_hidden_users", "Users who are answered as if nobody knew them", count)


def ledger(url: str) -> Look:
    """What the ledger of a URL tells. sqlalchemy, which brings 10 MB, is loaded when somebody first watches; only what
    may be no address at all is tried at once."""

    def look() -> Iterator[Gauge]:
        from lethe.serving.ledger_figures import waiting

        return waiting(url, "LETHE_LEDGER_URL")

    if not url.startswith("sqlite:///"):
        from lethe.serving.hidden_ledger import read_only

        read_only(url, "LETHE_LEDGER_URL")
    return look


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
