"""What evaluation and serving see: one recommender over the whole catalogue, however many sub-models are behind it.

    ensemble.json                 kind, and for "weighted" the sub-models: name, model, config
    users.parquet, items.parquet  the catalogue
    ensemble.safetensors          "factors": users, items, fold_in.*      "weighted": counts, weights
    members/NAME/                 "weighted": users.parquet, items.parquet, weights.safetensors of each sub-model

The bytes are a function of the content, and a folder needs nothing outside it. Two towers are scored here, by NumPy,
whoever asks: evaluation and service can't differ, and a worker of the service needs no torch. What needs models
(``learning.weighted``) is loaded with the first ensemble of that kind.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from safetensors.numpy import save_file

from lethe.core.arrays import map_arrays
from lethe.core.canonical import Json, canonical_json
from lethe.errors import ArtifactError, DataError
from lethe.models.parts.fold_in import FOLD_INS, FoldIn, Taken
from lethe.tables.catalogue import Catalogue

Engine = Literal["numpy", "torch"]
"""What an ensemble computes scores with."""


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


class Ensemble(ABC):
    """A recommender over the dense ids of ``catalogue``, that of all training rows."""

    engine: ClassVar[Engine]
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

    def shares(self, own: np.ndarray, item: int) -> np.ndarray | None:
        """How much each of the items ``own`` [n], dense and distinct, adds to the score of ``item`` -> [n] float64;
        None where the score has no such parts.

        Of factors that is the linear system that a user's vector solves, of item weights the weights themselves; of
        several shards the mean over those that hold both items.
        """
        return None

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write it into ``folder``."""

    @staticmethod
    def load(folder: Path) -> Ensemble:
        """Read what ``save`` wrote; raises ArtifactError where a file is missing or not of an ensemble."""
        try:
            description = Description.read(folder)
            return _reader(description.kind)(folder, description)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, DataError) as error:
            raise ArtifactError(f"ensemble {folder.name[:16]}: not an ensemble ({type(error).__name__})") from None


@dataclass(frozen=True)
class DescribedModel:
    """A sub-model of a weighted ensemble: which model of ``MODELS`` it is, and its Config."""

    name: str
    model: str
    config: Json


@dataclass(frozen=True)
class Description:
    """ensemble.json."""

    kind: str
    fold_in: str | None = None
    members: tuple[DescribedModel, ...] | None = None

    @classmethod
    def read(cls, folder: Path) -> Description:
        values = json.loads((folder / "ensemble.json").read_bytes())
        members = tuple(DescribedModel(**member) for member in values["members"]) if "members" in values else None
        return cls(values["kind"], values.get("fold_in"), members)

    def write(self, folder: Path) -> None:
        """Only what is there."""
        members = None if self.members is None else [vars(member) for member in self.members]
        values = {"kind": self.kind, "fold_in": self.fold_in, "members": members}
        there = {name: value for name, value in values.items() if value is not None}
        (folder / "ensemble.json").write_bytes(canonical_json(there))


@dataclass(frozen=True)
class FactorEnsemble(Ensemble):
    """Two towers: users [num_users, d] and items [num_items, d] float32; and how somebody new gets a vector."""

    engine = "numpy"
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

    def shares(self, own: np.ndarray, item: int) -> np.ndarray | None:
        return None if self.fold_in is None else self.fold_in.shares(own, None, item)

    def save(self, folder: Path) -> None:
        arrays = {"users": np.ascontiguousarray(self.users), "items": np.ascontiguousarray(self.items)}
        description = Description("factors", None if self.fold_in is None else self.fold_in.kind)
        if self.fold_in is not None:
            arrays |= {f"fold_in.{name}": array for name, array in self.fold_in.arrays().items()}
        write_arrays(folder, self.catalogue, description, arrays)

    @classmethod
    def read(cls, folder: Path, description: Description) -> FactorEnsemble:
        """What ``save`` wrote."""
        arrays = map_arrays(folder / "ensemble.safetensors")
        users, items, fold_in = arrays.pop("users"), arrays.pop("items"), None
        if description.fold_in is not None:
            own = {name.removeprefix("fold_in."): array for name, array in arrays.items()}
            fold_in = FOLD_INS[description.fold_in](items, **own)
        return cls(Catalogue.read(folder), users, items, fold_in)


def _reader(kind: str) -> Callable[[Path, Description], Ensemble]:
    """What reads an ensemble of a kind. Raises KeyError for none."""
    if kind == "weighted":
        from lethe.learning.weighted import WeightedEnsemble  # Not at the top: it brings torch.

        return WeightedEnsemble.read
    return {"factors": FactorEnsemble.read}[kind]


def write_arrays(folder: Path, catalogue: Catalogue, description: Description, arrays: dict[str, np.ndarray]) -> None:
    """Write what every ensemble has."""
    folder.mkdir(parents=True, exist_ok=True)
    catalogue.write(folder)
    save_file(arrays, folder / "ensemble.safetensors")
    description.write(folder)
