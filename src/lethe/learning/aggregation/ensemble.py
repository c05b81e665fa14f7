"""What evaluation and serving see: one recommender over the whole catalogue, however many sub-models are behind it.

    ensemble.json                 kind, and for "weighted" the sub-models: name, model, config
    users.parquet, items.parquet  the catalogue
    ensemble.safetensors          "factors": users, items, fold_in.*      "weighted": counts, weights
    members/NAME/                 "weighted": users.parquet, items.parquet, weights.safetensors of each sub-model

The bytes are a function of the content, and a folder needs nothing outside it.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

from lethe.core.arrays import map_arrays
from lethe.core.canonical import canonical_json
from lethe.errors import ArtifactError
from lethe.models import MODELS, configure
from lethe.models.parts.base import Given, Model
from lethe.models.parts.fold_in import FOLD_INS, FoldIn, Taken
from lethe.tables.catalogue import Catalogue


@dataclass(frozen=True)
class Asked:
    """What comes with a request for B users beside who they are, in raw ids (``models.parts.base.Given`` is dense).

    contexts   {field: [B] values}      histories  B arrays of item ids, oldest first, or None
    ratings    B arrays, as long as those, of how the items were rated (nan: not), or None
    """

    contexts: dict[str, np.ndarray] = field(default_factory=dict)
    histories: Sequence[np.ndarray] | None = None
    ratings: Sequence[np.ndarray] | None = None

    @property
    def fields(self) -> set[str]:
        """Which of a model's ``accepts`` are there."""
        there = {"contexts": bool(self.contexts), "history": self.histories is not None}
        return {name for name, given in there.items() if given}

    def take(self, rows: np.ndarray) -> Asked:
        """What came for some of the users."""
        histories, ratings = (
            None if part is None else [part[row] for row in rows] for part in (self.histories, self.ratings)
        )
        return Asked({name: values[rows] for name, values in self.contexts.items()}, histories, ratings)

    def taken(self, catalogue: Catalogue) -> Taken | None:
        """The histories in dense items of a catalogue, what it doesn't know left out; None where there are none."""
        if self.histories is None:
            return None
        rows = [catalogue.items.encode(items) for items in self.histories]
        known = [items >= 0 for items in rows]
        indptr = np.concatenate([[0], np.cumsum([there.sum() for there in known])]).astype(np.int64)
        items = np.concatenate([np.empty(0, np.int64), *(row[there] for row, there in zip(rows, known, strict=True))])
        if self.ratings is None:
            return Taken(indptr, items)
        stars = (row[there] for row, there in zip(self.ratings, known, strict=True))
        return Taken(indptr, items, np.concatenate([np.empty(0, np.float32), *stars]).astype(np.float32))


NOTHING = Asked()


@dataclass(frozen=True)
class SubModel:
    """A trained model of one shard and the ids its dense indices stand for."""

    name: str
    model: Model
    catalogue: Catalogue

    def score(self, users: np.ndarray, asked: Asked = NOTHING) -> np.ndarray:
        """Scores [B, its num_items] float32 of its own dense users [B] int64, -1 for one it doesn't know."""
        with torch.inference_mode():
            if not asked.fields & self.accepts:
                return self.model.score(torch.from_numpy(users)).numpy()
            return self.model.score_given(torch.from_numpy(users), self._given(asked)).numpy()

    @cached_property
    def accepts(self) -> frozenset[str]:
        """Fields of ``Asked`` that its scores look at: a model that can fold people in looks at histories."""
        return self.model.accepts | (frozenset() if self.model.fold_in() is None else {"history"})

    def _given(self, asked: Asked) -> Given:
        contexts = self.catalogue.encode_contexts(asked.contexts)
        taken = asked.taken(self.catalogue)
        history = ratings = None
        if taken is not None:
            history = torch.from_numpy(taken.indptr), torch.from_numpy(taken.items)
            ratings = None if taken.ratings is None else torch.from_numpy(taken.ratings)
        return Given(None if contexts is None else torch.from_numpy(contexts), history, ratings)

    def factors(self, *, unsmoothed: bool = False) -> tuple[np.ndarray, np.ndarray] | None:
        """Its two towers ([its num_users, d], [its num_items, d]) float32, or None; ``unsmoothed`` by any graph."""
        with torch.inference_mode():
            factors = self.model.unsmoothed() if unsmoothed else self.model.factors()
        return None if factors is None else (factors[0].numpy(), factors[1].numpy())


