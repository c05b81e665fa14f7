"""The table of the RA_LST paper on MovieLens-1M: long- and short-term taste, each user's newest tenth held out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.collaborative import PARAMS, TIMED, newest_parts, score, tuned
from benchmarks.commands.common import DATA, DataDir, this_command
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.evaluation.ranking import Score, evaluate_users
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.base import Config, Model
from lethe.models.parts.batches import negatives
from lethe.models.ra_lst import RALST
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix

PROTOCOL = (
    "MovieLens-1M in order of time (`pos`); each user's newest 10 % of ratings are test, as many before them"
    " validation, on which settings are tuned; models then learn from all ratings that aren't test, with times but"
    " without stars. ndcg@10: every item not among those is a candidate. ndcg_of_100@10: each test item among 99 drawn"
    " ones its user never rated, averaged over a user's items, then over users. rmse: test items as 1 against as many"
    " drawn items the user never rated as 0, each user's scores brought to [0, 1] by the least and greatest over all"
    " items; RA_LST's, weighted means of two such, as they are (rmse_stretched: brought to [0, 1] once more). RA_LST"
    " learns θ from the newest 10 % of what it is given, never from test. The paper states neither candidates nor"
    " scaling, so its figures are comparable in their order alone; its NDCG stands beside that of 100 candidates. A"
    " user's own history can't serve as a trivial rule here: no pair occurs twice."
)
AGAINST = ("MostPop", "ENMF, exact solver")
CUTOFF, CANDIDATES = 10, 100
_FULL, _SAMPLED = f"ndcg@{CUTOFF}", f"ndcg_of_{CANDIDATES}@{CUTOFF}"
PUBLISHED: dict[str, dict[str, float | None]] = {
    model: {_FULL: None, _SAMPLED: sampled, "rmse": rmse}
    for model, (sampled, rmse) in {
        "LFM": (0.3669, 0.3029),
        "GRU4Rec": (0.4346, 0.6352),
        "RA_LST": (0.4501, 0.1867),
    }.items()
}
PUBLISHED[""] = {"theta": None}

RANKED = "-ranked"
"""Ends the name of a model's settings with the θ that ranks best on validation, beside those where SGD chooses it."""
THETAS = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
_BLOCK = 256
"""Users scored at once."""


def _slow(note: str = "") -> dict[str, Any]:
    return {"max_seeds": 2, "note": f"{note}; at most 2 seeds" if note else "at most 2 seeds: slow"}


_FUSED: dict[str, Any] = {"baseline": False, "scaled": True}
_RANKED = "θ is the one of the best ndcg@10 on validation, not SGD's, so the GRU learns from all items"
_EXACT = "ours: WMF in place of the LFM"
_ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("MostPop", "mostpop", {"max_seeds": 1}),
    ("MostPop, seen items kept", "mostpop", {"masked": False, "max_seeds": 1}),
    ("ENMF, exact solver", "wmf", {"note": "ENMF's objective by alternating least squares (model wmf)"}),
    ("LFM", "implicit-lfm", {}),
    ("GRU4Rec", "gru4rec", _slow()),
    ("RA_LST", "ra-lst", _slow() | _FUSED),
    ("RA_LST, θ by ranking", "ra-lst", _slow(_RANKED) | _FUSED | {"ranked": True}),
    ("RA_LST, exact long part", "ra-lst-exact", _slow(_EXACT) | _FUSED),
    (
        "RA_LST, exact long part, θ by ranking",
        "ra-lst-exact",
        _slow(f"{_EXACT}; {_RANKED}") | _FUSED | {"ranked": True},
    ),
]


@dataclass(frozen=True)
class History:
    """What the rows learn from and are tested on."""

    known: Interactions
    test: Interactions

    @cached_property
    def digest(self) -> str:
        return f"{self.known.digest()}:{self.test.digest()}"

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.of(self.known)

    @cached_property
    def cells(self) -> InteractionMatrix:
        """The test pairs whose user and item can be scored."""
        return self.catalogue.encode(self.test)

    @cached_property
    def drawn(self) -> np.ndarray:
        """[n, 99] int64: for each of ``cells`` items that its user has in no part, the same for every row and seed."""
        both = self.catalogue.encode(Interactions.concatenate(self.known, self.test))
        users = np.repeat(self.cells.users, CANDIDATES - 1)
        generator = Stream(0)("benchmark", "ralst-ml1m").numpy("candidates")
        return negatives(both, users, generator).reshape(-1, CANDIDATES - 1)


def rows(data_dir: Path) -> list[Row]:
    """Trivial rules, a factorisation without time, the paper's rows."""
    parts = newest_parts(data_dir)
    data = History(Interactions.concatenate(parts["train"], parts["valid"]), parts["test"])
    return [_row(label, model, data, **options) for label, model, options in _ROWS]


