"""What of the sources is there: ``coverage.yaml``, checked against the code and the committed results.

An item is measured, measured in part, built but not measured, missing though it could be built, or can't be had. Which
of these it is follows from what it names; everything that it names must exist.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from benchmarks import ROOT
from benchmarks.claims import VERDICTS, Comparison, Figures, verdict
from benchmarks.figures import FOLDER, read_figures
from benchmarks.page import grid, page
from benchmarks.table import TABLES, Table, module_of
from lethe.config.section import Section, read_yaml
from lethe.data.partition import PARTITIONS
from lethe.errors import ConfigError, DataError
from lethe.evaluation.metrics import METRICS
from lethe.evaluation.rating import ERRORS
from lethe.learning.aggregation import AGGREGATORS
from lethe.models import MODELS

FILE = ROOT / "benchmarks" / "coverage.yaml"

State = Literal["measured", "measured in part", "built, not measured", "missing", "can't be had"]
STATES: tuple[State, ...] = ("measured", "measured in part", "built, not measured", "missing", "can't be had")
BEYOND = "beyond"
"""The group of what no source names."""

NAMES: dict[str, Iterable[str]] = {
    "model": MODELS,
    "metric": METRICS | ERRORS,
    "partition": PARTITIONS,
    "aggregator": AGGREGATORS,
}
"""Keys of an item that name entries of the code's tables."""


class Item(Section):
    """One system, table, figure or claim of a source."""

    kind: Literal["system", "table", "figure", "claim", "metric", "data", "function", "theory", "future"]
    what: str
    """Short, in our words."""
    model: tuple[str, ...] = ()
    metric: tuple[str, ...] = ()
    partition: tuple[str, ...] = ()
    aggregator: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    """Modules, or names within them."""
    test: tuple[str, ...] = ()
    """Files that show what no result shows."""
    results: dict[str, tuple[str, ...]] = Field({})
    """Reports of benchmarks/results, with rows of them; none for the whole."""
    part: str = ""
    """What of it the results don't cover."""
    better: tuple[Comparison, ...] = ()
    """Of a claim: what it says of rows in the results."""
    note: str = ""
    """Of a claim: what to know beside the figures."""
    missing: str = ""
    """Why it is not there, though it could be."""
    cannot: str = ""
    """Why it can't be had."""

    @model_validator(mode="after")
    def _is_in_one_state(self) -> Self:
        built = any([*(getattr(self, name) for name in NAMES), self.code, self.test])
        measured = bool(self.results or self.better)
        if bool(self.missing) + bool(self.cannot) + (built or measured) != 1:
            raise ValueError("must name where it is, or say why it is missing, or why it can't be had: one of them")
        if self.part and not self.results:
            raise ValueError("'part' is said of results; there are none")
        if (self.kind == "claim") != bool(self.better) and not self.missing:
            raise ValueError("a claim, and nothing else, says what is better")
        return self

    @property
    def state(self) -> State:
        if self.cannot:
            return "can't be had"
        if self.missing:
            return "missing"
        if self.results or self.better:
            return "measured in part" if self.part else "measured"
        return "built, not measured"

    @property
    def names_rows(self) -> dict[str, set[str]]:
        """{report: rows} of all that it refers to."""
        rows = {table: set(names) for table, names in self.results.items()}
        for comparison in self.better:
            rows.setdefault(comparison.table, set()).update((comparison.row, *comparison.than))
        return rows


class Coverage(Section):
    """The items of each source, in its order."""

    sources: dict[str, tuple[Item, ...]]

    @classmethod
    def read(cls, path: Path = FILE) -> Coverage:
        """Raises ConfigError with item and rule."""
        return cls.parse({"sources": read_yaml(path)}, path.name)

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(item for items in self.sources.values() for item in items)

    def faults(self, figures: Figures) -> list[str]:
        """What the items name and the code or the results don't have, and what these have that no item names."""
        found = [f"{item.what}: {fault}" for item in self.items for fault in _faults(item, figures)]
        for kind in ("model", "aggregator"):
            named = {name for item in self.items for name in getattr(item, kind)}
            unnamed = set(NAMES[kind]) - named - {"identity"}
            found += [f"{kind} {name} is named by no item" for name in sorted(unnamed)]
        named = {table for item in self.items for table in item.names_rows}
        # A table that nobody has run yet is named by its module.
        code = {name for item in self.items for name in item.code}
        built = {name for name in TABLES if module_of(name) in code}
        found += [f"table {name} is named by no item" for name in TABLES if name not in named | built | _OWN]
        drawn, declared = figures.below(FOLDER), {f"{FOLDER}/{name}" for name in read_figures()}
        found += [f"{name} is named by no item" for name in sorted(drawn - named)]
        return found + [f"{name} is not in figures.yaml" for name in sorted(drawn - declared)]

    def unmade(self, data_dir: Path) -> list[str]:
        """Rows that it names and the tables' modules, over the data, don't make. Raises DataError without the data."""
        named: dict[str, set[str]] = {}
        for item in self.items:
            for table, rows in item.names_rows.items():
                named.setdefault(table, set()).update(rows)
        return [
            f"{table}'s module makes no row {row!r}"
            for table in TABLES
            for row in sorted(named.get(table, set()) - {made.model for made in Table.load(table, data_dir).rows})
        ]


