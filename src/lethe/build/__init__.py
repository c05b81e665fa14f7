"""From shards to a promoted winner."""
