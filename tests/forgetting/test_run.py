"""What a forget run changes before anything is trained."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.drift import read_drift
from lethe.data.gates.__main__ import judge
from lethe.data.gates.epoch import read_epoch
from lethe.data.stages import build_data
from lethe.errors import ValidationError
from lethe.forgetting import run as runs
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.record import Run
from lethe.forgetting.standing import ledger
from lethe.tables.interactions import Interactions
from tests.house import ask
from tests.tables.test_drift import tally_of

SHARDINGS = ["whole", "user-hash-3"]


def shrink(source: Path) -> None:
    """All rows of the late users leave the source."""
    lines = source.read_text().splitlines()
    source.write_text("\n".join(line for line in lines if not line.startswith(tuple(late()))) + "\n")


def late() -> list[str]:
    return [f"user-{number:03d}" for number in range(8, 24)]


def test_the_gate_that_misses_rows_does_not_miss_forgotten_ones(trained: Workspace) -> None:
    params = Params.read(trained.params)
    judge(trained, params, "tiny")
    epoch = trained.state / "epochs" / "tiny.json"
    begun = json.loads(epoch.read_bytes())["interactions"]

    ask(trained, *late())
    run = runs.begin(trained)
    assert run is not None
    runs.remove_rows(trained, run)
    runs.remove_rows(trained, run)  # as after a crash
    build_data(trained, params, "tiny", SHARDINGS)
    judge(trained, params, "tiny")
    assert 0 < json.loads(epoch.read_bytes())["interactions"] < begun / 2
    remaining = Interactions.read(trained.interactions("tiny"))
    assert read_epoch(trained, "tiny").shape == tally_of(remaining, timed=True).shape, (
        "as if they had never been counted"
    )
    (drift,) = read_drift(trained, ["tiny"])
    assert {moved.psi for moved in drift.moved} == {0}


def test_whoever_grew_since_the_epoch_began_leaves_the_bins_of_then(tiny: Workspace) -> None:
    """Also the one whose row was the newest: no time of theirs is kept."""
    build(tiny)
    begun, then = Interactions.read(tiny.interactions("tiny")), read_epoch(tiny, "tiny")
    assert then.newest == 1191
    with (tiny.root / "ratings.csv").open("a") as source:
        source.writelines(f"user-022,item-{item:03d},4,2000\n" for item in range(10, 20))
        source.writelines(f"user-023,item-{item:03d},4,2001\n" for item in range(9))
    build(tiny)
    assert len(Interactions.read(tiny.interactions("tiny"))) > len(begun)
    assert read_epoch(tiny, "tiny") == then

    ask(tiny, "user-023")
    run = runs.begin(tiny)
    assert run is not None
    runs.remove_rows(tiny, run)
    remaining = begun.take(begun.user_ids != "user-023")
    assert read_epoch(tiny, "tiny").shape == tally_of(remaining, timed=True).shape, "as if they had never been counted"
    assert read_epoch(tiny, "tiny").newest == 1183


def build(workspace: Workspace) -> None:
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", SHARDINGS)
    judge(workspace, params, "tiny")


def test_rows_that_nobody_asked_to_forget_are_missed(trained: Workspace) -> None:
    params = Params.read(trained.params)
    judge(trained, params, "tiny")
    shrink(trained.root / "ratings.csv")
    build_data(trained, params, "tiny", SHARDINGS)
    with pytest.raises(ValidationError, match="rows"):
        judge(trained, params, "tiny")


def test_what_a_killed_command_had_only_received_is_taken_up(trained: Workspace) -> None:
    received = ForgetRequest.new("tiny", "user-004", now=datetime.now(UTC), datasets=["tiny"])
    ledger(trained).take([received], accept=False)
    run = runs.begin(trained)
    assert run is not None
    assert run.requests == (received.id,)
    assert run.held[received.id]["interactions"] > 0


def test_a_run_is_read_as_it_was_written_and_names_nobody(trained: Workspace) -> None:
    ask(trained, "user-004")
    run = runs.begin(trained)
    assert run is not None
    assert Run.read(trained) == run
    assert {shard.partition("/")[0] for shard in run.touched} == {"plain", "sharded"}
    assert run.before.of("tiny") == run.before
    assert run.before.of("other").digests() == frozenset()
    written = (trained.state / "run.json").read_text()
    assert "user-004" not in written
    assert run.before.datasets["tiny"].interactions in written
