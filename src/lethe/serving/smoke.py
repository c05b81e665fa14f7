"""The smoke test: a few questions whose right answers are known, to a deployment before and after it serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lethe.core.canonical import Json
from lethe.errors import DeploymentError
from lethe.serving.answers import Recommended, Similar
from lethe.serving.choosing import RawId
from lethe.serving.desk import Desk
from lethe.serving.hidden import HiddenUsers
from lethe.serving.package import Package
from lethe.serving.server import Server

NOBODY = "nobody (smoke test)"
ITEMS = 10


class Answers(Protocol):
    """Whoever answers as the service does; raises LetheError where it refuses."""

    def recommend(self, user_id: RawId, k: int, family: str | None) -> Recommended: ...

    def similar_items(self, item_id: RawId, k: int, family: str | None) -> Similar: ...


@dataclass(frozen=True)
class OverHttp:
    """The answers of a running server."""

    server: Server

    def recommend(self, user_id: RawId, k: int, family: str | None) -> Recommended:
        body: Json = {"user_id": user_id, "k": k, "family": family}
        return Recommended.model_validate(self.server.ask("POST", "/recommend", body))

    def similar_items(self, item_id: RawId, k: int, family: str | None) -> Similar:
        body: Json = {"item_id": item_id, "k": k, "family": family}
        return Similar.model_validate(self.server.ask("POST", "/similar_items", body))


def smoke_test(desk: Desk, answers: Answers, hidden: HiddenUsers) -> None:
    """Ask every family about somebody unknown, about somebody its package knows, and for items like one; raises
    DeploymentError at the first wrong answer, naming nobody.

    ``desk`` has the deployment that must be served; ``answers`` are put to the test; whoever is ``hidden`` isn't asked.
    """
    for family, tag in desk.deployment.families.items():
        popular = answers.recommend(NOBODY, 1, family)
        if popular.version != tag or popular.source != "popular" or not popular.items:
            raise DeploymentError(f"smoke test: family {family!r} must answer an unknown user with popular items")
        _ask_somebody_known(desk, answers, hidden, family)
        similar = answers.similar_items(popular.items[0].item_id, 1, family)
        if similar.version != tag:
            raise DeploymentError(f"smoke test: family {family!r} must serve {tag}, got {similar.version}")


def _ask_somebody_known(desk: Desk, answers: Answers, hidden: HiddenUsers, family: str) -> None:
    package, k = desk.packages[family], min(ITEMS, desk.deployment.max_k)
    for user in _with_items_left(package):
        user_id: RawId = package.ensemble.catalogue.users.decode(np.array([user])).tolist()[0]
        if hidden.holds(package.info.dataset, user_id):
            continue
        answer = answers.recommend(user_id, k, family)
        # Who asked to be forgotten while we asked is rightly answered from popularity.
        if answer.source != "model" and hidden.holds(package.info.dataset, user_id):
            continue
        if answer.source != "model" or not answer.items:
            got = f"{len(answer.items)} items, source {answer.source!r}"
            raise DeploymentError(
                f"smoke test: family {family!r} must answer a user it knows from its model, got {got}"
            )
        offered = package.places([item.item_id for item in answer.items])
        if len(again := np.intersect1d(offered, package.seen(user))):
            raise DeploymentError(
                f"smoke test: family {family!r} must not offer what a user has seen, {len(again)} of {len(offered)} are"
            )
        return


def _with_items_left(package: Package) -> Iterator[int]:
    """Known users who have not seen everything."""
    yield from np.flatnonzero(np.diff(package.indptr) < len(package.counts)).tolist()