def _row(
    label: str,
    model: str,
    data: History,
    *,
    masked: bool = True,
    scaled: bool = False,
    ranked: bool = False,
    **options: Any,
) -> Row:
    """A model with its tuned values.

    ``masked``: what a user has is no candidate; ``scaled``: scores are in [0, 1];
    ``ranked``: θ from the settings of that name and ``RANKED``.
    """
    values = tuned(TIMED, model) | (tuned(TIMED, model + RANKED) if ranked else {})
    config = configure(model, values, f"params.{TIMED}")

    def run(seed: int) -> Result:
        built, seconds = _train(model, config, data, seed)
        metrics, users = measure(lambda chosen: score(built, chosen), data, masked=masked, scaled=scaled)
        return Result(metrics | built.figures(), seconds, users=users)

    decides = {
        "data": data.digest,
        "model": model,
        "config": config.plain(),
        "masked": masked,
        "scaled": scaled,
        "code": code_digest(train, evaluate_users, negatives, MODELS[model]),
    }
    return Row(label, run, decides, **options)


def _train(model: str, config: Config, data: History, seed: int) -> tuple[Model, float]:
    """A trained model and the seconds of the processor that took."""
    built, matrix = MODELS[model](config, data.catalogue.shape), data.catalogue.encode(data.known)
    start = time.process_time()
    train(built, matrix, Stream(seed)("benchmark", model))
    return built, time.process_time() - start


def measure(
    score: Score, data: History, *, masked: bool = True, scaled: bool = False
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """All the table's metrics, and those of each user; of rmse, each user's mean square."""
    seen = data.known if masked else data.known.take(np.zeros(len(data.known), dtype=bool))
    users = evaluate_users(score, data.catalogue, seen, data.test, cutoffs=(CUTOFF,), metrics=("ndcg",))
    users.pop("cold_users")
    cells, people = data.cells, np.unique(data.cells.users)
    gains, own, stretched = np.empty(len(cells)), np.empty(len(cells)), np.empty(len(cells))
    for start in range(0, len(people), _BLOCK):
        block = people[start : start + _BLOCK]
        rows = slice(data.cells.indptr[block[0]], data.cells.indptr[block[-1] + 1])
        scores = score(block).astype(np.float64)
        line = np.searchsorted(block, cells.users[rows])
        right, others = scores[line, cells.items[rows]], scores[line[:, None], data.drawn[rows]]
        # Equal scores rank by item, as in the full ranking.
        first = data.drawn[rows] < cells.items[rows, None]
        rank = ((others > right[:, None]) | ((others == right[:, None]) & first)).sum(axis=1)
        gains[rows] = np.where(rank < CUTOFF, 1 / np.log2(rank + 2), 0.0)
        pair = np.stack([right, others[:, 0]])
        least, greatest = scores.min(axis=1)[line], scores.max(axis=1)[line]
        stretched[rows] = _square(np.divide(pair - least, greatest - least, where=greatest > least, out=0 * pair))
        own[rows] = _square(pair) if scaled else stretched[rows]
    counts = np.bincount(cells.users)[people]
    columns = {_SAMPLED: gains, "rmse": own, "rmse_stretched": stretched}
    users |= {name: np.bincount(cells.users, column)[people] / counts for name, column in columns.items()}
    metrics = {name: float(column.mean()) for name, column in users.items()}
    return metrics | {
        name: float(np.sqrt(column.mean())) for name, column in columns.items() if column is not gains
    }, users


def _square(pair: np.ndarray) -> np.ndarray:
    """Mean square error of scores [2, n] of an interaction and of a lacked item -> [n]."""
    return (np.square(pair[0] - 1) + np.square(pair[1])) / 2


app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _commands() -> None:
    """What belongs to this table alone."""


@app.command()
def theta(
    data_dir: DataDir = DATA,
    model: Annotated[str, typer.Option(help="ra-lst or ra-lst-exact.")] = "ra-lst",
    seed: Annotated[int, typer.Option()] = 2026,
) -> None:
    """Weigh RA_LST's parts by each θ, rank the validation part, and write params/ml-1m-seq/MODEL-ranked.yaml."""
    from lethe.build.trials import Tuned
    from lethe.build.tuning import write_tuned

    parts = newest_parts(data_dir)
    data = History(parts["train"], parts["valid"])
    built, _ = _train(model, configure(model, tuned(TIMED, model), f"params.{TIMED}"), data, seed)
    assert isinstance(built, RALST)
    learned, values = float(built.theta), {}
    for chosen in (learned, *THETAS):
        built.theta.fill_(chosen)
        metrics, _ = measure(lambda users: score(built, users), data, scaled=True)
        values[chosen] = metrics[_FULL]
        typer.echo(f"theta {chosen:.3f}  " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    best = max(THETAS, key=lambda chosen: values[chosen])
    found = Tuned(
        model, {"theta": best}, _FULL, values[best], values[learned], trials=len(THETAS), given_up=0, seed=seed
    )
    command = this_command("benchmarks.ralst_ml1m")
    note = f"Table: ralst-ml1m. One training, whose SGD came to θ {learned:.3f}: the start."
    write_tuned(PARAMS / TIMED / f"{model}{RANKED}.yaml", found, command, notes=[note])


if __name__ == "__main__":
    app()
