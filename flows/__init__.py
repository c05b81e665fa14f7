"""Prefect flows: when, in what order, what if it fails."""
