"""Pure functions that lay rows into shards. ``PARTITIONS`` is the whole list."""

from lethe.partition.assignment import Assignment, Embeddings, Partition
from lethe.partition.balanced import ibp, inbp, ubp
from lethe.partition.graph import bekm, blpa
from lethe.partition.hashed import interaction_hash, user_hash, whole

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

__all__ = ["PARTITIONS", "Assignment", "Embeddings", "Partition"]
