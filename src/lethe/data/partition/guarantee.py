"""What a sharding can promise of a deletion, and what forgotten data may still have decided."""

from __future__ import annotations

from lethe.config.promise import EQUAL, WITH_ASSIGNMENT, Lasting
from lethe.config.sharding import Sharding
from lethe.data.partition import partition_of


def frozen(sharding: Sharding) -> bool:
    """Whether the assignment looked at the data, or at requests, so that it is kept for an epoch."""
    requests = sharding.placement is not None and sharding.placement.by == "requests"
    return partition_of(sharding).frozen or requests


def guarantee(sharding: Sharding) -> str:
    """The most that a certificate can claim under this sharding; its evidence may carry less."""
    return EQUAL + WITH_ASSIGNMENT if frozen(sharding) else EQUAL


def residues(sharding: Sharding) -> tuple[Lasting, ...]:
    """What forgotten data may still have decided."""
    choices = Lasting(
        what="the kind of model and its hyper-parameters were chosen on this epoch's data",
        until="the choice is made anew in the next epoch",
    )
    if not frozen(sharding):
        return (choices,)
    assigned = Lasting(
        what="the shards and slices that other rows lie in were assigned while the data were there",
        until="the next epoch begins with a new partition",
    )
    return assigned, choices
