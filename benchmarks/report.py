"""The report of a table: ours beside the published, tests, its file for people, its plot, and the comparison with a
committed one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.page import bullets, grid, page, short
from benchmarks.table import Result, Table, columns
from lethe.core.files import write_whole
from lethe.evaluation.significance import holm, mixed_t_test

COSTS = (
    *("cold_users", "cold_items", "shards/user", "shards touched", "largest shard", "epochs to best"),
    *("promoted", "differing"),
)
"""Counted rather than measured, so never tested; less is better, as of errors. Of all other metrics more is."""
LEVEL = 0.01
"""Of significance, after Holm's correction over all that a table prints of its tests."""
TEST = "users and seeds"
"""What a difference is held against. Reports of before were paired by user, over the means of the seeds alone."""


def summarise(table: Table, results: dict[str, list[Result]], command: str) -> dict[str, Any]:
    """The report: ours, published, difference; mean, standard deviation and p against its base's best baseline."""
    best = {
        base: best_of(
            {row.model: _means(results[row.model]) for row in table.rows if row.baseline and row.base == base}
        )
        for base in dict.fromkeys(row.base for row in table.rows)
    }
    rows = []
    for row in table.rows:
        runs = results[row.model]
        others = [name for name in table.against if name in results and name != row.model]
        published = table.published.get(row.model, {})
        rows.append(
            {
                "model": row.model,
                "base": row.base,
                "metrics": {
                    metric: _figures(metric, runs, published.get(metric), results.get(best[row.base].get(metric, "")))
                    for metric in runs[0].metrics
                },
                "seconds": round(float(np.median([run.seconds for run in runs])), 3),
                "times": {
                    name: round(float(np.median([run.times[name] for run in runs])), 3) for name in runs[0].times
                },
                "seeds": len(runs),
                "baseline": row.baseline,
                "against": {
                    name: {
                        m: _p_value(m, runs, results[name]) for m in runs[0].metrics if m in results[name][0].metrics
                    }
                    for name in others
                },
                "note": row.note,
                "spent": None if row.spent is None else row.spent.plain(),
            }
        )
    return {
        "table": table.name,
        "protocol": table.protocol,
        "command": command,
        "test": TEST,
        "best_baseline": best,
        "rows": rows,
    }


def best_of(means: dict[str, dict[str, float]]) -> dict[str, str]:
    """{metric: the row that is best at it} of rows' means; the first of equals."""
    best: dict[str, tuple[float, str]] = {}
    for name, metrics in means.items():
        for metric, mean in metrics.items():
            value = -mean if less_is_better(metric) else mean
            if metric not in best or value > best[metric][0]:
                best[metric] = value, name
    return {metric: name for metric, (_, name) in best.items()}


def less_is_better(metric: str) -> bool:
    """Of errors, whatever they are called after their kind (rmse, rmse_stretched, mse@10), and of costs."""
    return bool(re.match(r"(r?mse|mae|mape|msle|error|loss)(?![a-z])", metric)) or metric in COSTS


def _mean(metric: str, runs: list[Result]) -> float:
    return float(np.mean([run.metrics[metric] for run in runs]))


def _means(runs: list[Result]) -> dict[str, float]:
    return {metric: _mean(metric, runs) for metric in runs[0].metrics}


def _figures(metric: str, ours: list[Result], published: float | None, best: list[Result] | None) -> dict[str, Any]:
    mean = _mean(metric, ours)
    values = [run.metrics[metric] for run in ours]
    return {
        "mean": round(mean, 5),
        "std": round(float(np.std(values, ddof=1)), 5) if len(values) > 1 else 0.0,
        "published": published,
        "difference": None if published is None else round(mean - published, 5),
        "p": None if best is None or best is ours or metric in COSTS else _p_value(metric, ours, best),
    }


def _p_value(metric: str, ours: list[Result], best: list[Result]) -> float | None:
    """Mixed over users and seeds; without users paired by seed, which two values at least must say something of."""
    if all(metric in run.users for run in (*ours, *best)):
        return mixed_t_test(*(np.array([run.users[metric] for run in runs]) for runs in (ours, best))).p_value
    pairs = min(len(ours), len(best))
    if pairs < 2:
        return None
    paired = (np.array([[run.metrics[metric] for run in runs[:pairs]]]) for runs in (ours, best))
    return mixed_t_test(*paired).p_value


def markdown(report: dict[str, Any], published: dict[str, dict[str, float | None]]) -> str:
    """The report for people: ours ± deviation, published, difference, and what differs from the best baseline."""
    metrics = columns(published, (metric for row in report["rows"] for metric in row["metrics"]))
    times = list(dict.fromkeys(name for row in report["rows"] for name in row.get("times", ())))
    searched = any(row.get("spent") for row in report["rows"])
    differs = different(report, metrics)
    head = ["model", "seeds", *metrics, *times, "seconds", *(["trials", "search seconds"] if searched else [])]
    said = (
        f"Command: `{report['command']}`. A cell is ours ± standard deviation over the seeds / published (difference);",
        f"↑ is better and ↓ worse than the best baseline (in bold), p < {LEVEL:g} by Holm's correction over the table,",
        f"paired by {report.get('test', 'user, over the means of the seeds')}. Seconds are of the processor, a median",
        "of training alone, one thread, and compare within this table only."
        + (" Trials and search seconds chose the settings." if searched else ""),
    )
    rows = []
    for row in report["rows"]:
        best = report["best_baseline"].get(row["base"], {})
        cells = [
            _cell(row, metric, best.get(metric) == row["model"], differs.get((row["model"], metric), ""))
            for metric in metrics
        ]
        cells += [f"{row['times'][name]:.2f}" if name in row.get("times", ()) else "–" for name in times]
        cells += [f"{row['seconds']:.2f}", *(_spent(row) if searched else ())]
        rows.append([row["model"], row["seeds"], *cells])
    tests, notes = _tests(report, metrics), bullets(_notes(report))
    return page(report["table"], report["protocol"], "\n".join(said), grid(head, rows), tests, notes)


