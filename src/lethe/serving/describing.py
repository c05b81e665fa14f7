"""What a package is, and which of a user's items carried a score of its: as the service says it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from lethe.serving.answers import FamilyModel, Share
from lethe.serving.package import Package


def described(package: Package, version: str) -> FamilyModel:
    """What is served of a family."""
    return FamilyModel(
        version=version,
        model=package.info.model,
        sharding=package.info.sharding,
        data_digest=package.info.data_digest,
        guarantee=package.info.guarantee,
        repeatable=package.repeatable,
        engine=package.ensemble.engine,
    )


def carriers(package: Package, own: np.ndarray, item: int, k: int) -> tuple[list[Share], Literal["model", "likeness"]]:
    """The ``k`` of the items ``own``, dense and distinct, that most carried an item's score, the greatest first; and
    by what that is said."""
    parts = package.ensemble.shares(own, item) if len(own) else np.empty(0)
    likeness = package.likeness_to(item, own) if parts is None else parts
    order = np.argsort(-likeness, kind="stable")[:k]
    ids = package.ensemble.catalogue.items.decode(own[order]).tolist()
    carried = [Share(item_id=raw, share=float(share)) for raw, share in zip(ids, likeness[order], strict=True)]
    return carried, "likeness" if parts is None else "model"