class Ensemble(ABC):
    """A recommender over the dense ids of ``catalogue``, that of all training rows."""

    catalogue: Catalogue

    @abstractmethod
    def score(self, users: np.ndarray, asked: Asked = NOTHING) -> np.ndarray:
        """Scores [B, num_items] float32 of users [B] int64, finite; higher is better.

        Users may be -1 (unknown) where ``asked`` has something that the ensemble ``accepts``.
        """

    @property
    def accepts(self) -> frozenset[str]:
        """Fields of ``Asked`` that ``score`` looks at."""
        return frozenset()

    @property
    def ordered(self) -> bool:
        """Whether it follows a history as a sequence, so that one that is given stands for all that a user did."""
        return False

    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Two towers ([num_users, d], [num_items, d]) float32 whose dot product is the score, or None."""
        return None

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write it into ``folder``."""

    @staticmethod
    def load(folder: Path) -> Ensemble:
        """Read what ``save`` wrote; raises ArtifactError where a file is missing or not of an ensemble."""
        try:
            description = json.loads((folder / "ensemble.json").read_bytes())
            kinds = {"factors": FactorEnsemble.read, "weighted": WeightedEnsemble.read}
            return kinds[description["kind"]](folder, description)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise ArtifactError(f"ensemble {folder.name[:16]}: not an ensemble ({type(error).__name__})") from None


@dataclass(frozen=True)
class FactorEnsemble(Ensemble):
    """Two towers: users [num_users, d] and items [num_items, d] float32; and how somebody new gets a vector."""

    catalogue: Catalogue
    users: np.ndarray
    items: np.ndarray
    fold_in: FoldIn | None = None

    @property
    def accepts(self) -> frozenset[str]:
        return frozenset() if self.fold_in is None else frozenset({"history"})

    def score(self, users: np.ndarray, asked: Asked = NOTHING) -> np.ndarray:
        taken = None if self.fold_in is None else asked.taken(self.catalogue)
        vectors = self.users[users]
        if self.fold_in is not None and taken is not None:
            there = np.diff(taken.indptr) > 0
            vectors[there] = self.fold_in.users(taken)[there]
            vectors[~there & (users < 0)] = 0
        return vectors @ self.items.T

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self.users, self.items

    def save(self, folder: Path) -> None:
        arrays = {"users": np.ascontiguousarray(self.users), "items": np.ascontiguousarray(self.items)}
        description: dict[str, str] = {"kind": "factors"}
        if self.fold_in is not None:
            description["fold_in"] = self.fold_in.kind
            arrays |= {f"fold_in.{name}": array for name, array in self.fold_in.arrays().items()}
        _write(folder, self.catalogue, description, arrays)

    @classmethod
    def read(cls, folder: Path, description: dict[str, Any]) -> FactorEnsemble:
        """What ``save`` wrote; ``description`` is ensemble.json."""
        arrays = map_arrays(folder / "ensemble.safetensors")
        users, items, fold_in = arrays.pop("users"), arrays.pop("items"), None
        if "fold_in" in description:
            own = {name.removeprefix("fold_in."): array for name, array in arrays.items()}
            fold_in = FOLD_INS[description["fold_in"]](items, **own)
        return cls(Catalogue.read(folder), users, items, fold_in)


