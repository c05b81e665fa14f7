"""Each gate passes on good data, and says column, rule and count on each planted fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from lethe.config.dataset import Bounds, Dataset, RandomSplit
from lethe.config.params import Params, Validation
from lethe.config.sharding import Rows, Sharding, laid_in
from lethe.config.source import SyntheticSource
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.gates import validate_datasets
from lethe.data.gates.__main__ import judge, main
from lethe.data.gates.counting import copies_of
from lethe.data.gates.engine import Engine, Rule
from lethe.data.gates.report import Verdict, require, summary
from lethe.data.gates.suites import validate_interactions, validate_shards, validate_split
from lethe.data.split import split
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import DataError, ValidationError
from lethe.tables.interactions import Interactions

CANARIES = ("canary-user", "canary-item", "987654321")


def good(users: int = 12, items: int = 10) -> Interactions:
    pairs = [(u, i) for u in range(users) for i in range(items) if (u + i) % 3]
    user_ids = np.array([f"u{u:02d}" for u, _ in pairs], dtype=object)
    item_ids = np.array([f"i{i:02d}" for _, i in pairs], dtype=object)
    count = len(pairs)
    return Interactions.of(user_ids, item_ids, np.arange(count) % 5 + 1.0, 1_000 + np.arange(count))


ROWS = good()
DATASET = Dataset(source=SyntheticSource(kind="synthetic"), rating=Bounds(min=1, max=5))


def planted(row: int = 0, **values: object) -> Interactions:
    """The good rows with values of one row replaced, whatever type that makes the column."""
    columns = {}
    for name, value in values.items():
        column = getattr(ROWS, name).copy()
        column = column.astype(object) if isinstance(value, str) else column
        column[row] = value
        columns[name] = column
    return replace(ROWS, **columns)


def weighing(value: float) -> Interactions:
    return replace(ROWS, weights=np.append(np.full(len(ROWS) - 1, 3.0), value).astype(np.float32))


def twice(row: int) -> Interactions:
    again = Interactions.of(ROWS.user_ids[[row]], ROWS.item_ids[[row]], np.array([2.0]), np.array([7]))
    return Interactions.concatenate(ROWS, again)


def test_good_interactions_pass() -> None:
    suppressed = np.zeros(len(ROWS), dtype=bool)
    report = validate_interactions(ROWS, DATASET, Validation(), len(ROWS), suppressed=suppressed)
    require(report)
    assert {check.expectation for check in report.checks} == {
        "ExpectColumnValuesToNotBeNull",
        "ExpectColumnValuesToBeOfType",
        "ExpectColumnValuesToBeBetween",
        "ExpectCompoundColumnsToBeUnique",
        "ExpectTableRowCountToBeBetween",
    }
    assert all(check.failed == 0 for check in report.checks)


def test_rows_without_ratings_and_times_pass() -> None:
    rows = Interactions.of(np.array([1, 1, 2]), np.array([5, 6, 5]))
    require(validate_interactions(rows, DATASET, Validation()))
    require(validate_interactions(weighing(0.5), DATASET, Validation()))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (planted(ratings=9.0), ["column 'rating' must be between 1.0 and 5.0", "1 row breaks"]),
        (planted(ratings=np.nan), ["column 'rating' must have no missing values", "1 row breaks"]),
        (planted(user_ids=7), ["column 'user' must be int64 or text", "1 row breaks"]),
        (planted(user_ids=None), ["column 'user' must have no missing values", "1 row breaks"]),
        (replace(ROWS, timestamps=np.full(len(ROWS), 1.5)), ["column 'timestamp' must be int64, got float64"]),
        (replace(ROWS, ratings=np.full(len(ROWS), 2.0)), ["column 'rating' must be float32, got float64"]),
        *((weighing(w), ["column 'weight' must be above 0 and finite", "1 row breaks"]) for w in (0.0, -2.0, np.inf)),
        (replace(ROWS, weights=np.full(len(ROWS), 2.0)), ["column 'weight' must be float32, got float64"]),
        (twice(3), ["must hold each pair of columns 'user', 'item' once", "2 rows break"]),
    ],
)
def test_a_fault_in_interactions_is_named_and_counted(rows: Interactions, words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        require(validate_interactions(rows, DATASET, Validation()))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("last", "fails"), [(None, False), (len(ROWS), False), (2 * len(ROWS) + 2, True), (len(ROWS) // 2 - 1, True)]
)
def test_the_number_of_rows_is_held_against_the_last_epoch(last: int | None, fails: bool) -> None:
    report = validate_interactions(ROWS, DATASET, Validation(), last)
    assert report.success is not fails
    if fails:
        with pytest.raises(
            ValidationError,
            match=rf"table must have between \d+ and \d+ rows, .*`lethe epoch begin`.*, got {len(ROWS)}$",
        ):
            require(report)


def test_suppressed_rows_are_counted() -> None:
    suppressed = np.zeros(len(ROWS), dtype=bool)
    suppressed[:4] = True
    with pytest.raises(ValidationError, match=r"column 'suppressed' must be 0.*; 4 rows break"):
        require(validate_interactions(ROWS, DATASET, Validation(), suppressed=suppressed))


PARTS = split(ROWS, RandomSplit(valid=0.2, test=0.2), Stream(1))
ONE = ROWS.take(np.array([0]))
FOREIGN = Interactions.of(np.array(["x"], dtype=object), np.array(["y"], dtype=object), np.ones(1), np.ones(1))


def without(part: Interactions, count: int) -> Interactions:
    return part.take(np.arange(count, len(part)))


def test_a_good_split_passes() -> None:
    require(validate_split(PARTS, ROWS))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({**PARTS, "train": without(PARTS["train"], 2)}, ["'missing'", "2 rows break"]),
        ({**PARTS, "test": Interactions.concatenate(PARTS["test"], FOREIGN)}, ["'foreign'", "1 row breaks"]),
        (
            {**PARTS, "test": Interactions.concatenate(PARTS["test"], PARTS["train"].take(np.arange(3)))},
            ["'foreign'", "3 rows break", "1 more broken"],
        ),
        ({"train": without(ROWS, len(ROWS)), "valid": PARTS["valid"], "test": ROWS}, ["'foreign'"]),
    ],
)
def test_a_fault_in_a_split_is_named_and_counted(parts: dict[str, Interactions], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        require(validate_split(parts, ROWS))
    for word in words:
        assert word in str(caught.value)


def test_an_empty_train_part_and_a_pair_in_two_parts_have_rules_of_their_own() -> None:
    nothing = without(ROWS, len(ROWS))
    report = validate_split({"train": nothing, "valid": nothing, "test": ROWS}, ROWS)
    assert [check.column for check in report.checks if not check.success] == ["rows"]
    # The same pair at another time: each row is laid once, and yet the pair is in two parts.
    again = replace(ROWS.take(np.array([0])), timestamps=np.array([5]))
    report = validate_split({"train": ROWS, "test": again}, Interactions.concatenate(ROWS, again))
    assert [(check.column, check.failed) for check in report.checks if not check.success] == [("parts", 1)]


HASHED = Sharding(partition="user-hash", num_shards=3, aggregator="mean")
UBP = Sharding(partition="ubp", num_shards=3, aggregator="mean", slack=1.2)


def shards(sizes: tuple[int, ...] = (27, 27, 26)) -> list[Interactions]:
    edges = np.cumsum([0, *sizes])
    return [ROWS.take(np.arange(a, b)) for a, b in pairwise(edges)]


def test_good_shards_pass() -> None:
    assert len(ROWS) == 80
    for layout in (HASHED, UBP):
        require(validate_shards(shards(), ROWS, layout))
    require(validate_shards(shards((70, 9, 1)), ROWS, HASHED))
    # The last user to join may lift a shard over its cap.
    require(validate_shards(shards((70, 9, 1)), ROWS, UBP.model_copy(update={"cap": "overshoot"})))


@pytest.mark.parametrize(
    ("laid", "layout", "words"),
    [
        (shards((70, 9, 1)), UBP, ["column 'rows' must be between 1 and 32", "slack 1.2", "1 row breaks"]),
        (shards((40, 40, 0)), HASHED, ["column 'rows' must be at least 1", "1 row breaks"]),
        (shards((40, 40)), HASHED, ["table must have 3 shards, got 2"]),
        (shards((27, 27, 21)), HASHED, ["'missing'", "5 rows break"]),
        ([*shards()[:2], Interactions.concatenate(shards()[2], FOREIGN)], HASHED, ["'foreign'", "1 row breaks"]),
        ([*shards()[:2], Interactions.concatenate(shards()[2], ONE)], HASHED, ["'foreign'", "1 row breaks"]),
    ],
)
def test_a_fault_in_shards_is_named_and_counted(laid: list[Interactions], layout: Sharding, words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        require(validate_shards(laid, ROWS, layout))
    for word in words:
        assert word in str(caught.value)


def test_deletions_may_unbalance_or_empty_shards_of_a_running_epoch() -> None:
    left = ROWS.take(np.arange(32))
    laid = [left, without(left, 32), without(left, 32)]
    assert not validate_shards(laid, left, UBP).success
    require(validate_shards(laid, left, UBP, epoch_rows=80))
    assert not validate_shards(laid, left, UBP, epoch_rows=77).success
    require(validate_shards(laid, left, HASHED, epoch_rows=80))


def test_an_expectation_that_raised_is_a_failure() -> None:
    rule = Rule("ExpectColumnValuesToBeBetween", "be small", "nowhere", {"max_value": 3})
    with pytest.raises(ValidationError, match="ExpectColumnValuesToBeBetween on column 'nowhere' could not be"):
        Engine().judge("broken", pd.DataFrame({"here": [1]}), [rule])


def lay_out(
    workspace: Workspace,
    rows: Interactions,
    change: Callable[[list[Interactions]], None] | None = None,
    changed: Rows = "train",
) -> None:
    params = Params.read(workspace.params)
    rows.write(workspace.interactions("tiny"))
    parts = split(rows, params.datasets["tiny"].split, Stream(1))
    for name, part in parts.items():
        part.write(workspace.split("tiny", name))
    for sharding, of in product(params.pipeline.shardings, get_args(Rows)):
        count, laid_out = params.shardings[sharding].num_shards, parts["train"] if of == "train" else rows
        place = np.unique(laid_out.user_ids, return_inverse=True)[1] % count
        laid = [laid_out.take(place == shard) for shard in range(count)]
        if change is not None and of == changed:
            change(laid)
        for shard, rows_of in enumerate(laid):
            rows_of.write(workspace.shards("tiny", laid_in(sharding, of)) / f"{shard:02d}.parquet")


def with_canary(rows: Interactions) -> Interactions:
    """One more user whose rows break several rules and whose ids must be seen nowhere."""
    users = np.array(["canary-user"] * 2, dtype=object)
    items = np.array(["canary-item"] * 2, dtype=object)
    return Interactions.concatenate(
        rows, Interactions.of(users, items, np.array([987.0, 1.0]), np.array([987654321, 1]))
    )


def written(workspace: Workspace) -> str:
    files = [p for p in workspace.root.rglob("*") if p.is_file() and "data" not in p.relative_to(workspace.root).parts]
    return "\n".join(p.read_bytes().decode("utf-8", "replace") for p in files)


def test_the_whole_gate_writes_reports_and_counts(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tiny, ROWS)
    monkeypatch.chdir(tiny.root)
    assert main(["tiny"]) == 0
    text = (tiny.reports / "validation" / "tiny.txt").read_text()
    assert text.startswith("Validation of tiny: passed\n")
    for suite in ("interactions", "split", "shards-whole", "shards-user-hash-3"):
        assert f"\n{suite}\n" in text
    assert "FAIL" not in text
    verdict = Verdict.read(tiny, "tiny")
    assert verdict is not None
    assert (verdict.fault, verdict.broken) == (None, ())
    assert summary("tiny", verdict.suites, verdict.fault) == text
    assert (tiny.reports / "validation" / "data_docs" / "tiny" / "index.html").is_file()
    epoch = json.loads((tiny.state / "epochs" / "tiny.json").read_text())
    assert epoch["interactions"] == len(ROWS)
    assert len(epoch["train"]) == 2
    # Later data are held against the first that passed, not against the last.
    lay_out(tiny, good(users=7))
    assert main(["tiny"]) == 0
    lay_out(tiny, good(users=5))
    assert main(["tiny"]) == 1
    assert json.loads((tiny.state / "epochs" / "tiny.json").read_text()) == epoch


def test_no_report_holds_an_id(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tiny, with_canary(ROWS))
    monkeypatch.chdir(tiny.root)
    assert main(["tiny"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: interactions: column 'rating' must be between 1.0 and 5.0; 1 row breaks")
    assert len(said.err.splitlines()) == 1
    assert not (tiny.state / "epochs").exists()
    assert "FAILED: interactions: column 'rating'" in (tiny.reports / "validation" / "tiny.txt").read_text()
    everything = written(tiny) + said.out + said.err
    assert "values must be greater than or equal to" in everything
    for canary in CANARIES:
        assert canary not in everything


@pytest.mark.parametrize(("of", "suite"), [("train", "shards-whole"), ("all", "shards-whole-all")])
def test_a_shard_with_a_foreign_row_stops_the_gate(of: Rows, suite: str, tiny: Workspace) -> None:
    """Of the rows that are measured on, and of those that are served."""
    lay_out(tiny, ROWS, lambda laid: laid.__setitem__(0, Interactions.concatenate(laid[0], FOREIGN)), of)
    with pytest.raises(ValidationError, match=rf"^{suite}: column 'foreign'.*; 1 row breaks this rule$"):
        judge(tiny, Params.read(tiny.params), "tiny")
    assert not (tiny.state / "epochs").exists()


def test_a_shard_that_is_all_rows_but_for_one_byte_is_looked_at(tiny: Workspace) -> None:
    lay_out(tiny, ROWS)
    shard = tiny.shards("tiny", "whole") / "00.parquet"
    assert copies_of(tiny.split("tiny", "train"), [shard]) == copies_of(*_held(tiny.split("tiny", "train"), shard))
    rows = Interactions.read(shard)
    assert rows.ratings is not None
    ratings = rows.ratings.copy()
    ratings[-1] += 1
    replace(rows, ratings=ratings).write(shard)
    counts = copies_of(tiny.split("tiny", "train"), [shard])
    assert (counts.missing, counts.foreign) == (1, 1)


def _held(whole: Path, part: Path) -> tuple[Interactions, list[Interactions]]:
    return Interactions.read(whole), [Interactions.read(part)]


def test_what_is_wrong_with_a_part_is_not_said_of_the_interactions(tiny: Workspace) -> None:
    lay_out(tiny, ROWS)
    tiny.split("tiny", "valid").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"valid\.parquet: not a readable Parquet file"):
        judge(tiny, Params.read(tiny.params), "tiny")
    verdict = Verdict.read(tiny, "tiny")
    assert verdict is not None
    assert [suite.suite for suite in verdict.suites] == ["interactions"]
    assert verdict.broken == ()


def test_a_row_that_is_there_twice_is_counted_beside_its_parts_too(tiny: Workspace) -> None:
    lay_out(tiny, Interactions.concatenate(ROWS, ROWS.take(np.array([0]))))
    with pytest.raises(ValidationError, match="once; 2 rows break this rule"):
        judge(tiny, Params.read(tiny.params), "tiny")


def test_a_suppressed_row_that_is_back_stops_the_gate(tiny: Workspace) -> None:
    lay_out(tiny, ROWS)
    SuppressionList.read(tiny.suppression).add([Suppressed.user("tiny", "u01")])
    with pytest.raises(ValidationError, match=r"column 'suppressed' must be 0"):
        judge(tiny, Params.read(tiny.params), "tiny")


def test_a_missing_table_is_a_failure_too(tiny: Workspace) -> None:
    with pytest.raises(DataError, match=r"interactions\.parquet"):
        judge(tiny, Params.read(tiny.params), "tiny")
    assert "FAILED" in (tiny.reports / "validation" / "tiny.txt").read_text()


def test_the_flow_gets_the_same_line_from_a_process_of_its_own(tiny: Workspace) -> None:
    lay_out(tiny, with_canary(ROWS))
    with pytest.raises(ValidationError, match=r"^interactions: column 'rating' must be between"):
        validate_datasets(tiny, ["tiny"])
    with pytest.raises(ValidationError, match="dataset: must be one of tiny, got 'other'"):
        validate_datasets(tiny, ["other"])


def test_a_gate_that_breaks_down_is_one_line_too(tiny: Workspace) -> None:
    lay_out(tiny, ROWS)
    (tiny.root / "great_expectations.py").write_text("raise RuntimeError('u01')")
    with pytest.raises(
        ValidationError, match=r"^lethe\.data\.gates tiny: broke down with RuntimeError at line 1 of great"
    ):
        validate_datasets(tiny, ["tiny"])


def test_times_in_parts_of_a_second_are_judged_like_any() -> None:
    assert ROWS.timestamps is not None
    fine = Interactions.of(ROWS.user_ids, ROWS.item_ids, ROWS.ratings, ROWS.timestamps * 1000 + 1, ticks=1000)
    report = validate_interactions(fine, DATASET, Validation())
    require(report)
    assert "timestamp_ms" in {check.column for check in report.checks}
