"""The figures of README.md and docs/results.md, made from the committed results: ``python -m benchmarks readme``.

What stands between README's two markers is written over, and all of docs/results.md. A table shows the metrics that
have a published figure, of those with several cutoffs the middle one. Everything else is in benchmarks/results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.page import grid, short

BEGIN, END = "<!-- figures: python -m benchmarks readme -->", "<!-- end of figures -->"
FOLDER = "figures"
"""Below the results; see ``benchmarks.figures``."""
ORDER = ("rmse", "mae", "hr", "recall", "recall_min", "ndcg", "ndcg_of_100")
"""Metrics shown, in this order."""

ACCURACY = (
    ("enmf-ml1m", "ENMF-U", "hr@100"),
    ("eatnn-ciao", "EATNN", "recall_min@50"),
    ("ensfm-frappe", "ENSFM", "hr@10"),
    ("jnskr-amazon-book", "JNSKR", "recall@20"),
    ("lfm-ml1m", "BiasLFM", "rmse"),
    ("receraser-ml1m", "WMF RecEraser", "recall@20"),
)
"""Table, row and metric of the figures that README shows, beside those of forgetting and speed."""
FASTER = ("one user forgotten", "evaluation, all users")
"""Of these the largest ratio to another program."""

Report = dict[str, Any]


def few(results: Path) -> str:
    """Ten figures: accuracy beside what was published, speed beside other programs, a GPU, what forgetting left."""
    by_name = _reports(results)
    rows: list[tuple[str, str, str]] = []
    for table, model, metric in ACCURACY:
        row = next(row for row in by_name[table]["rows"] if row["model"] == model)
        values = row["metrics"][metric]
        ours, published = short(values["mean"]), short(values["published"])
        rows.append((f"[{model}, {metric}](benchmarks/results/{table}.md)", ours, f"{published} published"))
    for what in FASTER:
        row = max((row for row in by_name["peers"]["rows"] if row["what"].startswith(what)), key=lambda r: r["ratio"])
        rows.append((f"[{row['what']}](benchmarks/results/peers.md)", f"{row['ratio']:,.0f} ×", row["against"]))
    gpu, card = by_name["gpu"]["models"]["lightgcn"], by_name["gpu"]["environment"]["device"]
    times = f"LightGCN at {gpu['times']:.0f} × a CPU thread"
    rows.append((f"[demo on an {card}](benchmarks/results/gpu.md)", by_name["gpu"]["demo"], times))
    promise = by_name["promise"]
    left = f"[rows left after {promise['generated: requests']} generated requests](benchmarks/results/promise.md)"
    cases = f"{promise['right']} of {promise['cases']} real-world cases right"
    rows.append((left, f"{promise['generated: rows left']}", cases))
    return grid(("figure", "ours", "beside"), rows)


def results_page(results: Path) -> str:
    """docs/results.md: all tables, ratios, growth and figures."""
    lead = "# Results\n\nMade by `python -m benchmarks readme` from the committed results."
    parts = [lead, figures(results), *_drawings(results / FOLDER)]
    return "\n\n".join(parts).replace("](benchmarks/", "](../benchmarks/") + "\n"


def _drawings(folder: Path) -> list[str]:
    """Every committed figure of the sources, in their order, with a link to its page."""
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not reports:
        return []
    lead = "Learning curves, sweeps, ablations and groups of users as the sources draw them, of our own trainings."
    parts = ["## Figures", lead]
    for report in sorted(reports, key=lambda report: (report["source"], report["table"])):
        place, what = f"benchmarks/results/{FOLDER}/{report['table']}", f"{report['what']} [{report['source']}]"
        parts.append(f"### [{what}]({place}.md)\n\n![{what}]({place}.svg)")
    return parts


def _reports(results: Path) -> dict[str, Report]:
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    return {report["table"]: report for report in reports if "table" in report}


def figures(results: Path) -> str:
    """Markdown of all reports in a folder: tables of models, then ratios to other programs, then growth."""
    by_name = _reports(results)
    parts = [
        "Ours, with the published figure in brackets; bold is the best baseline. Protocols, deviations, significance\n"
        "and seconds are on the page of each table, with its command.",
        *(_models(report) for report in by_name.values() if _has_models(report)),
    ]
    if "peers" in by_name:
        parts.append(_peers(by_name["peers"]))
    if "growth" in by_name:
        parts.append(_growth(by_name["growth"]))
    if "gpu" in by_name:
        parts.append(_gpu(by_name["gpu"]))
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
    rows = []
    for row in report["rows"]:
        mine = best.get(row["base"], {})
        cells = [_cell(row["metrics"].get(column), mine.get(column) == row["model"]) for column in columns]
        rows.append([row["model"], *cells])
    return f"## {name}\n\n" + grid([f"[{name}](benchmarks/results/{name}.md)", *columns], rows)


def _cell(values: dict[str, Any] | None, best: bool) -> str:
    if values is None:
        return "–"
    ours = f"**{short(values['mean'])}**" if best else short(values["mean"])
    return ours if values["published"] is None else f"{ours} ({short(values['published'])})"


def _peers(report: Report) -> str:
    lead = "How many times faster than other programs, same data and quality, one thread:"
    rows = [(row["what"], row["against"], f"{row['ratio']:.1f}", f"{row['goal']:g}") for row in report["rows"]]
    head = ("[what](benchmarks/results/peers.md)", "against", "ratio", "goal")
    return "\n\n".join(["## Speed", lead, grid(head, rows)])


def _gpu(report: Report) -> str:
    rows = sorted(report["models"].items(), key=lambda row: -(row[1].get("times") or 0))
    lead = (
        f"Milliseconds of an epoch or a sweep on an {report['environment']['device']} and on one thread of its machine;"
        " each gave the same bytes twice:"
    )
    head = ("[model](benchmarks/results/gpu.md)", "GPU", "CPU thread", "times")
    cells = [
        (name, f"{row['ms']:,.1f}", f"{row['CPU ms']:,.0f}", f"{row['times']:.1f}")
        for name, row in rows
        if row.get("times") and row["same bytes"]
    ]
    return "\n\n".join(["## On a GPU", lead, grid(head, cells)])


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
    return f"{before}{BEGIN}\n\n{few(results)}\n\n{END}{after}"
