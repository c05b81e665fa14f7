"""``python -m benchmarks.killed NAME``: a forget run that kills itself, and all processes it started, at one point."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """A moment of a forget run: before, after, or some seconds into the first call of ``target`` (module:attribute)."""

    name: str
    target: str
    when: str
    call: int = 1
    seconds: float = 0.0


RUN, SERVER = "lethe.forgetting.run", "lethe.serving.server"
POINTS = [
    Point("plan made, not recorded", f"{RUN}:Run.write", "before"),
    Point("plan recorded, ledger not told", f"{RUN}:Run.write", "after"),
    Point("planned", f"{RUN}:_advance", "after"),
    Point("executing", f"{RUN}:_advance", "after", call=2),
    Point("suppression list not yet written", "lethe.data.suppression:SuppressionList.add", "before"),
    Point("suppression list written", "lethe.data.suppression:SuppressionList.add", "after"),
    Point("rows removed", f"{RUN}:remove_rows", "after"),
    Point("inside dvc repro", "flows.data:repro", "inside", seconds=2.0),
    Point("data up to date", "flows.data:repro", "after"),
    Point("inside validation", "flows.data:validate_dataset", "inside", seconds=2.0),
    Point("data judged", "flows.data:validate_dataset", "after"),
    Point("a sub-model's folder begun", "lethe.build.builder:train", "before"),
    Point("a sub-model trained, not stored", "lethe.build.builder:train", "after"),
    Point("a sub-model stored", "lethe.build.builder:Builder.sub_model", "after"),
    Point("before aggregation", "lethe.build.builder:Builder.ensemble", "before"),
    Point("aggregated", "lethe.build.builder:Builder.ensemble", "after"),
    Point("evaluated", "lethe.build.builder:Builder.evaluation", "after"),
    Point("a model half copied to the store", "lethe.build.registry:shutil.copyfile", "after", call=2),
    Point("one family promoted", "lethe.build.registry:Registry.promote", "after"),
    Point("all promoted, reports old", "lethe.build.promotion:write_reports", "before"),
    Point("trained", "flows.training:promote_winners", "after"),
    Point("inside the bento's build", "flows.deployment:build_bento", "inside", seconds=1.0),
    Point("bento built", "flows.deployment:build_bento", "after"),
    Point("deployment switched, workers not told", f"{SERVER}:activate", "after"),
    Point("workers told, not ready", f"{SERVER}:wait_until_served", "before"),
    Point("redeployed", "flows.deployment:redeploy", "after"),
    Point("verified", f"{RUN}:confirm", "after"),
    Point("inside the purge of dvc", "lethe.forgetting.stores.dvc_cache:DvcCache.remove", "inside", seconds=1.0),
    Point("dvc purged", "lethe.forgetting.stores.dvc_cache:DvcCache.remove", "after"),
    Point("artifacts purged", "lethe.forgetting.stores.artifacts:Artifacts.remove", "after"),
    Point("one model retired", "lethe.build.registry:Registry.retire", "after"),
    Point("all purged, not scanned", "lethe.forgetting.stores.purge:purge", "after"),
    Point("scanned", "lethe.forgetting.stores.purge:scan", "after"),
    Point("erasure recorded", "lethe.forgetting.erasure:erase", "after"),
    Point("subjects erased from the ledger", "lethe.forgetting.ledger.ledger:Ledger.erase", "after"),
    Point("certificate written, request not completed", "lethe.forgetting.certificate:write", "after"),
    Point("completed, service not told", "lethe.forgetting.ledger.ledger:Ledger.complete_all", "after"),
    Point("service told, run's record still there", "lethe.forgetting.completion:hide", "after"),
]


def arm(point: Point) -> None:
    """Put the killing around the target."""
    module, _, path = point.target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original = getattr(owner, name)
    calls = iter(range(1, 1 << 30))

    @functools.wraps(original)
    def armed(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == point.call
        if mine and point.when == "before":
            kill()
        if mine and point.when == "inside":
            threading.Timer(point.seconds, kill).start()
        result = original(*args, **kwargs)
        if mine:  # What was to be killed inside may end before its time.
            kill()
        return result

    setattr(owner, name, armed)


def kill() -> None:
    """No process of this run's group outlives it, and none gets to clean up."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(name: str) -> None:
    import flows.data
    import flows.deployment
    import flows.training  # noqa: F401
    from flows.command import command
    from flows.forgetting import forgetting

    arm(next(point for point in POINTS if point.name == name))
    command(forgetting)


if __name__ == "__main__":
    main(*sys.argv[1:])
