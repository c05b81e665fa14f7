"""What is served: a trained ensemble, what each user has already seen, how popular items are, and what it was made of.

ensemble/          as its own ``save`` wrote it
seen.safetensors   indptr, items (the seen items of each user), counts (how often each item was seen)
info.json          ``PackageInfo``: deterministic values only
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from lethe.config.section import Section
from lethe.core.artifacts import Reference
from lethe.core.canonical import Json, canonical_json
from lethe.errors import ArtifactError, DataError
from lethe.learning.aggregation.ensemble import Asked, Ensemble
from lethe.models import rates
from lethe.tables.interactions import Interactions
from lethe.tables.likes import likes

RawId = int | str
Source = Literal["model", "similar", "popular"]
Scored = list[tuple[RawId, float]]
"""Raw item ids with their scores, best first; equal scores in the order of the ids."""


class PackageInfo(Section):
    """What a package says of itself: whom it answers for, and everything that it was made of."""

    family: str
    dataset: str
    model: str
    sharding: str
    guarantee: str
    positive: str | None
    """Ratings that are likes (``Recipe.positive``)."""
    recipe: Json
    """All that decided it besides the data, as ``lethe.build.recipe`` reads it."""
    snapshot: Reference
    """The kept copy of the tables that its build began with (``lethe.build.snapshot``)."""
    tables: dict[str, str]
    """Content digest of every table behind it: interactions, split/train, …, shard/00, …"""
    ensemble: Reference
    sub_models: dict[str, str]
    """{shard: digest}"""

    @property
    def data_digest(self) -> str:
        """Content digest of the whole table and of the side tables beside it."""
        return self.tables["interactions"]

    @property
    def shards(self) -> dict[str, str]:
        """{shard: digest} of the tables that its sub-models learnt from."""
        return {
            name.removeprefix("shard/"): digest for name, digest in self.tables.items() if name.startswith("shard/")
        }


@dataclass(frozen=True)
class Recommendation:
    """Items for a user, and what chose them: the model; likeness to the items of a history that the model can't
    follow; popularity, for a user the model doesn't know."""

    items: Scored
    source: Source


