"""Time and memory of the exact solver and of streaming evaluation as the data grow: 0.1 to 10 million interactions.

``python -m benchmarks growth`` runs this module once a size, each in a process of its own, whose peak memory the
operating system tells.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import Say
from benchmarks.page import bullets, grid, met, page
from benchmarks.runs import apart, exponent, peak_mib
from lethe.core.random import Stream
from lethe.evaluation.ranking import evaluate
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions

SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
A_USER, NUM_ITEMS, SWEEPS = 10, 3_000, 3
LIMIT_MIB, LIMIT_EXPONENT = 2_048, 1.1
PROTOCOL = (
    f"Generated: {A_USER} interactions a user, popularity ∝ 1 / rank over {NUM_ITEMS:,} items, so that ten million"
    f" interactions are of a million users. WMF by the exact solver, {SWEEPS} sweeps, 64 dimensions, from encoded rows"
    " to factors; then every user ranked in full against one held-out item, in blocks. One thread; seconds of the"
    " processor; peak memory is of the whole process, with Python and libraries (the first column is what they take"
    " before any data). Exponent: slope of log seconds over log interactions, least squares."
)


def run_size(interactions: int) -> dict[str, Any]:
    """Generate, train, evaluate -> figures of this process, which has done nothing else."""
    _figures(1_000)  # Compiles, or loads, what is compiled.
    libraries = peak_mib()
    return {**_figures(interactions), "libraries_mib": libraries, "peak_mib": peak_mib()}


def _figures(interactions: int) -> dict[str, Any]:
    rows = generate(interactions)
    held_out = np.zeros(len(rows), dtype=bool)
    held_out[::A_USER] = True
    test, rows = rows.take(held_out), rows.take(~held_out)
    start = time.process_time()
    catalogue, model = _train(rows)
    trained = time.process_time()
    users, items = (part.numpy() for part in model.factors_or_fail())
    metrics = evaluate(lambda chosen: users[chosen] @ items.T, catalogue, rows, test, cutoffs=(20,), metrics=("hr",))
    return {
        "interactions": interactions,
        "users": len(catalogue.users),
        "items": len(catalogue.items),
        "train_seconds": round(trained - start, 3),
        "evaluate_seconds": round(time.process_time() - trained, 3),
        "hr@20": round(metrics["hr@20"], 4),
    }


def generate(interactions: int) -> Interactions:
    """A_USER distinct items of each of interactions / A_USER users, likelier the more popular."""
    generator = np.random.default_rng(interactions)
    num_users = interactions // A_USER
    shares = np.cumsum(1 / np.arange(1, NUM_ITEMS + 1))
    items = np.empty((num_users, A_USER), dtype=np.int64)
    for user in range(num_users):
        own: dict[int, None] = {}
        while len(own) < A_USER:
            draws = np.searchsorted(shares, generator.random(2 * A_USER) * shares[-1])
            own |= dict.fromkeys(draws.tolist()[: A_USER - len(own)])
        items[user] = list(own)
    return Interactions.of(np.repeat(np.arange(num_users), A_USER), items.ravel())


def _train(rows: Interactions) -> tuple[Catalogue, Model]:
    catalogue = Catalogue.of(rows)
    model = MODELS["wmf"](configure("wmf", {"sweeps": SWEEPS}), catalogue.shape)
    train(model, catalogue.encode(rows), Stream(1))
    return catalogue, model


def measure(sizes: Sequence[int], say: Say) -> list[dict[str, Any]]:
    """Figures of each size, from a fresh process each."""
    found = []
    for size in sizes:
        found.append(apart("growth", size))
        say("  ".join(_cells(found[-1])))
    return found


def report(rows: list[dict[str, Any]], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    sizes = [row["interactions"] for row in rows]
    exponents = {
        kind: round(exponent(sizes, [row[f"{kind}_seconds"] for row in rows]), 3) for kind in ("train", "evaluate")
    }
    largest = rows[-1]
    verdicts = [
        f"time ∝ interactions^{slope:.2f} ({kind}; goal ≤ {LIMIT_EXPONENT}: {met(slope <= LIMIT_EXPONENT)})"
        for kind, slope in exponents.items()
    ]
    verdicts.append(
        f"{largest['peak_mib']:,} MiB for {largest['interactions']:,} interactions (goal ≤ {LIMIT_MIB:,}:"
        f" {met(largest['peak_mib'] <= LIMIT_MIB)})"
    )
    figures = grid(HEAD, map(_cells, rows))
    contents = {"table": "growth", "protocol": PROTOCOL, "command": command, "rows": rows, "exponents": exponents}
    return contents, page("growth", PROTOCOL, f"Command: `{command}`.", figures, bullets(verdicts))


HEAD = ("libraries, MiB", "interactions", "users", "items", "training, s", "evaluation, s", "peak, MiB")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{row[name]:,}" for name in ("interactions", "users", "items"))
    seconds = (f"{row[name]:.2f}" for name in ("train_seconds", "evaluate_seconds"))
    return (f"{row['libraries_mib']}", *counts, *seconds, f"{row['peak_mib']:,}")


if __name__ == "__main__":
    print(json.dumps(run_size(int(sys.argv[1]))))
