"""The rating table on MovieLens-1M: LFM, BiasLFM, MiniBatchLFM and its batch sizes.

``python -m benchmarks.lfm_ml1m tune | ratios`` tunes a model for it, and sets its times in proportion.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.collaborative import PARAMS, tuned
from benchmarks.commands.common import DATA, WORK, DataDir, this_command
from benchmarks.side_data import read_table
from benchmarks.table import Result, Row
from lethe.config.dataset import RandomSplit
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.data.split import split
from lethe.evaluation.rating import Predict, evaluate_ratings
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.rating import RatingModel
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix

DATASET = "ml-1m"
PROTOCOL = (
    "MovieLens-1M, 80/20 at random by key, one split for all seeds. The published rows have the paper's learning"
    " rate, epochs and batch size; it does not state the embedding size, the start and λ, which are 64, N(0, .1²) and"
    " the best of .02, .05, .1 on validation. Tuned rows: all settings tuned on validation, a tenth of the 80 %, with"
    " the rest of it as train; the final models learn from the whole 80 %. Nothing was chosen on test. Predictions are"
    " clipped to the range of the training ratings, in all rows; rows of cold users and items are predicted and"
    " counted. MAE is mean |r - r̂|, the paper's formula (its listing takes |mean (r - r̂)|). Seconds are of the"
    " processor."
)
_FIGURES = {
    "LFM": (0.956, 0.782),
    "BiasLFM": (0.920, 0.728),
    "MiniBatchLFM": (0.903, 0.714),
    "MiniBatchLFM, batch 64": (0.930, 0.742),
    "MiniBatchLFM, batch 128": (0.913, 0.725),
    "MiniBatchLFM, batch 512": (0.909, 0.718),
    "MiniBatchLFM, batch 2048": (0.941, 0.753),
}
PUBLISHED = {model: dict(zip(("rmse", "mae"), figures, strict=True)) for model, figures in _FIGURES.items()}
ONE_A_STEP = {"compiled": "LFM", "interpreted": "LFM, interpreted"}
"""The rows of one-rating-a-step SGD that other rows' times are set against. The paper's 25.5 is against the second."""

_ALPHA = {64: 0.0015, 128: 0.0013, 512: 0.0016, 1024: 0.0018, 2048: 0.0001}
"""The paper's learning rate for each batch size."""
_AS_PUBLISHED: dict[str, Any] = {"epochs": 30, "decay": "constant", "embedding_dim": 64, "init_std": 0.1}
_LFM = _AS_PUBLISHED | {"learning_rate": 0.05, "reg": 0.05}
_BIAS_LFM = _AS_PUBLISHED | {"learning_rate": 0.05, "reg": 0.1}
TUNED = {"LFM, tuned": "lfm", "BiasLFM, tuned": "bias-lfm", "MiniBatchLFM, tuned": "minibatch-lfm", "ALS, tuned": "als"}


@dataclass(frozen=True)
class Ratings:
    """What the rows learn from and are tested on."""

    train: Interactions
    test: Interactions

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue.of(self.train)

    @cached_property
    def matrix(self) -> InteractionMatrix:
        return self.catalogue.encode(self.train)

    @cached_property
    def digest(self) -> str:
        return f"{self.train.digest()}:{self.test.digest()}"

    def result(self, predict: Predict, seconds: float) -> Result:
        """The metrics of all rows; for the significance test each user's mean square and mean absolute error."""
        metrics = evaluate_ratings(predict, self.catalogue, self.test)
        users, items = (
            ids.encode(column)
            for ids, column in ((self.catalogue.users, self.test.user_ids), (self.catalogue.items, self.test.item_ids))
        )
        assert self.test.ratings is not None
        errors = np.abs(self.test.ratings.astype(np.float64) - predict(users, items))
        _, person, counts = np.unique(self.test.user_ids, return_inverse=True, return_counts=True)
        means = {
            "rmse": np.bincount(person, np.square(errors)) / counts,
            "mae": np.bincount(person, errors) / counts,
        }
        return Result(metrics, seconds, users=means)


def read_parts(data_dir: Path) -> dict[str, Interactions]:
    """{"train", "valid", "test"}: 72, 8 and 20 % of the ratings. Raises DataError if they aren't there."""
    table = read_table(data_dir, DATASET, "interactions")
    everything = Interactions.of(*(table[name].to_numpy() for name in ("user", "item", "rating")))
    return split(everything, RandomSplit(valid=0.08, test=0.2), Stream(0)("benchmark", "lfm-ml1m"))


def rows(data_dir: Path) -> list[Row]:
    """Trivial rules, the paper's rows, its batch sizes, the tuned family, and the loop that its times are of."""
    parts = read_parts(data_dir)
    data = Ratings(Interactions.concatenate(parts["train"], parts["valid"]), parts["test"])
    mini = {
        size: _AS_PUBLISHED | {"learning_rate": rate, "reg": 0.02, "batch_size": size} for size, rate in _ALPHA.items()
    }
    return [
        _mean_row("Mean", data, by_item=False),
        _mean_row("ItemMean", data, by_item=True),
        _model_row("LFM", "lfm", data, _LFM),
        _model_row("BiasLFM", "bias-lfm", data, _BIAS_LFM),
        _model_row("MiniBatchLFM", "minibatch-lfm", data, mini.pop(1024), note="batch 1024"),
        *(_model_row(f"MiniBatchLFM, batch {size}", "minibatch-lfm", data, values) for size, values in mini.items()),
        *(_model_row(label, model, data, tuned(DATASET, model), baseline=False) for label, model in TUNED.items()),
        _model_row("MomentumMF", "momentum-mf", data, {}),
        _model_row("EmbeddingDot", "embedding-dot", data, {}, max_seeds=2, note="2 seeds: slow"),
        _interpreted_row(data),
    ]


