"""Every model tuned on two datasets, each within the same time: what that gains on validation, and what of it holds on
the test part.

Validation chooses, so there the outcome is never worse than the settings that a search begins with, which it tries
first; the test part was never looked at, and says whether the gain is one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks import Say
from benchmarks.page import grid, page
from benchmarks.runs import kept
from lethe.build.attempt import Attempt, attempt
from lethe.build.checks import what_it_has
from lethe.build.judging import judged_by
from lethe.build.objectives import Task
from lethe.build.space import Space
from lethe.build.tuning import Budget, read_task, search
from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.models import MODELS, configure, rates
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.likes import likes

DATASETS = ("made", "made-sequences", "made-contexts", "made-contexts-again")
"""From few rows to many; a model is tuned on the first two that have all it reads."""
ROWS = {"users": 400, "items": 200, "interactions_per_user": 20}
"""As in params.yaml's datasets of these names."""
SEED = 2026
SECONDS = 15.0
"""Of one search, of the processor, so that other work on the machine takes no trials away; the settings that it begins
with are trained even where that takes longer."""
DIGITS = 5
"""Values that agree so far are called equal."""


@dataclass(frozen=True)
class Row:
    """What a search came to; of errors less is better, of all other metrics more."""

    model: str
    dataset: str
    metric: str
    default: float
    """On validation, by the settings that the search began with."""
    tuned: float
    test_default: float
    test_tuned: float
    trials: int
    given_up: int
    seconds: float
    edges: tuple[str, ...]
    less: bool
    """Whether less is better."""

    def on(self, part: str) -> str:
        """Whether tuning made it better, equal or worse there."""
        before, after = (self.default, self.tuned) if part == "validation" else (self.test_default, self.test_tuned)
        gain = round(before - after if self.less else after - before, DIGITS)
        return "equal" if gain == 0 else "better" if gain > 0 else "worse"


def params_of(rows: Mapping[str, int]) -> Json:
    """params.yaml of a project with the four datasets, all in one shard."""
    source = {"kind": "synthetic", **rows}
    longer = {**source, "interactions_per_user": 2 * source["interactions_per_user"], "memory": 2}
    beside, split = {"side": True, "contexts": True}, {"valid": 0.1, "test": 0.1}
    sources = {
        "made": ({**source, "side": True}, "newest"),
        "made-sequences": (longer, "newest"),
        "made-contexts": ({**source, **beside}, "random"),
        "made-contexts-again": ({**source, **beside, "seed": 1}, "random"),
    }
    return {
        "seed": SEED,
        "pipeline": {"datasets": list(DATASETS), "shardings": ["whole"]},
        "datasets": {name: {"source": made, "split": {"by": by, **split}} for name, (made, by) in sources.items()},
        "shardings": {"whole": {"partition": "whole", "num_shards": 1, "aggregator": "identity"}},
        "families": {"made": {"dataset": "made", "candidates": [{"model": "mostpop", "sharding": "whole"}]}},
        "training": {"metric": "ndcg@10", "device": "cpu"},
    }


def project(folder: Path, rows: Mapping[str, int]) -> Workspace:
    """A project whose data stages have run; an older one with the same params stays."""
    workspace, text = Workspace(folder), yaml.safe_dump(params_of(rows), sort_keys=False)
    if workspace.params.is_file() and workspace.params.read_text(encoding="utf-8") == text:
        return workspace
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "params.new.yaml"
    write_whole(unfinished, text)
    params = Params.read(unfinished)
    for name in DATASETS:
        build_data(workspace, params, name, ["whole"])
    unfinished.rename(workspace.params)
    return workspace


def fitting(params: Params, model: str) -> list[str]:
    """The first two datasets that have all that a model reads."""
    kind = MODELS[model]
    reads = {*kind.needs, *kind.optional, *(["ratings"] if rates(model) else [])}
    return [name for name in DATASETS if reads <= (what_it_has(params.datasets[name]) or set())][:2]


