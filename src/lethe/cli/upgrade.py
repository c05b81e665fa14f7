"""``lethe upgrade``: a workspace of an older Lethe is taken over."""

from __future__ import annotations

from lethe.cli.common import Json, show
from lethe.core.workspace import Workspace


def upgrade(as_json: Json = False) -> None:
    """Take over a workspace of an older Lethe: says what is kept, and what the next lethe train makes anew."""
    from lethe.forgetting.upgrade import upgrade as run

    done = run(Workspace.find())
    lines = [f"{name}: {line}" for name, said in done.items() for line in said]
    show(done, as_json, [*lines, "next: lethe train, then lethe deploy"] if done else ["nothing to do"])
