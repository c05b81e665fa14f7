"""What a published table is, and how its rows are run and resumed; ``report`` says what comes of it.

A table NAME is a module ``benchmarks/NAME.py`` (dashes as underscores) with three names:

    PROTOCOL   str: data, split, candidates, denominators, what the settings were tuned on
    PUBLISHED  {model: {metric: value or None}}: the paper's figures; its metrics are the columns of the printed table
    rows(data_dir: Path) -> list[Row]: reads the data, trains nothing

and, if it has them,

    plot(report, axes)   draws a figure of the report, NAME.svg beside it
    AGAINST              names of rows that every row is tested against besides the best baseline

A module that makes several (``SHARED``) has instead TABLES, {NAME: Definition}.

Columns that no paper has stand under the model "", with None for figures.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import Say
from benchmarks.budget import Spent
from lethe.core.canonical import canonical_json, digest_json
from lethe.core.environment import numeric_environment
from lethe.errors import ConfigError

TABLES = (
    "enmf-ml1m",
    "receraser-retrain-ml1m",
    "lfm-ml1m",
    "anime",
    "enmf-ciao",
    "receraser-ml1m",
    "bad-data",
    "attribute-inference",
    "aggregators",
    "partitions",
    "num-shards",
    "activity-groups",
    "forget-cost",
    "receraser-time",
    "ralst-ml1m",
    "seconds-to-best",
    "eatnn-ciao",
    "eatnn-attention",
    "multibehaviour-taobao-mb",
    "multibehaviour-taobao-mb-clean",
    "multibehaviour-beibei",
    "multibehaviour-taobao",
    "ensfm-frappe",
    "ensfm-ml1m",
    "jnskr-amazon-book",
    "knowledge-book-crossing",
    "knowledge-ml1m",
    "new-items",
)

SHARED = dict.fromkeys(("multibehaviour-beibei", "multibehaviour-taobao"), "multibehaviour-buy-cart")
"""Tables that are made by one module, which has another name."""


@dataclass(frozen=True)
class Result:
    """One row under one seed."""

    metrics: dict[str, float]
    seconds: float
    """Of the processor, training alone, one thread: a busy machine changes them little."""
    times: dict[str, float] = field(default_factory=dict)
    """{name: seconds of the processor}: parts of them; columns of their own, never compared with a committed table."""
    users: dict[str, np.ndarray] = field(default_factory=dict)
    """{metric: [U]}, aligned over rows and seeds: what the significance test pairs. Without it seeds are paired."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    model: str
    """As the paper prints it."""
    run: Callable[[int], Result]
    """Seed -> result."""
    settings: dict[str, Any]
    """All that decides the result besides the seed (hyper-parameters, digests of data and code): a result is re-used
    only where they are equal."""
    baseline: bool = True
    """Whether the best of a metric may be looked for here when others are tested against it."""
    max_seeds: int | None = None
    """For slow rows."""
    note: str = ""
    base: str = ""
    """The model that the row builds on, where a table has several: baselines of another base are none of its."""
    spent: Spent | None = None
    """On choosing its settings; None where there is nothing to choose."""


def module_of(name: str) -> str:
    """The module that makes a table."""
    return f"benchmarks.{SHARED.get(name, name).replace('-', '_')}"


@dataclass(frozen=True)
class Definition:
    """What a module says of a table."""

    protocol: str
    published: dict[str, dict[str, float | None]]
    rows: Callable[[Path], list[Row]]
    plot: Callable[[dict[str, Any], Any], None] | None = None
    against: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str) -> Definition:
        module = importlib.import_module(module_of(name))
        if name in SHARED:
            shared: Definition = module.TABLES[name]
            return shared
        optional = getattr(module, "plot", None), getattr(module, "AGAINST", ())
        return cls(module.PROTOCOL, module.PUBLISHED, module.rows, *optional)


@dataclass(frozen=True)
class Table:
    name: str
    protocol: str
    published: dict[str, dict[str, float | None]]
    rows: list[Row]
    plot: Callable[[dict[str, Any], Any], None] | None = None
    against: tuple[str, ...] = ()

    @classmethod
    def load(cls, name: str, data_dir: Path) -> Table:
        """The table of that name over the data in ``data_dir``. Raises ConfigError, DataError."""
        if name not in TABLES:
            raise ConfigError(f"--table: unknown table {name!r}; known tables: {', '.join(TABLES)}")
        made = Definition.of(name)
        return cls(name, made.protocol, made.published, made.rows(data_dir), made.plot, made.against)

    def only(self, models: Iterable[str]) -> Table:
        """The table without the other rows; all of them if ``models`` is empty. Raises ConfigError."""
        known, wanted = [row.model for row in self.rows], list(models)
        for model in wanted:
            if model not in known:
                raise ConfigError(f"--row: unknown row {model!r}; known rows: {', '.join(known)}")
        kept = [row for row in self.rows if not wanted or row.model in wanted]
        return replace(self, rows=kept)


def published(name: str) -> dict[str, dict[str, float | None]]:
    """What the papers of a table print, and its columns."""
    return Definition.of(name).published


def run_table(table: Table, seeds: int, work: Path | None, say: Say = print) -> dict[str, list[Result]]:
    """Results of every row, for seeds 1, 2, ...; those that lie in the folder ``work`` are not made again.

    Raises ConfigError if ``seeds`` < 1.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds: {seeds} must be at least 1")
    results: dict[str, list[Result]] = {}
    for row in table.rows:
        results[row.model] = []
        for seed in range(1, min(seeds, row.max_seeds or seeds) + 1):
            result = resumed(row, seed, work)
            results[row.model].append(result)
            printed = columns(table.published, result.metrics)
            figures = " ".join(f"{metric} {result.metrics[metric]:.4f}" for metric in printed)
            say(f"{table.name}  {row.model}  seed {seed}  {figures}  {result.seconds:.1f} s")
    return results


def resumed(row: Row, seed: int, work: Path | None) -> Result:
    """A row's result under a seed: the one that lies in the folder ``work``, else made now and put there."""
    if work is None:
        return row.run(seed)
    key = digest_json({"settings": row.settings, "seed": seed, "environment": numeric_environment("cpu")})
    path = work / f"{key[:32]}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            info = json.loads(str(stored["info"]))
            users = {name.removeprefix("users/"): stored[name] for name in stored.files if name != "info"}
        return Result(info["metrics"], info["seconds"], info.get("times", {}), users)
    result = row.run(seed)
    info = {
        "model": row.model,
        "seed": seed,
        "metrics": result.metrics,
        "seconds": result.seconds,
        "times": result.times,
    }
    arrays: dict[str, Any] = {f"users/{name}": column for name, column in result.users.items()}
    work.mkdir(parents=True, exist_ok=True)
    # A name that np.load never looks for until it is whole.
    temporary = path.with_suffix(".part.npz")
    np.savez_compressed(temporary, info=np.array(canonical_json(info).decode()), **arrays)
    temporary.replace(path)
    return result


def columns(published: dict[str, dict[str, float | None]], measured: Iterable[str]) -> list[str]:
    """Metrics that the paper prints and that were measured, in the paper's order."""
    printed, known = dict.fromkeys(metric for figures in published.values() for metric in figures), set(measured)
    return [metric for metric in printed if metric in known]
