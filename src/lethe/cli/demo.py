"""``make demo``: the whole way on real ratings, as a user would go it, step by step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import httpx
import numpy as np

from lethe.build.reports import FamilyReport, read_reports, together
from lethe.cli import tables
from lethe.cli.common import run_flow
from lethe.cli.status import DataStatus, data_status
from lethe.config.params import Params
from lethe.core.reports import write_report
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.forgetting.intake import submit
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import Work
from lethe.forgetting.standing import ledger
from lethe.proof.verification import verify
from lethe.proof.verification import write_report as write_verdict
from lethe.serving import deploy
from lethe.serving.answers import RawId, Recommended
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions

console = tables.console()


@dataclass(frozen=True)
class Built:
    """What was trained, and how many artifacts that made beside those that were there."""

    dataset: str
    data: DataStatus
    split: dict[str, int]
    """Rows of each part."""
    families: tuple[FamilyReport, ...]
    there: int
    made: int

    @property
    def training(self) -> float:
        """Seconds of making all candidates and what is served, whenever that was."""
        made_in = [candidate.seconds for family in self.families for candidate in family.candidates]
        return round(sum([*made_in, *(family.winner.seconds for family in self.families)]), 2)


@dataclass(frozen=True)
class Forgotten:
    """A request from its receipt to its end, and what the service answered whom it is about."""

    request: ForgetRequest
    work: Work
    before: Recommended
    accepted: Recommended
    after: Recommended


@dataclass(frozen=True)
class Report:
    """What the demo came to."""

    built: Built
    forgotten: Forgotten
    equal: bool
    """Whether verify found what is served to be what the remaining data give."""
    walls: dict[str, float]
    """Seconds of each step by the clock: they hold Prefect's, DVC's and the gates' own time."""

    @property
    def verdict(self) -> str:
        return "equal" if self.equal else "different"

    @property
    def retraining(self) -> float:
        return self.forgotten.work.seconds["training"]

    @property
    def ratio(self) -> dict[str, float]:
        """How much dearer making all is than forgetting: by the clock, and of training alone, which a second demo, that
        re-uses artifacts, still says."""
        walls, work = self.walls["build"] / self.walls["forget"], self.built.training / max(self.retraining, 0.01)
        return {"build to forget": round(walls, 2), "training to retraining": round(work, 2)}

    def plain(self) -> dict[str, object]:
        """As reports/demo.json holds it."""
        built, forgotten, work = self.built, self.forgotten, self.forgotten.work.plain()
        request = forgotten.request
        shards = {name: work[name] for name in ("shards_touched", "shards_retrained", "shards_reused")}
        return {
            "dataset": {"name": built.dataset, "split": built.split, **asdict(built.data)},
            **together(built.families),
            **{when: getattr(forgotten, when).model_dump() for when in ("before", "accepted", "after")},
            "request": {
                "id": request.id,
                "subject_digest": request.subject_digest,
                "state": request.state,
                **shards,
            },
            "purged": work["purged"],
            "scan": work["scan"],
            "certificate": request.certificate,
            "verify": self.verdict,
            "seconds": {**self.walls, "training": built.training, "retraining": self.retraining},
            "artifacts": {"there": built.there, "made": built.made},
            "ratio": self.ratio,
        }


def run(workspace: Workspace) -> None:
    """Train, serve, forget one user, verify; prints as it goes and writes reports/demo.json."""
    walls: dict[str, float] = {}
    built = _build(workspace, walls)
    with _step(walls, "deploy", "package and serve the winners"):
        run_flow("deployment")
        server = deploy.start(workspace)
    try:
        forgotten = _forget(workspace, built.dataset, server.url, walls)
    finally:
        deploy.stop(workspace)
    with _step(walls, "verify", "rebuild from the remaining data in a clean folder"):
        comparison = verify(workspace, lambda step: console.print(f"  rebuilding {step}"))
        write_verdict(workspace, comparison)
    report = Report(built, forgotten, comparison.equal, walls)
    _print_end(report)
    write_report(workspace, "demo", report.plain())
    console.print("written: reports/demo.json; `make serve` keeps a service up")
    if not report.equal:
        sys.exit(1)