def _notes(report: dict[str, Any]) -> list[str]:
    """What is said of single rows: their notes, their commands where there are several, how their settings came."""
    notes = [f"{row['model']}: {row['note']}" for row in report["rows"] if row["note"]]
    commands = dict.fromkeys(row.get("command", report["command"]) for row in report["rows"])
    for command in commands if len(commands) > 1 else ():
        own = [row["model"] for row in report["rows"] if row["command"] == command]
        notes.append(f"`{command}`: {'; '.join(own)}")
    notes += [
        f"{row['model']}: at an edge of what was tried: {', '.join(row['spent']['edges'])}"
        for row in report["rows"]
        if row.get("spent") and row["spent"]["edges"]
    ]
    notes += [
        f"{row['model']}: settings of an earlier search, better on validation than any of this one"
        for row in report["rows"]
        if row.get("spent") and row["spent"].get("earlier")
    ]
    return notes


def different(report: dict[str, Any], metrics: list[str]) -> dict[tuple[str, str], str]:
    """{(row, metric): ↑ or ↓} of what differs from its base's best baseline at ``LEVEL``; of the metrics printed."""
    rows = {row["model"]: row for row in report["rows"]}
    tests = {
        (name, metric): row["metrics"][metric]["p"]
        for name, row in rows.items()
        for metric in metrics
        if row["metrics"].get(metric, {}).get("p") is not None
    }

    def ahead(name: str, metric: str) -> bool:
        best = rows[report["best_baseline"][rows[name]["base"]][metric]]
        more = rows[name]["metrics"][metric]["mean"] > best["metrics"][metric]["mean"]
        return bool(more != less_is_better(metric))

    corrected = holm(list(tests.values()))
    return {test: "↑" if ahead(*test) else "↓" for test, p in zip(tests, corrected, strict=True) if p < LEVEL}


def _spent(row: dict[str, Any]) -> list[str]:
    spent = row.get("spent") or {}
    return ["–" if spent.get(name) is None else f"{spent[name]:,}" for name in ("trials", "seconds")]


def _tests(report: dict[str, Any], metrics: list[str]) -> str:
    """A table of p-values against single rows; empty where none were asked for."""
    rows = [
        [f"{row['model']} against {other}", *(_p(p.get(metric)) for metric in metrics)]
        for row in report["rows"]
        for other, p in row.get("against", {}).items()
    ]
    return grid(["p, paired", *metrics], rows) if rows else ""


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _cell(row: dict[str, Any], metric: str, best: bool, mark: str) -> str:
    figures = row["metrics"].get(metric)
    if figures is None:
        return "–"
    text = short(figures["mean"])
    text = f"**{text}**" if best else text
    if row["seeds"] > 1:
        text += f" ± {short(figures['std'])}"
    if mark:
        text += f" {mark}"
    if figures["published"] is not None:
        text += f" / {short(figures['published'])} ({_signed(figures['difference'])})"
    return text


def _signed(value: float) -> str:
    text = f"{value:+.4f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def write_report(report: dict[str, Any], text: str, folder: Path) -> str:
    """NAME.json and NAME.md in ``folder``; returns the page, which is the text and the machine's pace below it."""
    name, whole = report["table"], text + machine.said(report)
    # In the order of the table, which sorted keys would lose.
    write_whole(folder / f"{name}.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / f"{name}.md", whole)
    return whole


INK = "#7d7d7d"
"""Of letters and axes: to be read on white and on black."""


def draw(report: dict[str, Any], plot: Callable[[dict[str, Any], Any], None], folder: Path, panels: int = 1) -> None:
    """NAME.svg in ``folder``: small, and the same bytes for the same report. ``plot`` is given as many axes."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    colours = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK)
    options = {"svg.hashsalt": report["table"], "svg.fonttype": "none", "font.size": 9, "legend.framealpha": 0.0}
    with pyplot.rc_context(options | colours):
        columns = min(panels, 2)
        rows = -(-panels // columns)
        figure, grid = pyplot.subplots(
            rows, columns, figsize=(6 if panels == 1 else 9, 3.5 * rows), squeeze=False, layout="constrained"
        )
        for unused in grid.flat[panels:]:
            unused.remove()
        plot(report, grid[0, 0] if panels == 1 else grid.flat[:panels])
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{report['table']}.svg", metadata={"Date": None}, transparent=True)
        pyplot.close(figure)


def compare(report: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """Where a fresh report lies outside the seeds' spread of a committed one: one line each, empty if nowhere.

    The spread of a figure is three standard deviations and .0005 for the rounding of other machines.
    """
    faults = []
    known = {row["model"]: row["metrics"] for row in committed["rows"]}
    for row in report["rows"]:
        if row["model"] not in known:
            faults.append(f"{row['model']}: not in the committed table")
            continue
        for metric, figures in row["metrics"].items():
            expected = known[row["model"]].get(metric)
            if expected is None:
                faults.append(f"{row['model']} {metric}: not in the committed table")
            elif abs(figures["mean"] - expected["mean"]) > 3 * expected["std"] + 0.0005:
                faults.append(
                    f"{row['model']} {metric}: {figures['mean']:.5f}, committed {expected['mean']:.5f}"
                    f" ± {expected['std']:.5f}"
                )
    return faults
