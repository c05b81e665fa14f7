"""What is served: a trained ensemble, what each user has already seen, how popular items are, and what it was made of.

ensemble/          as its own ``save`` wrote it
seen.safetensors   indptr, items (the seen items of each user), counts (how often each item was seen); where the model
                   follows an order, sequence_indptr and sequences (the items of each user in that order)
contexts.parquet   how popular items are in each context (``situations``), where the dataset has such
info.json          ``PackageInfo``: deterministic values only
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lethe.core.arrays import map_arrays
from lethe.errors import ArtifactError, DataError
from lethe.learning.ensemble import Asked, Ensemble
from lethe.models import MODELS, rates
from lethe.serving.answers import Source
from lethe.serving.choosing import ANYTHING, Choice, RawId, Recommendation, Scored, best, varied
from lethe.serving.event import Event
from lethe.serving.package_info import PackageInfo
from lethe.serving.sequences import Sequences, liked
from lethe.serving.situations import Situations, popularity, read_situations

AT_ONCE = 2_000_000
"""Scores of a batch that a worker holds at once: 8 MB, whatever the catalogue. Memory of that size, once taken, stays
with the worker; smaller products take longer."""


@dataclass(frozen=True)
class Package:
    """Answers from one served ensemble. Its arrays are mapped, so that workers share them; nothing is written.

    indptr  [num_users + 1] int64: user u has seen ``items[indptr[u]:indptr[u + 1]]``
    items   [n] int64, dense       counts  [num_items] int64: rows of each item
    """

    ensemble: Ensemble
    indptr: np.ndarray
    items: np.ndarray
    counts: np.ndarray
    info: PackageInfo
    situations: Situations = field(default_factory=dict)
    sequences: Sequences | None = None
    """What each user liked in its order, where the model follows one."""

    @classmethod
    def load(cls, folder: Path) -> Package:
        """Read what ``packing.write_package`` wrote; raises ArtifactError if a file is missing or not of a package."""
        try:
            seen = map_arrays(folder / "seen.safetensors")
            info = PackageInfo.model_validate_json((folder / "info.json").read_bytes())
            ensemble, situations = Ensemble.load(folder / "ensemble"), read_situations(folder)
            sequences = Sequences.of_arrays(seen)
            return cls(ensemble, seen["indptr"], seen["items"], seen["counts"], info, situations, sequences)
        except (OSError, KeyError, ValueError) as error:
            raise ArtifactError(f"package {folder.name[:16]}: not a package ({type(error).__name__})") from None

    def recommend(
        self,
        user_id: RawId,
        k: int,
        *,
        context: dict[str, RawId] | None = None,
        history: Sequence[RawId] | None = None,
        ratings: Sequence[float] | None = None,
        lately: Sequence[Event] = (),
        choice: Choice = ANYTHING,
    ) -> Recommendation:
        """The best ``k`` items the user has not seen (fewer if fewer are left); popular ones for an unknown user.

        ``context`` {field: value} is the situation, ``history`` the latest items, oldest first, of which only those of
        the catalogue count, and ``ratings`` how they were rated. Whoever has a history is answered by it, known or not:
        by the family's model where that can fold people in, else by the items most like those of it. ``lately``:
        what the service was told before that. Raises DataError for a context where the model looks at none.
        """
        user = self.ensemble.catalogue.users.place(user_id)
        followed, stars = self.followed(user, history, ratings, lately)
        scored = self.scores(user, followed, stars, context)
        if scored is None:
            return self.popular(k, choice, context)
        (scores, source), given = scored, self.places(history or ())
        return Recommendation(self._chosen(scores, k, choice, user, given[given >= 0]), source)

    def scores(
        self,
        user: int,
        followed: np.ndarray,
        stars: np.ndarray | None = None,
        context: dict[str, RawId] | None = None,
    ) -> tuple[np.ndarray, Source] | None:
        """Scores [num_items] of a user (-1: unknown) after a history of dense items, and what they come from; None
        where nothing is known of them."""
        if context is not None and "contexts" not in self.ensemble.accepts and not self.situations:
            raise DataError(f"context: model {self.info.model} looks at none, leave it out")
        if user < 0 and not len(followed):
            return None
        if len(followed) and "history" not in self.ensemble.accepts:
            return self._likeness(followed), "similar"
        contexts = {name: np.array([str(value)], dtype=object) for name, value in (context or {}).items()}
        asked = Asked(contexts, *self._whole_history(user, followed, stars))
        return self.ensemble.score(np.array([user], dtype=np.int64), asked)[0], "model"

    def followed(
        self,
        user: int,
        history: Sequence[RawId] | None,
        ratings: Sequence[float] | None = None,
        lately: Sequence[Event] = (),
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What a user (-1: unknown) is answered by beside what the model knows of them: dense items, oldest first, and
        their ratings (nan: none), if there are any. What was disliked is no part of it.

        First what they did lately, then the history of the request, which may say that again. A family that can't fold
        people in answers those it knows as it knows them. Where the model follows an order, a known user's own sequence
        comes first of all, unless a history stands for all that they did.
        """
        if not history and not lately:
            return self.items[:0], None
        given, stars = self._liked(history or (), ratings)
        own, own_stars = self._liked([e.item_id for e in lately], [e.rating for e in lately])
        before = own[:0] if user < 0 or len(given) or self.sequences is None else self.sequences.of(user)
        # What a training has learnt since it was told stands there once.
        new = ~np.isin(own, np.concatenate([before, given])) & (user < 0 or "history" in self.ensemble.accepts)
        before = before if new.any() else before[:0]
        stars = np.concatenate([np.full(len(before), np.nan, np.float32), own_stars[new], stars])
        return np.concatenate([before, own[new], given]), None if np.isnan(stars).all() else stars

    def _liked(self, items: Sequence[RawId], ratings: Sequence[float | None] | None) -> tuple[np.ndarray, np.ndarray]:
        return liked(self.places(items), ratings, self.info.positive if ratings else None)

    def places(self, item_ids: Sequence[RawId]) -> np.ndarray:
        """[n] int64: the dense index of each item, -1 for one that the catalogue doesn't have."""
        return np.array([self.ensemble.catalogue.items.place(item) for item in item_ids], dtype=np.int64)

    def _whole_history(
        self, user: int, followed: np.ndarray, stars: np.ndarray | None
    ) -> tuple[list[np.ndarray] | None, list[np.ndarray] | None]:
        """Raw items and ratings to answer by: what is given, after what a known user is known to have taken.

        A model that follows an order is given all of it. What a known user rated isn't kept, so of a model of ratings
        their own vector says more than a few new ratings: those are only left out of the answer.
        """
        if not len(followed) or (user >= 0 and self.rates):
            return None, None
        if user >= 0 and not self.ensemble.ordered:
            followed = np.concatenate([self.seen(user), followed])
        raw = self.ensemble.catalogue.items.decode(followed)
        return [raw], None if stars is None or user >= 0 else [stars]

    @cached_property
    def rates(self) -> bool:
        """Whether its model learns ratings. Of a package that doesn't say so the class does, which loads torch."""
        return rates(self.info.model) if self.info.rates is None else self.info.rates

    @cached_property
    def repeatable(self) -> bool:
        """Whether its model gives the same bytes again on every device."""
        said = self.info.repeatable
        return MODELS[self.info.model].repeatable if said is None else said

    def _likeness(self, followed: np.ndarray) -> np.ndarray:
        """The sum of each item's cosines with some -> [num_items] float32."""
        own = self._directions[followed]
        likeness = self._directions @ np.asarray(own.sum(axis=0)).ravel()
        return np.asarray(likeness, dtype=np.float32).ravel()

    def knows(self, user_id: RawId) -> bool:
        """Whether it was built from rows of this user."""
        return self.ensemble.catalogue.users.place(user_id) >= 0

    def is_new(self, item_id: RawId) -> bool:
        """Whether nobody has had this item, so that it is known by its features alone."""
        new = self.ensemble.catalogue.new_items
        return new is not None and new.place(item_id) >= 0

    def seen(self, user: int) -> np.ndarray:
        """The items of a known user, dense, increasing."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def recommend_many(self, user_ids: Sequence[RawId], k: int, choice: Choice = ANYTHING) -> list[Recommendation]:
        """``recommend`` for each of some users, who are scored as one matrix product, or as several of at most
        ``AT_ONCE`` scores."""
        users = np.array([self.ensemble.catalogue.users.place(user_id) for user_id in user_ids], dtype=np.int64)
        known = np.flatnonzero(users >= 0)
        answers = [self.popular(k, choice)] * len(users)
        step = max(AT_ONCE // max(len(self.counts), 1), 1)
        for block in (known[start : start + step] for start in range(0, len(known), step)):
            for place, scores in zip(block.tolist(), self.ensemble.score(users[block]), strict=True):
                answers[place] = Recommendation(self._chosen(scores, k, choice, int(users[place])), "model")
        return answers

    def _chosen(
        self, scores: np.ndarray, k: int, choice: Choice, user: int = -1, followed: np.ndarray | None = None
    ) -> Scored:
        """The best items that the choice allows; ``scores`` are changed."""
        if choice.allowed is not None:
            scores[~choice.allowed] = -np.inf
        if followed is not None and not choice.keep_history:
            scores[followed] = -np.inf
        if user >= 0 and not choice.keep_seen:
            scores[self.seen(user)] = -np.inf
        if choice.varied:
            places = varied(scores, k, choice, lambda pool: self._vectors(pool).astype(np.float64))
        else:
            places = best(scores, k)
        return self._scored(places, scores)

    def _scored(self, places: np.ndarray, scores: np.ndarray) -> Scored:
        ids = self.ensemble.catalogue.items.decode(places).tolist()
        return list(zip(ids, scores[places].tolist(), strict=True))

    def similar_items(self, item_ids: RawId | Sequence[RawId], k: int, choice: Choice = ANYTHING) -> Scored:
        """The ``k`` items nearest by cosine to an item, or to several by the mean, those themselves left out; raises
        DataError for an unknown item.

        The cosine is that of the item factors; an ensemble without factors is measured by who saw both items.
        """
        several = [item_ids] if isinstance(item_ids, int | str) else list(item_ids)
        items = self.places(several)
        if (items < 0).any():
            unknown = several[int(np.argmax(items < 0))]
            raise DataError(f"item_id: {unknown!r} must be an item of the catalogue")
        likeness = self._likeness(np.unique(items)) / len(np.unique(items))
        return self._chosen(likeness, k, choice, followed=items)

    def likeness_to(self, item: int, others: np.ndarray) -> np.ndarray:
        """Cosines of an item with others, dense -> [n]."""
        likeness: np.ndarray = self._vectors(others) @ self._vectors(np.array([item]))[0]
        return likeness

    def vectors(self, item_ids: list[RawId]) -> np.ndarray:
        """[n, d] float32 directions of length 1 (or 0) that ``similar_items`` compares; unknown items are left out."""
        places = self.places(item_ids)
        return self._vectors(places[places >= 0])

    def _vectors(self, places: np.ndarray) -> np.ndarray:
        rows = self._directions[places]
        return np.asarray(rows if isinstance(rows, np.ndarray) else rows.toarray(), dtype=np.float32)

    def popular(self, k: int, choice: Choice = ANYTHING, context: dict[str, RawId] | None = None) -> Recommendation:
        """What anybody gets of whom nothing is known: the items seen most often, in the context if there is one, that
        the choice allows."""
        scores = popularity(self.situations, context or {}, self.counts)
        if choice.varied or scores is not None:
            scores = self._counts.copy() if scores is None else scores
            return Recommendation(self._chosen(scores, k, choice), "popular")
        order = self._by_popularity
        places = (order if choice.allowed is None else order[choice.allowed[order]])[:k]
        return Recommendation(self._scored(places, self._counts), "popular")

    @cached_property
    def _counts(self) -> np.ndarray:
        return self.counts.astype(np.float32)

    @cached_property
    def _by_popularity(self) -> np.ndarray:
        # [num_items], the most popular first: found once, when the first is asked for.
        return np.argsort(-self.counts, kind="stable")

    @cached_property
    def _directions(self) -> Any:
        # [num_items, d] of rows with length 1 (or 0): item factors, or the sparse columns of who saw what.
        factors = self.ensemble.factors()
        if factors is not None:
            vectors = np.asarray(factors[1], dtype=np.float32)
            return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        import scipy.sparse as sp  # Not at the top: who has factors needs none.

        shape = (len(self.indptr) - 1, len(self.counts))
        watchers = sp.csr_array((np.ones(len(self.items), np.float32), self.items, self.indptr), shape=shape).T.tocsr()
        return sp.diags_array(1 / np.sqrt(np.maximum(np.diff(watchers.indptr), 1)).astype(np.float32)) @ watchers
