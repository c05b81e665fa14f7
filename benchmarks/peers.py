"""Other programs, each in an environment of its own, beside ours: same data, same quality, one thread, interleaved."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Say
from benchmarks.collaborative import Split, tuned
from benchmarks.kernels import (
    GRADIENT,
    Padded,
    Ratio,
    epoch_ratios,
    evaluation_ratios,
    interleave,
    ours_per_epoch,
    seconds_of_evaluation,
    table_of,
)
from benchmarks.page import page
from benchmarks.peer_programs import PEERS, Snapshot, install, run_peer
from lethe.core.random import Stream
from lethe.errors import LetheError
from lethe.evaluation.ranking import evaluate
from lethe.learning.training import Row, train
from lethe.models import MODELS, configure

PROTOCOL = (
    "ml-1m-receraser: one thread each, run in turn on one machine; medians of seconds of the processor. Only the ratios"
    " mean anything. recall@20 is hits/|test|, measured by our evaluation for all."
)
QUALITY = 0.25
"""recall@20 on ml-1m-receraser, hits/|test|: what a tuned solver of this objective reaches."""


def run_ours(split: Split, sweeps: int = 14, settings: Mapping[str, float] | None = None) -> list[Snapshot]:
    """WMF by alternating least squares with its tuned values, or these, a snapshot a sweep; preparation counts."""
    values = tuned(split.dataset, "wmf") if settings is None else settings
    config = configure("wmf", {**values, "sweeps": sweeps})
    rows = split.catalogue.encode(split.train)
    model = MODELS["wmf"](config, rows.shape)
    snapshots: list[Snapshot] = []
    spent, start = 0.0, time.process_time()

    def keep(row: Row) -> None:
        nonlocal spent, start
        spent += time.process_time() - start
        users, items = (part.numpy().copy() for part in model.factors_or_fail())
        snapshots.append(Snapshot(spent, users, items))
        start = time.process_time()

    train(model, rows, Stream(1), progress=keep)
    return snapshots


def recall(split: Split, snapshot: Snapshot) -> float:
    """recall@20 on test."""
    return evaluate(
        lambda users: snapshot.users[users] @ snapshot.items.T,
        split.catalogue,
        split.train,
        split.test,
        cutoffs=(20,),
        metrics=("recall",),
    )["recall@20"]


def seconds_to(split: Split, snapshots: list[Snapshot], quality: float) -> float:
    """Training seconds until recall@20 first reaches ``quality``; infinite if it never does."""
    return next((s.seconds for s in snapshots if recall(split, s) >= quality), float("inf"))


def solver_ratios(split: Split, work: Path, name: str, goal: float, *, times: int = 3) -> list[Ratio]:
    """Time to the same quality as a peer's alternating least squares."""
    peer = PEERS[name]
    install(peer, work)
    run_ours(split, 1)
    theirs, ours = [], []
    for _ in range(times):
        theirs.append(seconds_to(split, run_peer(peer, work, split, peer.rounds)[0], QUALITY))
        ours.append(seconds_to(split, run_ours(split), QUALITY))
    what = f"time to recall@20 ≥ {QUALITY}"
    return [Ratio(what, f"{peer.name} ALS, tuned", float(np.median(ours)), float(np.median(theirs)), goal)]


def recbole_ratios(split: Split, work: Path) -> list[Ratio]:
    """An epoch, evaluation and the time to within .001 of its own best, against RecBole's ENMF; it runs once, for
    minutes."""
    peer = PEERS["recbole"]
    install(peer, work)
    rows = split.catalogue.encode(split.train)
    ours_per_epoch(rows, 1)
    before = ours_per_epoch(rows, 5)
    ranked_before = seconds_of_evaluation(split)
    snapshots, out = run_peer(peer, work, split, peer.rounds)
    epoch = float(np.median(np.diff([0.0, *(s.seconds for s in snapshots)])))
    values = [recall(split, s) for s in snapshots]
    plateau = max(values) - 0.001
    theirs = next(s.seconds for s, value in zip(snapshots, values, strict=True) if value >= plateau)
    ours = seconds_to(split, run_ours(split), max(values))
    ranked, own = map(float, (out / "evaluation.txt").read_text().split())
    if abs(own - values[-1]) > 0.01:
        raise LetheError(
            f"peer {peer.name}: recall@20 is {own:.4f} by its own account, {values[-1]:.4f} by its factors"
        )
    best = f"time to its best recall@20 in {len(values)} epochs, {max(values):.4f}"
    return [
        Ratio("epoch of eq. (3.9), fused", "RecBole ENMF", (before + ours_per_epoch(rows, 5)) / 2, epoch, 150),
        Ratio(best, "RecBole ENMF", ours, theirs, 500),
        Ratio(
            "evaluation, all users", "RecBole's default", (ranked_before + seconds_of_evaluation(split)) / 2, ranked, 20
        ),
    ]


