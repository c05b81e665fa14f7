"""The storm: a forget run is killed at every point, meets others at work, full and read-only disks, and a remote that
is away; each time the next ordinary run must end where an undisturbed one does, while the service answers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import Say
from benchmarks.fault_kinds import STOPPED, Fault, every_fault, run
from benchmarks.killed import ADDING, POINTS, Point
from benchmarks.own_product import DATASET, Watch, person
from lethe.core.workspace import Workspace
from lethe.forgetting import certificate
from lethe.forgetting.intake import submit
from lethe.forgetting.run import Run
from lethe.forgetting.standing import ledger
from lethe.proof.verification import verify
from lethe.serving import hidden


def storm(workspace: Workspace, points: Sequence[Point] = POINTS, say: Say = lambda _: None) -> dict[str, Any]:
    """Kill a run at each point in turn, on a workspace that is served; the next run goes on from there and is killed at
    the next point. A point is recovered when a later run gets past it and its request ends as an undisturbed one."""
    waiting, rows, watches, ends = list(points), list[dict[str, Any]](), list[Watch](), list[dict[str, Any]]()
    while waiting:
        number = len(watches)
        request = submit(workspace, DATASET, person(number), []).id
        mine = []
        with Watch(workspace, person(number), person(59 - number)) as watch:
            while waiting and (Run.read(workspace) is not None or _state(workspace, request) != "completed"):
                point, begun = waiting.pop(0), time.monotonic()
                code = run(workspace, "benchmarks.killed", point.name)[0]
                killed = code in STOPPED
                mine.append({"point": point.name, "killed": killed, "seconds": round(time.monotonic() - begun, 1)})
                say(f"{point.name}: {'killed' if killed else f'not reached, exit code {code}'}")
            code, line = run(workspace, "flows.forgetting")
        ends.append(_end(workspace, request, person(number)) | {"exit": code, "line": line})
        say(f"{request}: {ends[-1]}")
        rows += [row | {"recovered": row["killed"] and ends[-1]["as undisturbed"]} for row in mine]
        watches.append(watch)
    return {"points": rows, "requests": ends, "service": _asked(watches)}


def others(workspace: Workspace, first: int, faults: Sequence[Fault] = (), say: Say = lambda _: None) -> dict[str, Any]:
    """Other faults (default: all), one after the other, each with a person of its own from ``first`` on."""
    rows, watches = list[dict[str, Any]](), list[Watch]()
    for number, fault in enumerate(faults or every_fault(), start=first):
        request = submit(workspace, DATASET, person(number), []).id
        name = fault.__doc__ or ""
        with Watch(workspace, person(number), person(59 - number)) as watch:
            try:
                row = fault(workspace)
            except PermissionError as why:
                row = {"skipped": str(why)}
            if "skipped" not in row:
                row["state"] = _state(workspace, request)
            code, line = run(workspace, "flows.forgetting")
        row = {
            "fault": name.rstrip("."),
            **row,
            **_end(workspace, request, person(number)),
            "exit": code,
            "last line": line,
        }
        say(json.dumps(row))
        rows.append(row)
        watches.append(watch)
    return {"faults": rows, "service": _asked(watches)}


def adds(workspace: Workspace, first: int, points: Sequence[Point] = ADDING) -> list[dict[str, Any]]:
    """Kill a ``lethe forget add`` at each point, each of a person of its own from ``first`` on, then ask again. Nobody
    may be accepted and not hidden at any time, or be taken twice."""
    rows = []
    for number, point in enumerate(points, start=first):
        receipt = workspace.root / f"receipt-{number}.json"
        add = ("forget", "add", "--user", person(number), "--receipt", str(receipt))
        code, _ = run(workspace, "benchmarks.killed", point.name, *add)
        between = _all_hidden(workspace)
        again, line = run(workspace, "lethe.cli", *add)
        taken = [r for r in ledger(workspace).open() if r.user == person(number)]
        row = {"point": point.name, "killed": code in STOPPED, "hidden": between and _all_hidden(workspace)}
        rows.append(row | {"taken": len(taken), "receipt": receipt.is_file(), "exit": again, "line": line})
        receipt.unlink(missing_ok=True)
    return rows


def _all_hidden(workspace: Workspace) -> bool:
    wanted = {request.user_digest for request in ledger(workspace).pending()}
    return not wanted or wanted <= hidden.read(workspace.hidden_users)


# --- below -------------------------------------------------------------------------------------------------------


def _state(workspace: Workspace, request: str) -> str:
    return ledger(workspace).get(request).state


def _end(workspace: Workspace, request: str, user: str) -> dict[str, Any]:
    """What must hold of a request after the last run, whatever happened on the way."""
    book = ledger(workspace)
    done, ended = book.get(request), [e for e in book.events(request) if e.state == "completed"]
    path = workspace.certificates / f"{request}.json"
    signed = path.is_file() and certificate.read(path).request.id == request
    source = workspace.root / "ratings.csv"
    files = (p for p in sorted(workspace.root.rglob("*")) if p.is_file() and p != source)
    traces = sum(user.encode() in path.read_bytes() for path in files)
    book.check_chain()
    equal = verify(workspace).equal
    whole = done.state == "completed" and len(ended) == 1 and signed and not traces and equal
    return {
        "completed": len(ended),
        "certificate": signed,
        "traces": traces,
        "verify": "equal" if equal else "different",
        "as undisturbed": bool(whole and Run.read(workspace) is None),
    }


def _asked(watches: Sequence[Watch]) -> dict[str, Any]:
    return {
        "answers": sum(watch.answers for watch in watches),
        "failed": sum(watch.failed for watch in watches),
        "from forgotten data": sum(watch.from_forgotten for watch in watches),
        "faults": sorted({fault for watch in watches for fault in watch.faults}),
    }


def summary(killed: dict[str, Any], other: dict[str, Any], added: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report."""
    points, requests = killed["points"], [*killed["requests"], *other["faults"]]
    return {
        "kill points tried": len(points),
        "killed": sum(row["killed"] for row in points),
        "recovered": sum(row["recovered"] for row in points),
        "other faults tried": sum("skipped" not in row for row in other["faults"]),
        "other faults recovered": sum("skipped" not in row and row["as undisturbed"] for row in other["faults"]),
        "requests killed while taken": sum(row["killed"] for row in added),
        "of those hidden and taken once": sum(row["hidden"] and row["taken"] == 1 for row in added),
        "requests": len(requests),
        "requests lost": sum(row["completed"] == 0 for row in requests),
        "requests done twice": sum(row["completed"] > 1 for row in requests),
        "service answers": killed["service"]["answers"] + other["service"]["answers"],
        "service answers failed": killed["service"]["failed"] + other["service"]["failed"],
        "service answers from forgotten data": killed["service"]["from forgotten data"]
        + other["service"]["from forgotten data"],
        "points": points,
        "faults": other["faults"],
        "adds": list(added),
        "service faults": [*killed["service"]["faults"], *other["service"]["faults"]],
    }
