"""Lethe: recommender systems that can forget, exactly and with proof."""

__version__ = "0.1.0"