def forgetting_ratios(split: Split, *, times: int = 3) -> list[Ratio]:
    """A user forgotten by training the whole model again, exactly, to the same quality: ours against the usual program
    of the same loss, whose epochs to that quality are counted with our kernels of it and whose seconds are those of
    one epoch times these."""
    gone = split.train.user_ids[0]
    rest = Split(
        split.dataset, split.train.take(split.train.user_ids != gone), split.test.take(split.test.user_ids != gone)
    )
    padded = Padded(rest.catalogue.encode(rest.train))
    seconds = interleave(
        {"ours": lambda: seconds_to(rest, run_ours(rest), QUALITY), "padded": lambda: padded.epoch()}, times
    )
    epochs = epochs_to(rest, QUALITY)
    against = f"padded positives, autograd, {epochs} epochs (projected from one)"
    what = f"one user forgotten, retraining to recall@20 ≥ {QUALITY}"
    return [Ratio(what, against, seconds["ours"], seconds["padded"] * epochs, 1000)]


class _Reached(Exception):
    """Raised inside training to end it."""


def epochs_to(split: Split, quality: float, *, every: int = 5) -> int:
    """Epochs of the gradient, at the settings of ``Padded``, after which recall@20 first reaches ``quality``."""
    rows = split.catalogue.encode(split.train)
    model = MODELS["wmf"](configure("wmf", GRADIENT | {"epochs": 300}), rows.shape)
    reached: list[int] = []

    def look(row: Row) -> None:
        done = int(row["epoch"]) + 1
        if done % every == 0:
            users, items = (part.numpy() for part in model.factors_or_fail())
            if recall(split, Snapshot(0.0, users, items)) >= quality:
                reached.append(done)
                raise _Reached

    with suppress(_Reached):
        train(model, rows, Stream(1), progress=look)
    if not reached:
        raise LetheError(f"by gradient recall@20 did not reach {quality} within 300 epochs")
    return reached[0]


Part = Callable[[Split, Path], list[Ratio]]

PARTS: dict[str, Part] = {
    "evaluation": lambda split, work: evaluation_ratios(split),
    "epoch": lambda split, work: epoch_ratios(split),
    "forgetting": lambda split, work: forgetting_ratios(split),
    "implicit": lambda split, work: solver_ratios(split, work, "implicit", 4),
    "lenskit": lambda split, work: solver_ratios(split, work, "lenskit", 8),
    "recbole": recbole_ratios,
    "large": lambda split, work: _large(work),
}


def _large(work: Path) -> list[Ratio]:
    from benchmarks.peers_large import large_ratios

    return large_ratios(work)


def compare_all(
    split: Split,
    work: Path,
    parts: Sequence[str],
    command: str,
    say: Say,
    before: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], str]:
    """Run the parts one after another -> (report, Markdown).

    Rows of an earlier report, ``before``, that no part has measured again stay, each with the command it came from.
    """
    rows = {(row["what"], row["against"]): row for row in (before or {"rows": []})["rows"]}
    for part in parts:
        for ratio in PARTS[part](split, work):
            say("  ".join(ratio.cells))
            row = {**asdict(ratio), "ratio": round(ratio.ratio, 2), "command": command}
            rows[ratio.what, ratio.against] = row
    report = {"table": "peers", "protocol": PROTOCOL, "command": command, "rows": list(rows.values())}
    return report, markdown(report)


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    fields = ("what", "against", "ours", "theirs", "goal")
    ratios = table_of([Ratio(**{name: row[name] for name in fields}) for row in report["rows"]])
    commands = dict.fromkeys(row["command"] for row in report["rows"])
    said = ", then ".join(f"`{command}`" for command in commands)
    return page("peers", report["protocol"], f"Command: {said}.", ratios)
