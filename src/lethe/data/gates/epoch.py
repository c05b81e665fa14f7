"""What was counted when an epoch of a dataset began: later data are held against it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from lethe.config.section import Section
from lethe.config.sharding import Rows
from lethe.core.canonical import readable_json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.tables.drift import Shape


class Epoch(Section):
    """The counts of an epoch's beginning; none where it begins now."""

    epoch: int = 1
    """Its number."""
    interactions: int | None = None
    """Rows of the dataset, less what was forgotten since."""
    train: dict[str, int] = Field({})
    """Training rows for each digest of a sharding."""
    all: dict[str, int] = Field({})
    """All rows, likewise."""

    shape: Shape = Field({})
    """What the rows looked like, in counts, less what was forgotten since; empty where it was not counted then."""
    newest: int | None = None
    """The latest time of a row then, likewise, which tells these rows from those that came since; none where the rows
    have no times."""

    def begun(self, of: Rows, layout: str) -> int | None:
        """How many of the rows that it lays out a sharding began with, by its digest; None: it begins now."""
        # Before all rows were laid out as well, only those of training were counted.
        return self.train.get(layout) if of == "train" else self.all.get(layout, self.train.get(layout))


def read_epoch(workspace: Workspace, dataset: str) -> Epoch:
    """The epoch that the last data to pass the gates belong to. Raises ConfigError where its file is damaged."""
    path = _path(workspace, dataset)
    return Epoch.parse(json.loads(path.read_bytes()), path.name) if path.is_file() else Epoch()


def current_epoch(workspace: Workspace, dataset: str, number: int) -> Epoch:
    """What was counted when epoch ``number`` began; nothing, where it begins now."""
    epoch = read_epoch(workspace, dataset)
    return epoch if epoch.epoch == number else Epoch(epoch=number)


def write_epoch(workspace: Workspace, dataset: str, epoch: Epoch) -> None:
    write_whole(_path(workspace, dataset), readable_json(epoch.plain()))


def _path(workspace: Workspace, dataset: str) -> Path:
    return workspace.state / "epochs" / f"{dataset}.json"
