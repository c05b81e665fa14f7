"""The answers of the service, without HTTP: families of packages, and who is hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lethe.errors import DataError, LetheError
from lethe.serving.answers import (
    REASONS,
    Described,
    Explained,
    Person,
    RawId,
    Recommended,
    Scores,
    Similar,
    Taken,
    offered,
)
from lethe.serving.asking import Wish, clip
from lethe.serving.choosing import Choice, Recommendation
from lethe.serving.deployment import Deployment
from lethe.serving.describing import carriers, described
from lethe.serving.event import Event
from lethe.serving.events import EventBuffer, Unavailable
from lethe.serving.features import FeatureFile
from lethe.serving.hidden import HiddenUsers
from lethe.serving.hidden_items import HiddenItems
from lethe.serving.package import Package
from lethe.serving.wishes import choice_of, without

NO_WISH = Wish()


class NotServed(LetheError):
    """What was asked about is not here: an unknown family or item."""


class BadRequest(LetheError):
    """A field of a request breaks its rule."""


@dataclass(frozen=True)
class Desk:
    """One package a family, all in memory; ``features``: the folder of the tables of item features; ``events``: what
    people did since those were built."""

    deployment: Deployment
    packages: dict[str, Package]
    hidden: HiddenUsers
    features: Path | None = field(default=None)
    events: EventBuffer | None = field(default=None)

    @classmethod
    def load(
        cls,
        deployment: Deployment,
        folder: Callable[[str], Path],
        hidden: HiddenUsers,
        features: Path | None = None,
        events: EventBuffer | None = None,
    ) -> Desk:
        """Load the pinned version of every family; ``folder`` finds a model by its tag."""
        packages = {family: Package.load(folder(tag)) for family, tag in deployment.families.items()}
        return cls(deployment, packages, hidden, features, events)

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
        _must_fit(ratings, history or (), "history's ")
        lately = self._lately(package, user_id)
        choice = without(package, self._choice(name, package, wish), lately)
        try:
            answer = package.recommend(
                user_id, k, context=context, history=history, ratings=ratings, lately=lately, choice=choice
            )
        except DataError as error:
            raise BadRequest(str(error)) from None
        return self._recommended(name, package, user_id, k, answer, choice, bool(history or lately), context)

    def recommend_many(
        self, user_ids: Sequence[RawId], k: int, family: str | None = None, wish: Wish = NO_WISH
    ) -> list[Recommended]:
        """``recommend`` for each of a limited number of users, together."""
        name, package = self._family(family)
        self._check(k)
        if len(user_ids) > (most := self.deployment.limits.batch):
            raise BadRequest(f"user_ids: {len(user_ids)} users are too many, at most {most} are answered at once")
        choice = self._choice(name, package, wish)
        answers = package.recommend_many(user_ids, k, choice)
        return [
            self.recommend(user_id, k, family, wish=wish)
            if self._lately(package, user_id)
            else self._recommended(name, package, user_id, k, answer, choice)
            for user_id, answer in zip(user_ids, answers, strict=True)
        ]

    def take(
        self,
        user_id: RawId,
        item_ids: Sequence[RawId],
        family: str | None = None,
        *,
        ratings: Sequence[float] | None = None,
        recommendation_id: str | None = None,
    ) -> Taken:
        """Keep for a while that a user took these items, oldest first. Of whoever is hidden or was forgotten nothing
        is kept, and the answer is the same. Raises NotServed, BadRequest, Unavailable."""
        name, package = self._family(family)
        if self.events is None:
            raise NotServed("events: this service keeps none; serving.events in params.yaml says how long it would")
        self._must_have(name, package, item_ids)
        _must_fit(ratings, item_ids, "")
        if self.hidden.digests() is None:
            raise Unavailable("events: none are taken while nobody knows who is hidden")
        stars: Sequence[float | None] = ratings or [None] * len(item_ids)
        events = [Event(str(item), star, recommendation_id) for item, star in zip(item_ids, stars, strict=True)]
        self.events.take(package.info.dataset, user_id, events, lambda: self._hides(package, user_id))
        return Taken(taken=len(events), family=name, version=self.deployment.families[name])

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
            items=offered(package.similar_items(several, k, choice), "model", "near"),
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
        user = package.ensemble.catalogue.users.place(user_id)
        followed, stars = package.followed(user, history, None, self._lately(package, user_id))
        try:
            scored = package.scores(user, followed, stars, context)
        except DataError as error:
            raise BadRequest(str(error)) from None
        values, source = (package.counts, "popular") if scored is None or self._hides(package, user_id) else scored
        places = package.places(item_ids)
        known = self._people[name].known(places)
        scores = [float(values[place]) if there else None for place, there in zip(places, known, strict=True)]
        return Scores(scores=scores, source=source, family=name, version=self.deployment.families[name])

    def explain(
        self, user_id: RawId, item_id: RawId, k: int, family: str | None = None, history: Sequence[RawId] | None = None
    ) -> Explained:
        """Which of the user's items, or of the history, carried the item's score; of an unknown user there are none."""
        name, package = self._family(family)
        self._check(k)
        self._must_have(name, package, [item_id])
        user, item = package.ensemble.catalogue.users.place(user_id), int(package.places([item_id])[0])
        followed, _ = package.followed(user, history, None, self._lately(package, user_id))
        if self._hides(package, user_id):
            user, followed = -1, followed[:0]
        seen = package.seen(user) if user >= 0 else np.empty(0, np.int64)
        others = np.setdiff1d(np.concatenate([seen, followed]), [item])
        carried, by = carriers(package, others[self._people[name].known(others)], item, k)
        return Explained(items=carried, by=by, family=name, version=self.deployment.families[name])

    def person(self, user_id: RawId) -> Person:
        """What there is of somebody here, for the privacy officer."""
        known = [name for name, package in self.packages.items() if package.knows(user_id)]
        datasets = sorted({package.info.dataset for package in self.packages.values()})
        return Person(known_to=known, hidden_in=[name for name in datasets if self.hidden.holds(name, user_id)])

    def describe(self) -> Described:
        """Version, model, sharding, data digest and guarantee of each family, and the bento."""
        families = {name: described(p, self.deployment.families[name]) for name, p in self.packages.items()}
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
        known = package.knows(user_id)
        if self._hides(package, user_id):
            answer, known, with_history = package.popular(k, choice, context), False, False
        note = None if known or answer.source != "popular" else self._note(family, user_id)
        why = "popular" if answer.source == "popular" else REASONS[known, with_history]
        return Recommended(
            items=offered(answer.items, answer.source, why, package.is_new),
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
        try:
            choice = choice_of(wish, name, package, lambda: self._features[name].now())
        except DataError as error:
            raise BadRequest(str(error)) from None
        return replace(choice, allowed=self._people[name].left(choice.allowed))

    @cached_property
    def _features(self) -> Mapping[str, FeatureFile]:
        return {
            name: FeatureFile(self.features, package.info.dataset, package.ensemble.catalogue.items)
            for name, package in self.packages.items()
        }

    @cached_property
    def _people(self) -> Mapping[str, HiddenItems]:
        return {
            name: HiddenItems(self.hidden, package.info.dataset, package.ensemble.catalogue.items)
            for name, package in self.packages.items()
        }

    def _lately(self, package: Package, user_id: RawId) -> Sequence[Event]:
        """What a user did since the package was built, as far as the service was told; of the hidden nothing."""
        if self.events is None or self._hides(package, user_id):
            return ()
        return self.events.of(package.info.dataset, user_id)

    def _hides(self, package: Package, user_id: RawId) -> bool:
        return self.hidden.holds(package.info.dataset, user_id)

    def _must_have(self, name: str, package: Package, item_ids: Sequence[RawId]) -> None:
        known = self._people[name].known(package.places(item_ids))
        if not known.all():
            unknown = clip(item_ids[int(np.argmin(known))])
            raise NotServed(f"item_id: {unknown} must be an item of the family {name!r}")

    def _family(self, name: str | None) -> tuple[str, Package]:
        name = self.deployment.default if name is None else name
        if name not in self.packages:
            raise NotServed(f"family: {clip(name)} must be one of {', '.join(self.packages)}")
        return name, self.packages[name]

    def _check(self, k: int) -> None:
        if not 1 <= k <= self.deployment.max_k:
            raise BadRequest(f"k: {clip(k)} must be between 1 and {self.deployment.max_k}")


def _must_fit(ratings: Sequence[float] | None, items: Sequence[RawId], whose: str) -> None:
    if ratings is not None and len(ratings) != len(items):
        raise BadRequest(f"ratings: {len(ratings)} given, must be as many as the {whose}{len(items)} items")
