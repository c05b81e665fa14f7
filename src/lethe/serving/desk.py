"""The answers of the service, without HTTP: families of packages, and who is hidden."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lethe.errors import DataError, LetheError
from lethe.serving.answers import Described, FamilyModel, Recommended, ScoredItem, Similar
from lethe.serving.deployment import Deployment
from lethe.serving.hidden import HiddenUsers
from lethe.serving.package import Package, RawId, Recommendation, Scored

BATCH = 1000
"""Users answered at once, at most: as many rows of scores are in memory together."""


class NotServed(LetheError):
    """What was asked about is not here: an unknown family or item."""


class BadRequest(LetheError):
    """A field of a request breaks its rule."""


@dataclass(frozen=True)
class Desk:
    """One package a family, all in memory."""

    deployment: Deployment
    packages: dict[str, Package]
    hidden: HiddenUsers

    @classmethod
    def load(cls, deployment: Deployment, folder: Callable[[str], Path], hidden: HiddenUsers) -> Desk:
        """Load the pinned version of every family; ``folder`` finds a model by its tag."""
        packages = {family: Package.load(folder(tag)) for family, tag in deployment.families.items()}
        return cls(deployment, packages, hidden)

    def recommend(
        self,
        user_id: RawId,
        k: int,
        family: str | None = None,
        *,
        context: dict[str, RawId] | None = None,
        history: Sequence[RawId] | None = None,
        ratings: Sequence[float] | None = None,
    ) -> Recommended:
        """Items for a user, after a history, or in a context where the family's model looks at such.

        A hidden user gets the answer of an unknown one without a history, to the letter; what others are refused is
        refused to them too, so that nothing tells who is hidden.
        """
        name, package = self._family(family)
        self._check(k)
        if ratings is not None and len(ratings) != len(history or ()):
            raise BadRequest(
                f"ratings: {len(ratings)} given, must be as many as the history's {len(history or ())} items"
            )
        try:
            answer = package.recommend(user_id, k, context=context, history=history, ratings=ratings)
        except DataError as error:
            raise BadRequest(str(error)) from None
        return self._recommended(name, package, user_id, k, answer)

    def recommend_many(self, user_ids: Sequence[RawId], k: int, family: str | None = None) -> list[Recommended]:
        """``recommend`` for each of at most ``BATCH`` users, as one matrix product."""
        name, package = self._family(family)
        self._check(k)
        if len(user_ids) > BATCH:
            raise BadRequest(f"user_ids: {len(user_ids)} users are too many, at most {BATCH} are answered at once")
        answers = package.recommend_many(user_ids, k)
        return [
            self._recommended(name, package, user_id, k, answer)
            for user_id, answer in zip(user_ids, answers, strict=True)
        ]

    def _recommended(
        self, family: str, package: Package, user_id: RawId, k: int, answer: Recommendation
    ) -> Recommended:
        items, source = answer.items, answer.source
        if self.hidden.holds(package.info.dataset, user_id):
            items, source = package.popular(k), "popular"
        return Recommended(**dict(self._similar(family, items)), source=source, known=source != "popular")

    def similar_items(self, item_id: RawId, k: int, family: str | None = None) -> Similar:
        """The nearest items of an item; raises NotServed if the family doesn't know it."""
        name, package = self._family(family)
        self._check(k)
        try:
            return self._similar(name, package.similar_items(item_id, k))
        except DataError:
            raise NotServed(f"item_id: {clip(item_id)} must be an item of the family {name!r}") from None

    def describe(self) -> Described:
        """Version, model, sharding, data digest and guarantee of each family, and the bento."""
        families = {
            name: FamilyModel(
                version=self.deployment.families[name],
                model=package.info.model,
                sharding=package.info.sharding,
                data_digest=package.info.data_digest,
                guarantee=package.info.guarantee,
            )
            for name, package in self.packages.items()
        }
        return Described(families=families, bento=self.deployment.bento)

    def _family(self, name: str | None) -> tuple[str, Package]:
        name = self.deployment.default if name is None else name
        if name not in self.packages:
            raise NotServed(f"family: {clip(name)} must be one of {', '.join(self.packages)}")
        return name, self.packages[name]

    def _check(self, k: int) -> None:
        if not 1 <= k <= self.deployment.max_k:
            raise BadRequest(f"k: {k} must be between 1 and {self.deployment.max_k}")

    def _similar(self, family: str, items: Scored) -> Similar:
        scored = [ScoredItem(item_id=item_id, score=score) for item_id, score in items]
        return Similar(items=scored, family=family, version=self.deployment.families[family])


def clip(value: object) -> str:
    """A value as it was given, in one line of bounded length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
