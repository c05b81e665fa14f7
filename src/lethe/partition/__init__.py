"""Pure functions that lay rows into shards and slices. ``PARTITIONS`` is the whole list."""

from lethe.config import Sharding
from lethe.partition.assignment import Assignment, Embeddings, Partition
from lethe.partition.balanced import ibp, inbp, ubp
from lethe.partition.graph import bekm, blpa
from lethe.partition.hashed import interaction_hash, user_hash, whole
from lethe.partition.slices import lay_slices

PARTITIONS: dict[str, Partition] = {
    "whole": Partition(whole, frozen=False),
    "user-hash": Partition(user_hash, frozen=False),
    "interaction-hash": Partition(interaction_hash, frozen=False),
    "ubp": Partition(ubp, frozen=True),
    "ibp": Partition(ibp, frozen=True),
    "inbp": Partition(inbp, frozen=True),
    "graph-lpa": Partition(blpa, frozen=True),
    "graph-bekm": Partition(bekm, frozen=True),
}


def frozen(sharding: Sharding) -> bool:
    """Whether the assignment looked at the data, or at requests, so that it is kept for an epoch."""
    requests = sharding.placement is not None and sharding.placement.by == "requests"
    return PARTITIONS[sharding.partition].frozen or requests


__all__ = ["PARTITIONS", "Assignment", "Embeddings", "Partition", "frozen", "lay_slices"]
