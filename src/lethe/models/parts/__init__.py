"""What models share: the contract, losses, layers, batches, graphs, sequences, towers."""
