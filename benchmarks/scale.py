"""From a log of a million to a hundred million made interactions: every data stage, the gates, a model, a deletion.

Each step runs in a process of its own (``benchmarks.scale_steps``). What was measured is kept beside the data, so that
a measurement that was stopped is resumed at its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import Say
from benchmarks.page import bullets, grid, met, page
from benchmarks.runs import apart, exponent, kept
from benchmarks.scale_log import write_log
from benchmarks.scale_steps import DATASET, DIM, LOG, SHARDING, STEPS, SWEEPS

SIZES = (1_000_000, 10_000_000, 100_000_000)
ROWS_A_USER, ROWS_AN_ITEM, NUM_SHARDS = 10, 100, 10
LIMIT_MIB, LIMIT_EXPONENT = 4096, 1.1
DATA = ("source", "ingest", "split", "assign", "shards")
"""What lies between a source and its shards."""
PROTOCOL = (
    f"A log of made interactions in the order of time: {ROWS_A_USER} rows a user and {ROWS_AN_ITEM} an item on average,"
    " log-normal activity, Zipf popularity, repeated pairs. From its Parquet file to"
    f" {NUM_SHARDS} shards by the user hash, of the training part and of all rows; the gates; WMF by the exact solver,"
    f" from the file of all rows to a sub-model's files ({DIM} dimensions, {SWEEPS} sweeps, one sub-model); one user's"
    " rows counted, planned, put on the suppression list; the log ingested once more without them. Each step in a"
    " process of its own, one numeric thread: seconds of the processor, and the peak memory of the process with Python"
    " and all libraries. Exponent: slope of log seconds over log rows, least squares."
)
Figures = dict[str, Any]


def params_of(folder: Path) -> None:
    """One dataset, one sharding."""
    columns = {"user": "user", "item": "item", "rating": "rating", "timestamp": "time"}
    source = {"kind": "table", "path": LOG, "columns": columns}
    params = {
        "seed": 1,
        "pipeline": {"datasets": [DATASET], "shardings": [SHARDING]},
        "datasets": {DATASET: {"source": source, "duplicates": "latest"}},
        "shardings": {SHARDING: {"partition": SHARDING, "num_shards": NUM_SHARDS, "aggregator": "mean"}},
        "families": {"one": {"dataset": DATASET, "candidates": [{"model": "wmf", "sharding": SHARDING}]}},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def measure(size: int, folder: Path, say: Say) -> list[Figures]:
    """Figures of each step of a size."""
    folder.mkdir(parents=True, exist_ok=True)
    made, figures = folder / LOG, list[Figures]()
    if not made.is_file():
        part = folder / "part.parquet"
        write_log(part, size, size // ROWS_A_USER, size // ROWS_AN_ITEM)
        part.replace(made)
        params_of(folder)
    for step in STEPS:
        path = folder / "figures" / f"{step.replace(' ', '-')}.json"
        figures.append({"size": size, **kept(path, partial(apart, "scale_steps", folder, step))})
        say("  ".join(_cells(figures[-1])))
    return figures


def _cells(figure: Figures) -> tuple[str, ...]:
    return f"{figure['size']:,}", figure["step"], *_took(figure)


def _took(figure: Figures) -> tuple[str, str, str]:
    return f"{figure['seconds']:.1f}", f"{figure['clock']:.1f}", f"{figure['peak_mib']:,}"


def growth(rows: Sequence[Figures], steps: Sequence[str]) -> float | None:
    """The exponent of some steps together; None of a single size."""
    sizes = sorted({row["size"] for row in rows})
    seconds = [sum(row["seconds"] for row in rows if row["size"] == size and row["step"] in steps) for size in sizes]
    return round(exponent(sizes, seconds), 3) if len(sizes) > 1 else None


def report(rows: list[Figures], whole: list[Figures], command: str) -> tuple[dict[str, Any], str]:
    """The report and its text."""
    groups = {"data stages": DATA, "gates": ("gates",), "train": ("train",), "forget": ("forget",)}
    exponents = {name: growth(rows, steps) for name, steps in groups.items()}
    peak = max(row["peak_mib"] for row in rows if row["step"] in (*DATA, "gates"))
    blocks = [
        grid(("rows", "step", "seconds", "by the clock", "peak, MiB"), map(_cells, rows)),
        bullets(
            [
                f"data stages and gates: {peak:,} MiB at most (goal ≤ {LIMIT_MIB:,}: {met(peak <= LIMIT_MIB)})",
                *(
                    f"{name}: time ∝ rows^{slope:.2f}, goal ≤ {LIMIT_EXPONENT}: {met(slope <= LIMIT_EXPONENT)}"
                    for name, slope in exponents.items()
                    if slope is not None
                ),
            ]
        ),
    ]
    if whole:
        blocks += [
            "## A log of the shape of ML-20M, by the product's commands",
            f"{whole[0]['rows']:,} rows, WMF. Seconds"
            " of the processor of each command and all its processes; the largest of them.",
            grid(
                ("command", "seconds", "by the clock", "peak of a process, MiB"),
                ((row["step"], *_took(row)) for row in whole),
            ),
            "The certificate is believed by the independent program; the forgotten user stands in no table.",
        ]
    made = {"table": "scale", "protocol": PROTOCOL, "command": command, "rows": rows, "whole": whole}
    made |= {"exponents": exponents, "peak_mib": peak}
    return made, page("scale", PROTOCOL, f"Command: `{command}`.", *blocks)