@dataclass(frozen=True)
class WeightedEnsemble(Ensemble):
    """The mean of the members' weighted scores over those that hold both user and item: 1/n Σ_i w_i s_i(u, v).

    Items that none of a user's members holds rank below all the others, by their training counts.

    counts  [num_items] int64: training rows of each item      weights  [K] float32; all 1 is SISA's mean
    """

    catalogue: Catalogue
    members: tuple[SubModel, ...]
    counts: np.ndarray
    weights: np.ndarray

    @cached_property
    def places(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each member: its own index of each user (-1 where it has none), and the index of each of its items."""
        return [
            (
                m.catalogue.users.encode(self.catalogue.users.values),
                self.catalogue.items.encode(m.catalogue.items.values),
            )
            for m in self.members
        ]

    @property
    def accepts(self) -> frozenset[str]:
        return frozenset().union(*(member.accepts for member in self.members))

    @property
    def ordered(self) -> bool:
        return any(member.model.ordered for member in self.members)

    def votes(self, users: np.ndarray, asked: Asked = NOTHING) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
        """For each member: which cells of (users, items) it holds, an open mesh, and its scores [n, m] there."""
        for member, (own_users, items) in zip(self.members, self.places, strict=True):
            own = np.where(users >= 0, own_users[users], -1)
            # Whom a shard never saw it can answer all the same by what came with the request.
            rows = np.flatnonzero((own >= 0) | ((users < 0) & bool(asked.fields & member.accepts)))
            yield np.ix_(rows, items), member.score(own[rows], asked.take(rows))

    def score(self, users: np.ndarray, asked: Asked = NOTHING) -> np.ndarray:
        total = np.zeros((len(users), len(self.counts)), dtype=np.float32)
        holders = np.zeros_like(total)
        for weight, (cells, scores) in zip(self.weights, self.votes(users, asked), strict=True):
            total[cells] += weight * scores
            holders[cells] += 1
        held = holders > 0
        scores = np.divide(total, holders, out=total, where=held)
        # Below the worst held item by as much as keeps popularity apart in float32, the most popular nearest to it.
        worst = np.where(held, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
        worst[~held.any(axis=1)] = 0
        step = np.maximum(np.abs(worst), 1)
        below = worst - step * (2 - self.counts / max(self.counts.max(initial=1), 1))
        return np.where(held, scores, below).astype(np.float32)

    def save(self, folder: Path) -> None:
        described = [
            {"name": m.name, "model": MODELS.name_of(type(m.model)), "config": m.model.config.plain()}
            for m in self.members
        ]
        arrays = {"counts": self.counts, "weights": self.weights}
        _write(folder, self.catalogue, {"kind": "weighted", "members": described}, arrays)
        for member in self.members:
            own = folder / "members" / member.name
            own.mkdir(parents=True, exist_ok=True)
            member.catalogue.write(own)
            state = {name: value.clone().contiguous() for name, value in member.model.state_dict().items()}
            save_file(state, own / "weights.safetensors")

    @classmethod
    def read(cls, folder: Path, description: dict[str, Any]) -> WeightedEnsemble:
        """What ``save`` wrote; ``description`` is ensemble.json."""
        members = []
        for entry in description["members"]:
            own = folder / "members" / entry["name"]
            catalogue = Catalogue.read(own)
            model = MODELS[entry["model"]](configure(entry["model"], entry["config"]), catalogue.shape)
            state = {name: torch.from_numpy(part) for name, part in map_arrays(own / "weights.safetensors").items()}
            model.load_state_dict(state, assign=True)
            members.append(SubModel(entry["name"], model.eval(), catalogue))
        arrays = map_arrays(folder / "ensemble.safetensors")
        return cls(Catalogue.read(folder), tuple(members), arrays["counts"], arrays["weights"])


def _write(folder: Path, catalogue: Catalogue, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    catalogue.write(folder)
    save_arrays(arrays, folder / "ensemble.safetensors")
    (folder / "ensemble.json").write_bytes(canonical_json(description))