@contextmanager
def _step(walls: dict[str, float], name: str, what: str) -> Iterator[None]:
    console.rule(f"[bold]{name}[/]: {what}")
    start = time.perf_counter()
    yield
    walls[name] = round(time.perf_counter() - start, 2)
    console.print(f"[dim]{name} took {walls[name]:.1f} s[/]")


def _build(workspace: Workspace, walls: dict[str, float]) -> Built:
    there = _artifacts(workspace)
    with _step(walls, "build", "data, candidates, winners"):
        run_flow("training")
    made = _artifacts(workspace) - there
    console.print(f"{made} artifacts made, {there} were there")
    dataset = next(iter(Params.read(workspace.params).families.values())).dataset
    data = data_status(workspace, dataset)
    assert data is not None, "what was trained on is there"
    console.print(
        f"dataset {dataset}: {data.interactions:,} interactions, {data.users:,} users, {data.items:,} items, digest"
        f" {data.digest[:16]}"
    )
    split = {part: len(Interactions.read(workspace.split(dataset, part))) for part in PARTS}
    built = Built(dataset, data, split, tuple(read_reports(workspace)), there, made)
    # A table for each family: families of ratings and of rankings are measured by other figures.
    for family in built.families:
        console.print(tables.candidates_table(family))
        console.print(f"{family.family}: {family.winner.version} ({family.winner.reason})")
    return built


def _artifacts(workspace: Workspace) -> int:
    return sum(1 for _ in workspace.artifacts.glob("*/*/manifest.json"))


def _forget(workspace: Workspace, dataset: str, url: str, walls: dict[str, float]) -> Forgotten:
    """One user, who asks the service before, between and after."""
    user = _somebody(workspace, dataset)
    before = _asked(url, user, "before")
    request = submit(workspace, dataset, str(user))
    console.print(f"\n[bold]request[/] {request.id}: forget one user ({request.state})")
    accepted = _asked(url, user, "accepted, not yet unlearned")
    with _step(walls, "forget", "remove rows, retrain what they touched, redeploy, purge, certify"):
        run_flow("forgetting")
    after = _ask(url, user)
    done = ledger(workspace).get(request.id)
    assert done.work is not None, "the flow has ended well, so the request is completed"
    return Forgotten(done, done.work, before, accepted, after)


def _somebody(workspace: Workspace, dataset: str) -> RawId:
    """The user in the middle by number of rows (ties: smallest id): somebody ordinary, the same each time."""
    rows = Interactions.read(workspace.interactions(dataset))
    users = Ids.of(rows.user_ids)
    order = np.argsort(np.bincount(users.encode(rows.user_ids)), kind="stable")
    user: RawId = users.values.tolist()[order[len(order) // 2]]
    return user


def _ask(url: str, user: RawId) -> Recommended:
    answer = httpx.post(f"{url}/recommend", json={"user_id": user, "k": 5}, timeout=30)
    answer.raise_for_status()
    return Recommended.model_validate(answer.json())


def _asked(url: str, user: RawId, when: str) -> Recommended:
    answer = _ask(url, user)
    _print_answer(when, answer)
    return answer


def _print_answer(when: str, answer: Recommended) -> None:
    items = ", ".join(str(item.item_id) for item in answer.items)
    console.print(f"answer {when}: items {items} (from: {answer.source})")


def _print_end(report: Report) -> None:
    work, walls, ratio = report.forgotten.work, report.walls, report.ratio
    console.rule("[bold]what happened[/]")
    console.print(f"shards touched:   {', '.join(work.touched)}")
    console.print(f"shards retrained: {', '.join(work.retrained)}")
    console.print(f"shards re-used:   {', '.join(work.reused)}")
    _print_answer("after", report.forgotten.after)
    for one in work.purged:
        console.print(f"purged {one.store}: {one.removed}")
    console.print(f"scan: {work.found} found in {work.stores} stores")
    console.print(f"certificate: {report.forgotten.request.certificate}")
    console.print(f"[bold]verify: {report.verdict}[/]")
    console.print(
        f"full build {walls['build']:.1f} s ({report.built.made} artifacts made), "
        f"forget {walls['forget']:.1f} s, ratio {ratio['build to forget']:.2f}"
    )
    console.print(
        f"of that, training all candidates {report.built.training:.1f} s, retraining for the request "
        f"{report.retraining:.1f} s, ratio {ratio['training to retraining']:.1f}"
    )
