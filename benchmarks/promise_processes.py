"""Cases of several real processes at once, of code that changes between two commands, and of what happens to a command
from outside: see benchmarks/promise_cases.py."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import yaml

from benchmarks import asking
from benchmarks.project import ROOT, TIMEOUT, Project, Wrong, csv

Row = tuple[object, ...]
HEADER = ("user", "item", "rating", "timestamp")
PEOPLE = 60
BURSTS, AT_ONCE = 10, 4


def person(number: int) -> str:
    return f"customer-{number:04d}"


def _rows(people: int = PEOPLE) -> list[Row]:
    return [
        (person(n), 1 + (n * 5 + step * 7) % 24, 1 + step % 5, 1_700_000_000 + 60 * (n * 8 + step))
        for n in range(people)
        for step in range(8)
    ]


def _trained(project: Project) -> None:
    options = ("--rating-column", "rating", "--timestamp-column", "timestamp")
    done = project.add_file("r.csv", csv(_rows(), HEADER), "shop", *options)
    if done.code:
        raise Wrong(f"data add: {done.line}")
    project.serve_only("shop")
    project.must("train")


def _grow(project: Project) -> None:
    more = [(person(n), 25 + n % 4, 4, 1_710_000_000 + n) for n in range(0, PEOPLE, 2)]
    (project.root / "r.csv").write_text(csv([*_rows(), *more], HEADER))


def _must_be_forgotten(project: Project, *users: str) -> None:
    for user in users:
        if held := project.holders(user):
            raise Wrong(f"{held[0]} still holds a forgotten user")
    states = [request["state"] for request in project.requests()]
    if states != ["completed"] * len(users):
        raise Wrong(f"states of the requests: {sorted(map(str, set(states)))}, must be completed, each once")
    if project.check_certificates() != len(users):
        raise Wrong("a certificate is missing")


def _must_all_be_hidden(project: Project) -> None:
    listed = json.loads((project.root / ".lethe" / "hidden-users.json").read_text())["digests"]
    accepted = [request for request in project.requests() if request["state"] == "accepted"]
    if len(listed) != len(accepted):
        raise Wrong(f"{len(accepted)} users have accepted requests, {len(listed)} are hidden")


def _is_busy(project: Project) -> bool:
    """Whether a flow holds the lock."""
    path = project.root / ".lethe" / "flow.lock"
    if not path.is_file():
        return False
    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _wait(until: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not until():
        if time.monotonic() > end:
            raise Wrong(f"{what} never came")
        time.sleep(0.05)


def two_runs(project: Project) -> None:
    _trained(project)
    project.must("forget", "add", "--user", person(7))
    commands = [project.start("forget", "run") for _ in range(2)]
    done = [project.ended(command, "forget run") for command in commands]
    if any(one.code for one in done):
        raise Wrong(f"of two runs at once one failed: {[one.line for one in done if one.code]}")
    if sum("waiting: another flow is running" in one.error for one in done) != 1:
        raise Wrong("neither of two runs said that it waits, or both did")
    _must_be_forgotten(project, person(7))


def add_beside_train(project: Project) -> None:
    _trained(project)
    _grow(project)
    training = project.start("train")
    _wait(lambda: _is_busy(project) or training.poll() is not None, "the training's lock")
    for number in (7, 8, 9):
        project.must("forget", "add", "--user", person(number))
    if training.poll() is not None:
        raise Wrong("the training had ended before the requests came: nothing is shown")
    _must_all_be_hidden(project)
    if (done := project.ended(training, "train")).code:
        raise Wrong(f"the training failed beside requests: {done.line}")
    _must_all_be_hidden(project)
    project.must("forget", "run")
    _must_be_forgotten(project, person(7), person(8), person(9))


def burst(project: Project) -> None:
    _trained(project)
    for number in range(BURSTS):
        users = [person(AT_ONCE * number + one) for one in range(AT_ONCE)]
        commands = [project.start("forget", "add", "--user", user) for user in users]
        for command in commands:
            if (done := project.ended(command, "forget add")).code:
                raise Wrong(f"of {AT_ONCE} requests at once one failed: {done.line}")
        _must_all_be_hidden(project)
    states = [request["state"] for request in project.requests()]
    if states != ["accepted"] * BURSTS * AT_ONCE:
        raise Wrong(f"{len(states)} requests in states {sorted(map(str, set(states)))}, must all be accepted")
    project.must("forget", "run")
    _must_be_forgotten(project, *(person(number) for number in range(BURSTS * AT_ONCE)))


def code_upgraded(project: Project) -> None:
    """The solver changes between the build and the request."""
    code = project.root.with_name(f"{project.root.name}-code")
    for name in ("src", "flows"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    project = replace(project, environment={"PYTHONPATH": f"{code / 'src'}:{code}"})
    _trained(project)
    before = _trainings(project)
    solver = code / "src" / "lethe" / "models" / "solvers" / "als.py"
    solver.write_text(solver.read_text() + "\n\nUPGRADED = True\n")
    project.must("forget", "add", "--user", person(7))
    project.must("forget", "run")
    _must_be_forgotten(project, person(7))
    if before & _trainings(project):
        raise Wrong("a sub-model of the old code is used still")
    verified = project.run("verify")
    if verified.code or "verify: equal" not in verified.out:
        raise Wrong(f"verify after the upgrade: {verified.line}")


def _trainings(project: Project) -> set[str]:
    return {path.name for path in project.root.glob("artifacts/sub-model/*")}


def other_threads(project: Project) -> None:
    _trained(project)
    other = replace(project, environment={"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"})
    for command in (("verify",), ("forget", "add", "--user", person(7)), ("forget", "run")):
        done = other.must(*command)
        if command == ("verify",) and "verify: equal" not in done.out:
            raise Wrong(f"verify with two threads: {done.line}")
    _must_be_forgotten(project, person(7))
    if "verify: equal" not in project.must("verify").out:
        raise Wrong("what two threads built is not what one builds")


def broken_pipe(project: Project) -> None:
    _trained(project)
    _grow(project)
    training = project.start("train")
    assert training.stdout is not None
    assert training.stderr is not None
    training.stderr.read(1)
    for stream in (training.stdout, training.stderr):
        stream.close()
    end = time.monotonic() + TIMEOUT
    while training.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    if training.poll() is None:
        training.kill()
        raise Wrong("a training whose reader went away hangs")
    if _is_busy(project):
        raise Wrong("a training whose reader went away keeps its lock")
    if "waiting" in project.must("train").error:
        raise Wrong("a later training waits")


def moved_while_serving(project: Project) -> None:
    _trained(project)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    params = yaml.safe_load((project.root / "params.yaml").read_text())
    params["serving"] = {"port": port, "workers": 1}
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project.must("deploy")
    if _source(port, person(3)) == "popular":
        raise Wrong("the service doesn't know somebody whom it was trained on")
    moved = replace(project, root=project.root.with_name(f"{project.root.name}-moved"))
    project.root.rename(moved.root)
    try:
        moved.must("forget", "add", "--user", person(7))
        if _source(port, person(7)) != "popular":
            raise Wrong("the service answers from data whose erasure was accepted")
        if "lethe stop" not in (line := moved.refused("forget", "run")):
            raise Wrong(f"the refusal does not say what to do: {line}")
        moved.must("stop")
        moved.must("forget", "run")
        _must_be_forgotten(moved, person(7))
    finally:
        moved.run("stop")
        moved.root.rename(project.root)


def _source(port: int, user: str) -> str:
    body = {"user_id": user, "k": 3}
    answer = asking.post(f"http://127.0.0.1:{port}/recommend", json=body, timeout=30)
    return str(answer.json()["source"])


PROCESS_CASES: dict[str, Callable[[Project], None]] = {
    "two-runs": two_runs,
    "add-beside-train": add_beside_train,
    "burst": burst,
    "code-upgraded": code_upgraded,
    "other-threads": other_threads,
    "broken-pipe": broken_pipe,
    "moved-while-serving": moved_while_serving,
}
