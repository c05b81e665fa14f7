"""``python -m benchmarks.killed NAME [ARGUMENTS]``: a forget run (or, at a point of ``ADDING``, a command ``lethe
ARGUMENTS``) that kills or interrupts itself, and all processes it started, at one point."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from lethe.core.workspace import Workspace
from lethe.forgetting.ledger.requests import ForgetRequest, Held


@dataclass(frozen=True)
class Point:
    """A moment of a forget run: before, after, or some seconds into the first call of ``target`` (module:attribute)."""

    name: str
    target: str
    when: str
    call: int = 1
    seconds: float = 0.0
    signal: int = signal.SIGKILL
    """SIGINT: as Ctrl-C in a terminal, which tells every process there."""


RUN, SERVER, HIDDEN = "lethe.forgetting.run", "lethe.serving.server", "lethe.serving.hidden"
CTRL_C = signal.SIGINT
POINTS = [
    Point("plan made, not recorded", f"{RUN}:Run.write", "before"),
    Point("plan recorded, ledger not told", f"{RUN}:Run.write", "after"),
    Point("planned", f"{RUN}:_advance", "after"),
    Point("executing", f"{RUN}:_advance", "after", call=2),
    Point("suppression list not yet written", "lethe.data.suppression:SuppressionList.add", "before"),
    Point("suppression list written", "lethe.data.suppression:SuppressionList.add", "after"),
    Point("rows removed", f"{RUN}:remove_rows", "after"),
    Point("inside dvc repro", "flows.data:repro", "inside", seconds=2.0),
    Point("Ctrl-C inside dvc repro", "flows.data:repro", "inside", seconds=3.0, signal=CTRL_C),
    Point("data up to date", "flows.data:repro", "after"),
    Point("inside validation", "flows.data:validate_datasets", "inside", seconds=2.0),
    Point("data judged", "flows.data:validate_datasets", "after"),
    Point("a sub-model's folder begun", "lethe.learning.sub_model:train", "before"),
    Point("a sub-model trained, not stored", "lethe.learning.sub_model:train", "after"),
    Point("a sub-model stored", "lethe.build.builder:Builder.sub_model", "after"),
    Point("before aggregation", "lethe.build.builder:Builder.ensemble", "before"),
    Point("aggregated", "lethe.build.builder:Builder.ensemble", "after"),
    Point("a model half copied to the store", "lethe.build.registry:shutil.copyfile", "after", call=2),
    Point("one family promoted", "lethe.build.registry:Registry.promote", "after"),
    Point("all promoted, reports old", "lethe.build.promotion:write_reports", "before"),
    Point("trained", "flows.training:promote_winners", "after"),
    Point("inside the bento's build", "flows.deployment:build_bento", "inside", seconds=1.0),
    Point("Ctrl-C inside the bento's build", "flows.deployment:build_bento", "inside", seconds=1.5, signal=CTRL_C),
    Point("bento built", "flows.deployment:build_bento", "after"),
    Point("deployment switched, workers not told", f"{SERVER}:activate", "after"),
    Point("workers told, not ready", f"{SERVER}:wait_until_served", "before"),
    Point("Ctrl-C while workers change", f"{SERVER}:wait_until_served", "inside", seconds=0.5, signal=CTRL_C),
    Point("Ctrl-C inside the deployment", "flows.deployment:redeploy", "inside", seconds=1.0, signal=CTRL_C),
    Point("redeployed", "flows.deployment:redeploy", "after"),
    Point("verified", f"{RUN}:confirm", "after"),
    Point("inside the purge of dvc", "lethe.forgetting.stores.dvc_cache:DvcCache.remove", "inside", seconds=1.0),
    Point("dvc purged", "lethe.forgetting.stores.dvc_cache:DvcCache.remove", "after"),
    Point("artifacts purged", "lethe.forgetting.stores.artifacts:Artifacts.remove", "after"),
    Point("one model retired", "lethe.build.registry:Registry.retire", "after"),
    Point("all purged, not scanned", "lethe.forgetting.stores.purge:purge", "after"),
    Point("scanned", "lethe.forgetting.stores.purge:scan", "after"),
    Point("erasure recorded", "lethe.forgetting.erasure:erase", "after"),
    Point("inside the rebuild that is the evidence", "lethe.proof.request:prove", "inside", seconds=2.0),
    Point("evidence made, nothing signed", "lethe.proof.request:prove", "after"),
    Point("subjects erased from the ledger", "lethe.forgetting.ledger.ledger:Ledger.erase", "after"),
    Point("certificate written, request not completed", "lethe.forgetting.certificate:write", "after"),
    Point("completed, service not told", "lethe.forgetting.ledger.ledger:Ledger.complete_all", "after"),
    Point("service told, run's record still there", "lethe.forgetting.record:Run.discard", "before"),
]
ASIDE = [
    Point("kept aside, ledger not told", "lethe.forgetting.ledger.ledger:Ledger.fail", "before"),
    Point("set aside, record of the run still there", "lethe.forgetting.ledger.ledger:Ledger.fail", "after"),
]
"""Of a run that finds rows left: it sets its request aside."""
ADDING = [
    Point("nothing taken yet", "lethe.forgetting.ledger.ledger:Ledger.take", "before"),
    Point("inside acceptance, not yet hidden", f"{HIDDEN}:publish", "before"),
    Point("inside acceptance, hidden", f"{HIDDEN}:publish", "after"),
    Point("accepted", "lethe.forgetting.ledger.ledger:Ledger.take", "after"),
    Point("accepted, no receipt", "lethe.forgetting.receipt:issue", "before"),
    Point("receipt sealed, not written", "lethe.forgetting.receipt:issue", "after"),
]
"""Of ``lethe forget add --receipt``."""


def where(point: Point) -> tuple[Any, str]:
    """Of what the target is an attribute, and its name."""
    module, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name


def arm(point: Point) -> None:
    """Put the killing around the target."""
    owner, name = where(point)
    original = getattr(owner, name)
    calls = iter(range(1, 1 << 30))

    @functools.wraps(original)
    def armed(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == point.call
        if mine and point.when == "before":
            kill(point.signal)
        timer = threading.Timer(point.seconds, kill, [point.signal])
        if mine and point.when == "inside":
            timer.start()
        result = original(*args, **kwargs)
        if mine:  # What was to be killed inside may end before its time.
            timer.cancel()
            kill(point.signal)
        return result

    setattr(owner, name, armed)


def kill(number: int) -> None:
    """No process of this run's group outlives it; killed, none gets to clean up."""
    os.killpg(os.getpgid(0), number)


def _rows_left(_: Workspace, requests: Sequence[ForgetRequest], *__: object) -> dict[str, Held]:
    return {request.id: Held(interactions=1) for request in requests}


def main(name: str, *arguments: str) -> None:
    if name in {point.name for point in ADDING}:
        from lethe.cli import main as lethe

        arm(next(point for point in ADDING if point.name == name))
        sys.argv[1:] = arguments
        lethe()
        return
    import flows.data
    import flows.deployment
    import flows.training  # noqa: F401
    from flows.command import command
    from flows.forgetting import forgetting
    from lethe.forgetting import run as runs

    point = next(point for point in (*POINTS, *ASIDE) if point.name == name)
    confirm = runs.confirm

    def confirm_with_rows_left(*arguments: Any) -> None:
        with patch.object(runs, "held_now", _rows_left):
            confirm(*arguments)

    if point in ASIDE:
        runs.confirm = confirm_with_rows_left
    arm(point)
    command(forgetting)


if __name__ == "__main__":
    main(*sys.argv[1:])