def _model_row(label: str, model: str, data: Ratings, values: dict[str, Any], **options: Any) -> Row:
    config = configure(model, values)

    def run(seed: int) -> Result:
        built = MODELS[model](config, data.catalogue.shape)
        assert isinstance(built, RatingModel)
        matrix, start = data.matrix, time.process_time()
        train(built, matrix, Stream(seed)("benchmark", model))
        return data.result(predictor(built), time.process_time() - start)

    settings = {"data": data.digest, "model": model, "config": config.plain(), "code": _code(model)}
    return Row(label, run, settings, **options)


def predictor(model: RatingModel) -> Predict:
    """The model's ``predict`` over arrays."""
    return lambda users, items: model.predict(torch.from_numpy(users), torch.from_numpy(items)).numpy()


def _mean_row(label: str, data: Ratings, *, by_item: bool) -> Row:
    """Every rating the mean of the training ratings, or of the item's: what models say to a user they don't know."""

    def run(seed: int) -> Result:
        start = time.process_time()
        model = MODELS["lfm"](configure("lfm", {}), data.catalogue.shape)
        assert isinstance(model, RatingModel)
        model.prepare(data.matrix, Stream(seed))
        seconds, answer = time.process_time() - start, predictor(model)

        def predict(users: np.ndarray, items: np.ndarray) -> np.ndarray:
            nobody = np.full(len(items), -1)
            return answer(nobody, items if by_item else nobody)

        return data.result(predict, seconds)

    return Row(label, run, {"data": data.digest, "rule": label, "code": _code("lfm")}, max_seeds=1)


def _interpreted_row(data: Ratings) -> Row:
    """LFM as it is written without a compiler: a Python loop over the ratings, a step a handful of array operations."""
    config = configure("lfm", _LFM)

    def run(seed: int) -> Result:
        model = MODELS["lfm"](config, data.catalogue.shape)
        assert isinstance(model, RatingModel)
        model.prepare(data.matrix, Stream(seed)("benchmark", "lfm", "prepare"))
        start = time.process_time()
        _interpreted_sgd(data.matrix, model, Stream(seed)("benchmark", "lfm", "train"))
        return data.result(predictor(model), time.process_time() - start)

    settings = {"data": data.digest, "loop": "interpreted", "config": config.plain(), "code": _code("lfm")}
    note = "the same steps in the same order as row LFM, in a Python loop with numpy rows; 1 seed: slow"
    return Row("LFM, interpreted", run, settings, max_seeds=1, note=note)


def _interpreted_sgd(matrix: InteractionMatrix, model: RatingModel, stream: Stream) -> None:
    assert matrix.ratings is not None
    users, items = list(model.users.detach().numpy()), list(model.items.detach().numpy())
    rate, reg = np.float32(model.config.learning_rate), np.float32(model.config.reg)
    for epoch in range(model.config.epochs):
        order = stream.numpy("epoch", epoch).permutation(len(matrix))
        columns = (column[order].tolist() for column in (matrix.users, matrix.items))
        for user, item, rating in zip(*columns, matrix.ratings[order], strict=True):
            p, q = users[user], items[item]
            error = rating - p.dot(q)
            step = rate * (error * q - reg * p)
            q += rate * (error * p - reg * q)
            p += step


def _code(model: str) -> str:
    return code_digest(train, evaluate_ratings, MODELS[model])


app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def ratios() -> None:
    """Print how many times as long as each row one-rating-a-step SGD took, from the table's last report."""
    from benchmarks.commands.common import REPORTS

    report = json.loads((REPORTS / "lfm-ml1m.json").read_text(encoding="utf-8"))
    seconds = {row["model"]: row["seconds"] for row in report["rows"]}
    known = {kind: row for kind, row in ONE_A_STEP.items() if row in seconds}
    for model, own in seconds.items():
        compared = (f"{seconds[row] / own:8.2f} x {kind}" for kind, row in known.items())
        typer.echo(f"{model:26} {own:9.2f} s  {'  '.join(compared)}")


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help=f"One of {', '.join(TUNED.values())}.")],
    data_dir: DataDir = DATA,
    trials: Annotated[int, typer.Option(help="Settings to try.")] = 40,
    seed: Annotated[int, typer.Option()] = 2026,
) -> None:
    """Tune a model on the table's validation part, by RMSE, and write params/ml-1m/MODEL.yaml."""
    from lethe.build.objectives import Task
    from lethe.build.space import Space
    from lethe.build.tuning import Budget, search, write_tuned

    parts = read_parts(data_dir)
    known = Ratings(parts["train"], parts["valid"])

    def objective(built: Any) -> float:
        return -evaluate_ratings(predictor(built), known.catalogue, known.test)["rmse"]

    found = search(
        Space(model),
        Task(known.train, known.test, "-rmse", objective=objective),
        Budget(trials, seed),
        WORK / "tuning" / f"{DATASET}-{model}.sqlite",
        lambda trial: typer.echo(f"{model}  trial {trial.number}  {trial.value}  {trial.values}"),
    )
    write_tuned(
        PARAMS / DATASET / f"{model}.yaml", found, this_command("benchmarks.lfm_ml1m"), notes=["Table: lfm-ml1m."]
    )


if __name__ == "__main__":
    app()
