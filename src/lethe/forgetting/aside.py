"""Requests that don't go along: put on hold, not yet accepted, or set aside because they can't be brought to an end.

One that was set aside after its rows had gone keeps what there was before, so that a later run can show what changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.errors import LetheError
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import LAST, PENDING, UNSAID, ForgetRequest
from lethe.forgetting.plan import PlannedFamily
from lethe.forgetting.record import Run
from lethe.forgetting.standing import ledger
from lethe.forgetting.state import State
from lethe.forgetting.unsaid import NAMED_NOW

NONE_LEFT = "no interaction would be left to learn from; take it and its families out of params.yaml"
_WHY = {UNSAID: f", {NAMED_NOW}", LAST: f", of its dataset {NONE_LEFT}"}
_CLOCK = "set this machine's clock right, or withdraw it and enter it anew"


def members(book: Ledger, run: Run) -> list[ForgetRequest]:
    """The requests that a run brings to an end: not those that since it began were ended, set aside or put on hold."""
    return [r for r in book.get_all(run.requests) if r.state in PENDING and not (r.on_hold and r.state == "planned")]


def left_out(workspace: Workspace) -> list[str]:
    """For people to read: which open requests the next run leaves out, and why."""
    lines = []
    for request, why in not_going(workspace):
        mend = _way_out(request.id, request.failure) if request.state == "failed" else ""
        mend = mend or (f"lethe forget release {request.id}" if request.on_hold else "")
        lines.append(f"{request.id} is left out: {why}" + (f"; {mend}" if mend else ""))
    return lines


def _way_out(id: str, code: str | None) -> str:
    return f"lethe forget retry {id}" + (" --also-item, or --not-item" if code == UNSAID else "")


def not_going(workspace: Workspace) -> list[tuple[ForgetRequest, str]]:
    """Open requests that the next run leaves out, each with the reason."""
    reasons = []
    for request in ledger(workspace).open():
        if request.state == "failed":
            reasons.append((request, f"it failed ({request.failure}{_WHY.get(request.failure or '', '')})"))
        elif request.on_hold:
            reasons.append((request, "it is on hold"))
        elif request.state == "received":
            reasons.append((request, "what forgetting.requires names is not established yet"))
        elif request.state == "accepted" and request.is_ahead(datetime.now(UTC)):
            when = f"{request.received:%Y-%m-%d %H:%M}"
            reasons.append((request, f"it was received at {when}, which is to come; {_CLOCK}"))
    return reasons


def set_aside(workspace: Workspace, run: Run, ids: Sequence[str], code: str, why: str) -> None:
    """Let requests that can't be brought to an end hold up no other. Raises LetheError, which says ``why``, where there
    is no other."""
    if not ids:
        return
    book = ledger(workspace)
    for id in ids:
        write_whole(_record(workspace, id), canonical_json(run.plain()))
    book.fail(ids, code)
    if not members(book, run):
        Run.discard(workspace)
        nothing_goes_on(ids, code, why)


def nothing_goes_on(ids: Sequence[str], code: str, why: str) -> NoReturn:
    """Raise LetheError: requests were set aside, and what to do about the first of them."""
    if code == UNSAID:
        raise LetheError(
            f"{why}; set aside as failed, once known: lethe forget retry {ids[0]} --also-item, or --not-item"
        )
    raise LetheError(f"{why}; set aside as failed, once mended: lethe forget retry {ids[0]}")


def begun_before(workspace: Workspace, run: Run, requests: Sequence[ForgetRequest]) -> Run:
    """A new run as it has to be reckoned where some of its requests lost their rows in an earlier one: from what there
    was before that."""
    for request in requests:
        path = _record(workspace, request.id)
        if path.is_file():
            earlier = Run.parse(json.loads(path.read_bytes()), path.name)
            member = earlier.users[request.id]
            changed = {
                "before": _replaced(run.before, earlier.before.of(request.dataset), request.dataset),
                # Of a key that was rotated since it shows nothing, and the users of then are no more to be had.
                "users": run.users | {request.id: member if member and member.shows(request.subject_digest) else None},
                "plan": _touching_too(run.plan, earlier.plan),
            }
            run = run.model_copy(update=changed)
    return run


def forget_records(workspace: Workspace, completed: Iterable[str]) -> None:
    """Nothing of these requests is to be reckoned any more."""
    for id in completed:
        _record(workspace, id).unlink(missing_ok=True)


def _touching_too(plan: Sequence[PlannedFamily], earlier: Sequence[PlannedFamily]) -> tuple[PlannedFamily, ...]:
    shards = {planned.family: planned.touched for planned in earlier}
    return tuple(
        planned.model_copy(update={"touched": tuple(sorted({*planned.touched, *shards.get(planned.family, ())}))})
        for planned in plan
    )


def _replaced(state: State, earlier: State, dataset: str) -> State:
    others = {name: family for name, family in state.families.items() if family.dataset != dataset}
    return State(
        datasets=state.datasets | earlier.datasets,
        families=others | earlier.families,
        environment=state.environment,
    )


def _record(workspace: Workspace, id: str) -> Path:
    return workspace.state / "set-aside" / f"{id}.json"
