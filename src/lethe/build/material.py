"""What a recipe is built from: the tables of a workspace that it names, each as the model may learn it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lethe.build.recipe import Recipe
from lethe.core.workspace import Workspace
from lethe.data.split import PARTS
from lethe.errors import DataError
from lethe.tables.interactions import Interactions
from lethe.tables.likes import are_likes, likes
from lethe.tables.reader import Reader
from lethe.tables.side_tables import SideTables


@dataclass(frozen=True)
class Material:
    """The tables behind a recipe, read and digested once."""

    workspace: Workspace
    recipe: Recipe
    reader: Reader = field(default_factory=Reader, compare=False, repr=False)

    def rows(self) -> Interactions:
        """All that the model may learn."""
        return likes(self.whole_rows(), self.recipe.positive)

    def whole_rows(self) -> Interactions:
        """The rows that the recipe is built from, dislikes too."""
        return self.reader.interactions(self.rows_path)

    @property
    def rows_path(self) -> Path:
        return self.workspace.rows(self.recipe.dataset, self.recipe.rows)

    def part(self, part: str) -> Interactions:
        """What the model may learn, or is judged by, of a part of the split."""
        return likes(self.whole_part(part), self.recipe.positive)

    def whole_part(self, part: str) -> Interactions:
        """All rows of a part of the split, dislikes too."""
        return self.reader.interactions(self.workspace.split(self.recipe.dataset, part))

    def digest_of(self, path: Path) -> str:
        """Of what may be learnt of a table."""
        if self.recipe.positive is None:
            return self.reader.digest(path)
        return likes(self.reader.interactions(path), self.recipe.positive).digest()

    def shard_names(self) -> list[str]:
        """Names of the shards that hold rows, in order; an emptied shard trains nothing."""
        folder = self.workspace.shards(self.recipe.dataset, self.recipe.laid_in)
        names = sorted(path.stem for path in folder.glob("*.parquet") if self._holds_rows(path))
        if not names:
            raise DataError(f"{folder.relative_to(self.workspace.root)}: no shard holds a row; run lethe data repro")
        return names

    def _holds_rows(self, shard: Path) -> bool:
        # Where every row counts, none has to be read.
        if self.recipe.positive is None:
            return self.reader.rows(shard) > 0
        return bool(are_likes(self.reader.interactions(shard), self.recipe.positive).any())

    def shard_path(self, name: str) -> Path:
        return self.workspace.shards(self.recipe.dataset, self.recipe.laid_in) / f"{name}.parquet"

    def shard(self, name: str) -> Interactions:
        """What the model may learn of a shard."""
        return likes(self.reader.interactions(self.shard_path(name)), self.recipe.positive)

    def shard_side(self, name: str) -> SideTables:
        return self.reader.side(self.workspace.shard_side(self.recipe.dataset, self.recipe.laid_in, name))

    def slices(self, name: str) -> np.ndarray:
        """The slice of each row of ``shard`` -> [n] int64; raises DataError where it was not laid in slices."""
        path = self.shard_path(name)
        slices = self.reader.slices(path)
        if slices is None:
            raise DataError(f"shard {name} of {self.recipe.laid_in}: column 'slice' is missing; run lethe data repro")
        return slices[are_likes(self.reader.interactions(path), self.recipe.positive)]

    def tables(self) -> dict[str, str]:
        """Content digest of every table behind what is built here, as ``PackageInfo.tables`` names them."""
        dataset, digest = self.recipe.dataset, self.reader.digest_beside
        shards = sorted(self.workspace.shards(dataset, self.recipe.laid_in).glob("*.parquet"))
        rows = {f"split/{part}": self.workspace.split(dataset, part) for part in PARTS}
        if self.recipe.rows == "all":
            rows = {"all": self.rows_path}
        return {
            "interactions": digest(self.workspace.interactions(dataset)),
            **{name: self.reader.digest(path) for name, path in rows.items()},
            **{f"shard/{path.stem}": digest(path) for path in shards},
        }

    def seen(self) -> Interactions:
        """What is not recommended again: every row; of a build on the training part those that it isn't tested by."""
        if self.recipe.rows == "all":
            return self.whole_rows()
        return Interactions.concatenate(self.whole_part("train"), self.whole_part("valid"))
