"""A sub-model: one model that has learnt from one shard, as files.

weights.safetensors           all that ``Model.score`` reads
users.parquet, items.parquet  the catalogue of the shard's rows, with those of its side tables; new_items.parquet, where
                              the model recommends items that no row names
history.json                  a row an epoch
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import save_file

from lethe.core.random import Stream
from lethe.learning.memory import must_fit_memory
from lethe.learning.training import Begin, History, Progress, train
from lethe.models.parts.base import Config, Model
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt: a model with its settings, from the rows of a shard and the tables beside them."""

    model: type[Model]
    config: Config
    rows: Interactions
    tables: SideTables
    stream: Stream
    device: torch.device
    saved: Path
    """The checkpoint of a training that takes long."""

    @cached_property
    def beside(self) -> SideTables:
        """The tables that it is learnt from, in which no item is new."""
        return self.tables.of_rows(self.rows) if "items" in self.tables.tables else self.tables

    def catalogue(self) -> Catalogue:
        """Of what it is learnt from."""
        return Catalogue.of(self.rows, self.beside)

    def learn(self, catalogue: Catalogue, progress: Progress, begin: Begin | None = None) -> tuple[Model, History]:
        """A trained model over ``catalogue``; ``begin`` may change the start."""
        must_fit_memory(self.model.__name__, self.model, self.config, catalogue.shape)
        model = self.model(self.config, catalogue.shape)
        data = catalogue.encode(self.rows, self.beside)
        history = train(model, data, self.stream, self.device, progress=progress, saved=self.saved, begin=begin)
        return model, history


def write_sub_model(folder: Path, lesson: Lesson, progress: Progress) -> None:
    """Learn, and write the sub-model into ``folder``."""
    catalogue = lesson.catalogue()
    model, history = lesson.learn(catalogue, progress)
    write_model(folder, *with_new_items(model, catalogue, lesson.tables), history)


def with_new_items(model: Model, catalogue: Catalogue, tables: SideTables) -> tuple[Model, Catalogue]:
    """A trained model that scores the tables' new items too, where it can, and their catalogue.

    They join when all is learnt: it is the training of before, to the byte, in which nobody lacked them. So they are no
    negatives, and what they are worth is what their features are.
    """
    wide = catalogue.with_new_items(tables) if model.by_content else catalogue
    if wide.new_items is None:
        return model, catalogue
    places, features = wide.items.encode(catalogue.items.values), wide.encode_features(tables.tables["item_features"])
    with torch.no_grad():
        return model.with_items(wide.shape, torch.from_numpy(places), features), wide


def write_model(folder: Path, model: Model, catalogue: Catalogue, history: History) -> None:
    """Write a trained model into ``folder``."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "weights.safetensors")
    catalogue.write(folder)
    (folder / "history.json").write_text(json.dumps(history))
