"""The table of source 003 on anime ratings: train and validation error of factorisations, and of an MLP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.budget import Spent
from benchmarks.collaborative import spent, tuned
from benchmarks.lfm_ml1m import Ratings, predictor
from benchmarks.side_data import anime_ratings
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.evaluation.rating import evaluate_ratings
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.models.parts.rating import RatingModel

DATASET = "anime-5k"
PROTOCOL = (
    "Anime ratings, 1 to 10, of 5,000 users; the article has 69,600 users of the same source, so its figures (6.03 in"
    " training and 11.74 in validation, by momentum) are of other rows. 80/20 at random by key, one split for all"
    " seeds: mse is of the 20 %, mse on train of the 80 %. Predictions are clipped to the range of the training"
    " ratings; rows of cold users and items are predicted and counted. Settings are searched on a tenth of the 80 %,"
    " from the models' defaults, which have a row of their own, and never on the 20 %."
)
ERRORS = ("mse", "rmse", "mae")
ON_TRAIN = "mse on train"
PUBLISHED: dict[str, dict[str, float | None]] = {
    "MomentumMF, defaults": {"mse": 11.74, ON_TRAIN: 6.03},
    "": {"rmse": None, "mae": None},
}
ROWS = {
    "LFM": "lfm",
    "BiasLFM": "bias-lfm",
    "MiniBatchLFM": "minibatch-lfm",
    "ALS": "als",
    "MomentumMF": "momentum-mf",
    "EmbeddingDot": "embedding-dot",
    "MLP": "rating-mlp",
}


def rows(data_dir: Path) -> list[Row]:
    parts = anime_ratings(data_dir)
    data = Ratings(parts["train"], parts["valid"])
    made = []
    for label, model in ROWS.items():
        made.append(_row(f"{label}, defaults", model, data, {}, None))
        if searched := tuned(DATASET, model):
            made.append(_row(label, model, data, searched, spent(DATASET, model)))
    return made


def _row(label: str, model: str, data: Ratings, values: Mapping[str, Any], chosen: Spent | None) -> Row:
    config = configure(model, dict(values))

    def run(seed: int) -> Result:
        built = MODELS[model](config, data.catalogue.shape)
        assert isinstance(built, RatingModel)
        matrix, start = data.matrix, time.process_time()
        train(built, matrix, Stream(seed)("benchmark", model))
        seconds, predict = time.process_time() - start, predictor(built)
        metrics = evaluate_ratings(predict, data.catalogue, data.test, ERRORS)
        metrics[ON_TRAIN] = evaluate_ratings(predict, data.catalogue, data.train, ("mse",))["mse"]
        users = data.result(predict, seconds).users
        return Result(metrics, seconds, users={"mse": np.asarray(users["rmse"]), **users})

    settings = {
        "data": data.digest,
        "model": model,
        "config": config.plain(),
        "code": code_digest(train, evaluate_ratings, MODELS[model]),
    }
    note = "two embeddings and further layers" if model == "rating-mlp" else ""
    return Row(label, run, settings, note=note, spent=chosen)
