"""New people at once: the vector of somebody the model never saw, from their items and the items' vectors alone.

A two-tower model's users are, given the items, the solutions of one small linear system each; so somebody new gets the
vector that training would end with, had the items not moved for them. What that takes beside the items' vectors is kept
here as a value, which an ensemble of bare factors carries with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple, Self

import numpy as np

MOST = 1024
NEWTON_STEPS = 6
"""More don't change the order of the scores."""


class Taken(NamedTuple):
    """What B people took, ragged: person b has ``items[indptr[b]:indptr[b + 1]]``, oldest first.

    indptr  [B + 1] int64      items  [nnz] int64, dense      ratings  [nnz] float32 or None
    """

    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None


@dataclass(frozen=True)
class FoldIn(ABC):
    """How a row of users is solved against fixed ``items`` [N, d], those that make the score."""

    kind: ClassVar[str]
    items: np.ndarray

    @abstractmethod
    def solve(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        """The vector [d] of somebody who took ``items`` [n] int64, distinct, rated ``ratings`` [n] where known."""

    @abstractmethod
    def shares(self, items: np.ndarray, ratings: np.ndarray | None, item: int) -> np.ndarray:
        """How much each of ``items`` [n] adds to the score of ``item`` -> [n]; they sum to what depends on them."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """What it is made from beside the items' vectors: with them, arguments of the class."""

    def users(self, taken: Taken) -> np.ndarray:
        """Vectors [B, d] float32; each is a function of that person's items alone."""
        people = range(len(taken.indptr) - 1)
        vectors = [self.solve(*_distinct(taken, person)) for person in people]
        return np.array(vectors, dtype=np.float32).reshape(len(people), self.items.shape[1])


@dataclass(frozen=True)
class SquareLossRows(FoldIn):
    """The least of the whole-matrix square loss (``models.parts.losses.non_sampling``) in a user's vector,

        (A + ρ diag A + reg I) p = Σ_{v∈V⁺} q_v,      A = Σ_v c⁻_v q_v q_vᵀ + Σ_{v∈V⁺} (1 - c⁻_v) q_v q_vᵀ

    with ρ = dropout / (1 - dropout); in float64, by a decomposition.

    negative_weights  [N] float32, c⁻ of each item      noise  [] ρ      reg  [] λ
    """

    kind = "square-loss"
    negative_weights: np.ndarray
    noise: np.ndarray
    reg: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, negative_weights: np.ndarray, *, dropout: float, reg: float = 0.0) -> Self:
        noise = np.array(dropout / (1.0 - dropout))
        return cls(items, np.asarray(negative_weights, dtype=np.float32), noise, np.array(reg))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"negative_weights": self.negative_weights, "noise": self.noise, "reg": self.reg}

    def _vectors(self, items: np.ndarray | slice) -> np.ndarray:
        return self.items[items].astype(np.float64)

    @cached_property
    def _gram(self) -> np.ndarray:
        vectors = self._vectors(slice(None))
        gram: np.ndarray = (vectors * self.negative_weights[:, None]).T @ vectors
        return gram

    def _system(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = self._vectors(items)
        gram = self._gram + (own * (1.0 - self.negative_weights[items, None])).T @ own
        return _held(gram + np.diag(self.noise * gram.diagonal() + self._factor(items))), own

    def _factor(self, items: np.ndarray) -> np.ndarray:
        """λ of somebody with such items."""
        return self.reg

    def solve(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        system, own = self._system(items)
        vector: np.ndarray = np.linalg.solve(system, own.sum(axis=0))
        return vector

    def shares(self, items: np.ndarray, ratings: np.ndarray | None, item: int) -> np.ndarray:
        system, own = self._system(items)
        shares: np.ndarray = own @ np.linalg.solve(system, self._vectors(np.array([item]))[0])
        return shares


@dataclass(frozen=True)
class FrequencyRows(SquareLossRows):
    """The same with an L2 that goes by how much a row's cells weigh: reg · (Σ c)^exponent (``models.solvers.als``).

    exponent  [] ν
    """

    kind = "frequency-square-loss"
    exponent: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return super().arrays() | {"exponent": self.exponent}

    def _factor(self, items: np.ndarray) -> np.ndarray:
        weights = self.negative_weights.astype(np.float64)
        factor: np.ndarray = self.reg * (weights.sum() + (1.0 - weights[items]).sum()) ** self.exponent
        return factor


@dataclass(frozen=True)
class CentredRows(SquareLossRows):
    """The same around the items' mean: for items whose vectors were made to be compared, so that only differences of
    scores mean anything. A user's scores lie as far off as their vector's product with the mean, which orders nothing.
    """

    kind = "centred-square-loss"

    @cached_property
    def _mean(self) -> np.ndarray:
        # Of the items that somebody had.
        there = self.negative_weights > 0
        mean: np.ndarray = (self.items if there.all() else self.items[there]).mean(axis=0, dtype=np.float64)
        return mean

    def _vectors(self, items: np.ndarray | slice) -> np.ndarray:
        return super()._vectors(items) - self._mean


@dataclass(frozen=True)
class PairwiseRows(FoldIn):
    """The least of BPR's expected loss in a user's vector, by Newton's method,

        Σ_{v∈V⁺} [mean_{j∉V⁺} -ln σ(p·q_v - p·q_j) + reg ‖p‖² / 2]

    with at most ``MOST`` lacked items, at regular places of the catalogue, standing for all.

    reg  [] λ of a triple
    """

    kind = "pairwise"
    reg: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {"reg": self.reg}

    def _lacked(self, items: np.ndarray) -> np.ndarray:
        lacked = np.ones(len(self.items), dtype=bool)
        lacked[items] = False
        places = np.flatnonzero(lacked)
        return self.items[places[:: -(-len(places) // MOST) or 1]].astype(np.float64)

    def _doubts(self, own: np.ndarray, others: np.ndarray, vector: np.ndarray) -> np.ndarray:
        # σ(p·q_j - p·q_v) [n, m]: how far each pair is from being in order.
        import scipy.special  # Not at the top: a worker of the service that folds in otherwise needs none.

        doubts: np.ndarray = scipy.special.expit((others @ vector)[None] - (own @ vector)[:, None])
        return doubts

    def solve(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        own, others = self.items[items].astype(np.float64), self._lacked(items)
        vector = np.zeros(own.shape[1])
        if not len(others):
            return vector
        ridge = len(own) * float(self.reg)
        for _ in range(NEWTON_STEPS):
            doubts = self._doubts(own, others, vector) / len(others)
            slopes = doubts * (1 - doubts * len(others))
            gradient = doubts.sum(axis=0) @ others - doubts.sum(axis=1) @ own + ridge * vector
            cross = own.T @ (slopes @ others)
            bend = (own.T * slopes.sum(axis=1)) @ own + (others.T * slopes.sum(axis=0)) @ others - cross - cross.T
            vector = vector - np.linalg.solve(_held(bend + np.diag(np.full(len(bend), ridge))), gradient)
        return vector

    def shares(self, items: np.ndarray, ratings: np.ndarray | None, item: int) -> np.ndarray:
        own, others = self.items[items].astype(np.float64), self._lacked(items)
        if not len(others):
            return np.zeros(len(own))
        # Where the gradient is 0 the vector is the sum of its items, each by its doubts, less that of the others.
        doubts = self._doubts(own, others, self.solve(items, ratings)).mean(axis=1)
        shares: np.ndarray = (
            doubts * (own @ self.items[item].astype(np.float64)) / (len(own) * max(float(self.reg), 1e-9))
        )
        return shares


@dataclass(frozen=True)
class RatingRows(FoldIn):
    """The least of Σ (r_ui - r̂_ui)² + reg Σ ‖p_u‖² over one user's n ratings: (Σ x xᵀ + n reg I) p = Σ (r - level) x.

    Plain: x = q_i, level 0. Biased: the items' vectors are (q_i, b_i, 1), x = (q_i, 1), level = μ + b_i, and the
    vector is (p, 1, μ + b_u). An item without a rating counts as liked: it gets ``liked``.

    reg  [] λ of a rating      liked  [] the greatest rating      mean  [] μ, or nan where not biased
    """

    kind = "ratings"
    reg: np.ndarray
    liked: np.ndarray
    mean: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {"reg": self.reg, "liked": self.liked, "mean": self.mean}

    @property
    def _biased(self) -> bool:
        return not np.isnan(self.mean)

    def _system(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        vectors, level = self.items[items].astype(np.float64), np.zeros(len(items))
        if self._biased:
            level, vectors = self.mean + vectors[:, -2], np.delete(vectors, -2, axis=1)
        gram = vectors.T @ vectors
        return _held(gram + np.diag(np.full(len(gram), len(items) * self.reg))), vectors, level

    def _stars(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        return np.full(len(items), self.liked) if ratings is None else np.where(np.isnan(ratings), self.liked, ratings)

    def solve(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        system, vectors, level = self._system(items)
        solved = np.linalg.solve(system, vectors.T @ (self._stars(items, ratings) - level))
        return np.concatenate([solved[:-1], [1.0, self.mean + solved[-1]]]) if self._biased else solved

    def shares(self, items: np.ndarray, ratings: np.ndarray | None, item: int) -> np.ndarray:
        system, vectors, level = self._system(items)
        asked = self.items[item].astype(np.float64)
        asked = np.delete(asked, -2) if self._biased else asked
        shares: np.ndarray = (vectors @ np.linalg.solve(system, asked)) * (self._stars(items, ratings) - level)
        return shares


@dataclass(frozen=True)
class MeanRows(FoldIn):
    """The mean of what their items say, brought to length 1.

    meanings  [N, d] float32, what each item says of who took it
    """

    kind = "mean"
    meanings: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return {"meanings": self.meanings}

    def _parts(self, items: np.ndarray) -> np.ndarray:
        own = self.meanings[items].astype(np.float64)
        parts: np.ndarray = own / max(float(np.linalg.norm(own.sum(axis=0))), np.finfo(np.float64).tiny)
        return parts

    def solve(self, items: np.ndarray, ratings: np.ndarray | None) -> np.ndarray:
        vector: np.ndarray = self._parts(items).sum(axis=0)
        return vector

    def shares(self, items: np.ndarray, ratings: np.ndarray | None, item: int) -> np.ndarray:
        shares: np.ndarray = self._parts(items) @ self.items[item].astype(np.float64)
        return shares


FOLD_INS: dict[str, type[FoldIn]] = {
    rows.kind: rows for rows in (SquareLossRows, FrequencyRows, CentredRows, PairwiseRows, RatingRows, MeanRows)
}


def _held(system: np.ndarray) -> np.ndarray:
    """A little on the diagonal, by its size, so that nothing is singular: where nothing is known the solution is 0."""
    return system + np.eye(len(system)) * (np.trace(system) / max(len(system), 1) * 1e-9 + np.finfo(np.float64).tiny)


def _distinct(taken: Taken, person: int) -> tuple[np.ndarray, np.ndarray | None]:
    """A person's items once each, increasing, with the latest rating of each."""
    rows = slice(taken.indptr[person], taken.indptr[person + 1])
    items, places = np.unique(taken.items[rows][::-1], return_index=True)
    return items, None if taken.ratings is None else taken.ratings[rows][::-1][places]
