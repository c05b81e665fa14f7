"""The research sets that have side data, as the ranking tables read them: parts, and tables beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.collaborative import Split, Tuning, read_part
from lethe.config.dataset import RandomSplit
from lethe.core.random import Stream, keyed_hash
from lethe.data.split import split
from lethe.errors import DataError
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

SEED = 2026
"""Of what is drawn here: validation rows, and the splits of sets that come without one."""
FRAPPE_FIELDS = [f"ctx{place}" for place in range(1, 8)]


def read_table(data_dir: Path, dataset: str, part: str) -> pd.DataFrame:
    """A file of a set. Raises DataError if it isn't there."""
    path = data_dir / dataset / f"{part}.parquet"
    if not path.is_file():
        raise DataError(f"--data-dir: {path} is not there; name the folder that holds {dataset}/{part}.parquet")
    return pd.read_parquet(path)


def frappe(data_dir: Path) -> Split:
    """App usage in seven context fields; one feature of an item."""
    parts = [read_table(data_dir, "frappe-ensfm", part) for part in ("train", "test")]
    contextual = [
        Interactions.of(
            part["user"].to_numpy(), part["item"].to_numpy(), contexts={f: part[f].to_numpy() for f in FRAPPE_FIELDS}
        )
        for part in parts
    ]
    return Split("frappe-ensfm", *contextual, SideTables({"item_features": _features("item", parts[0], ["f_item"])}))


def frappe_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Of as many (user, contexts) as are tested, among those with two rows or more, one row at random."""
    whole = frappe(data_dir)
    rows = whole.train
    frame = pd.DataFrame({"user": rows.user_ids, **rows.contexts})
    rank = Stream(SEED)(dataset).numpy("valid").permutation(len(frame))
    groups = frame.assign(rank=rank).groupby(["user", *FRAPPE_FIELDS], sort=False)["rank"]
    first = (groups.transform("min") == rank) & (groups.transform("size") > 1)
    held = np.zeros(len(frame), dtype=bool)
    chosen = np.flatnonzero(first)
    held[chosen[np.argsort(rank[chosen])][: len(whole.test)]] = True
    return rows.take(~held), rows.take(held)


def ml1m_features(data_dir: Path) -> Split:
    """MovieLens-1M with gender, age and occupation of the users and the first genre of the items."""
    parts = [read_table(data_dir, "ml-1m-ensfm", part) for part in ("train", "test")]
    pairs = [Interactions.of(part["user"].to_numpy(), part["item"].to_numpy()) for part in parts]
    both = pd.concat(parts)
    tables = {
        "user_features": _features("user", both, ["f_gender", "f_age", "f_occupation"]),
        "item_features": _features("item", both, ["f_genre"]),
    }
    return Split("ml-1m-ensfm", *pairs, SideTables(tables))


def newest_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train without the newest row of each user, and those rows."""
    rows = ml1m_features(data_dir).train
    times = read_table(data_dir, "ml-1m", "interactions").set_index(["user", "item"])["pos"]
    place = times.loc[pd.MultiIndex.from_arrays([rows.user_ids, rows.item_ids])].to_numpy()
    newest = place == pd.Series(place).groupby(rows.user_ids).transform("max").to_numpy()
    return rows.take(~newest), rows.take(newest)


def amazon_book(data_dir: Path) -> Split:
    """Books and what is one hop away from them in a knowledge graph whose relations are lost: one relation for all."""
    links = read_table(data_dir, "amazon-book-jnskr", "kg_links_untyped")
    triples = _triples(links["item"], np.full(len(links), "linked"), links["entity"])
    parts = (read_part(data_dir, "amazon-book-jnskr", part) for part in ("train", "test"))
    return Split("amazon-book-jnskr", *parts, triples)


def tenth_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """A keyed tenth of train held out."""
    parts = split(amazon_book(data_dir).train, RandomSplit(valid=0.1, test=0.0), Stream(SEED)(dataset))
    return parts["train"], parts["valid"]


