"""From a shard to an ensemble: training, checkpoints, slices, aggregation."""
