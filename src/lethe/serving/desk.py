"""The answers of the service, without HTTP: families of packages, and who is hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from lethe.errors import DataError, LetheError
from lethe.serving.answers import (
    Described,
    Explained,
    FamilyModel,
    Offered,
    Person,
    Reason,
    Recommended,
    Scores,
    Share,
    Similar,
)
from lethe.serving.asking import Wish
from lethe.serving.choosing import Cap, Choice, RawId, Recommendation, Scored
from lethe.serving.deployment import Deployment
from lethe.serving.features import FeatureFile
from lethe.serving.hidden import HiddenUsers
from lethe.serving.package import Package

NO_WISH = Wish()


class NotServed(LetheError):
    """What was asked about is not here: an unknown family or item."""


class BadRequest(LetheError):
    """A field of a request breaks its rule."""


@dataclass(frozen=True)
class Desk:
    """One package a family, all in memory; ``features``: the folder of the tables of item features."""

    deployment: Deployment
    packages: dict[str, Package]
    hidden: HiddenUsers
    features: Path | None = field(default=None)

    @classmethod
    def load(
        cls,
        deployment: Deployment,
        folder: Callable[[str], Path],
        hidden: HiddenUsers,
        features: Path | None = None,
    ) -> Desk:
        """Load the pinned version of every family; ``folder`` finds a model by its tag."""
        packages = {family: Package.load(folder(tag)) for family, tag in deployment.families.items()}
        return cls(deployment, packages, hidden, features)

    def recommend(
        self,
        user_id: RawId,
        k: int,
        family: str | None = None,
        *,
        context: dict[str, RawId] | None = None,
        history: Sequence[RawId] | None = None,
        ratings: Sequence[float] | None = None,
        wish: Wish = NO_WISH,
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
        choice = self._choice(name, package, wish)
        try:
            answer = package.recommend(user_id, k, context=context, history=history, ratings=ratings, choice=choice)
        except DataError as error:
            raise BadRequest(str(error)) from None
        return self._recommended(name, package, user_id, k, answer, choice, bool(history), context)

    def recommend_many(
        self, user_ids: Sequence[RawId], k: int, family: str | None = None, wish: Wish = NO_WISH
    ) -> list[Recommended]:
        """``recommend`` for each of a limited number of users, as one matrix product."""
        name, package = self._family(family)
        self._check(k)
        most = self.deployment.limits.batch
        if len(user_ids) > most:
            raise BadRequest(f"user_ids: {len(user_ids)} users are too many, at most {most} are answered at once")
        choice = self._choice(name, package, wish)
        answers = package.recommend_many(user_ids, k, choice)
        return [
            self._recommended(name, package, user_id, k, answer, choice)
            for user_id, answer in zip(user_ids, answers, strict=True)
        ]

    def similar_items(
        self, item_id: RawId | Sequence[RawId], k: int, family: str | None = None, wish: Wish = NO_WISH
    ) -> Similar:
        """The nearest items of an item, or of several; raises NotServed if the family doesn't know it."""
        name, package = self._family(family)
        self._check(k)
        several = [item_id] if isinstance(item_id, int | str) else list(item_id)
        self._must_have(name, package, several)
        choice = self._choice(name, package, wish)
        return Similar(
            items=_offered(package.similar_items(several, k, choice), "model", "near"),
            family=name,
            version=self.deployment.families[name],
        )

    def scores(
        self,
        user_id: RawId,
        item_ids: Sequence[RawId],
        family: str | None = None,
        *,
        context: dict[str, RawId] | None = None,
        history: Sequence[RawId] | None = None,
    ) -> Scores:
        """The scores of given items, seen or not; of a user nobody knows, how popular they are."""
        name, package = self._family(family)
        followed = package.places(history or ())
        user = package.ensemble.catalogue.users.place(user_id)
        try:
            scored = package.scores(user, followed[followed >= 0], context=context)
        except DataError as error:
            raise BadRequest(str(error)) from None
        values, source = (package.counts, "popular") if scored is None or self._hides(package, user_id) else scored
        places = package.places(item_ids)
        known = [float(values[place]) if place >= 0 else None for place in places]
        return Scores(scores=known, source=source, family=name, version=self.deployment.families[name])

    def explain(
        self, user_id: RawId, item_id: RawId, k: int, family: str | None = None, history: Sequence[RawId] | None = None
    ) -> Explained:
        """Which of the user's items, or of the history, carried the item's score; of an unknown user there are none."""
        name, package = self._family(family)
        self._check(k)
        self._must_have(name, package, [item_id])
        user, item = package.ensemble.catalogue.users.place(user_id), int(package.places([item_id])[0])
        followed = package.places(history or ())
        if self._hides(package, user_id):
            user, followed = -1, followed[:0]
        seen = package.seen(user) if user >= 0 else np.empty(0, np.int64)
        own = np.setdiff1d(np.concatenate([seen, followed[followed >= 0]]), [item])
        parts = package.ensemble.shares(own, item) if len(own) else np.empty(0)
        likeness = package.likeness_to(item, own) if parts is None else parts
        order = np.argsort(-likeness, kind="stable")[:k]
        ids = package.ensemble.catalogue.items.decode(own[order]).tolist()
        carried = [Share(item_id=raw, share=float(share)) for raw, share in zip(ids, likeness[order], strict=True)]
        by = "likeness" if parts is None else "model"
        return Explained(items=carried, by=by, family=name, version=self.deployment.families[name])

    def person(self, user_id: RawId) -> Person:
        """What there is of somebody here, for the privacy officer."""
        known = [name for name, package in self.packages.items() if package.knows(user_id)]
        datasets = sorted({package.info.dataset for package in self.packages.values()})
        return Person(known_to=known, hidden_in=[name for name in datasets if self.hidden.holds(name, user_id)])

    def describe(self) -> Described:
        """Version, model, sharding, data digest and guarantee of each family, and the bento."""
        families = {
            name: FamilyModel(
                version=self.deployment.families[name],
                model=package.info.model,
                sharding=package.info.sharding,
                data_digest=package.info.data_digest,
                guarantee=package.info.guarantee,
                repeatable=package.repeatable,
                engine=package.ensemble.engine,
            )
            for name, package in self.packages.items()
        }
        return Described(families=families, bento=self.deployment.bento)

    def cells(self, family: str | None, users: int = 1) -> int:
        """Users times items that a request scores; 0 for a family that is not here."""
        package = self.packages.get(self.deployment.default if family is None else family)
        return 0 if package is None else users * len(package.counts)

    def _recommended(
        self,
        family: str,
        package: Package,
        user_id: RawId,
        k: int,
        answer: Recommendation,
        choice: Choice,
        with_history: bool = False,
        context: dict[str, RawId] | None = None,
    ) -> Recommended:
        known, reason = package.knows(user_id), _REASONS
        if self._hides(package, user_id):
            answer, known, with_history = package.popular_of(k, choice, context), False, False
        note = None if known or answer.source != "popular" else self._note(family, user_id)
        why = "popular" if answer.source == "popular" else reason[known, with_history]
        return Recommended(
            items=_offered(answer.items, answer.source, why),
            family=family,
            version=self.deployment.families[family],
            source=answer.source,
            known=answer.source != "popular",
            note=note,
        )

    def _note(self, family: str, user_id: RawId) -> str | None:
        """That another family knows whom this one doesn't, unless they are hidden there."""
        dataset = self.packages[family].info.dataset
        others = [
            name
            for name, package in self.packages.items()
            if package.info.dataset != dataset and package.knows(user_id) and not self._hides(package, user_id)
        ]
        return f"user_id: not known to the family {family!r}, but to {', '.join(others)}" if others else None

    def _choice(self, name: str, package: Package, wish: Wish) -> Choice:
        """What a request allows, as places of the package's items. Raises BadRequest."""
        allowed: np.ndarray | None = None
        caps: tuple[Cap, ...] = ()
        try:
            if wish.filter or wish.caps:
                features = self._features[name].now()
                allowed = features.passing(wish.rules()) if wish.filter else None
                caps = tuple(Cap(features.kinds(kind), most) for kind, most in wish.caps.items())
        except DataError as error:
            raise BadRequest(str(error)) from None
        if wish.allow is not None:
            places = package.places(wish.allow)
            if (places < 0).all():
                raise BadRequest(f"allow: none of the {len(places)} items is one of the family {name!r}")
            listed = np.zeros(len(package.counts), dtype=bool)
            listed[places[places >= 0]] = True
            allowed = listed if allowed is None else allowed & listed
        if wish.deny:
            places = package.places(wish.deny)
            allowed = np.ones(len(package.counts), dtype=bool) if allowed is None else allowed.copy()
            allowed[places[places >= 0]] = False
        return Choice(allowed, wish.keep_seen, not wish.exclude_history, wish.diversity, caps)

    @cached_property
    def _features(self) -> Mapping[str, FeatureFile]:
        return {
            name: FeatureFile(self.features, package.info.dataset, package.ensemble.catalogue.items)
            for name, package in self.packages.items()
        }

    def _hides(self, package: Package, user_id: RawId) -> bool:
        return self.hidden.holds(package.info.dataset, user_id)

    def _must_have(self, name: str, package: Package, item_ids: Sequence[RawId]) -> None:
        unknown = [raw for raw, place in zip(item_ids, package.places(item_ids), strict=True) if place < 0]
        if unknown:
            raise NotServed(f"item_id: {clip(unknown[0])} must be an item of the family {name!r}")

    def _family(self, name: str | None) -> tuple[str, Package]:
        name = self.deployment.default if name is None else name
        if name not in self.packages:
            raise NotServed(f"family: {clip(name)} must be one of {', '.join(self.packages)}")
        return name, self.packages[name]

    def _check(self, k: int) -> None:
        if not 1 <= k <= self.deployment.max_k:
            raise BadRequest(f"k: {k} must be between 1 and {self.deployment.max_k}")


_REASONS: dict[tuple[bool, bool], Reason] = {
    (True, False): "taste",
    (True, True): "taste and history",
    (False, True): "history",
    (False, False): "popular",
}


def _offered(items: Scored, source: str, reason: str) -> list[Offered]:
    return [Offered(item_id=raw, score=score, source=source, reason=reason) for raw, score in items]


def clip(value: object) -> str:
    """A value as it was given, in one line of bounded length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
