"""What comes of a figure: rows that other reports can name, its page, its drawing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.figures import ALL, EACH, EPOCHS, USERS, Figure, Point, unfolded, value
from benchmarks.page import grid, page, short
from benchmarks.table import TABLES, Result

Report = dict[str, Any]
TRAINING = (EACH, EPOCHS, ALL)


def summarise(name: str, figure: Figure, protocol: str, done: list[tuple[Point, list[Result]]], command: str) -> Report:
    """The report. Its rows have what those of tables have, and the line and the x that they are of."""
    rows = []
    for point, results in done:
        rows.append(_row(point.row.model, point, point.x, results, (*figure.ranked, EPOCHS)))
        for x in unfolded(results):
            named = f"{point.line}, {figure.x} {x}"
            rows.append(_row(named, point, int(x) if figure.every else x, results, (*figure.ranked, USERS), x))
    return {
        "table": name,
        "what": figure.what,
        "source": figure.source,
        "data": figure.data,
        "protocol": protocol,
        "note": figure.note,
        "command": command,
        "x": figure.x,
        "log": figure.log,
        "metrics": list(figure.metrics),
        "lines": {label: line.model_dump(exclude_defaults=True) for label, line in figure.lines.items()},
        "rows": rows,
    }


def _row(named: str, point: Point, x: Any, results: list[Result], metrics: tuple[str, ...], at: str = "") -> Report:
    columns = {metric: [value(result, metric, at) for result in results] for metric in metrics}
    return {
        "model": named,
        "line": point.line,
        "x": x,
        "metrics": {
            metric: {
                "mean": round(float(np.mean(values)), 5),
                "std": round(float(np.std(values, ddof=1)), 5) if len(values) > 1 else 0.0,
            }
            for metric, values in columns.items()
            if not any(map(math.isnan, values))
        },
        "seconds": round(float(np.median([result.seconds for result in results])), 3),
        "times": {
            name: round(float(np.median([result.times[name] for result in results])), 4) for name in results[0].times
        },
        "seeds": len(results),
    }


def cell(row: Report, metric: str) -> tuple[float, float]:
    """Mean and standard deviation of a metric of a row; nan where it has none."""
    if metric in row["metrics"]:
        return row["metrics"][metric]["mean"], row["metrics"][metric]["std"]
    return {ALL: row["seconds"], **row["times"]}.get(metric, math.nan), 0.0


def markdown(report: Report) -> str:
    """The report for people: a table for each metric, lines side by side, and what the trainings took."""
    seeds = max(row["seeds"] for row in report["rows"])
    known = report["protocol"] in TABLES
    protocol = f"the table [{report['protocol']}](../{report['protocol']}.md)" if known else report["protocol"]
    said = (
        f"Data and protocol: {protocol}. Settings: params/, but for what the figure changes; {seeds} seed(s), ± is\n"
        "their standard deviation. Seconds are of the processor, training alone, one thread, and compare within this\n"
        "figure only; those in all have the loading of compiled code in them, those of an epoch do not.\n"
        f"Command: `{report['command']}`."
    )
    what, drawing = f"{report['what']} [{report['source']}]. {report['note']}", f"({report['table']}.svg)"
    blocks = [what.strip(), said, f"![{report['what']}]{drawing}"]
    whole = [row for row in report["rows"] if row["x"] is None]
    drawn = [row for row in report["rows"] if row["x"] is not None]
    if drawn:
        for metric in report["metrics"]:
            blocks += [f"## {metric}", _sweep(metric, report["x"], drawn)]
    if whole:
        blocks += [
            *(["## Of the whole"] if drawn else []),
            _lines(whole, dict.fromkeys([*report["metrics"], *TRAINING])),
        ]
    return page(report["table"], *blocks)


def _lines(rows: list[Report], metrics: Iterable[str]) -> str:
    """A line of the figure in each row."""
    shown = [metric for metric in metrics if any(not math.isnan(cell(row, metric)[0]) for row in rows)]
    return grid(["", *shown], [[row["model"], *(_cell(row, metric) for metric in shown)] for row in rows])


def _sweep(metric: str, x: str, rows: list[Report]) -> str:
    """A value of what is swept in each row, a line of the figure in each column; of groups also how many they are."""
    labels = list(dict.fromkeys(row["line"] for row in rows))
    held = {(row["line"], row["x"]): row for row in rows}
    counts = {row["x"]: row for row in rows if USERS in row["metrics"]}
    head = [x, *labels, *([USERS] if counts else [])]
    lines = []
    places = list(dict.fromkeys(row["x"] for row in rows))
    for place in places if any(isinstance(place, str) for place in places) else sorted(places):
        cells = [_cell(held[label, place], metric) if (label, place) in held else "–" for label in labels]
        cells += [f"{cell(counts[place], USERS)[0]:,.0f}"] if counts else []
        lines.append([place, *cells])
    return grid(head, lines)


def _cell(row: Report, metric: str) -> str:
    mean, deviation = cell(row, metric)
    if math.isnan(mean):
        return "–"
    if metric == EPOCHS:
        return f"{mean:.0f}"
    text = short(mean) if metric not in (EACH, ALL, *row["times"]) else f"{mean:.3g}"
    return f"{text} ± {short(deviation)}" if row["seeds"] > 1 and deviation else text


def plot(report: Report, panels: Any) -> None:
    """A panel for each metric: curves where x is a number, bars where it is a name or there is none."""
    numbers = [row for row in report["rows"] if isinstance(row["x"], int | float)]
    for axes, metric in zip(np.atleast_1d(panels), report["metrics"], strict=True):
        if numbers:
            _curves(axes, metric, numbers)
            axes.set(xlabel=report["x"], ylabel=metric, xscale="log" if report["log"] else "linear")
        else:
            named = [row for row in report["rows"] if row["x"] is not None]
            _bars(axes, metric, named or report["rows"], report["x"])
            axes.set(ylabel=metric)
    first = np.atleast_1d(panels)[0]
    handles, labels = first.get_legend_handles_labels()
    if len(labels) > 1:
        first.figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)


def _curves(axes: Any, metric: str, rows: list[Report]) -> None:
    for label in dict.fromkeys(row["line"] for row in rows):
        held = sorted((row["x"], *cell(row, metric)) for row in rows if row["line"] == label)
        xs, means, deviations = zip(*held, strict=True)
        marker = "." if len(xs) < 40 else None
        axes.errorbar(
            xs, means, yerr=deviations if any(deviations) else None, marker=marker, linewidth=1.2, label=label
        )
    if metric == EACH:
        axes.set_yscale("log")


def _bars(axes: Any, metric: str, rows: list[Report], x: str) -> None:
    """Bars of the lines beside each other at every x; where there is no x, one for each line."""
    labels = list(dict.fromkeys(row["line"] for row in rows))
    if not x:
        means, deviations = zip(*(cell(row, metric) for row in rows), strict=True)
        axes.bar(range(len(rows)), means, yerr=deviations if any(deviations) else None)
        axes.set_xticks(range(len(rows)), [row["model"] for row in rows], rotation=30, ha="right")
        return
    places = list(dict.fromkeys(row["x"] for row in rows))
    width = 0.8 / len(labels)
    for number, label in enumerate(labels):
        held = [(places.index(row["x"]), *cell(row, metric)) for row in rows if row["line"] == label]
        shift = (number - (len(labels) - 1) / 2) * width
        spread = [deviation for *_, deviation in held]
        axes.bar(
            [place + shift for place, *_ in held],
            [mean for _, mean, _ in held],
            width,
            yerr=spread if any(spread) else None,
            label=label,
        )
    axes.set_xticks(range(len(places)), places, rotation=20 if len(places) > 4 else 0)
    axes.set_xlabel(x)
