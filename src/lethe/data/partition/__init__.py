"""Pure functions that lay rows into shards and slices. ``PARTITIONS`` is the whole list."""

from lethe.data.partition.assignment import Assignment, Embeddings, Partition
from lethe.data.partition.balanced import ibp, inbp, ubp
from lethe.data.partition.graph import bekm, blpa
from lethe.data.partition.hashed import interaction_hash, user_hash, whole
from lethe.data.partition.slices import lay_slices

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


__all__ = ["PARTITIONS", "Assignment", "Embeddings", "Partition", "lay_slices"]
