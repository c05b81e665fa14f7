"""Pure functions that lay rows into shards and slices. ``PARTITIONS`` is the whole list."""

from lethe.config.sharding import Sharding
from lethe.core.spelling import meant
from lethe.data.partition.assignment import Assignment, Embeddings, Partition
from lethe.data.partition.balanced import ibp, inbp, ubp
from lethe.data.partition.graph import bekm, blpa
from lethe.data.partition.hashed import interaction_hash, user_hash, whole
from lethe.data.partition.slices import lay_slices
from lethe.errors import ConfigError

PARTITIONS: dict[str, Partition] = {
    "whole": Partition(whole, frozen=False, balanced=False, keeps_users=True),
    "user-hash": Partition(user_hash, frozen=False, balanced=False, keeps_users=True),
    "interaction-hash": Partition(interaction_hash, frozen=False, balanced=False, keeps_users=False),
    "ubp": Partition(ubp, frozen=True, balanced=True, keeps_users=True, centred=True, lays="user"),
    "ibp": Partition(ibp, frozen=True, balanced=True, keeps_users=False, centred=True, lays="item"),
    "inbp": Partition(inbp, frozen=True, balanced=True, keeps_users=False, centred=True),
    "graph-lpa": Partition(blpa, frozen=True, balanced=True, keeps_users=True, lays="user"),
    "graph-bekm": Partition(bekm, frozen=True, balanced=True, keeps_users=True, centred=True, lays="user"),
}


def partition_of(layout: Sharding) -> Partition:
    """Raises ConfigError for a name that is not in the table."""
    if layout.partition not in PARTITIONS:
        near = meant(layout.partition, PARTITIONS)
        raise ConfigError(f"partition: {layout.partition!r} must be one of {', '.join(PARTITIONS)}{near}")
    return PARTITIONS[layout.partition]


__all__ = ["PARTITIONS", "Assignment", "Embeddings", "Partition", "lay_slices", "partition_of"]
