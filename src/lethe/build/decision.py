"""What trainings came to: of each family whether what it serves was kept or replaced, by which figures, and why.

``.lethe/promotions.json`` beside the registry holds the last decision of each family, and the versions that somebody
rolled back from.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from lethe.build.version import Version
from lethe.config.section import Section
from lethe.core.canonical import readable_json
from lethe.core.files import read_json, write_whole
from lethe.core.workspace import Workspace


class Decision(Section):
    """Of one training about one family."""

    family: str
    outcome: Literal["kept", "replaced"]
    why: str
    metric: str
    """Of validation, by which models are compared; measured of builds on the training part, never of what is served
    from all rows."""
    new: float | None = None
    """Its value for the winner of this training."""
    old: float | None = None
    """For what was served: of the build that it was chosen by; None where that is gone or can't be compared."""
    users: int = 0
    """On how many the two were compared, users (rows, for ratings) that both know; 0: not with each other."""
    p_value: float | None = None
    """Two-sided, of no difference on those."""
    version: str = ""
    """What is served from now on."""
    comparison: str = ""
    """Key of the ensemble, built on the training part, that the next training's winner is held against."""
    at: str = ""
    """When it was decided."""
    fresh: str = ""
    """When what is served was last what the newest data give."""

    def __str__(self) -> str:
        return f"{self.family}: {self.outcome} ({self.why})"


class Decisions(Section):
    """The last ones, by family."""

    last: dict[str, Decision] = Field({})
    left: dict[str, tuple[str, ...]] = Field({})
    """{family: versions that somebody rolled back from}: a training that gives one of them again leaves it alone."""

    @classmethod
    def read(cls, workspace: Workspace) -> Decisions:
        path = _path(workspace)
        return cls.parse(read_json(path, dict), path.name) if path.is_file() else cls()

    def write(self, workspace: Workspace) -> None:
        write_whole(_path(workspace), readable_json(self.plain()))

    def with_these(self, decisions: Iterable[Decision], families: Iterable[str]) -> Decisions:
        """And these; what is about no family that is served goes."""
        last, served = {**self.last, **{one.family: one for one in decisions}}, set(families)
        return Decisions(
            last={family: one for family, one in sorted(last.items()) if family in served},
            left={family: tags for family, tags in self.left.items() if family in served},
        )

    def rolled_back(self, family: str, left: Iterable[str]) -> Decisions:
        """With versions that were rolled back from."""
        tags = tuple(sorted({*self.left.get(family, ()), *left}))
        return self.model_copy(update={"left": {**self.left, family: tags}})

    def comparison(self, version: Version) -> str:
        """Key of the build on the training part that stands for a served version; empty where there is none."""
        last = self.last.get(version.info.family)
        return last.comparison if last is not None and last.version == version.tag else version.comparison

    def since(self, version: Version) -> datetime:
        """When a served version was last what the newest data give."""
        last = self.last.get(version.info.family)
        return datetime.fromisoformat(last.fresh) if last is not None and last.version == version.tag else version.made

    def age_days(self, version: Version, now: datetime | None = None) -> float:
        return ((now or datetime.now(UTC)) - self.since(version)).total_seconds() / 86_400


def _path(workspace: Workspace) -> Path:
    return workspace.state / "promotions.json"
