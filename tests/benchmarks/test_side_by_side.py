"""What the speed comparisons compare computes the same thing, and the ratios say which way they go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import kernels, peer_programs, peers, peers_large
from benchmarks.collaborative import Split
from benchmarks.kernels import Padded, Ratio, table_of
from benchmarks.peer_programs import Peer, Snapshot
from lethe.errors import LetheError
from lethe.models.parts.batches import RowBatch
from lethe.models.parts.losses import non_sampling
from tests.conftest import taste_blocks


@pytest.fixture
def split() -> Split:
    rows = taste_blocks(users=30, items=60)
    held = np.arange(len(rows)) % 5 == 0
    return Split("tiny", rows.take(~held), rows.take(held))


def test_the_padded_reference_has_our_loss(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "DROPOUT", 0.0)
    data = split.catalogue.encode(split.train)
    padded = Padded(data)
    everyone = torch.arange(data.num_users)
    batch = RowBatch(everyone, torch.from_numpy(data.indptr), torch.from_numpy(data.items))
    weights = torch.full((data.num_items,), kernels.WEIGHT)
    ours = non_sampling(padded.users, padded.items[:-1], batch, negative_weights=weights)
    theirs = padded.loss(everyone)
    assert theirs.item() == pytest.approx(ours.item(), rel=1e-4)
    gradients = [torch.autograd.grad(loss, [padded.users, padded.items]) for loss in (ours, theirs)]
    for mine, reference in zip(*gradients, strict=True):
        assert torch.allclose(mine, reference, rtol=1e-3, atol=1e-6)


def test_all_ways_of_evaluating_agree(split: Split) -> None:
    """``evaluation_ratios`` itself fails where they do not."""
    ratios = kernels.evaluation_ratios(split, rounds=1, cutoff=5)
    assert [ratio.goal for ratio in ratios] == [5, 2]
    assert all(ratio.ours > 0 and ratio.theirs > 0 for ratio in ratios)


def test_epochs_are_timed(split: Split) -> None:
    assert [ratio.goal for ratio in kernels.epoch_ratios(split, rounds=1, epochs=1)] == [150, 100]


def test_a_ratio_is_how_many_times_faster_ours_is() -> None:
    ratio = Ratio("an epoch", "them", ours=0.5, theirs=2.0, goal=5.0)
    assert ratio.ratio == 4.0
    assert table_of([ratio]).endswith("\n| an epoch | them | 0.5000 | 2.0000 | 4.0 | 5 (not met) |")


def test_rows_that_are_not_measured_again_stay(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def part(seconds: float, *names: str) -> peers.Part:
        return lambda split, work: [Ratio(name, "them", 1.0, seconds, 4.0) for name in names]

    monkeypatch.setattr(peers, "PARTS", {"first": part(2.0, "a", "b"), "second": part(3.0, "c")})
    said: list[str] = []
    whole, _ = peers.compare_all(split, tmp_path, ["first", "second"], "all of it", said.append)
    assert [row["ratio"] for row in whole["rows"]] == [2.0, 2.0, 3.0]
    monkeypatch.setattr(peers, "PARTS", {"first": part(5.0, "a", "b")})
    again, text = peers.compare_all(split, tmp_path, ["first"], "only the first", said.append, whole)
    assert [(row["what"], row["ratio"], row["command"]) for row in again["rows"]] == [
        ("a", 5.0, "only the first"),
        ("b", 5.0, "only the first"),
        ("c", 3.0, "all of it"),
    ]
    assert "Command: `only the first`, then `all of it`." in text
    assert "| b | them | 1.0000 | 5.0000 | 5.0 | 4 (met) |" in text
    assert len(said) == 5


def test_seconds_are_those_of_the_first_snapshot_good_enough(split: Split) -> None:
    snapshots = peers.run_ours(split, 3)
    assert [s.seconds for s in snapshots] == sorted(s.seconds for s in snapshots)
    blind = Snapshot(0.0, np.zeros_like(snapshots[-1].users), snapshots[-1].items)
    quality = peers.recall(split, snapshots[-1])
    assert peers.recall(split, blind) < quality
    assert peers.seconds_to(split, [blind, snapshots[-1]], quality) == snapshots[-1].seconds
    assert peers.seconds_to(split, snapshots, 1.1) == float("inf")


def test_a_peer_is_run_in_its_own_process(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver gets the data by file and leaves its factors; what it dies of is one line."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import sys, numpy as np\n"
        "data = np.load(sys.argv[1])\n"
        "for n in range(int(sys.argv[3])):\n"
        "    np.savez(f'{sys.argv[2]}/{n:03d}.npz', users=np.ones((data['shape'][0], 1)),"
        " items=np.bincount(data['items'])[:, None], seconds=n)\n"
    )
    monkeypatch.setattr(peer_programs, "DRIVERS", tmp_path)
    monkeypatch.setattr(peer_programs, "install", lambda peer, work: peer_programs.sys.executable)
    peer = Peer("Popularity", (), "driver.py", 2)
    snapshots, _ = peer_programs.run_peer(peer, tmp_path, split, 2)
    assert [s.seconds for s in snapshots] == [0.0, 1.0]
    assert snapshots[0].items[:, 0].sum() == len(split.train)
    driver.write_text("raise SystemExit('no such\\nmachine')\n")
    with pytest.raises(LetheError, match=r"^peer Popularity: its run failed: machine$"):
        peer_programs.run_peer(peer, tmp_path, split, 2)


def test_made_rows_hold_out_one_row_of_some_users() -> None:
    split = peers_large.made(60_000)
    judged, counts = np.unique(split.test.user_ids, return_counts=True)
    assert len(judged) == 3_000
    assert (counts == 1).all()
    assert 30_000 < len(split.train) + len(split.test) <= 60_000, "a pair that was drawn twice is one row"
    both = {*zip(split.train.user_ids, split.train.item_ids, strict=True)}
    assert not both & {*zip(split.test.user_ids, split.test.item_ids, strict=True)}


def test_time_counts_to_what_both_programs_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def snapshots(*seconds: float) -> list[Snapshot]:
        return [Snapshot(second, np.empty(0), np.empty(0)) for second in seconds]

    monkeypatch.setattr(peers_large, "install", lambda peer, work: None)
    monkeypatch.setattr(peers_large, "run_peer", lambda *_: (snapshots(10.0, 20.0, 30.0), tmp_path))
    monkeypatch.setattr(peers_large, "run_ours", lambda *_: snapshots(1.0, 2.0, 3.0))
    qualities = {10.0: 0.1, 20.0: 0.2, 30.0: 0.3, 1.0: 0.1, 2.0: 0.25, 3.0: 0.2}
    monkeypatch.setattr(peers_large, "recall", lambda split, snapshot: qualities[snapshot.seconds])
    (ratio,) = peers_large.large_ratios(tmp_path, 600_000)
    assert (ratio.ours, ratio.theirs) == (2.0, 30.0), ".249 is what both reach"
