"""Raw ids to dense indices and back, local to whoever builds it, and the matrix that models learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lethe.tables.ids import Ids
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import NO_SIDE, FeatureMatrix, InteractionMatrix, Shape, Side, TripleMatrix
from lethe.tables.texts import Column

if TYPE_CHECKING:
    from lethe.tables.side_tables import SideTable, SideTables

_BETWEEN = "\x1f"
"""Stands between a field and its value in one text: the ASCII unit separator."""


@dataclass(frozen=True)
class Catalogue:
    """The users and items of one table of interactions, and the vocabularies of what is known beside them.

    ``side`` has, where there is such a table, friends, relations and entities (raw ids) and user_features,
    item_features and contexts (each a field with one of its values, see ``token``).
    """

    users: Ids
    items: Ids
    side: dict[str, Ids] = field(default_factory=dict)
    new_items: Ids | None = None
    """Those of ``items`` that no row names, which are known by their features alone (``with_new_items``)."""

    @classmethod
    def of(cls, interactions: Interactions, tables: SideTables | None = None) -> Catalogue:
        """Of the rows, and of side tables that are theirs (``SideTables.of_rows``): items that only another behaviour
        names are items too."""
        side: dict[str, Ids] = {}
        if interactions.contexts:
            side["contexts"] = Ids.of(np.concatenate([_tokens(f, c) for f, c in interactions.contexts.items()]))
        items = [interactions.item_ids]
        if tables is not None:
            items += [rows.item_ids for rows in tables.behaviours.values()]
            for name, table in tables.tables.items():
                if name == "links":
                    side["friends"] = Ids.of(table["friend"])
                elif name == "triples":
                    side["relations"], side["entities"] = Ids.of(table["relation"]), Ids.of(table["entity"])
                elif name != "items":
                    side[name] = Ids.of(_tokens(table["field"], table["value"]))
        return cls(Ids.of(interactions.user_ids), Ids.of(*items), side)

    def with_new_items(self, tables: SideTables) -> Catalogue:
        """The same with the items that the tables say may be recommended before anybody has had them, as far as they
        have a feature that an item of ours has too: of another nothing is known."""
        if "items" not in tables.tables:
            return self
        features = tables.tables["item_features"]
        known = self.side["item_features"].encode(_tokens(features["field"], features["value"])) >= 0
        named = Ids.of(tables.tables["items"]["item"])
        told = Ids.of(features["item"][known])
        new = told.values[(named.encode(told.values) >= 0) & (self.items.encode(told.values) < 0)]
        return replace(self, items=Ids.of(self.items.values, new), new_items=Ids(new)) if len(new) else self

    @property
    def own_items(self) -> Ids:
        """The items that rows name."""
        new = self.new_items
        return self.items if new is None else Ids(self.items.values[new.encode(self.items.values) < 0])

    @property
    def shape(self) -> Shape:
        return Shape(len(self.users), len(self.items), **{f"num_{name}": len(ids) for name, ids in self.side.items()})

    @property
    def context_fields(self) -> list[str]:
        """Names of the context fields, in the order of ``InteractionMatrix.contexts``."""
        ids = self.side.get("contexts")
        return [] if ids is None else sorted({text.split(_BETWEEN)[0] for text in ids.values})

    def encode(self, interactions: Interactions, tables: SideTables | None = None) -> InteractionMatrix:
        """Dense form of the rows whose user and item are both known, sorted by (user, item)."""
        users, items = self.users.encode(interactions.user_ids), self.items.encode(interactions.item_ids)
        known = (users >= 0) & (items >= 0)
        all_known = bool(known.all())

        def of_known(column: np.ndarray) -> np.ndarray:
            return column if all_known else column[known]  # Mostly all are: then nothing is copied.

        ratings, times = interactions.ratings, interactions.timestamps
        contexts = self.encode_contexts(interactions.contexts)
        return InteractionMatrix(
            self.shape,
            of_known(users),
            of_known(items),
            None if ratings is None else of_known(ratings),
            None if times is None else of_known(times),
            None if contexts is None else of_known(contexts),
            NO_SIDE if tables is None else self._encode_side(tables),
            None if interactions.weights is None else of_known(interactions.weights),
        )

    def encode_contexts(self, contexts: Mapping[str, Column]) -> np.ndarray | None:
        """Values {field: [n]} -> [n, number of fields] int64, -1 for what is unknown; None without context fields."""
        if "contexts" not in self.side or not contexts:
            return None
        rows = len(next(iter(contexts.values())))
        missing = np.full(rows, -1, dtype=np.int64)
        ids = self.side["contexts"]
        columns = [ids.encode(_tokens(f, contexts[f])) if f in contexts else missing for f in self.context_fields]
        return np.stack(columns, axis=1) if columns else np.empty((rows, 0), dtype=np.int64)

    def _encode_side(self, tables: SideTables) -> Side:
        side: dict[str, Any] = {}
        for name, table in tables.tables.items():
            if name == "links":
                users, friends = self.users.encode(table["user"]), self.side["friends"].encode(table["friend"])
                known = (users >= 0) & (friends >= 0)
                shape = Shape(len(self.users), len(self.side["friends"]))
                side[name] = InteractionMatrix(shape, users[known], friends[known])
                side["friend_users"] = self.users.encode(self.side["friends"].values)
            elif name == "triples":
                items = self.items.encode(table["item"])
                parts = (
                    self.side["relations"].encode(table["relation"]),
                    self.side["entities"].encode(table["entity"]),
                )
                indptr, *columns = _ragged(len(self.items), items, *parts)
                side[name] = TripleMatrix(indptr, *columns)
            elif name != "items":
                side[name] = self.encode_features(table)
        return Side(behaviours={name: self.encode(rows) for name, rows in tables.behaviours.items()}, **side)

    def encode_features(self, table: SideTable) -> FeatureMatrix:
        """Dense form of what is known of our users or items; a feature that is none of ours is left out."""
        rows, ids = (self.users, table["user"]) if table.kind == "user_features" else (self.items, table["item"])
        tokens = self.side[table.kind].encode(_tokens(table["field"], table["value"]))
        places = np.where(tokens >= 0, rows.encode(ids), -1)
        indptr, *columns = _ragged(len(rows), places, tokens, table["weight"])
        return FeatureMatrix(indptr, *columns)

    def write(self, folder: Path) -> None:
        new = {} if self.new_items is None else {"new_items": self.new_items}
        for name, ids in {"users": self.users, "items": self.items, **new, **self.side}.items():
            ids.write(folder / f"{name}.parquet")

    @classmethod
    def read(cls, folder: Path) -> Catalogue:
        tables = {path.stem: Ids.read(path) for path in sorted(folder.glob("*.parquet"))}
        return cls(tables.pop("users"), tables.pop("items"), new_items=tables.pop("new_items", None), side=tables)


def _tokens(field: str | np.ndarray, values: Column) -> np.ndarray:
    """[n] object: a field with a value, as one text."""
    fields = np.broadcast_to(np.array(field, dtype=object), len(values))
    return np.array([f"{name}{_BETWEEN}{value}" for name, value in zip(fields, values, strict=True)], dtype=object)


def _ragged(num_rows: int, rows: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Entries of ``rows`` [n] (-1: left out), sorted by row and columns -> (indptr [num_rows + 1], columns)."""
    order = np.lexsort([*columns[::-1], rows])
    order = order[rows[order] >= 0]
    counts = np.bincount(rows[order], minlength=num_rows)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), *(column[order] for column in columns)
