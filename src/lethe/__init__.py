"""Lethe: recommender systems that can forget, exactly and with proof."""

__version__ = "0.2.0"
