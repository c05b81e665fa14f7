"""Sub-models put together as they are: each scores what it holds by itself, and the scores are weighted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from lethe.core.arrays import map_arrays
from lethe.learning.ensemble import NOTHING, Asked, DescribedModel, Description, Ensemble, write_arrays
from lethe.models import MODELS, configure
from lethe.models.parts.base import Given, Model
from lethe.tables.catalogue import Catalogue


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

    def shares(self, own: np.ndarray, item: int) -> np.ndarray | None:
        """``Ensemble.shares`` in its own dense items."""
        weights = self.model.weights_to(torch.from_numpy(own), item)
        if weights is not None:
            return weights.numpy()
        fold_in = self.model.fold_in()
        return None if fold_in is None else fold_in.shares(own, None, item)


@dataclass(frozen=True)
class WeightedEnsemble(Ensemble):
    """The mean of the members' weighted scores over those that hold both user and item: 1/n Σ_i w_i s_i(u, v).

    Items that none of a user's members holds rank below all the others, by their training counts.

    counts  [num_items] int64: training rows of each item      weights  [K] float32; all 1 is SISA's mean
    """

    engine = "torch"
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

    def shares(self, own: np.ndarray, item: int) -> np.ndarray | None:
        total, holders = np.zeros(len(own)), 0
        raw, asked = self.catalogue.items.decode(own), self.catalogue.items.decode(np.array([item]))
        for weight, member in zip(self.weights, self.members, strict=True):
            place, items = int(member.catalogue.items.encode(asked)[0]), member.catalogue.items.encode(raw)
            if place < 0:
                continue
            held = items >= 0
            part = member.shares(items[held], place)
            if part is None:
                return None
            total[held] += float(weight) * part
            holders += 1
        return total / holders if holders else None

    def save(self, folder: Path) -> None:
        members = tuple(
            DescribedModel(m.name, MODELS.name_of(type(m.model)), m.model.config.plain()) for m in self.members
        )
        arrays = {"counts": self.counts, "weights": self.weights}
        write_arrays(folder, self.catalogue, Description("weighted", members=members), arrays)
        for member in self.members:
            own = folder / "members" / member.name
            own.mkdir(parents=True, exist_ok=True)
            member.catalogue.write(own)
            state = {name: value.clone().contiguous() for name, value in member.model.state_dict().items()}
            save_file(state, own / "weights.safetensors")

    @classmethod
    def read(cls, folder: Path, description: Description) -> WeightedEnsemble:
        """What ``save`` wrote."""
        members = []
        for described in description.members or ():
            own = folder / "members" / described.name
            catalogue = Catalogue.read(own)
            model = MODELS[described.model](configure(described.model, described.config), catalogue.shape)
            state = {name: torch.from_numpy(part) for name, part in map_arrays(own / "weights.safetensors").items()}
            model.load_state_dict(state, assign=True)
            members.append(SubModel(described.name, model.eval(), catalogue))
        arrays = map_arrays(folder / "ensemble.safetensors")
        return cls(Catalogue.read(folder), tuple(members), arrays["counts"], arrays["weights"])
