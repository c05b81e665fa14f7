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
from typing import Any, Literal

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
from lethe.data.suppression import SuppressionList
from lethe.errors import LetheError
from lethe.forgetting.certificate import Absence, Lasting, Purged, Rows
from lethe.forgetting.certificate.users import Absent, Member, UserTree
from lethe.forgetting.held import earlier_files, held_now
from lethe.forgetting.intake import take_up
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import PENDING, ForgetRequest
from lethe.forgetting.ledger.requests import State as RequestState
from lethe.forgetting.plan import Plan, PlannedFamily, plan
from lethe.forgetting.removal import subjects, take_out
from lethe.forgetting.standing import check_list, ledger, pending
from lethe.forgetting.state import State, served, state_of
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import digest_beside


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
    drawn_by: Literal["requesters", "random"]
    """Whether one of the nonces at least was given with a request, and so was not ours to choose."""
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
    """The interrupted run, or a new one over every accepted request that isn't on hold; None if there is nothing to do.

    A ``scheduled`` one may let requests wait for others, see ``Forgetting.batch``; all that wait go together.
    """
    run, book = Run.read(workspace), ledger(workspace)
    if run is not None and not members(book, run):
        Run.discard(workspace)  # All of it was cancelled, withdrawn or set aside.
        run = None
    if run is None:
        check_list(workspace)
        take_up(workspace)
        params = Params.read(workspace.params)
        ready = [request for request in book.pending() if not request.on_hold]
        waiting = [request for request in ready if _something_is_left(workspace, params, book, request)]
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
            held={request.id: request.held.to_remove() for request in waiting},
            users=_among_users(workspace, waiting),
            nonces={request.id: request.nonce or secrets.token_hex(16) for request in waiting},
            drawn_by="requesters" if any(request.nonce for request in waiting) else "random",
            expected={dataset: _expected(workspace, dataset, waiting) for dataset in datasets},
            started=time.time(),
        ).write(workspace)
    _advance(book, run, "accepted", "planned", touched=run.touched)
    return run


def user_tree(workspace: Workspace, dataset: str) -> UserTree:
    """Of the users of a dataset's interactions."""
    users = np.unique(Interactions.read(workspace.interactions(dataset)).user_ids)
    return UserTree(subject_digest(dataset, user) for user in users)


def _among_users(workspace: Workspace, requests: Sequence[ForgetRequest]) -> dict[str, Member | None]:
    trees = {dataset: user_tree(workspace, dataset) for dataset in {request.dataset for request in requests}}
    return {request.id: trees[request.dataset].member(request.subject_digest) for request in requests}


def members(book: Ledger, run: Run) -> list[ForgetRequest]:
    """The requests that a run brings to an end: not those that since it began were ended, set aside or put on hold."""
    return [r for r in book.get_all(run.requests) if r.state in PENDING and not (r.on_hold and r.state == "planned")]


def left_out(workspace: Workspace) -> list[str]:
    """For people to read: which open requests the next run leaves out, and why."""
    lines = []
    for request in ledger(workspace).open():
        if request.state == "failed":
            lines.append(f"{request.id} is left out: it failed ({request.failure}); lethe forget retry {request.id}")
        elif request.on_hold:
            lines.append(f"{request.id} is left out: it is on hold; lethe forget release {request.id}")
        elif request.state == "received":
            lines.append(f"{request.id} is left out: what forgetting.requires names is not established yet")
    return lines


def current_plan(workspace: Workspace) -> Plan:
    """What the waiting requests touch and cost, here and under the other shardings of params.yaml."""
    params, costs = Params.read(workspace.params), Costs.read(workspace)
    return plan(workspace, pending(workspace), served(workspace), costs=costs, params=params)


def _may_wait(workspace: Workspace, planned: Plan, now: datetime) -> bool:
    settings = Params.read(workspace.params).forgetting
    latest = planned.begin_by(timedelta(hours=settings.lead_hours))
    return settings.batch == "until-due" and latest is not None and now < latest


def _advance(book: Ledger, run: Run, since: RequestState, state: RequestState, **detail: Any) -> None:
    """Bring those of the run that are still in one state into the next: an earlier run may have done so."""
    waiting = [request.id for request in members(book, run) if request.state == since]
    if waiting:
        book.advance_all(waiting, state, **detail)


def _something_is_left(workspace: Workspace, params: Params, book: Ledger, request: ForgetRequest) -> bool:
    """Whether a request has anything to remove still; one whose rows an earlier run took completes here."""
    begun = request.state not in ("accepted", "planned") or any(e.state == "executing" for e in book.events(request.id))
    if begun or request.held.earlier or held_now(workspace, request):
        return True
    if any(earlier_files(workspace, request.dataset, [str(request.user)])):
        return True  # The rows went by another way, and what was made of them is still there.
    take_out(workspace, params, request.dataset, [request])
    book.nothing_held(request.id)
    return False


def remove_rows(workspace: Workspace, run: Run) -> None:
    """Keyed digests join the suppression list; our own copies of sources are rewritten without the rows."""
    book, params = ledger(workspace), Params.read(workspace.params)
    _advance(book, run, "planned", "executing")
    requests = members(book, run)
    for dataset in run.datasets:
        write_epoch(workspace, dataset, read_epoch(workspace, dataset) | {"interactions": run.expected[dataset]})
        take_out(workspace, params, dataset, [request for request in requests if request.dataset == dataset])


def _expected(workspace: Workspace, dataset: str, requests: Sequence[ForgetRequest]) -> int:
    rows = Interactions.read(workspace.interactions(dataset))
    mine = [request for request in requests if request.dataset == dataset]
    leaving = SuppressionList(workspace.suppression, tuple(subjects(mine)))
    begun = read_epoch(workspace, dataset).get("interactions", len(rows))
    return int(begun - leaving.matches(rows, dataset).sum())


def suppress(workspace: Workspace, dataset: str, subjects: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Forget users (or, with items, their interactions) without a request: what is left of a run's steps for a copy of
    the workspace that proves something."""
    now = datetime.now(UTC)
    requests = [ForgetRequest.new(dataset, user, items, now=now, datasets=[dataset]) for user, items in subjects]
    take_out(workspace, Params.read(workspace.params), dataset, requests)


def confirm(workspace: Workspace, run: Run) -> None:
    """No served version may come from other data than what remains; then the requests are verified. One whose rows are
    still there is set aside as failed, and holds up no other.

    Raises LetheError if a version does, or if no request is left.
    """
    book = ledger(workspace)
    for family, version in Registry(workspace).served().items():
        dataset = version.info.dataset
        if dataset in run.datasets and version.info.data_digest != digest_beside(workspace.interactions(dataset)):
            raise LetheError(f"{family}: {version.tag} was not rebuilt from the remaining data")
    left = {request.id: held_now(workspace, request) for request in members(book, run)}
    set_aside(workspace, run, [id for id, held in left.items() if held.rows or held.source_copy], "rows-left")
    _advance(book, run, "executing", "verified")


def set_aside(workspace: Workspace, run: Run, ids: Sequence[str], code: str) -> None:
    """Let requests that can't be brought to an end hold up no other. Raises LetheError if there is no other."""
    book = ledger(workspace)
    if ids:
        book.fail(ids, code)
    if not members(book, run):
        Run.discard(workspace)
        raise LetheError(f"{ids[0]}: failed ({code}) and was set aside; see lethe forget show, then lethe forget retry")
