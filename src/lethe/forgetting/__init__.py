"""A forget request from the command line to its certificate."""