def book_crossing(data_dir: Path) -> Split:
    """Books that were read, and every triple that names one, as head or as tail (a relation of its own then)."""
    pairs = read_table(data_dir, "book-crossing-kg", "interactions")
    pairs = pairs[pairs["label"] == 1]
    graph = read_table(data_dir, "book-crossing-kg", "kg")
    # Items are the first entities.
    num_items = 14967
    heads, tails = graph[graph["head"] < num_items], graph[graph["tail"] < num_items]
    triples = _triples(
        np.concatenate([heads["head"], tails["tail"]]),
        np.concatenate([heads["relation"].astype(str), "of " + tails["relation"].astype(str)]),
        np.concatenate([heads["tail"], tails["head"]]),
    )
    return _keyed("book-crossing-kg", pairs, triples)


def ml1m_graph(data_dir: Path) -> Split:
    """Every rating of MovieLens-1M is an interaction; triples of the items that the graph knows."""
    pairs = read_table(data_dir, "ml-1m", "interactions")
    graph, items = read_table(data_dir, "ml-1m", "kg"), read_table(data_dir, "ml-1m", "kg_item_links")
    known = graph.merge(items, left_on="head", right_on="entity")
    return _keyed("ml-1m-kg", pairs, _triples(known["item"], known["relation"], known["tail"]))


def ciao(data_dir: Path) -> Split:
    """Reviews and whom the reviewers trust; the authors' program masks train alone, so valid is not kept here."""
    trust = read_table(data_dir, "ciao-eatnn", "trust")
    trust = trust[trust["user"] != trust["friend"]]
    links = SideTable.of("links", user=trust["user"].to_numpy(), friend=trust["friend"].to_numpy())
    parts = (read_part(data_dir, "ciao-eatnn", part) for part in ("train", "test"))
    return Split("ciao-eatnn", *parts, SideTables({"links": links}))


def ciao_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """The set's own train and valid."""
    return read_part(data_dir, "ciao-eatnn", "train"), read_part(data_dir, "ciao-eatnn", "valid")


def ciao_one_out(data_dir: Path) -> Split:
    """All rows of Ciao, of each user with three or more one held out for test and one for validation, by key."""
    parts = [read_part(data_dir, "ciao-eatnn", part) for part in ("train", "valid", "test")]
    every = Interactions.concatenate(*parts)
    rank = Stream(SEED)("ciao-loo").numpy("one out").permutation(len(every))
    order = np.lexsort((rank, every.user_ids))
    counts = np.unique(every.user_ids, return_counts=True)[1]
    place = np.empty(len(every), dtype=np.int64)
    place[order] = np.arange(len(every)) - np.repeat(np.cumsum(counts) - counts, counts)
    place[np.repeat(counts, counts) < 3] = len(every)  # Rows stand in order of their users.
    return Split("ciao-loo", every.take(place > 1), every.take(place == 0), valid=every.take(place == 1))


def one_out_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train and the held-out rows to tune on."""
    whole = ciao_one_out(data_dir)
    assert whole.valid is not None
    return whole.train, whole.valid


def anime_ratings(data_dir: Path) -> dict[str, Interactions]:
    """{"train", "valid"}: 80 and 20 % of the ratings."""
    table = read_table(data_dir, "anime-5k", "ratings")
    everything = Interactions.of(*(table[name].to_numpy() for name in ("user", "item", "rating")))
    return split(everything, RandomSplit(valid=0.2, test=0.0), Stream(0)("benchmark", "anime-5k"))


def anime_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Of the 80 % nine tenths, and one to tune on."""
    parts = split(anime_ratings(data_dir)["train"], RandomSplit(valid=0.1, test=0.0), Stream(SEED)(dataset))
    return parts["train"], parts["valid"]


def purchases(data_dir: Path, dataset: str) -> Split:
    """Purchases, one of each user held out, and what else was done; DATASET-clean leaves out of the other behaviours
    the pairs of test and validation, which tell the answer."""
    name = dataset.removesuffix("-clean")
    train, test = (read_part(data_dir, name, f"buy_{part}") for part in ("train", "test"))
    others = {"taobao-mb": ("view", "cart"), "beibei-buy-cart": ("cart",), "taobao-buy-cart": ("cart",)}[name]
    tables = SideTables({}, {other: read_part(data_dir, name, other) for other in others})
    if dataset != name:
        tables = tables.without_pairs([test, purchase_rows(data_dir, name)[1]])
    return Split(dataset, train, test, tables)


