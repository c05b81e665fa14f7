"""What is measured of one recommender. Apart from the options that say so: an option more must re-key no evaluation."""

from __future__ import annotations

from lethe.config.section import Section


class Measures(Section):
    """What is measured of one recommender: of its rankings at cutoffs, or of the ratings that it predicts."""

    ratings: bool
    """Whether it predicts ratings."""
    metrics: tuple[str, ...]
    """Names in ``evaluation.metrics.METRICS``, or in ``evaluation.rating.ERRORS``."""
    cutoffs: tuple[int, ...] = ()
    """None where it predicts ratings."""
