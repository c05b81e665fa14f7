"""The generated part of the promise: the same worlds each time, and a checker that sees what is not as claimed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import promise_checker, promise_generated
from benchmarks.promise_generated import WORLDS, Ask, run_worlds, totals
from benchmarks.promise_worlds import KINDS, TIMES, worlds
from lethe.core import keys
from lethe.forgetting.intake import Terms, submit
from lethe.tables.ids import id_fault
from lethe.tables.interactions import Interactions
from tests.forgetting.test_cases import rows, workspace_of
from tests.house import ask, fulfil, train


def test_worlds_are_the_same_each_time_and_hold_every_kind() -> None:
    drawn = worlds(WORLDS)
    assert drawn[:3] == worlds(3)
    shapes = [shape for world in drawn for shape in world.shapes]
    assert {shape.kind for shape in shapes} == set(KINDS)
    assert {shape.time for shape in shapes} == set(TIMES)
    assert {shape.is_csv for shape in shapes} == {shape.people for shape in shapes} == {True, False}
    assert any(set(one.users) & set(other.users) for one, other in (world.shapes for world in drawn))
    for shape in shapes:
        assert len(set(shape.users)) == len(shape.users)
        assert not any(map(id_fault, shape.users))
        assert shape.content(shape.rows()) == shape.content(shape.rows())


@pytest.mark.parametrize("users", [np.array([3, 1, 2]), np.array(["c", "é", "a\n"], dtype=object)])
def test_the_checker_digests_tables_as_the_product_does(users: np.ndarray, tmp_path: Path) -> None:
    made = Interactions.of(users, np.array([7, 8, 9]), np.array([1.0, 2.5, 3.0]), np.array([5, 6, 4]), ticks=1000)
    made.write(tmp_path / "t.parquet")
    assert promise_checker.digest(pq.read_table(tmp_path / "t.parquet")) == made.digest()


@pytest.mark.parametrize(
    ("file", "content", "traces"),
    [
        ("reports/quality.json", '{"ndcg@10": [0.3333333333333333, 1.0]}', 0),
        ("reports/quality.json", '{"user": "0.3333333333333333"}', 1),
        ("reports/served.csv", "user\n0.3333333333333333\n", 1),
    ],
)
def test_a_figure_is_no_trace_of_an_id_that_looks_like_one(
    file: str, content: str, traces: int, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(content)
    ask = {"dataset": "tiny", "user": "0.3333333333333333", "items": [], "also_item": False, "elsewhere": False}
    assert promise_checker.Files(tmp_path, tmp_path).left(ask) == traces


class Forgotten:
    """Two users of a workspace forgotten by the product's steps; what the checker counted before."""

    def __init__(self, folder: Path) -> None:
        people: list[object] = [f"customer-{number:04d}" for number in range(24)]
        self.workspace = workspace_of(folder / "w", rows(people))
        train(self.workspace)
        subjects = [Ask("tiny", "customer-0007"), Ask("tiny", "customer-0009", (), True)]
        ids = ask(self.workspace, *(subject.user for subject in subjects))
        subjects.append(Ask("tiny", "nobody-at-all"))
        ids.append(submit(self.workspace, "tiny", "nobody-at-all", terms=Terms(confirm_unknown=True)).id)
        counted = self._run("count", subjects)
        # The key is made at the first request.
        self.files = promise_checker.Files(self.workspace.root, keys.folder())
        self.before = counted["before"]
        self.asks = [one | {"request": id} for one, id in zip(counted["asks"], ids, strict=True)]
        fulfil(self.workspace)

    def _run(self, what: str, asks: list[Ask]) -> Any:
        command = [sys.executable, promise_checker.__file__, what, str(self.workspace.root), str(keys.folder())]
        given = json.dumps({"asks": [asdict(one) for one in asks]})
        return json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout)

    def false_claims(self, place: int = 0, **changed: object) -> list[str]:
        return list(self.files.false_claims(self.asks[place] | changed, self.before))