def purchase_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train without one purchase of each user, and those: the set's own, else the last in file order of who has two."""
    name = dataset.removesuffix("-clean")
    rows = read_table(data_dir, name, "buy_train")
    if name == "taobao-mb":
        held = rows.merge(read_table(data_dir, name, "buy_valid"), how="left", indicator=True)["_merge"] == "both"
    else:
        held = ~rows.duplicated("user", keep="last") & rows.duplicated("user", keep=False)
    if name == "taobao-buy-cart":
        # Ranking 40,000 items for each of 48,749 users takes longer than most trainings.
        users = rows["user"][held].to_numpy()
        held &= rows["user"].isin(users[np.argsort(keyed_hash(users, SEED, dataset))[:5000]])
    parts = (rows[~held], rows[held])
    train, valid = (Interactions.of(part["user"].to_numpy(), part["item"].to_numpy()) for part in parts)
    return train, valid


def _keyed(dataset: str, pairs: pd.DataFrame, tables: SideTables) -> Split:
    """80 % train, 10 % valid, 10 % test, by the key of each pair."""
    rows = Interactions.of(pairs["user"].to_numpy(), pairs["item"].to_numpy())
    parts = split(rows, RandomSplit(valid=0.1, test=0.1), Stream(SEED)(dataset))
    return Split(dataset, parts["train"], parts["test"], tables, parts["valid"])


def keyed_rows(data_dir: Path, dataset: str) -> tuple[Interactions, Interactions]:
    """Train and valid of a keyed split."""
    whole = {"book-crossing-kg": book_crossing, "ml-1m-kg": ml1m_graph}[dataset](data_dir)
    assert whole.valid is not None
    return whole.train, whole.valid


def _triples(items: Any, relations: Any, entities: Any) -> SideTables:
    columns = {"item": np.asarray(items), "relation": np.asarray(relations), "entity": np.asarray(entities)}
    return SideTables({"triples": SideTable.of("triples", **columns)})


def _features(role: str, frame: pd.DataFrame, fields: list[str]) -> SideTable:
    rows = frame.drop_duplicates(role)
    return SideTable.of(
        f"{role}_features",
        **{role: np.tile(rows[role].to_numpy(), len(fields))},
        field=np.repeat(fields, len(rows)),
        value=np.concatenate([rows[name].to_numpy() for name in fields]),
        weight=np.ones(len(rows) * len(fields)),
    )


TUNING = {
    "anime-5k": Tuning(anime_rows, "mse", "anime"),
    "ciao-loo": Tuning(one_out_rows, "hr@100", "enmf-ciao"),
    "frappe-ensfm": Tuning(frappe_rows, "hr@10", "ensfm-frappe", lambda folder: frappe(folder).tables),
    "ml-1m-ensfm": Tuning(newest_rows, "hr@10", "ensfm-ml1m", lambda folder: ml1m_features(folder).tables),
    "amazon-book-jnskr": Tuning(
        tenth_rows, "recall@20", "jnskr-amazon-book", lambda folder: amazon_book(folder).tables
    ),
    "book-crossing-kg": Tuning(
        keyed_rows, "recall@20", "knowledge-book-crossing", lambda folder: book_crossing(folder).tables
    ),
    "ml-1m-kg": Tuning(keyed_rows, "recall@20", "knowledge-ml1m", lambda folder: ml1m_graph(folder).tables),
    "ciao-eatnn": Tuning(ciao_rows, "recall_min@50", "eatnn-ciao", lambda folder: ciao(folder).tables),
    **{
        name: Tuning(purchase_rows, "hr@100", table, lambda folder, name=name: purchases(folder, name).tables)
        for name, table in (
            ("taobao-mb", "multibehaviour-taobao-mb"),
            ("taobao-mb-clean", "multibehaviour-taobao-mb-clean"),
            ("beibei-buy-cart", "multibehaviour-beibei"),
            ("taobao-buy-cart", "multibehaviour-taobao"),
        )
    },
}
