"""What everything stands on: canonical forms, files, randomness, the environment, keys, artifacts, processes."""
