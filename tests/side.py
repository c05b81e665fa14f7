"""Side tables for any interactions of the tests: what they say of a user or an item follows from its rows and id."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import FeatureMatrix, InteractionMatrix, Shape, Side, TripleMatrix
from lethe.tables.side_tables import SideTable, SideTables, content_digest, folder_beside


def side_tables(rows: Interactions) -> SideTables:
    """All kinds: two friends with similar taste for each user, views and carts, features, triples."""
    data = Catalogue.of(rows)
    owned = data.encode(rows).csr().toarray() > 0
    users, items = data.users.values, data.items.values
    shared = owned.astype(int) @ owned.T
    pairs = []
    for user in range(len(users)):
        nearest = [
            (user + step) % len(users) for step in range(1, len(users)) if shared[user, (user + step) % len(users)]
        ]
        pairs += [(user, friend) for friend in nearest[:2]]
    chosen = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    # Everybody looked at what they took, and at what the first friend has first.
    friends = dict(reversed(pairs))
    looked = [(user, int(owned[friend].argmax())) for user, friend in friends.items()]
    extra = np.array(looked, dtype=np.int64).reshape(-1, 2)
    view = Interactions.of(
        np.concatenate([rows.user_ids, users[extra[:, 0]]]), np.concatenate([rows.item_ids, items[extra[:, 1]]])
    )
    distinct = np.append((view.user_ids[1:] != view.user_ids[:-1]) | (view.item_ids[1:] != view.item_ids[:-1]), True)
    cart = np.array([number(i) % 2 == 0 for i in rows.item_ids], dtype=bool)
    return SideTables(
        {
            "links": SideTable.of("links", user=users[chosen[:, 0]], friend=users[chosen[:, 1]]),
            "user_features": features("user", users),
            "item_features": features("item", items),
            "triples": SideTable.of(
                "triples",
                item=np.concatenate([items, items]),
                relation=np.repeat(["genre", "maker"], len(items)),
                entity=np.concatenate([words("g", items, 4), words("m", items, 3)]),
            ),
        },
        {
            "view": view.take(distinct[: len(view)].astype(bool)),
            "cart": Interactions.of(rows.user_ids[cart], rows.item_ids[cart]),
        },
    )


def digest_beside(path: Path) -> str:
    """Digest of the content of a table of interactions and of what lies beside it, all read as a whole."""
    return content_digest(Interactions.read(path), SideTables.read(folder_beside(path)))


def without_user(tables: SideTables, user_id: object) -> SideTables:
    """Nothing of a user is left, nor anything that leads to them."""

    def table(side: SideTable) -> SideTable:
        named = [side[name] == user_id for name in ("user", "friend") if name in side.columns]
        return side.take(~np.any(named, axis=0)) if named else side

    return tables.map(table, lambda rows: rows.take(rows.user_ids != user_id))


def write_side(tables: SideTables, folder: Path) -> dict[str, Any]:
    """CSV files below a folder, and the section ``side`` of params.yaml that reads them."""

    def write(name: str, header: str, *columns: Iterable[object]) -> str:
        lines = [header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        return f"{name}.csv"

    for name, rows in tables.behaviours.items():
        write(name, "user,item", rows.user_ids, rows.item_ids)
    found: dict[str, Any] = {"behaviours": {name: {"path": f"{name}.csv"} for name in tables.behaviours}}
    for kind, side in tables.tables.items():
        if kind.endswith("features"):
            band, age = (side.take(side["field"] == name) for name in ("band", "age"))
            role = kind.removesuffix("_features")
            path = write(kind, f"{role},band,age", band[role], band["value"], age["weight"])
            found[kind] = {"path": path, "fields": {"band": {}, "age": {"kind": "number"}}}
        elif kind == "triples":
            path = write(kind, "head,relation,tail", side["item"], side["relation"], side["entity"])
            found[kind] = {"path": path}
        else:
            found[kind] = {"path": write(kind, "user,friend", side["user"], side["friend"])}
    return found


def features(role: str, ids: np.ndarray) -> SideTable:
    """A category and a number for each id."""
    return SideTable.of(
        f"{role}_features",
        **{role: np.concatenate([ids, ids])},
        field=np.repeat(["band", "age"], len(ids)),
        value=np.concatenate([words("b", ids, 3), words("", ids, 0)]),
        weight=np.concatenate([np.ones(len(ids)), [(number(i) % 5) / 5 for i in ids]]),
    )


def words(letter: str, ids: np.ndarray, kinds: int) -> np.ndarray:
    return np.array([f"{letter}{number(i) % kinds}" if kinds else "" for i in ids], dtype=object)


def number(raw_id: object) -> int:
    return int(re.sub(r"\D", "", str(raw_id)))


def in_situations(rows: Interactions) -> Interactions:
    """Each row in the morning or the evening, by item, and again in the other for every fifth item."""
    late = np.array([number(i) % 2 for i in rows.item_ids], dtype=bool)
    again = np.array([number(i) % 5 == 0 for i in rows.item_ids], dtype=bool)
    when = np.where(np.concatenate([late, ~late[again]]), "evening", "morning").astype(object)
    return Interactions.of(
        np.concatenate([rows.user_ids, rows.user_ids[again]]),
        np.concatenate([rows.item_ids, rows.item_ids[again]]),
        contexts={"time": when},
    )


def in_order(rows: Interactions) -> Interactions:
    """A user's rows in an order of the user's own, two at a time: an order by item would say that none goes back."""
    shuffled = np.random.default_rng(6).permutation(len(rows))
    order = shuffled[np.argsort(rows.user_ids[shuffled], kind="stable")]
    _, first = np.unique(rows.user_ids[order], return_index=True)
    times = np.empty(len(rows), dtype=np.int64)
    times[order] = (np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))) // 2
    return Interactions.of(rows.user_ids, rows.item_ids, rows.ratings, times)


def sparse_side() -> tuple[Shape, Side]:
    """Beside four users, some without items, and three items: tables that say nothing of some of them."""
    shape = Shape(4, 3, num_friends=2, num_user_features=3, num_item_features=2, num_relations=2, num_entities=3)
    pairs = Shape(4, 3)
    view = InteractionMatrix(pairs, np.array([0, 1, 3]), np.array([1, 0, 2]))
    side = Side(
        links=InteractionMatrix(Shape(4, 2), np.array([0, 1, 3]), np.array([1, 0, 1])),
        friend_users=np.array([1, -1]),
        behaviours={"view": view, "cart": InteractionMatrix(pairs, np.array([1]), np.array([0]))},
        user_features=FeatureMatrix(np.array([0, 2, 2, 3, 3]), np.array([0, 2, 1]), np.array([1, 0.5, 1], np.float32)),
        item_features=FeatureMatrix(np.array([0, 1, 2, 2]), np.array([0, 1]), np.ones(2, np.float32)),
        triples=TripleMatrix(np.array([0, 2, 2, 3]), np.array([0, 1, 1]), np.array([0, 1, 2])),
    )
    return shape, side
