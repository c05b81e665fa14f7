"""What params.yaml says of measuring."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lethe.config.measures import Measures
from lethe.config.section import Once, Section


class Evaluation(Section):
    metrics: Annotated[tuple[str, ...], Once] = Field(("hr", "recall", "recall_min", "ndcg"), min_length=1)
    """What is measured of rankings, each at every cutoff: hr, recall, recall_min, ndcg, ndcg_kgat."""
    rating_metrics: Annotated[tuple[str, ...], Once] = Field(("rmse", "mae"), min_length=1)
    """What is measured of predicted ratings: rmse, mae, mse."""
    cutoffs: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Once] = Field((10, 20, 50), min_length=1)
    """Lengths of the rankings that are measured: recall@10 and so on."""

    def measures(self, *, ratings: bool) -> Measures:
        if ratings:
            return Measures(ratings=True, metrics=self.rating_metrics)
        return Measures(ratings=False, metrics=self.metrics, cutoffs=self.cutoffs)
