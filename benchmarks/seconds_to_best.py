"""Seconds to the best validation value: models of the whole-matrix square loss, each beside itself with that loss spelt
out and with sampled negatives. A model more is an entry more in ``ENTRIES``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import typer

from benchmarks import collaborative, side_data
from benchmarks.collaborative import RANKING, Split, tuned
from benchmarks.convergence import LOSSES, SAMPLED, seconds_to_best
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.learning.training import train
from lethe.models import MODELS, configure

PROTOCOL = (
    "Each model with its tuned values on its own set, measured every few epochs on the set's validation part alone (its"
    " metric stands in the row's note). Seconds and epochs are those until the best value. Full square loss: every cell"
    " of a batch is scored, value and gradient being those of the non-sampling loss. Sampled negatives:"
    f" {SAMPLED} uniform items for each interaction. Rows of a model run one after the other, in one run. A row stopped"
    " before the others has only its seconds an epoch to compare: the full loss takes the epochs of the non-sampling"
    " one, times which `python -m benchmarks.seconds_to_best ratios` projects it."
)
SECONDS, EACH, EPOCHS, VALUE = "seconds to best", "seconds an epoch", "epochs to best", "validation value"
FASTEST, *_ = LOSSES


class Entry(NamedTuple):
    """A model on a set of ``collaborative.TUNING`` or ``side_data.TUNING``, and how many epochs each loss is given."""

    label: str
    model: str
    dataset: str
    epochs: int
    full_epochs: int
    """Fewer than ``epochs`` where an epoch takes minutes."""
    every: int


ENTRIES = (
    Entry("ENMF-U", "enmf-u", "ml-1m-loo", 200, 4, 20),
    Entry("EATNN", "eatnn", "ciao-eatnn", 200, 2, 10),
    Entry("EHCF", "ehcf", "taobao-mb", 120, 2, 10),
    Entry("GHCF", "ghcf", "taobao-mb", 100, 2, 10),
    Entry("ENSFM", "ensfm", "frappe-ensfm", 200, 2, 10),
    Entry("JNSKR", "jnskr", "book-crossing-kg", 200, 2, 10),
)
PUBLISHED: dict[str, dict[str, float | None]] = {"": {VALUE: None, EPOCHS: None}}


def rows(data_dir: Path) -> list[Row]:
    """The rows of every entry whose model there is."""
    return [_row(entry, kind, data_dir) for entry in ENTRIES if entry.model in MODELS for kind in LOSSES]


def label(entry: Entry, kind: str) -> str:
    return f"{entry.label}, {kind}"


def _row(entry: Entry, kind: str, data_dir: Path) -> Row:
    recipe = (collaborative.TUNING | side_data.TUNING)[entry.dataset]
    values = tuned(entry.dataset, entry.model)
    short = LOSSES[kind] is LOSSES["full square loss"] and entry.full_epochs < entry.epochs
    epochs = entry.full_epochs if short else entry.epochs
    every = 1 if short else entry.every

    def run(seed: int) -> Result:
        curve = seconds_to_best(
            entry.model,
            values,
            _read(entry.dataset, data_dir),
            LOSSES[kind],
            metric=recipe.metric,
            every=every,
            epochs=epochs,
            seed=seed,
        )
        best = max(curve, key=lambda point: point.value)
        last = curve[-1]
        times = {EACH: last.seconds / last.epochs}
        if short:
            return Result({}, last.seconds, times)
        found = {VALUE: best.value, EPOCHS: float(best.epochs)}
        return Result(found, last.seconds, {SECONDS: best.seconds, **times})

    decides = {
        "dataset": entry.dataset,
        "config": configure(entry.model, values).plain(),
        "loss": kind,
        "epochs": epochs,
        "every": every,
        "code": code_digest(train, *RANKING, MODELS[entry.model]),
    }
    note = f"{entry.dataset}, {recipe.metric}, {epochs} epochs" + (", not to the best" if short else "")
    return Row(label(entry, kind), run, decides, max_seeds=1, note=note, base=entry.label)


@cache
def _read(dataset: str, data_dir: Path) -> Split:
    """Train rows, those of validation as its test, and what is known beside them."""
    recipe = (collaborative.TUNING | side_data.TUNING)[dataset]
    return Split(dataset, *recipe.parts(data_dir, dataset), recipe.tables(data_dir))


def ratios(report: dict[str, Any]) -> list[str]:
    """A line for each row beside its model's non-sampling one: how many times as long an epoch and the best took."""
    figures = {
        row["model"]: {name: cell["mean"] for name, cell in row["metrics"].items()} | row["times"]
        for row in report["rows"]
    }
    lines = []
    for entry in ENTRIES:
        own = figures.get(label(entry, FASTEST))
        for kind in LOSSES:
            other = figures.get(label(entry, kind))
            if own is None or other is None or kind == FASTEST:
                continue
            line = f"{label(entry, kind)}: an epoch {other[EACH] / own[EACH]:.1f} x"
            if SECONDS in other:
                line += (
                    f", to the best {other[SECONDS] / own[SECONDS]:.1f} x ({other[VALUE]:.4f}, own {own[VALUE]:.4f})"
                )
            else:
                line += f", projected {other[EACH] * own[EPOCHS]:.0f} s to the best, own {own[SECONDS]:.0f} s"
            lines.append(line)
    return lines


app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _commands() -> None:
    """What belongs to this table alone."""


@app.command("ratios")
def _ratios() -> None:
    """Print, from the table's last report, how many times as long as the non-sampling loss the others took."""
    from benchmarks.commands.common import REPORTS

    typer.echo("\n".join(ratios(json.loads((REPORTS / "seconds-to-best.json").read_text(encoding="utf-8")))))


if __name__ == "__main__":
    app()
