"""``make demo``: the whole way on real ratings, as a user would go it, step by step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from lethe.build.reports import FamilyReport, read_reports, together
from lethe.cli import tables
from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.core.process import run_flow
from lethe.core.reports import write_report
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.forgetting.intake import submit
from lethe.forgetting.standing import ledger
from lethe.proof.verification import verify
from lethe.proof.verification import write_report as write_verdict
from lethe.serving import deploy
from lethe.serving.answers import Recommended
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

console = tables.console()


def run(workspace: Workspace) -> None:
    """Train, serve, forget one user, verify; prints as it goes and writes reports/demo.json."""
    params = Params.read(workspace.params)
    family = next(iter(params.families))
    dataset = params.families[family].dataset
    clock: dict[str, float] = {}
    there = _artifacts(workspace)
    with _step(clock, "build", "data, candidates, winners"):
        _flow(workspace, "training")
    made = _artifacts(workspace) - there
    console.print(f"{made} artifacts made, {there} were there")
    report: dict[str, Any] = {"dataset": _dataset(workspace, dataset)}
    families = read_reports(workspace)
    report |= together(families)
    _print_candidates(families)
    with _step(clock, "deploy", "package and serve the winners"):
        _flow(workspace, "deployment")
        server = deploy.start(workspace)
    try:
        user = _somebody(workspace, dataset)
        before = _ask(server.url, user)
        _print_answer("before", before)
        request = submit(workspace, dataset, str(user))
        console.print(f"\n[bold]request[/] {request.id}: forget one user ({request.state})")
        accepted = _ask(server.url, user)
        _print_answer("accepted, not yet unlearned", accepted)
        with _step(clock, "forget", "remove rows, retrain what they touched, redeploy, purge, certify"):
            _flow(workspace, "forgetting")
        after = _ask(server.url, user)
    finally:
        deploy.stop(workspace)
    answers = {"before": before, "accepted": accepted, "after": after}
    report |= {when: answer.model_dump() for when, answer in answers.items()}
    done = ledger(workspace).get(request.id)
    result = done.result or {}
    report["request"] = {"id": done.id, "subject_digest": done.subject_digest, "state": done.state}
    report["request"] |= {key: result[key] for key in ("shards_touched", "shards_retrained", "shards_reused")}
    report |= {key: result[key] for key in ("purged", "scan", "certificate")}
    with _step(clock, "verify", "rebuild from the remaining data in a clean folder"):
        comparison = verify(workspace, lambda step: console.print(f"  rebuilding {step}"))
        write_verdict(workspace, comparison)
    report["verify"] = "equal" if comparison.equal else "different"
    report["seconds"] = {name: round(seconds, 2) for name, seconds in clock.items()}
    # Walls hold Prefect's, DVC's and the gates' own time, and a second demo re-uses artifacts; what making all
    # candidates' and the retrained artifacts took, whenever that was, is comparable.
    made_in = [candidate.seconds for one in families for candidate in one.candidates]
    report["seconds"]["training"] = round(sum([*made_in, *(one.winner.seconds for one in families)]), 2)
    report["seconds"]["retraining"] = result["seconds"]["training"]
    report["artifacts"] = {"there": there, "made": made}
    seconds = report["seconds"]
    walls, work = seconds["build"] / seconds["forget"], seconds["training"] / max(seconds["retraining"], 0.01)
    report["ratio"] = {"build to forget": round(walls, 2), "training to retraining": round(work, 2)}
    _print_end(report, after)
    write_report(workspace, "demo", report)
    console.print("written: reports/demo.json; `make serve` keeps a service up")
    if not comparison.equal:
        sys.exit(1)


@contextmanager
def _step(clock: dict[str, float], name: str, what: str) -> Iterator[None]:
    console.rule(f"[bold]{name}[/]: {what}")
    start = time.perf_counter()
    yield
    clock[name] = time.perf_counter() - start
    console.print(f"[dim]{name} took {clock[name]:.1f} s[/]")


def _flow(workspace: Workspace, name: str) -> None:
    if code := run_flow(workspace, name):
        sys.exit(code)


def _artifacts(workspace: Workspace) -> int:
    return sum(1 for _ in workspace.artifacts.glob("*/*/manifest.json"))


def _dataset(workspace: Workspace, dataset: str) -> Json:
    rows = Interactions.read(workspace.interactions(dataset))
    users, items, digest = len(Ids.of(rows.user_ids)), len(Ids.of(rows.item_ids)), rows.digest()
    console.print(
        f"dataset {dataset}: {len(rows):,} interactions, {users:,} users, {items:,} items, digest {digest[:16]}"
    )
    return {
        "name": dataset,
        "digest": digest,
        "interactions": len(rows),
        "users": users,
        "items": items,
        "split": {part: len(Interactions.read(workspace.split(dataset, part))) for part in PARTS},
    }


def _somebody(workspace: Workspace, dataset: str) -> Any:
    """The user in the middle by number of rows (ties: smallest id): somebody ordinary, the same each time."""
    rows = Interactions.read(workspace.interactions(dataset))
    users = Ids.of(rows.user_ids)
    counts = [0] * len(users)
    for index in users.encode(rows.user_ids).tolist():
        counts[index] += 1
    order = sorted(range(len(users)), key=lambda index: (counts[index], index))
    return users.values.tolist()[order[len(order) // 2]]


def _ask(url: str, user: Any) -> Recommended:
    answer = httpx.post(f"{url}/recommend", json={"user_id": user, "k": 5}, timeout=30)
    answer.raise_for_status()
    return Recommended.model_validate(answer.json())


def _print_candidates(reports: list[FamilyReport]) -> None:
    """A table for each family: families of ratings and of rankings are measured by other figures."""
    for report in reports:
        console.print(tables.candidates_table(report))
        console.print(f"{report.family}: {report.winner.version} ({report.winner.reason})")


def _print_answer(when: str, answer: Recommended) -> None:
    items = ", ".join(str(item.item_id) for item in answer.items)
    console.print(f"answer {when}: items {items} (from: {answer.source})")


def _print_end(report: dict[str, Any], after: Recommended) -> None:
    request = report["request"]
    console.rule("[bold]what happened[/]")
    console.print(f"shards touched:   {', '.join(request['shards_touched'])}")
    console.print(f"shards retrained: {', '.join(request['shards_retrained'])}")
    console.print(f"shards re-used:   {', '.join(request['shards_reused'])}")
    _print_answer("after", after)
    for row in report["purged"]:
        console.print(f"purged {row['store']}: {row['removed']}")
    console.print(f"scan: {report['scan']['found']} found in {report['scan']['stores']} stores")
    console.print(f"certificate: {report['certificate']}")
    console.print(f"[bold]verify: {report['verify']}[/]")
    seconds = report["seconds"]
    ratio = report["ratio"]
    console.print(
        f"full build {seconds['build']:.1f} s ({report['artifacts']['made']} artifacts made), "
        f"forget {seconds['forget']:.1f} s, ratio {ratio['build to forget']:.2f}"
    )
    console.print(
        f"of that, training all candidates {seconds['training']:.1f} s, retraining for the request "
        f"{seconds['retraining']:.1f} s, ratio {ratio['training to retraining']:.1f}"
    )
