"""A batch of requests on its way: planned, its rows removed, what was rebuilt confirmed.

A run's own record, .lethe/run.json, is written before anything changes and holds digests only. Every step can be
repeated, so that a run that was killed goes on with the same requests where it stopped.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lethe.build.costs import Costs
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.config.section import Section
from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.data.gates.epoch import read_epoch, write_epoch
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import LetheError
from lethe.forgetting.certificate import Absence, Lasting, Purged, Rows
from lethe.forgetting.certificate.users import Absent, Member, UserTree
from lethe.forgetting.intake import held_rows, ledger, rows_of
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest, holds, mentions
from lethe.forgetting.ledger.requests import State as RequestState
from lethe.forgetting.plan import Plan, PlannedFamily, plan
from lethe.forgetting.state import State, served, state_of
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables, digest_beside


class Ended(Section):
    """What emptying and searching the stores came to, and what there was then."""

    purged: tuple[Purged, ...]
    scan: Absence
    outside_reach: tuple[Lasting, ...]
    rows: dict[str, Rows]
    """Of each request: held, removed, left."""
    absent: dict[str, Absent | None]
    """Of each request: that its subject is not among the users who remain."""
    hidden: dict[str, bool]
    """Whether each request's user was hidden from the service all the while."""
    after: State


class Run(Section):
    """One batch of requests on its way; digests and names only."""

    requests: tuple[str, ...]
    datasets: tuple[str, ...]
    plan: tuple[PlannedFamily, ...]
    before: State
    held: dict[str, dict[str, int]]
    """Of each request: rows of its subject by kind."""
    users: dict[str, Member | None]
    """Of each request: that its subject is among the users of the interactions."""
    nonces: dict[str, str]
    """Of each request: what draws the sample of sub-models that are rebuilt, see ``certificate.content.drawn``."""
    expected: dict[str, int]
    """Rows that each dataset's epoch is reckoned to have begun with once those of the batch are gone: the gate that
    misses rows must not miss forgotten ones."""
    started: float
    ended: Ended | None = None

    @classmethod
    def read(cls, workspace: Workspace) -> Run | None:
        path = _record(workspace)
        return cls.parse(json.loads(path.read_bytes()), path.name) if path.is_file() else None

    def write(self, workspace: Workspace) -> Run:
        write_whole(_record(workspace), canonical_json(self.plain()))
        return self

    @staticmethod
    def discard(workspace: Workspace) -> None:
        """Its requests are completed: there is nothing left to resume."""
        _record(workspace).unlink(missing_ok=True)

    @property
    def touched(self) -> list[str]:
        """The shards that held the subjects, as family/shard."""
        return [f"{planned.family}/{shard}" for planned in self.plan for shard in planned.touched]


def _record(workspace: Workspace) -> Path:
    return workspace.state / "run.json"


def begin(workspace: Workspace, *, scheduled: bool = False, now: datetime | None = None) -> Run | None:
    """The interrupted run, or a new one over every accepted request; None if there is nothing to do.

    A ``scheduled`` one may let requests wait for others, see ``Forgetting.batch``; all that wait go together.
    """
    run = Run.read(workspace)
    book = ledger(workspace)
    if run is None:
        waiting = [request for request in book.pending() if _still_held(workspace, book, request)]
        if not waiting:
            return None
        planned = plan(workspace, waiting, served(workspace), costs=Costs.read(workspace))
        if scheduled and _may_wait(workspace, planned, now or datetime.now(UTC)):
            return None
        datasets = tuple(sorted({request.dataset for request in waiting}))
        run = Run(
            requests=tuple(request.id for request in waiting),
            datasets=datasets,
            plan=planned.record(),
            before=state_of(workspace),
            held={request.id: rows_of(workspace, request) for request in waiting},
            users=_members(workspace, waiting),
            nonces={request.id: secrets.token_hex(16) for request in waiting},
            expected={dataset: _expected(workspace, dataset, waiting) for dataset in datasets},
            started=time.time(),
        ).write(workspace)
    _advance(book, run, "accepted", "planned", touched=run.touched)
    return run


def user_tree(workspace: Workspace, dataset: str) -> UserTree:
    """Of the users of a dataset's interactions."""
    users = np.unique(Interactions.read(workspace.interactions(dataset)).user_ids)
    return UserTree(subject_digest(dataset, user) for user in users)


