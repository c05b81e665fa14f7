"""Begin a new epoch of a dataset and make all of it: shards laid anew, winners chosen anew, residues ended.

``python -m flows.epoch [DATASET]``.
"""

from __future__ import annotations

import sys

from flows.command import alone, command
from flows.engine import flow, say, task
from flows.nightly import nightly
from lethe.core.workspace import Workspace
from lethe.data.epoch import begin_epoch


@task(name="begin epoch")
def begin(dataset: str | None) -> tuple[str, int]:
    return begin_epoch(Workspace.find(), dataset)


@flow(name="epoch")
@alone
def epoch(dataset: str | None = None) -> str:
    """The bento that is served from the new epoch. One that fails on its way is resumed by the next training, which
    finds the epoch begun."""
    name, number = begin(dataset)
    say(f"epoch {number} of {name} begins")
    return nightly()


if __name__ == "__main__":
    command(lambda: epoch(*sys.argv[1:]))
