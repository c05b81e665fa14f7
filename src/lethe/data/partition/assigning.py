"""Where rows are laid: the shards of a stretch of users, and the slices within them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lethe.config.sharding import Sharding
from lethe.core.random import Stream
from lethe.data.outputs import ByTable
from lethe.data.partition import Assignment, lay_slices, partition_of
from lethe.data.partition.leaving import Leaving
from lethe.data.partition.steps import Laid, are_alike, kept_in_steps
from lethe.tables.blocks import held, rows_of, side_by_side
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.stretches import Stretch


def assigned_of(
    of: Stretch, path: Path, kept: Path | None, layout: Sharding, stream: Stream, leaving: Leaving | None
) -> Iterator[ByTable]:
    """Places of some users' rows. In a partition that does not look at data a row's shard hangs on its own user's rows
    at most, by the law of locality; one that does is given all rows when an epoch begins. So is any where ids have
    become text since, or integers: what is kept lies in another order."""
    steps: Iterable[Laid]
    looks_at_all = partition_of(layout).frozen
    if looks_at_all if kept is None else not are_alike(path, kept):
        rows, previous = Interactions.read(path), None if kept is None else Assignment.read(kept)
        steps = [(rows, previous, _shards_of(rows, layout, previous, stream))]
    elif kept is not None and looks_at_all:
        steps = kept_in_steps(path, kept, layout, stream)
    else:
        steps = _by_locality(of, path, kept, layout, stream)
    for laid in steps:
        yield {"assignment": _with_slices(*laid, layout, stream, leaving).to_table()}


def _by_locality(of: Stretch, path: Path, kept: Path | None, layout: Sharding, stream: Stream) -> Iterator[Laid]:
    for block, before in side_by_side(path, [] if kept is None else [kept], also=Assignment.PLACES, of=of):
        rows, previous = rows_of(block), Assignment.of_columns(held(before[0])) if before else None
        yield rows, previous, _shards_of(rows, layout, previous, stream)


def _shards_of(rows: Interactions, layout: Sharding, previous: Assignment | None, stream: Stream) -> np.ndarray:
    assign = partition_of(layout).assign
    return assign(rows, layout.num_shards, previous, stream, balance=layout, embeddings=pretrain)


def _with_slices(
    rows: Interactions,
    previous: Assignment | None,
    shards: np.ndarray,
    layout: Sharding,
    stream: Stream,
    leaving: Leaving | None,
) -> Assignment:
    slices = None
    if layout.slices > 1:
        likely = None if leaving is None else leaving(rows)
        slices = lay_slices(rows, layout.slices, stream, leaving=likely, previous=previous)
    return Assignment(rows.user_ids, rows.item_ids, shards, slices)


def pretrain(rows: Interactions, stream: Stream) -> tuple[Catalogue, np.ndarray, np.ndarray]:
    """User and item vectors of a WMF trained on the rows, for the balanced partitions; never stored."""
    from lethe.learning.training import train
    from lethe.models.wmf import WMF

    catalogue = Catalogue.of(rows)
    model = WMF(WMF.Config.parse({}, "models.wmf"), catalogue.shape)
    train(model, catalogue.encode(rows), stream)
    users, items = model.factors_or_fail()
    return catalogue, users.detach().numpy(), items.detach().numpy()
