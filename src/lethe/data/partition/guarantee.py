"""What a sharding can promise of a deletion, and what forgotten data may still have decided."""

from __future__ import annotations

from lethe.config.sharding import Sharding
from lethe.data.partition import PARTITIONS


def frozen(sharding: Sharding) -> bool:
    """Whether the assignment looked at the data, or at requests, so that it is kept for an epoch."""
    requests = sharding.placement is not None and sharding.placement.by == "requests"
    return PARTITIONS[sharding.partition].frozen or requests


def guarantee(sharding: Sharding) -> str:
    """What the certificate promises under this sharding."""
    if not frozen(sharding):
        return "unconditional: equal to never having had the data"
    return "given the frozen assignment: equal to the pipeline run with that assignment and without the data"


def residues(sharding: Sharding) -> list[str]:
    """What forgotten data may still have decided, each with when that ends."""
    choices = [
        "the kind of model and its hyper-parameters were chosen on this epoch's data; "
        "ends when the choice is made anew in the next epoch"
    ]
    if not frozen(sharding):
        return choices
    assigned = (
        "the shards and slices that other rows lie in were assigned while the data were there; "
        "ends when the next epoch begins with a new partition"
    )
    return [assigned, *choices]