@dataclass(frozen=True)
class Package:
    """Answers from one served ensemble. Everything is in memory; nothing is written.

    indptr  [num_users + 1] int64: user u has seen ``items[indptr[u]:indptr[u + 1]]``
    items   [n] int64, dense       counts  [num_items] int64: rows of each item
    """

    ensemble: Ensemble
    indptr: np.ndarray
    items: np.ndarray
    counts: np.ndarray
    info: PackageInfo

    @classmethod
    def load(cls, folder: Path) -> Package:
        """Read what ``write_package`` wrote; raises ArtifactError if a file is missing or not of a package."""
        try:
            seen = load_file(folder / "seen.safetensors")
            info = PackageInfo.model_validate_json((folder / "info.json").read_bytes())
            return cls(Ensemble.load(folder / "ensemble"), seen["indptr"], seen["items"], seen["counts"], info)
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise ArtifactError(f"package {folder.name[:16]}: not a package ({type(error).__name__})") from None

    def recommend(
        self,
        user_id: RawId,
        k: int,
        *,
        context: dict[str, RawId] | None = None,
        history: Sequence[RawId] | None = None,
        ratings: Sequence[float] | None = None,
    ) -> Recommendation:
        """The best ``k`` items the user has not seen (fewer if fewer are left); popular ones for an unknown user.

        ``context`` {field: value} is the situation, ``history`` the latest items, oldest first, of which only those of
        the catalogue count, and ``ratings`` how they were rated. Whoever has a history is answered by it, known or not:
        by the family's model where that can fold people in, else by the items most like those of the history. Raises
        DataError for a context where the model looks at none.
        """
        if context is not None and "contexts" not in self.ensemble.accepts:
            raise DataError(f"context: model {self.info.model} looks at none, leave it out")
        items = self.ensemble.catalogue.items
        user = self.ensemble.catalogue.users.place(user_id)
        places = np.array([items.place(item) for item in history or ()], dtype=np.int64)
        followed = places[places >= 0]
        if user < 0 and not len(followed):
            return Recommendation(self.popular(k), "popular")
        if len(followed) and "history" not in self.ensemble.accepts:
            return self._unseen(user, self._likeness(followed), k, followed, "similar")
        contexts = {name: np.array([str(value)], dtype=object) for name, value in (context or {}).items()}
        stars = None if ratings is None else np.array([*ratings], dtype=np.float32)[places >= 0]
        asked = Asked(contexts, *self._whole_history(user, followed, stars))
        scores = self.ensemble.score(np.array([user], dtype=np.int64), asked)[0]
        return self._unseen(user, scores, k, followed)

    def _whole_history(
        self, user: int, followed: np.ndarray, stars: np.ndarray | None
    ) -> tuple[list[np.ndarray] | None, list[np.ndarray] | None]:
        """Raw items and ratings to answer by: what is given, after what a known user is known to have taken.

        A model that follows an order is given all of it. What a known user rated isn't kept, so of a model of ratings
        their own vector says more than a few new ratings: those are only left out of the answer.
        """
        if not len(followed) or (user >= 0 and rates(self.info.model)):
            return None, None
        if user >= 0 and not self.ensemble.ordered:
            followed = np.concatenate([self.seen(user), followed])
        raw = self.ensemble.catalogue.items.decode(followed)
        return [raw], None if stars is None or user >= 0 else [stars]

    def _likeness(self, followed: np.ndarray) -> np.ndarray:
        """The sum of each item's cosines with some -> [num_items] float32."""
        own = self._directions[followed]
        likeness = self._directions @ np.asarray(own.sum(axis=0)).ravel()
        return np.asarray(likeness, dtype=np.float32).ravel()

    def seen(self, user: int) -> np.ndarray:
        """The items of a known user, dense, increasing."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def recommend_many(self, user_ids: Sequence[RawId], k: int) -> list[Recommendation]:
        """``recommend`` for each of some users, all of whom are scored as one matrix product."""
        users = np.array([self.ensemble.catalogue.users.place(user_id) for user_id in user_ids], dtype=np.int64)
        known = np.flatnonzero(users >= 0)
        answers = [Recommendation(self.popular(k), "popular")] * len(users)
        if len(known):
            for place, scores in zip(known.tolist(), self.ensemble.score(users[known]), strict=True):
                answers[place] = self._unseen(int(users[place]), scores, k)
        return answers

    def _unseen(
        self,
        user: int,
        scores: np.ndarray,
        k: int,
        followed: np.ndarray | Sequence[int] = (),
        source: Source = "model",
    ) -> Recommendation:
        """The best items that are neither among the user's (-1: unknown) nor among those that were just followed."""
        unseen = np.ones(len(scores), dtype=bool)
        unseen[list(followed)] = False
        if user >= 0:
            unseen[self.seen(user)] = False
        return Recommendation(self._best(scores, k, unseen), source)

    def similar_items(self, item_id: RawId, k: int) -> Scored:
        """The ``k`` items nearest by cosine, the item itself left out; raises DataError for an unknown item.

        The cosine is that of the item factors; an ensemble without factors is measured by who saw both items.
        """
        item = self.ensemble.catalogue.items.place(item_id)
        if item < 0:
            raise DataError(f"item_id: {item_id!r} must be an item of the catalogue")
        directions = self._directions
        own = directions[[item]]
        similarity = directions @ (own.toarray() if sp.issparse(own) else own).ravel()
        others = np.ones(len(similarity), dtype=bool)
        others[item] = False
        return self._best(similarity, k, others)

    def vectors(self, item_ids: list[RawId]) -> np.ndarray:
        """[n, d] float32 directions of length 1 (or 0) that ``similar_items`` compares; unknown items are left out."""
        dense = [item for raw in item_ids if (item := self.ensemble.catalogue.items.place(raw)) >= 0]
        rows = self._directions[dense]
        return np.asarray(rows.toarray() if sp.issparse(rows) else rows, dtype=np.float32)

    def popular(self, k: int) -> Scored:
        """The ``k`` items seen most often, with how often."""
        return self._best(self.counts.astype(np.float32), k, np.ones(len(self.counts), dtype=bool))

    def _best(self, scores: np.ndarray, k: int, allowed: np.ndarray) -> Scored:
        places = np.flatnonzero(allowed)
        if 0 < k < len(places):
            # Everything that ties with the k-th stays in, so that the order of ids decides, not the partition.
            least = np.partition(scores[places], len(places) - k)[len(places) - k]
            places = places[scores[places] >= least]
        places = places[np.argsort(-scores[places], kind="stable")][:k]
        ids = self.ensemble.catalogue.items.decode(places).tolist()
        return list(zip(ids, scores[places].tolist(), strict=True))

    @cached_property
    def _directions(self) -> Any:
        # [num_items, d] of rows with length 1 (or 0): item factors, or the sparse columns of who saw what.
        factors = self.ensemble.factors()
        if factors is not None:
            vectors = np.asarray(factors[1], dtype=np.float32)
            return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        shape = (len(self.indptr) - 1, len(self.counts))
        watchers = sp.csr_array((np.ones(len(self.items), np.float32), self.items, self.indptr), shape=shape).T.tocsr()
        return sp.diags_array(1 / np.sqrt(np.maximum(np.diff(watchers.indptr), 1)).astype(np.float32)) @ watchers


def write_package(folder: Path, ensemble: Ensemble, seen: Interactions, info: PackageInfo) -> None:
    """Write a package whose bytes are a function of the arguments; ``seen`` rows outside the catalogue are left out.

    What a user dislikes is seen too, but makes nothing popular.
    """
    matrix = ensemble.catalogue.encode(seen)
    liked = ensemble.catalogue.encode(likes(seen, info.positive))
    pairs = matrix.csr()
    pairs.sum_duplicates()
    folder.mkdir(parents=True, exist_ok=True)
    ensemble.save(folder / "ensemble")
    arrays = {
        "indptr": pairs.indptr.astype(np.int64),
        "items": pairs.indices.astype(np.int64),
        "counts": liked.item_counts,
    }
    save_file(arrays, folder / "seen.safetensors")
    (folder / "info.json").write_bytes(canonical_json(info.plain()))
