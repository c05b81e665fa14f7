"""A night in the life of a project, with everything that runs around it for real, and the morning after.

What came since is trained on by a Dask cluster, promoted and deployed to two replicas while customers ask; a run fails
and somebody is told; every process goes away at once and comes back; somebody asks to be forgotten. Nothing may be
lost.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import ROOT, Say, asking
from benchmarks.night_project import SMALL, WHOLE, bucket, enter_request, project
from benchmarks.page import grid, page
from benchmarks.place import Place, place, wait_for
from benchmarks.project import Wrong, must
from benchmarks.redeploys import Customers
from lethe.build.registry import Registry
from lethe.serving.deployment import Deployment

NEW, FORGOTTEN, KNOWN = "user-new", "user-0003", "user-0004"
Step = dict[str, Any]


class Night:
    """The story, in steps that are timed; each raises Wrong where something isn't as it must be."""

    def __init__(self, place: Place, say: Say = lambda _: None) -> None:
        self.place, self._say = place, say
        self.steps: list[Step] = []
        self.runs: list[str] = []

    def step(self, what: str, run: Callable[[], Step | None]) -> None:
        began = time.perf_counter()
        told = run() or {}
        self.steps.append({"what": what, "seconds": round(time.perf_counter() - began, 1), **told})
        self._say(json.dumps(self.steps[-1]))

    # --- what happens --------------------------------------------------------------------------------------------

    def first_night(self) -> None:
        """Nothing is deployed yet: the replicas wait for it."""
        self.run("nightly")
        self.place_serves()
        must(self.answers(KNOWN) == self.each("model"), "somebody with rows is answered by the model")

    def rows_come(self) -> None:
        """Of somebody who was not there before."""
        must(self.answers(NEW) == self.each("popular"), "nobody knows who comes")
        ratings = self.place.workspace.root / "ratings.csv"
        own = [line for line in ratings.read_text().splitlines() if line.startswith(KNOWN)]
        with ratings.open("a") as file:
            file.writelines(f"{line.replace(KNOWN, NEW)}\n" for line in own)

    def a_run_fails(self) -> Step:
        """Its scheduler of Dask is dead: somebody is told, and all stays as it was."""
        served = self.deployed()
        self.place.kill("dask")
        ended = self.run("nightly", must_be="FAILED")
        # What is scheduled for this very hour fails as well, and is told of too.
        alerts = (call.json for call in iter(self.place.receiver.called, None))
        alert = next(told for told in alerts if told["run"] == ended["name"])
        must(alert["alert"] == "run-failed", "the alert names the run")
        must("no scheduler answers" in ended["state"]["message"], "the run says why in a line")
        must(self.deployed() == served, "what is served stays")
        return {"alert": alert["text"]}

    def a_machine_goes(self) -> Step:
        """The worker and its run are killed, with no word to the server: the next run has to wait until that knows."""
        served = self.deployed()
        gone = self.begun("nightly")
        wait_for(lambda: bool(self._tasks_of(gone["id"])), "the run is at work")
        self.place.kill("scheduled")
        self.place.start("scheduled")
        began = time.perf_counter()
        self.run("nightly")
        waited = round(time.perf_counter() - began)
        crashed = lambda: self.place.asked(f"flow_runs/{gone['id']}")["state_type"] == "CRASHED"  # noqa: E731
        wait_for(crashed, "the server knows that the run is gone")
        alerts = (call.json for call in iter(self.place.receiver.called, None))
        name = self.place.asked(f"flow_runs/{gone['id']}")["name"]  # which it gave itself when it began
        alert = next(told for told in alerts if (told["run"], told["state"]) == (name, "Crashed"))
        must(self.deployed().families == served.families, "nothing new to serve")
        return {"the next one was over after": waited, "alert": alert["text"]}

    def night(self) -> Step:
        """What came is trained on, promoted and deployed, while customers ask both replicas."""
        before = self.deployed()
        known = [f"user-{number:04d}" for number in range(5, 24)]
        with ExitStack() as stack:
            asking = [
                stack.enter_context(Customers(self.place.address(name), known, count=1)) for name in self.place.replicas
            ]
            self.run("nightly")
            self.place_serves()
        must(self.deployed().families != before.families, "another version is deployed")
        must(self.answers(NEW) == self.each("model"), "who came is answered by the model")
        failed = sum((customers.failed for customers in asking), Counter[str]())
        must(not failed, f"no request failed: {dict(failed)}")
        return {"requests": sum(customers.answered for customers in asking), "failed": failed.total()}

    def forget(self) -> Step:
        """A request is entered in the console, hides at once, and is fulfilled by the scheduled flow."""
        id = enter_request(self.place, FORGOTTEN)
        # Each worker looks at the ledger every so often.
        wait_for(lambda: self.answers(FORGOTTEN) == self.each("popular"), "who asks is hidden")
        self.run("forgetting", parameters={"scheduled": False})
        self.place_serves()
        (request,) = json.loads(self.place.lethe("forget", "list", "--json"))
        must((request["id"], request["state"]) == (id, "completed"), "the request is completed")
        must(self.answers(FORGOTTEN) == self.each("popular"), "and nobody knows them")
        certificate = self.place.workspace.certificates / f"{id}.json"
        (key,) = certificate.parent.glob("*.pem")
        checker = [sys.executable, str(ROOT / "tools" / "check_certificate.py"), str(certificate), "--key", str(key)]
        must(subprocess.run(checker, capture_output=True).returncode == 0, "an independent program believes the proof")
        kept = {one.key.rpartition("/")[2] for one in bucket(self.place).objects.all()}
        must(certificate.name in kept, "the certificate is kept at its URL")
        return {"scan": request["result"]["scan"], "touched": len(request["result"]["shards_touched"])}

    def everything_restarts(self) -> Step:
        """All processes go away at once; what was kept is found again."""
        deployments, families = self._deployments(), self.deployed().families
        versions = Registry(self.place.workspace).served()
        self.place.restart_all()
        must(self._deployments() == deployments, "what is scheduled stays scheduled")
        must(self.deployed().families == families, "what is deployed stays deployed")
        must(set(Registry(self.place.workspace).served()) == set(versions), "what is promoted stays promoted")
        must(self.answers(KNOWN) == self.each("model"), "the replicas answer from the model again")
        return {"parts": len(self.place.parts)}

    def epoch(self) -> None:
        """Shards are laid anew, winners chosen anew; nobody comes back."""
        self.run("epoch")
        self.place_serves()
        must(self.answers(FORGOTTEN) == self.each("popular"), "who was forgotten stays so")

    def audit(self) -> None:
        """Log, certificates, every store, a sampled rebuild: all holds; and no due date is near."""
        self.run("watch")
        self.run("audit")
        must(self.answers(NEW) == self.each("model"), "who came is still answered by the model")

    # --- below ---------------------------------------------------------------------------------------------------

    def run(self, name: str, must_be: str = "COMPLETED", **more: Any) -> dict[str, Any]:
        """A run of a deployment, by the worker, as it is when its time has come; waits for its end."""
        ended = begun = self.begun(name, **more)

        def is_over() -> bool:
            nonlocal ended
            ended = self.place.asked(f"flow_runs/{begun['id']}")
            return ended["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        wait_for(is_over, f"the run of {name}")
        if ended["state_type"] != must_be:
            raise Wrong(f"{name}: {ended['state_type']}, must be {must_be}: {ended['state']['message']}")
        return ended

    def begun(self, name: str, **more: Any) -> dict[str, Any]:
        """A run of a deployment, whose time has come."""
        deployment = self.place.asked(f"deployments/name/{name}/{name}")
        begun: dict[str, Any] = self.place.asked(f"deployments/{deployment['id']}/create_flow_run", more)
        self.runs.append(begun["id"])
        return begun

    def _tasks_of(self, run: str) -> list[dict[str, Any]]:
        """Tasks and flows that a run has begun."""
        tasks: list[dict[str, Any]] = self.place.asked("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return tasks

    def place_serves(self) -> None:
        """Until every replica serves what is deployed."""
        wanted = self.deployed()
        for name in self.place.replicas:
            wait_for(lambda name=name: self._served(name) == wanted.families, f"{name} on the new version")

    def deployed(self) -> Deployment:
        return Deployment.read(self.place.workspace.deployment)

    def answers(self, user: str) -> list[str]:
        """What each replica's answer to a user comes from."""
        asked = {"user_id": user, "k": 3}
        given = [asking.post(f"{self.place.address(name)}/recommend", json=asked) for name in self.place.replicas]
        return [answer.raise_for_status().json()["source"] for answer in given]

    def each(self, source: str) -> list[str]:
        """What each replica answers from, where all do the same."""
        return [source] * len(self.place.replicas)

    def _served(self, name: str) -> dict[str, str]:
        about = asking.get(f"{self.place.address(name)}/model").raise_for_status().json()
        return {family: one["version"] for family, one in about["families"].items()}

    def _deployments(self) -> set[str]:
        return {one["id"] for one in self.place.asked("deployments/filter", {})}

    def kept_runs(self) -> int:
        """How many of our runs Prefect's server still has, with their end."""
        runs = [self.place.asked(f"flow_runs/{id}")["state_type"] for id in self.runs]
        return sum(state in ("COMPLETED", "FAILED", "CRASHED") for state in runs)


def story(night: Night, whole: bool) -> list[Step]:
    """Every step in its order; what is not ``whole`` restarts everything once and ends when somebody is forgotten."""
    night.step("the first night: trained, promoted, deployed", night.first_night)
    night.step("rows of somebody new come", night.rows_come)
    night.step("a run fails for want of its Dask scheduler, and somebody is told", night.a_run_fails)
    night.step("every process is killed at once and started again", night.everything_restarts)
    night.step("the night is run again: who came is answered by the model", night.night)
    night.step("somebody is forgotten", night.forget)
    if whole:
        night.step("every process is killed at once and started again", night.everything_restarts)
        night.step("the worker is killed in the middle of a run, and somebody is told", night.a_machine_goes)
        night.step("a new epoch begins", night.epoch)
        night.step("due dates are looked at, and all is audited", night.audit)
    must(night.kept_runs() == len(night.runs), "Prefect's server has every run and how it ended")
    return night.steps


def measure(folder: Path, whole: bool = True, say: Say = lambda _: None) -> list[Step]:
    """The night, from an empty folder; what is not ``whole`` has one replica and one worker of Dask's."""
    workspace = project(folder / "project", WHOLE if whole else SMALL)
    began = time.perf_counter()
    with place(workspace, of_each=2 if whole else 1) as made:
        bucket(made).create()
        night = Night(made, say)
        started = {"what": "everything is started", "seconds": round(time.perf_counter() - began, 1)}
        night.steps.append(started | {"parts": len(made.parts) + 1})
        return story(night, whole)


def report(steps: list[Step], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    said = (
        "PostgreSQL (ledger and Prefect's runs), a Prefect server, what is scheduled with its worker, a Dask scheduler,"
        " two workers of it, S3 (moto), two replicas of the service, the console, a receiver of alerts: all are"
        " processes of this machine."
    )
    rows = [(step["what"], step["seconds"], _told(step)) for step in steps]
    text = page("night", f"`{command}`", (__doc__ or "").strip(), said, grid(("step", "seconds", ""), rows))
    return {"table": "night", "command": command, "steps": steps}, text


def _told(step: Step) -> str:
    return ", ".join(f"{name} {value}" for name, value in step.items() if name not in ("what", "seconds"))
