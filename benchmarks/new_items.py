"""Items that nobody has had: how well their content alone orders them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from benchmarks.side_data import read_table
from benchmarks.table import Result, Row
from lethe.core.environment import code_digest
from lethe.core.random import Stream
from lethe.evaluation.ranking import evaluate_users
from lethe.learning.aggregation import identity
from lethe.learning.sub_model import with_new_items
from lethe.learning.training import train
from lethe.learning.weighted import SubModel
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import InteractionMatrix
from lethe.tables.side_tables import SideTable, SideTables

DATASET = "ml-100k"
HELD_OUT = 10
"""One item in so many."""
SPAN = 5
"""Years that are one feature."""

PROTOCOL = (
    f"MovieLens-100k, every rating an interaction; a film's features are its genres and the {SPAN} years that it is of."
    f" All rows of one film in {HELD_OUT} are held out, of other films for each seed, and each person's held-out films"
    " are ranked among the held-out films alone, by what was learnt from the rest. Models have their default settings:"
    " nothing was tuned. Popular features: the mean rows of the known films with each of a film's features, averaged."
    " Own features: which share of the known films with each of a film's features the person had, summed. Hindsight:"
    " how many rows the held-out films have, which nobody knows beforehand."
)
CUTOFF = 10
PUBLISHED: dict[str, dict[str, float | None]] = {"": {f"recall@{CUTOFF}": None, f"ndcg@{CUTOFF}": None}}

Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Raw users [B] and raw items [n] -> scores [B, n]."""


class Known(NamedTuple):
    """What a row is made from: the rows that are not held out, and what is known of all films."""

    rows: Interactions
    tables: SideTables
    held_out: Interactions
    """For hindsight."""
    seed: int


def rows(data_dir: Path) -> list[Row]:
    """Three rules without learning, two models, and hindsight."""
    everything, tables = read(data_dir)
    fits: dict[str, tuple[Callable[[Known], Scores], Mapping[str, Any]]] = {
        "Random": (at_random, {}),
        "Popular features": (popular_features, {}),
        "Own features": (own_features, {}),
        "FM": (by_model("fm"), {"model": "fm", "config": configure("fm", {}).plain()}),
        "ENSFM": (by_model("ensfm"), {"model": "ensfm", "config": configure("ensfm", {}).plain()}),
        "Hindsight": (hindsight, {}),
    }

    def row(label: str, fit: Callable[[Known], Scores], more: Mapping[str, Any]) -> Row:
        code = code_digest(compare, fit if not more else with_new_items, *(MODELS[m] for m in [more.get("model")] if m))
        decides = {"data": everything.digest(), "tables": tables.digest(), "row": label, "code": code, **more}
        plain = label not in ("ENSFM", "FM", "Hindsight")
        return Row(label, lambda seed: compare(fit, everything, tables, seed), decides, baseline=plain)

    return [row(label, *how) for label, how in fits.items()]