_OWN = frozenset({"activity-groups", "multibehaviour-taobao-mb-clean", "receraser-retrain-ml1m"})
"""Tables that ask questions of our own."""


def _faults(item: Item, figures: Figures) -> list[str]:
    found = [
        f"{kind} {name!r} is not in the code's table"
        for kind, known in NAMES.items()
        for name in getattr(item, kind)
        if name not in known
    ]
    found += [f"{path} is not there" for path in item.test if not (ROOT / path).is_file()]
    found += [f"{name} can't be imported" for name in item.code if not _exists(name)]
    for table, rows in item.names_rows.items():
        try:
            known_rows = figures.rows(table)
        except DataError as error:
            found.append(str(error))
            continue
        found += [f"{table} has no row {row!r}" for row in sorted(rows - known_rows)]
    for comparison in item.better:
        try:
            verdict([comparison], figures)
        except DataError as error:
            found.append(str(error))
    return found


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or leads to something within one."""
    module, rest = name, []
    while module:
        try:
            value: Any = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            continue
        for part in rest:
            value = getattr(value, part, None)
        return value is not None
    return False


def report(coverage: Coverage, figures: Figures, command: str) -> tuple[dict[str, Any], str]:
    """Counts over the sources, then every item with its state. Raises ConfigError where file and code differ."""
    if faults := coverage.faults(figures):
        raise ConfigError(f"{FILE.name}: {len(faults)} faults: {'; '.join(faults)}")
    counts = {source: Counter(item.state for item in items) for source, items in coverage.sources.items()}
    of_sources = sum((count for source, count in counts.items() if source != BEYOND), Counter())
    said = Counter(verdict(item.better, figures) for item in coverage.items if item.better)
    contents = {
        "table": "coverage",
        "command": command,
        "items": of_sources.total(),
        **{state: of_sources[state] for state in STATES},
        "claims": {each: said[each] for each in VERDICTS},
        "sources": {source: [_entry(item, figures) for item in items] for source, items in coverage.sources.items()},
    }
    return contents, _text(contents, counts)


def _entry(item: Item, figures: Figures) -> dict[str, Any]:
    where = [f"{kind} {name}" for kind in NAMES for name in getattr(item, kind)] + [*item.code, *item.test]
    entry: dict[str, Any] = {"kind": item.kind, "what": item.what, "state": item.state, "where": where}
    entry |= {"results": {table: sorted(rows) for table, rows in item.names_rows.items()}}
    entry |= {"why": item.cannot or item.missing or item.part}
    return entry | {"claim": verdict(item.better, figures)} if item.better else entry


def _text(contents: dict[str, Any], counts: dict[str, Counter[State]]) -> str:
    said = (
        "Measured is what a committed result shows; what is only built is said to be so. The last line is beyond\n"
        "what the sources name and in no sum. Claims are in docs/what-we-found.md."
    )
    total = ["all", contents["items"], *(contents[state] for state in STATES)]
    rows = [[source, count.total(), *(count[state] for state in STATES)] for source, count in counts.items()]
    rows.insert(-1 if BEYOND in counts else len(rows), total)
    claims = ", ".join(f"{count} {verdict}" for verdict, count in contents["claims"].items())
    blocks = [said, grid(["source", "items", *STATES], rows), f"Claims: {claims}."]
    for source, entries in contents["sources"].items():
        blocks += [f"## {source}", grid(("kind", "what", "state", "where", "why"), map(_cells, entries))]
    return page("coverage", f"`{contents['command']}`", *blocks)


def _cells(entry: dict[str, Any]) -> list[str]:
    state = f"{entry['state']}; {entry['claim']}" if "claim" in entry else entry["state"]
    where = entry["where"] + [f"results/{table}" for table in entry["results"]]
    return [entry["kind"], entry["what"].replace("|", "\\|"), state, ", ".join(where) or "–", entry["why"] or "–"]
