"""A small storm: a run that is killed, meets another, finds a full disk; each time the next one ends as if nothing had
been, while the service answers. The whole storm is ``python -m benchmarks faults``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import fault_kinds, faults
from benchmarks.killed import ADDING, ASIDE, POINTS, Point, where
from benchmarks.own_product import DATASET, make_workspace, serving
from lethe.config.params import Params
from lethe.core.format import mark
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data

TRIED = ("executing", "one family promoted", "all purged, not scanned")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Without a server of Prefect's, as a command has none; the whole storm runs with one."""
    workspace = make_workspace(tmp_path_factory.mktemp("faults") / "w")
    with serving(workspace):
        yield workspace


def must_be_whole(service: dict[str, object]) -> None:
    assert service["answers"]
    assert (service["failed"], service["from forgotten data"]) == (0, 0), service["faults"]


@pytest.mark.parametrize("point", [*POINTS, *ADDING, *ASIDE], ids=lambda point: point.name)
def test_what_a_run_is_killed_in_is_there(point: Point) -> None:
    assert hasattr(*where(point))


def test_killed_at_any_point_the_next_run_finishes(served: Workspace) -> None:
    report = faults.storm(served, [point for point in POINTS if point.name in TRIED])
    assert [(row["point"], row["killed"], row["recovered"]) for row in report["points"]] == [
        (name, True, True) for name in TRIED
    ]
    assert [(one["completed"], one["exit"]) for one in report["requests"]] == [(1, 0)]
    must_be_whole(report["service"])


def test_two_runs_at_once_and_a_full_disk_lose_nothing(served: Workspace) -> None:
    report = faults.others(served, 10, [fault_kinds.two_runs, fault_kinds.on_a_full_disk("artifacts")])
    together, full = report["faults"]
    assert together["exits"] == [0, 0]
    assert together["as undisturbed"]
    must_be_whole(report["service"])
    if "skipped" in full:
        pytest.skip(full["skipped"])
    assert full["failed"]
    assert full["error"].startswith("error: ")
    assert full["state"] == "executing"
    assert full["as undisturbed"]


def test_a_request_that_is_killed_while_taken_is_hidden_and_taken_once(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", users=20)
    mark(workspace)
    build_data(workspace, Params.read(workspace.params), DATASET, ["whole"])
    tried = [point for point in ADDING if point.name.startswith(("inside", "accepted, no receipt"))]
    rows = faults.adds(workspace, 0, tried)
    assert [row["killed"] for row in rows] == [True] * len(tried) == [True] * 3
    assert [(row["hidden"], row["taken"], row["receipt"], row["exit"]) for row in rows] == [(True, 1, True, 0)] * 3
