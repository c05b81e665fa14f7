"""What DVC runs: sources, splits, partitions, and the gates behind them."""
