"""Requests, their states, and the log of each change."""