def _members(workspace: Workspace, requests: Sequence[ForgetRequest]) -> dict[str, Member | None]:
    trees = {dataset: user_tree(workspace, dataset) for dataset in {request.dataset for request in requests}}
    return {request.id: trees[request.dataset].member(request.subject_digest) for request in requests}


def _may_wait(workspace: Workspace, planned: Plan, now: datetime) -> bool:
    settings = Params.read(workspace.params).forgetting
    latest = planned.begin_by(timedelta(hours=settings.lead_hours))
    return settings.batch == "until-due" and latest is not None and now < latest


def _advance(book: Ledger, run: Run, since: RequestState, state: RequestState, **detail: Any) -> None:
    """Bring those of the run that are still in one state into the next: an earlier run may have done so."""
    waiting = [request.id for request in book.get_all(run.requests) if request.state == since]
    if waiting:
        book.advance_all(waiting, state, **detail)


def _still_held(workspace: Workspace, book: Ledger, request: ForgetRequest) -> bool:
    if request.state not in ("accepted", "planned"):
        return True
    if held_rows(workspace, request):
        return True
    # An earlier run took the same rows with it.
    book.nothing_held(request.id)
    return False


def remove_rows(workspace: Workspace, run: Run) -> None:
    """Keyed digests join the suppression list; our own copies of sources are rewritten without the rows."""
    book = ledger(workspace)
    _advance(book, run, "planned", "executing")
    requests = book.get_all(run.requests)
    for dataset in run.datasets:
        write_epoch(workspace, dataset, read_epoch(workspace, dataset) | {"interactions": run.expected[dataset]})
        _take_out(workspace, dataset, _entries_of(dataset, requests))


def _expected(workspace: Workspace, dataset: str, requests: Sequence[ForgetRequest]) -> int:
    rows = Interactions.read(workspace.interactions(dataset))
    leaving = SuppressionList(workspace.suppression, tuple(_entries_of(dataset, requests)))
    begun = read_epoch(workspace, dataset).get("interactions", len(rows))
    return int(begun - leaving.matches(rows, dataset).sum())


def _entries_of(dataset: str, requests: Sequence[ForgetRequest]) -> list[Suppressed]:
    mine = [request for request in requests if request.dataset == dataset and request.user is not None]
    return [entry for request in mine for entry in _entries(dataset, str(request.user), request.items)]


def suppress(workspace: Workspace, dataset: str, subjects: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Put users (or, with items, their interactions) on the suppression list, and rewrite our source copy."""
    entries = [_entries(dataset, user, items) for user, items in subjects]
    _take_out(workspace, dataset, [entry for some in entries for entry in some])


def _entries(dataset: str, user: str, items: Sequence[str]) -> list[Suppressed]:
    if not items:
        return [Suppressed.user(dataset, user)]
    return [Suppressed.interaction(dataset, user, item) for item in items]


def _take_out(workspace: Workspace, dataset: str, entries: list[Suppressed]) -> None:
    listed = SuppressionList.read(workspace.suppression).add(entries)
    copy = workspace.source_copy(dataset)
    if copy.is_file():
        listed.drop(Interactions.read(copy), dataset).write(copy)


def confirm(workspace: Workspace, run: Run) -> None:
    """No served version may come from other data than what remains; then the requests are verified.

    Raises LetheError if one does, or if rows of a request are still there.
    """
    book = ledger(workspace)
    remaining = {d: Interactions.read(workspace.interactions(d)) for d in run.datasets}
    tables = {d: SideTables.read(workspace.side(d)) for d in run.datasets}
    for request in book.get_all(run.requests):
        left = holds(remaining[request.dataset], request) + mentions(tables[request.dataset], request)
        if left:
            raise LetheError(f"{request.id}: {left} rows are still in the data after removal, there must be none")
    for family, version in Registry(workspace).served().items():
        dataset = version.info["dataset"]
        if dataset in remaining and version.info["data_digest"] != digest_beside(workspace.interactions(dataset)):
            raise LetheError(f"{family}: {version.tag} was not rebuilt from the remaining data")
    _advance(book, run, "executing", "verified")