@pytest.fixture(scope="module")
def forgotten(tmp_path_factory: pytest.TempPathFactory) -> Forgotten:
    return Forgotten(tmp_path_factory.mktemp("promise"))


def test_what_is_true_is_no_false_claim(forgotten: Forgotten) -> None:
    assert [(one["rows"], one["hidden"]) for one in forgotten.asks] == [(6, True), (6, True), (0, False)]
    assert forgotten.false_claims() == []
    assert [forgotten.files.left(one) for one in forgotten.asks] == [0, 0, 0]


def test_that_nothing_is_held_is_a_claim_too(forgotten: Forgotten) -> None:
    assert forgotten.false_claims(2) == []
    told = ["rows held: 0 is claimed, it is 3", "rows of the source: 0 is claimed, it is 4"]
    assert forgotten.false_claims(2, rows=3, source=4) == told


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": 7}, ["rows held: 6 is claimed, it is 7", "rows removed: 6 is claimed, it is 7"]),
        ({"hidden": False}, ["hidden: True is claimed, it is False"]),
        ({"user": "customer-0008"}, ["rows left: 0 is claimed, it is"]),
        ({"request": "req-0"}, ["there is no certificate"]),
    ],
)
def test_what_is_not_as_it_is_claimed_is_told(
    changed: dict[str, object], said: list[str], forgotten: Forgotten
) -> None:
    told = forgotten.false_claims(**changed)
    assert all(any(line.startswith(text) for line in told) for text in said), told


def test_files_that_are_other_than_claimed_are_told(forgotten: Forgotten) -> None:
    workspace = forgotten.workspace
    params, table = workspace.params.read_bytes(), workspace.interactions("tiny").read_bytes()
    (package,) = workspace.bentoml_home.glob("models/lethe-of-tiny/*/info.json")
    model = package.read_bytes()
    try:
        workspace.params.write_bytes(params + b"\n")
        Interactions.read(workspace.interactions("tiny")).take(np.arange(3)).write(workspace.interactions("tiny"))
        package.write_bytes(model + b" ")
        told = forgotten.false_claims()
    finally:
        workspace.params.write_bytes(params)
        workspace.interactions("tiny").write_bytes(table)
        package.write_bytes(model)
    wrong = ("digest of the table after", "the users after", "files of of-tiny", "digest of params.yaml")
    assert told == [f"{name}: is not as it is claimed" for name in wrong]


@pytest.mark.parametrize("name", [".dvc/cache/files/md5/ab/c", "data/tiny/old/users.parquet", ".lethe/log.txt"])
def test_rows_are_found_wherever_they_are_left(name: str, forgotten: Forgotten) -> None:
    path = forgotten.workspace.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".txt"):
        path.write_text("of customer-0007, once")
    else:
        table = Interactions.of(np.array(["customer-0007"], dtype=object), np.array([1]))
        table.write(path)
    try:
        assert [forgotten.files.left(one) > 0 for one in forgotten.asks] == [True, False, False]
    finally:
        path.unlink()


def test_a_world_that_was_right_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []

    def steps(self: promise_generated._Run) -> None:
        run.append(self.world.name)
        self.asks += [Ask("shop", "1"), Ask("shop", "2")]
        if self.world.number == 1:
            self.counts["rows_left"] = 3
            self.wrong.append("3 rows are left")

    monkeypatch.setattr(promise_generated._Run, "_steps", steps)
    for folder in ("first", "again"):
        results = run_worlds(worlds(2), tmp_path / folder, tmp_path / "kept")
    assert run == [world.name for world in (*worlds(2), worlds(2)[1])]
    assert totals(results) == {
        "datasets": 4,
        "requests": 4,
        "rows left": 3,
        "false hits": 0,
        "blocked": 0,
        "false claims": 0,
        "worlds wrong": 1,
    }
