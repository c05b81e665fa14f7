"""Prefect flows: when, in what order, what if it fails."""

from lethe.core.interrupted import in_one_line

# Before any of them: what they stand on takes seconds to load.
in_one_line()
