"""``lethe upgrade``: a workspace of an older Lethe is taken over, and what Lethe wrote into a project is renewed."""

from __future__ import annotations

from lethe.cli.common import Json, show
from lethe.core.workspace import Workspace


def upgrade(as_json: Json = False) -> None:
    """Take over a workspace of an older Lethe: says what is kept, and what the next lethe train makes anew.

    Files that lethe init wrote (flows, data stages, templates) are renewed, but for those that were changed since.
    """
    from lethe.core.project import renew_project
    from lethe.forgetting.upgrade import upgrade as run

    here = Workspace.find()
    done = run(here)
    if renewed := renew_project(here):
        done["project"] = renewed
    lines = [f"{name}: {line}" for name, said in done.items() for line in said]
    show(done, as_json, [*lines, "next: lethe train, then lethe deploy"] if done else ["nothing to do"])
