"""Tables of interactions, their dense forms, splits and batches."""