def read(data_dir: Path) -> tuple[Interactions, SideTables]:
    """Every rating as an interaction; what is known of the films, any of which may be new."""
    pairs, films = read_table(data_dir, DATASET, "interactions"), read_table(data_dir, DATASET, "items")
    genres = films.assign(value=films["genres"].str.split()).explode("value").dropna(subset=["value"])
    years = films[films["release_year"].str.fullmatch(r"\d{4}")]
    spans = (years["release_year"].astype(int) // SPAN * SPAN).astype(str)
    items = np.concatenate([genres["item"], years["item"]])
    table = SideTable.of(
        "item_features",
        item=items,
        field=np.repeat(["genre", "year"], [len(genres), len(years)]),
        value=np.concatenate([genres["value"], spans]),
        weight=np.ones(len(items)),
    )
    tables = SideTables({"item_features": table, "items": SideTable.of("items", item=table["item"])})
    return Interactions.of(pairs["user"].to_numpy(), pairs["item"].to_numpy()), tables


def compare(fit: Callable[[Known], Scores], everything: Interactions, tables: SideTables, seed: int) -> Result:
    """Each person's held-out items among all that are held out."""
    items = np.unique(everything.item_ids)
    chosen = Stream(seed)("benchmark", "new items").numpy().permutation(len(items))[: len(items) // HELD_OUT]
    new = np.isin(everything.item_ids, items[chosen])
    known, held_out = everything.take(~new), everything.take(new)
    start = time.process_time()
    scores = fit(Known(known, tables, held_out, seed))
    seconds = time.process_time() - start
    candidates = Catalogue(Ids.of(known.user_ids), Ids.of(held_out.item_ids))
    raw = candidates.users.values, candidates.items.values
    users = evaluate_users(
        lambda rows: np.ascontiguousarray(scores(raw[0][rows], raw[1]), dtype=np.float32),
        candidates,
        known,
        held_out,
        cutoffs=[CUTOFF],
        metrics=["recall", "ndcg"],
    )
    return Result({name: float(users[name].mean()) for name in PUBLISHED[""]}, seconds)


def by_model(name: str) -> Callable[[Known], Scores]:
    """A model, as a shard of a project learns and serves it."""

    def fit(known: Known) -> Scores:
        rows, beside = known.rows, known.tables.of_rows(known.rows)
        catalogue = Catalogue.of(rows, beside)
        model = MODELS[name](configure(name, {}), catalogue.shape)
        train(model, catalogue.encode(rows, beside), Stream(known.seed)("benchmark", name))
        wide, ids = with_new_items(model, catalogue, known.tables)
        only = SubModel("whole", wide.eval(), ids)
        ensemble, _ = identity.fit([only], rows, identity.Config(), Stream(known.seed))
        return lambda users, items: ensemble.score(ids.users.encode(users))[:, ids.items.encode(items)]

    return fit


def at_random(known: Known) -> Scores:
    generator = Stream(known.seed)("benchmark", "random").numpy()
    return lambda users, items: generator.random((len(users), len(items)))


def popular_features(known: Known) -> Scores:
    """The same for everybody."""
    data, features, places = _features(known)
    counts = np.bincount(data.items, minlength=data.num_items)
    mean = (features.T @ counts) / _holders(features, data.item_counts)

    def score(users: np.ndarray, items: np.ndarray) -> np.ndarray:
        own = features[places(items)]
        return np.tile((own @ mean) / np.maximum(own.sum(axis=1), 1), (len(users), 1))

    return score


def own_features(known: Known) -> Scores:
    data, features, places = _features(known)
    shares = (data.csr() @ features).toarray() / _holders(features, data.item_counts)
    ids = Ids.of(known.rows.user_ids)
    return lambda users, items: shares[ids.encode(users)] @ features[places(items)].T.toarray()


def hindsight(known: Known) -> Scores:
    ids = Ids.of(known.held_out.item_ids)
    counts = np.bincount(ids.encode(known.held_out.item_ids))
    return lambda users, items: np.tile(counts[ids.encode(items)], (len(users), 1))


def _features(known: Known) -> tuple[InteractionMatrix, sp.csr_array, Callable[[np.ndarray], np.ndarray]]:
    """The rows that are known, what is known of all items [num_items, features], and where an item stands."""
    catalogue = Catalogue.of(known.rows, known.tables)
    wide = Catalogue(
        catalogue.users, Ids.of(catalogue.items.values, known.tables.tables["items"]["item"]), catalogue.side
    )
    dense = wide.encode_features(known.tables.tables["item_features"])
    parts = dense.weights, dense.columns, dense.indptr
    matrix = sp.csr_array(parts, shape=(len(wide.items), len(catalogue.side["item_features"])))
    return wide.encode(known.rows), matrix, wide.items.encode


def _holders(features: sp.csr_array, counts: np.ndarray) -> np.ndarray:
    """How many items that somebody had have each feature, at least 1 -> [features]."""
    return np.maximum(features.T @ (counts > 0), 1)
