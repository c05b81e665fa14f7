"""What a project has recorded of itself, read once: the facts that the report is made of. Nobody is named in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from lethe.build.decision import Decision, Decisions
from lethe.build.registry import Registry
from lethe.build.reports import FamilyReport, read_curve, read_reports
from lethe.build.version import Version
from lethe.cli.report.proof import Proof
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.gates.report import Verdict
from lethe.data.profile import Profile, profile_with
from lethe.data.split import PARTS
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import Work
from lethe.forgetting.standing import ledger
from lethe.tables.columns import distinct
from lethe.tables.reader import Reader
from lethe.tables.texts import Column


@dataclass(frozen=True)
class Spread:
    """How many rows those of one kind have, users or items: [n] counts, in no order that says whose they are."""

    counts: np.ndarray

    @classmethod
    def of(cls, ids: Column) -> Spread:
        return cls(np.sort(np.bincount(distinct(ids)[1])))


@dataclass(frozen=True)
class Dataset:
    """A dataset as the data stages and the gates left it."""

    name: str
    profile: Profile | None
    """None where it is not built yet."""
    users: Spread | None
    items: Spread | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Family:
    """What a family serves, and the shards it was learnt from."""

    name: str
    dataset: str
    model: str
    sharding: str
    version: str
    guarantee: str
    rows: str
    """Whether it learnt all rows, or those of training alone."""
    age_days: float
    reason: str
    expected_seconds: float | None
    """Of forgetting, as it was reckoned when it was chosen."""
    expected_requests: int
    decision: Decision | None
    shards: dict[str, int]
    """Rows of each."""


@dataclass(frozen=True)
class Trained:
    """A family's last training, and the curves of its candidates."""

    report: FamilyReport
    curves: dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Facts:
    """All of them."""

    project: str
    at: datetime
    datasets: tuple[Dataset, ...]
    families: tuple[Family, ...]
    trainings: tuple[Trained, ...]
    requests: tuple[ForgetRequest, ...]
    """The newest first."""
    proof: Proof

    @property
    def states(self) -> dict[str, int]:
        """How many requests are in each state."""
        return dict(sorted(Counter(request.state for request in self.requests).items()))

    @property
    def fulfilled(self) -> dict[str, Work]:
        """By request, the oldest first, what forgetting it took; of those by which something was forgotten."""
        return {request.id: request.work for request in reversed(self.requests) if request.work is not None}


def gather(workspace: Workspace, now: datetime | None = None) -> Facts:
    """Read all there is; what isn't there yet is None or empty."""
    params, decisions, reader = Params.read(workspace.params), Decisions.read(workspace), Reader()
    requests = sorted(ledger(workspace).all(), key=lambda request: (request.received, request.id), reverse=True)
    return Facts(
        project=workspace.root.name,
        at=now or datetime.now(UTC),
        datasets=tuple(_dataset(workspace, params, name, reader) for name in params.pipeline.datasets),
        families=tuple(
            _family(workspace, decisions, *served, reader) for served in Registry(workspace).served().items()
        ),
        trainings=tuple(_trained(workspace, report) for report in read_reports(workspace)),
        requests=tuple(requests),
        proof=Proof.read(workspace),
    )


def _dataset(workspace: Workspace, params: Params, name: str, reader: Reader) -> Dataset:
    path, verdict = workspace.interactions(name), Verdict.read(workspace, name)
    if not path.is_file():
        return Dataset(name, None, None, None, verdict)
    rows = reader.interactions(path)
    laid = ((part, workspace.split(name, part)) for part in PARTS)
    parts = {part: reader.rows(where) if where.is_file() else 0 for part, where in laid}
    profile = profile_with(rows, params.datasets[name], parts)
    return Dataset(name, profile, Spread.of(rows.user_ids), Spread.of(rows.item_ids), verdict)


def _family(workspace: Workspace, decisions: Decisions, name: str, version: Version, reader: Reader) -> Family:
    recipe = version.recipe
    tables = sorted(workspace.shards(recipe.dataset, recipe.laid_in).glob("*.parquet"))
    return Family(
        name=name,
        dataset=recipe.dataset,
        model=recipe.model,
        sharding=recipe.sharding,
        version=version.tag,
        guarantee=version.info.guarantee,
        rows=recipe.rows,
        age_days=decisions.age_days(version),
        reason=version.reason,
        expected_seconds=None if version.grounds is None else version.grounds.forgetting_seconds,
        expected_requests=0 if version.grounds is None else version.grounds.expected_requests,
        decision=decisions.last.get(name),
        shards={path.stem: reader.rows(path) for path in tables},
    )


def _trained(workspace: Workspace, report: FamilyReport) -> Trained:
    names = [candidate.name for candidate in report.candidates]
    return Trained(report, {name: read_curve(workspace, report.dataset, report.family, name) for name in names})
