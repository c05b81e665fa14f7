"""Where the time of one request goes: each step of ``lethe forget run``, on made tables of growing size.

``python -m benchmarks forget-time`` runs this module once a row, each in a project and a process of its own: a family
is trained, somebody asks, and the flow itself fulfils it, its steps measured where it calls them. A finished row lies
in benchmarks/work/forget-time and isn't run again.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import ROOT, Say
from benchmarks import forget_goals as goals
from benchmarks.forget_goals import DEMO
from benchmarks.page import grid, page
from benchmarks.project import Project
from benchmarks.runs import apart, kept
from benchmarks.watched_run import cpu_seconds, peak, processes
from lethe.core.workspace import Workspace

SIZES = (100_000, 1_000_000, 10_000_000)
KINDS = ("integers", "text")
A_USER, ITEMS = 10, 63_000
DATASET = "made"
FLOWS = {
    "forgetting": ("begin", "remove_rows", "confirm", "erase", "prove", "complete"),
    "training": ("sub_model", "candidate", "choose", "promote"),
    "data": ("reproduce", "validate"),
    "deployment": ("current_models", "build", "deploy"),
}
SUBMITTED = ("sub_model", "candidate")
"""Steps that run beside others, in threads: theirs is the processor time of the thread."""
SUMS = ("cpu_seconds", "seconds", "full_training_cpu_seconds", "processes", "reads", "digests", "peak_mib")
"""Of the whole request."""
PROTOCOL = (
    f"Made interactions, {A_USER} of each user over up to {ITEMS:,} items, ids integers or text; one family, WMF of 64"
    " dimensions, no service. The demo: all datasets, families and candidates of the repository's params.yaml, and its"
    " service, deployed anew. One user's request, by the flow itself, without a Prefect server; each sub-model by one"
    " thread. Seconds of the processor are of the process and of all that it starts; processes are modules, commands"
    " and data stages that were started; reads and digests are those of tables of interactions, data stages left out."
    " Peak memory is that of the largest process, looked at every 50 ms."
)


def fulfil(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Make the project, train, ask, fulfil -> the figures of the request. Of the demo, ``rows`` are those it has."""
    workspace = _demo(folder) if kind == DEMO else _project(folder, rows, kind)
    os.chdir(workspace.root)
    from benchmarks.house import counting
    from flows import data, deployment, forgetting, training
    from lethe.core import process
    from lethe.data import stages
    from lethe.forgetting import intake
    from lethe.serving import deploy

    steps: dict[str, dict[str, float]] = {}
    counts = {"reads": Counter[str](), "digests": Counter[str]()}
    with process.modules_warm(stages.prepare), processes() as started, peak() as highest:
        start = cpu_seconds()
        training.training()
        trained = cpu_seconds() - start
        dataset, user = DATASET, _id(rows // A_USER // 2, "user", kind)
        if kind == DEMO:
            dataset, user, rows = _somebody(workspace)
            deployment.deployment()
            deploy.start(workspace)
        modules = {"forgetting": forgetting, "training": training, "data": data, "deployment": deployment}
        with _measured(steps, "add"):
            intake.submit(workspace, dataset, user)
        for module, names in FLOWS.items():
            for name in names:
                step = getattr(modules[module], name)
                step.fn = _timed(steps, step.fn, name)
        started.clear()
        highest["bytes"] = 0.0
        begun, wall = cpu_seconds(), time.perf_counter()
        with counting(counts, stages):
            forgetting.forgetting()
        total, wall = cpu_seconds() - begun, time.perf_counter() - wall
        deploy.stop(workspace)
    return {
        "rows": rows,
        "ids": kind,
        "steps": steps,
        "seconds": round(wall, 2),
        "cpu_seconds": round(total, 2),
        "full_training_cpu_seconds": round(trained, 2),
        "processes": sum(started.values()),
        **{name: sum(of_callers.values()) for name, of_callers in counts.items()},
        "peak_mib": round(highest["bytes"] / 2**20),
    }


def _project(folder: Path, rows: int, kind: str) -> Workspace:
    from lethe.tables.interactions import Interactions

    project = Project.begin(folder)
    made = np.random.default_rng(rows)
    users, num_items = np.arange(rows) // A_USER, min(ITEMS, max(40, rows // 100))
    # A user's items lie a prime apart, from one that is drawn: no pair twice.
    items = (made.integers(0, num_items, rows // A_USER)[users] + np.arange(rows) % A_USER * 7919) % num_items
    columns = [users, items]
    if kind == "text":
        named = zip((users, items), ("user", "item"), strict=True)
        columns = [np.array([_id(n, w, kind) for n in range(c.max() + 1)], dtype=object)[c] for c, w in named]
    ratings, times = made.integers(1, 6, rows).astype(float), made.integers(10**9, 2 * 10**9, rows)
    Interactions.of(*columns, ratings, times).write(folder / "rows.parquet")
    columns_of = {"user": "user", "item": "item", "rating": "rating", "timestamp": "timestamp"}
    source = {"kind": "table", "path": "rows.parquet", "columns": columns_of, "timestamp_unit": "s"}
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["datasets"] = {
        DATASET: {"source": source, "split": {"by": "random", "valid": 0.1, "test": 0.1}, "items_are_users": False}
    }
    params["families"][DATASET]["candidates"] = [{"model": "wmf", "sharding": "whole"}]
    params["models"] = {"wmf": {"embedding_dim": 64, "sweeps": 3}}
    return _by_one_thread(project, params)


def _demo(folder: Path) -> Workspace:
    project = Project.begin(folder)
    shutil.copytree(ROOT / "params", folder / "params")
    return _by_one_thread(project, yaml.safe_load((ROOT / "params.yaml").read_text()))


def _by_one_thread(project: Project, params: dict[str, Any]) -> Workspace:
    """The project with these parameters; what a sub-model takes is what its own thread does."""
    params.setdefault("training", {})["threads"] = 1
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return Workspace(project.root)


def _somebody(workspace: Workspace) -> tuple[str, str, int]:
    """The demo's first dataset, its first user, and how many rows all its datasets have."""
    from lethe.tables.interactions import Interactions

    tables = {name: Interactions.read(workspace.interactions(name)) for name in workspace.datasets()}
    dataset = yaml.safe_load(workspace.params.read_text())["pipeline"]["datasets"][0]
    return dataset, str(tables[dataset].user_ids[0]), sum(map(len, tables.values()))


def _id(number: int, what: str, kind: str) -> str:
    return f"{what}-{number:08d}" if kind == "text" else str(number)


def _timed(steps: dict[str, dict[str, float]], run: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(run)
    def timed(*args: Any, **kwargs: Any) -> Any:
        with _measured(steps, name):
            return run(*args, **kwargs)

    return timed


@contextmanager
def _measured(steps: dict[str, dict[str, float]], name: str) -> Iterator[None]:
    clock = time.thread_time if name in SUBMITTED else cpu_seconds
    wall, processor = time.perf_counter(), clock()
    yield
    figures = steps.setdefault(name, {"seconds": 0.0, "cpu_seconds": 0.0})
    figures["seconds"] = round(figures["seconds"] + time.perf_counter() - wall, 3)
    figures["cpu_seconds"] = round(figures["cpu_seconds"] + clock() - processor, 3)


def measure(sizes: Sequence[int], kinds: Sequence[str], work: Path, say: Say) -> list[dict[str, Any]]:
    """Figures of each row, the demo's first where it is among the kinds, from a fresh project and process each; those
    that are there already are not made again."""
    made = [kind for kind in kinds if kind != DEMO]
    cases = [(0, DEMO)] * (DEMO in kinds) + [(size, kind) for size in sizes for kind in made]
    found = []
    for size, kind in cases:
        found.append(kept(work / f"{size}-{kind}.json", partial(_afresh, work / f"{size}-{kind}", size, kind)))
        say(_line(found[-1]))
    return found


def _afresh(project: Path, size: int, kind: str) -> dict[str, Any]:
    """What ``fulfil`` found in a process of its own."""
    project.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(project, ignore_errors=True)
    environment = Workspace(project).environment() | {
        "LETHE_KEY_DIR": str(project.parent / "keys"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    environment.pop("PREFECT_API_URL", None)
    made: dict[str, Any] = apart("forget_time", project, size, kind, environment=environment)
    shutil.rmtree(project)
    return made


def _line(row: dict[str, Any]) -> str:
    return f"{row['rows']:,} rows, ids {row['ids']}: {row['cpu_seconds']} s of the processor, {row['peak_mib']:,} MiB"


def report(rows: Sequence[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """For reports/tables/forget-time.json, and as a table: a column a row of figures, a line a step."""
    known = ("add", *(name for names in FLOWS.values() for name in names))
    names = [name for name in known if any(name in row["steps"] for row in rows)]
    head = ["seconds of the processor", *(f"{row['rows']:,} {row['ids']}" for row in rows)]
    steps = [[name, *(f"{row['steps'].get(name, {}).get('cpu_seconds', 0.0):.2f}" for row in rows)] for name in names]
    sums = [[f"**{name}**", *(f"{row[name]:,}" for row in rows)] for name in SUMS]
    slopes = {kind: slope for kind in KINDS if (slope := exponent([r for r in rows if r["ids"] == kind])) is not None}
    said = "\n".join(f"Time ∝ rows^{slope:.2f} ({kind})." for kind, slope in slopes.items())
    seconds = grid(head, [*steps, *sums], right=range(1, len(head)))
    contents = {
        "table": "forget-time",
        "protocol": PROTOCOL,
        "command": command,
        "rows": [*rows],
        "exponents": slopes,
        "goals": goals.goals(rows),
    }
    return contents, page("forget-time", f"`{command}`", PROTOCOL, seconds, said, goals.table_of(rows))


def exponent(rows: Sequence[dict[str, Any]]) -> float | None:
    """Slope of log seconds of the processor over log rows, from the smallest to the largest; None for one size."""
    if len({row["rows"] for row in rows}) < 2:
        return None
    least, most = min(rows, key=lambda r: r["rows"]), max(rows, key=lambda r: r["rows"])
    return round(math.log(most["cpu_seconds"] / least["cpu_seconds"]) / math.log(most["rows"] / least["rows"]), 3)


if __name__ == "__main__":
    print(json.dumps(fulfil(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
