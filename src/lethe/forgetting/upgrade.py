"""``lethe upgrade``: take over a workspace that an older Lethe has written.

What holds evidence stays: ledger, certificates, keys, and whom the suppression list names. What is only a result
(models, artifacts) was made by other code and goes; the next ``lethe train`` makes it anew under keys of today.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from lethe.build.registry import Registry
from lethe.core.files import write_whole
from lethe.core.format import FORMAT, format_of, mark
from lethe.core.process import alone
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import ConfigError, DataError
from lethe.forgetting.held import held_now
from lethe.forgetting.standing import ledger, publish_hidden
from lethe.serving.server import status


@dataclass(frozen=True)
class Step:
    """One thing that the newer format wants otherwise. Done twice it changes nothing, so that an upgrade that was
    killed is begun again."""

    name: str
    run: Callable[[Workspace], list[str]]
    """Does it, and says what was done in lines; in none where there was nothing to do."""


def upgrade(workspace: Workspace) -> dict[str, list[str]]:
    """Bring a workspace to this Lethe's format; returns what was done {step: lines}, nothing for one that is there.

    Raises ConfigError, before anything is changed, for a workspace of a newer Lethe, one whose service runs, or one
    whose forget run was interrupted.
    """
    with alone(workspace):
        number = format_of(workspace)
        if number is not None and number > FORMAT:
            raise ConfigError(f"workspace: it is of a newer Lethe (format {number}); install that one")
        if number is None or number == FORMAT:
            mark(workspace)
            return {}
        if status(workspace) is not None:
            raise ConfigError("service: it runs on the older format; stop it with lethe stop, then upgrade")
        if (workspace.state / "run.json").is_file():
            raise ConfigError(
                "forget run: one was interrupted; run lethe forget run with the Lethe that began it, then upgrade"
            )
        done = {step.name: step.run(workspace) for step in STEPS}
        mark(workspace)
        return {name: lines for name, lines in done.items() if lines}


def _ledger(workspace: Workspace) -> list[str]:
    """Its schema is brought up to date where it is opened; every row and the chain over them stay."""
    book = ledger(workspace)
    book.check_chain()
    kept = len(book.all())
    return [f"requests kept: {kept}; the chain over them is whole"] if kept else []


def _requests(workspace: Workspace) -> list[str]:
    """What is held of a subject is counted at acceptance, since the evidence of removal is held against it; of older
    requests it is counted now, and the log says so."""
    book = ledger(workspace)
    waiting = [r for r in book.open() if r.state in ("accepted", "planned", "failed") and not r.held and r.user]
    held = held_now(workspace, waiting)
    book.fail([request.id for request in waiting if request.state != "failed"], "not-counted")
    book.accept(held, actor="lethe upgrade")
    return [f"counted what is held of {len(held)} that wait"] if held else []


def _suppression(workspace: Workspace) -> list[str]:
    """Format 1 had columns and no key; an entry held for rows up to its request's time. Now it holds for all rows."""
    path = workspace.suppression
    if not path.is_file() or path.read_text(encoding="utf-8").startswith("#"):
        return []
    lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    if lines[:1] != [header := ["dataset", "kind", "digest", "user_digest", "requested_at"]]:
        raise DataError(f"{path.name}: line 1 must be that of format 1, or name format 2 and a key")
    entries = []
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(header) or line[1] not in ("user", "interaction"):
            raise DataError(f"{path.name}: line {number} is no line of format 1")
        entries.append(Suppressed(line[0], "user" if line[1] == "user" else "interaction", line[2], line[3]))
    # Made beside it, so that at no time there is no list.
    made = workspace.temporary / "upgraded" / path.name
    made.unlink(missing_ok=True)
    SuppressionList(made).add(entries)
    kept = SuppressionList.read(made)
    write_whole(workspace.state / "suppression-list-1.csv", path.read_bytes())
    write_whole(path, made.read_bytes())
    made.unlink()
    return [
        f"entries kept: {len(kept.entries)}; each holds for all rows of its subject now, whatever their time (who came"
        " back since is let in again by lethe forget lift)"
    ]


def _hidden(workspace: Workspace) -> list[str]:
    (workspace.state / "suppressed-users.json").unlink(missing_ok=True)
    publish_hidden(workspace)
    return []


def _models(workspace: Workspace) -> list[str]:
    """Versions that only an older Lethe can read, and the deployment of them, go."""
    registry, lines = Registry(workspace), []
    for family in registry.families():
        older = registry.older(family)
        if older:
            lines.append(f"{family}: {older} served version{'s' if older > 1 else ''} made by other code taken away")
            registry.drop(family)
    if lines:
        workspace.deployment.unlink(missing_ok=True)
    return lines


def _artifacts(workspace: Workspace) -> list[str]:
    """No key of today names them, and not every one can be read. Seconds they took stay in .lethe/costs.json."""
    kinds = Counter(path.parent.parent.name for path in workspace.artifacts.glob("*/*/manifest.json"))
    for folder in workspace.artifacts.glob("*"):
        shutil.rmtree(folder)
    return [f"{count} of kind {kind}: made by other code, taken away" for kind, count in sorted(kinds.items())]


def _stages(workspace: Workspace) -> list[str]:
    path = workspace.root / "dvc.yaml"
    text = path.read_text(encoding="utf-8")
    for module in ("lethe.stages", "lethe.data.stages"):
        text = text.replace(f"python -m {module} ", "python -m lethe.data.run ")
    write_whole(path, text)
    return ["all run once more (their command is lethe.data.run now); rows stay in their shards"]


STEPS = (
    Step("ledger", _ledger),
    Step("suppression list", _suppression),
    Step("requests", _requests),
    Step("hidden users", _hidden),
    Step("models", _models),
    Step("artifacts", _artifacts),
    Step("data stages", _stages),
)
