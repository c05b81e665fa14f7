"""The figures of README.md, made from the committed results: ``python -m benchmarks readme``.

What stands between the two markers is written over. A table shows the metrics that have a published figure, of those
with several cutoffs the middle one. Everything else is in benchmarks/results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: python -m benchmarks readme -->", "<!-- end of figures -->"
ORDER = ("rmse", "mae", "hr", "recall", "recall_min", "ndcg", "ndcg_of_100")
"""Metrics shown, in this order."""

Report = dict[str, Any]


def figures(results: Path) -> str:
    """Markdown of all reports in a folder: tables of models, then ratios to other programs, then growth."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    by_name = {report["table"]: report for report in reports if "table" in report}
    parts = [
        "Ours, with the published figure in brackets; bold is the best baseline. Protocols, deviations, significance\n"
        "and seconds are in [benchmarks/results](benchmarks/results), with the command of each.",
        *(_models(report) for report in by_name.values() if _has_models(report)),
    ]
    if "peers" in by_name:
        parts.append(_peers(by_name["peers"]))
    if "growth" in by_name:
        parts.append(_growth(by_name["growth"]))
    return "\n\n".join(parts)


def _has_models(report: Report) -> bool:
    rows = report.get("rows") or [{}]
    return all("model" in row and "metrics" in row for row in rows) and bool(_columns(report))


def _columns(report: Report) -> list[str]:
    """The metrics that have a published figure, of each the middle cutoff."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in report["rows"]:
        for metric, values in row["metrics"].items():
            name, _, cutoff = metric.partition("@")
            ranked_in_full = cutoff.isdigit() or not cutoff  # Not "hr@10 of 100", which ranks a sample.
            if values.get("published") is not None and name in ORDER and ranked_in_full:
                found.setdefault(name, []).append((int(cutoff or 0), metric))
    cutoffs = {name: sorted(set(metrics)) for name, metrics in found.items()}
    return [cutoffs[name][len(cutoffs[name]) // 2][1] for name in ORDER if name in cutoffs]


def _models(report: Report) -> str:
    columns, best, name = _columns(report), report["best_baseline"], report["table"]
    lines = [
        f"<details><summary>{name}</summary>",
        "",
        f"| [{name}](benchmarks/results/{name}.md) | {' | '.join(columns)} |",
        f"| --- |{' --- |' * len(columns)}",
    ]
    for row in report["rows"]:
        mine = best.get(row["base"], {})
        cells = [_cell(row["metrics"].get(column), mine.get(column) == row["model"]) for column in columns]
        lines.append(f"| {row['model']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "</details>"])


def _cell(values: dict[str, Any] | None, best: bool) -> str:
    if values is None:
        return "–"
    ours = f"**{_short(values['mean'])}**" if best else _short(values["mean"])
    return ours if values["published"] is None else f"{ours} ({_short(values['published'])})"


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0") if 0 <= value < 1 else f"{value:.4f}"


def _peers(report: Report) -> str:
    lines = [
        "How many times faster than other programs, same data and quality, one thread:",
        "",
        "| [what](benchmarks/results/peers.md) | against | ratio | goal |",
        "| --- | --- | --- | --- |",
        *(f"| {row['what']} | {row['against']} | {row['ratio']:.1f} | {row['goal']:g} |" for row in report["rows"]),
    ]
    return "\n".join(lines)


def _growth(report: Report) -> str:
    largest, exponents = report["rows"][-1], report["exponents"]
    return (
        f"[{largest['interactions']:,} interactions](benchmarks/results/growth.md) of {largest['users']:,} users take"
        f" {largest['train_seconds']:.0f} s of one processor to train exactly and {largest['evaluate_seconds']:.0f} s"
        f"\nto rank in full, within {largest['peak_mib']:,} MiB; training time grows with interactions to the power"
        f" {exponents['train']:.2f}."
    )


def renewed(text: str, results: Path) -> str:
    """README's text with today's figures between the markers; raises ValueError if they aren't there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: no {BEGIN!r} followed by {END!r}")
    return f"{before}{BEGIN}\n\n{figures(results)}\n\n{END}{after}"