def tuned_row(
    workspace: Workspace, params: Params, model: str, dataset: str, seconds: float, trials: int | None
) -> Row:
    """One search, as ``lethe tune`` makes it, and both settings on the test part."""
    begun = time.process_time()
    task = read_task(workspace, params, model, dataset, judged_by(params, model))
    catalogue = Catalogue.of(task.rows)
    space = Space(model, {}, None, min(len(catalogue.users), len(catalogue.items)))
    # More trials than any space has: only the time ends it.
    budget = Budget(trials or 10**9, SEED, seconds=seconds, clock=time.process_time)
    tuned = search(space, task, budget, workspace.state / "tuning" / f"{dataset}-{model}.sqlite")
    took = time.process_time() - begun
    if tuned.default is None:
        raise AssertionError(f"{model} on {dataset}: its defaults came to no value")
    start, chosen = space.start(), configure(model, tuned.values).plain()
    before = _tested(workspace, params, task, model, dataset, start)
    after = before if chosen == start else _tested(workspace, params, task, model, dataset, chosen)
    less = rates(model)
    sign = -1 if less else 1
    return Row(
        model=model,
        dataset=dataset,
        metric=task.metric,
        default=round(sign * tuned.default, DIGITS),
        tuned=round(sign * tuned.value, DIGITS),
        test_default=round(sign * before, DIGITS),
        test_tuned=round(sign * after, DIGITS),
        trials=tuned.trials,
        given_up=tuned.given_up,
        seconds=round(took, 1),
        edges=tuned.edges,
        less=less,
    )


def _tested(workspace: Workspace, params: Params, task: Task, model: str, dataset: str, config: Json) -> float:
    """Trained on the training rows with the seed of the search, and held against the test part instead."""
    positive = None if rates(model) else params.datasets[dataset].threshold
    test = likes(Interactions.read(workspace.split(dataset, "test")), positive)
    value = attempt(replace(task, valid=test, read=None), Attempt(model, config, SEED, "cpu", {})).value
    if value is None:
        raise AssertionError(f"{model} on {dataset}: what was tuned can't be trained again")
    return value


def measure(
    folder: Path,
    models: Sequence[str],
    seconds: float,
    say: Say,
    *,
    trials: int | None = None,
    rows: Mapping[str, int] = ROWS,
) -> list[Row]:
    """A row for each model and dataset; those that are done are kept in ``folder`` and not made again."""
    workspace = project(folder / "project", rows)
    params = Params.read(workspace.params)
    made: list[Row] = []
    for model in models:
        for dataset in fitting(params, model):
            path = folder / "rows" / f"{model}--{dataset}--{seconds:g}--{trials or 'all'}.json"

            def tune(model: str = model, dataset: str = dataset) -> dict[str, Any]:
                row = tuned_row(workspace, params, model, dataset, seconds, trials)
                say(f"{row.model} on {row.dataset}: {row.metric} {row.default} → {row.tuned}, {row.trials} trials")
                return asdict(row)

            values = kept(path, tune)
            made.append(Row(**values | {"edges": tuple(values["edges"])}))
    return made


def report(rows: Sequence[Row], seconds: float, command: str) -> tuple[dict[str, Any], str]:
    """For reports/tables/tune-all.json, and as a table."""
    counts = {part: Counter(row.on(part) for row in rows) for part in ("validation", "test")}
    said = "; ".join(
        f"on {part} {', '.join(f'{count[word]} {word}' for word in ('better', 'equal', 'worse'))}"
        for part, count in counts.items()
    )
    summary = (
        f"{len({row.model for row in rows})} models, each tuned on two datasets for {seconds:g} s of the processor a"
        f" search, by one thread. Of {len(rows)} searches {said}. Validation chooses; the test part was not looked at"
        " before, and a gain there is one that holds. Both learn the training rows and are ranked against the items"
        " that these don't have. A model whose defaults take longer than the time is tried with those alone."
    )
    text = page("tune-all", f"`{command}`", summary, grid(HEAD, map(_cells, rows), right=range(3, 10)))
    contents = {"table": "tune-all", "command": command, "seconds": seconds, "rows": [asdict(row) for row in rows]}
    return contents | {part: dict(count) for part, count in counts.items()}, text


HEAD = (
    *("model", "dataset", "metric", "default", "tuned", "test: default", "tuned"),
    *("trials", "given up", "seconds", "edges"),
)


def _cells(row: Row) -> tuple[object, ...]:
    validation = (f"{row.default:.4f}", f"{row.tuned:.4f} {_mark(row, 'validation')}")
    test = (f"{row.test_default:.4f}", f"{row.test_tuned:.4f} {_mark(row, 'test')}")
    took = (row.trials, row.given_up, f"{row.seconds:.1f}", ", ".join(row.edges))
    return (row.model, row.dataset, row.metric, *validation, *test, *took)


def _mark(row: Row, part: str) -> str:
    return {"better": "+", "equal": "=", "worse": "−"}[row.on(part)]
