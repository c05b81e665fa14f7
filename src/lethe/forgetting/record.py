"""A run's own record, .lethe/run.json: written before anything changes, digests and names only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from lethe.config.section import Section
from lethe.core.canonical import canonical_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.forgetting.certificate import Absence, Lasting, Purged, Rows
from lethe.forgetting.certificate.users import Absent, Member
from lethe.forgetting.plan import PlannedFamily
from lethe.forgetting.state import State
from lethe.tables.drift import Shape


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
    suppressed: dict[str, tuple[str, ...]]
    """Of each request: keyed digests by which the suppression list names its subject."""
    nonces: dict[str, str]
    """Of each request: what draws the sample of sub-models that are rebuilt, see ``certificate.content.drawn``."""
    drawn_by: Literal["requesters", "random"]
    """Whether one of the nonces at least was given with a request, and so was not ours to choose."""
    expected: dict[str, int]
    """Rows that each dataset's epoch is reckoned to have begun with once those of the batch are gone: the gate that
    misses rows must not miss forgotten ones."""
    shapes: dict[str, Shape] = Field({})
    """What each dataset's epoch is reckoned to have looked like, likewise."""
    newest: dict[str, int | None] = Field({})
    """The latest time that each dataset's epoch is reckoned to have begun with, likewise."""
    earlier: tuple[str, ...] = ()
    """SHA-256 of files made of earlier data, and of copies of sources, that hold subjects whom no table held as
    the run began."""
    files: dict[str, str] = Field({})
    """SHA-256 of params.yaml and requirements.lock as the run began."""
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
