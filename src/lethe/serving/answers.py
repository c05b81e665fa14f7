"""What the desk answers, as the service sends it: frozen values with one JSON form, which OpenAPI documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

RawId = int | str
Source = Literal["model", "similar", "popular"]
Reason = Literal["taste", "history", "taste and history", "popular", "near", "content"]
REASONS: dict[tuple[bool, bool], Reason] = {
    (True, False): "taste",
    (True, True): "taste and history",
    (False, True): "history",
    (False, False): "popular",
}
"""Why a model answers as it does, by whether it knows the user, and whether a history came with the request."""


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScoredItem(Answer):
    item_id: RawId
    score: float


class Offered(ScoredItem):
    """An item with what chose it, and by what: ``taste``, what the user took before; ``history``, what came with the
    request; ``popular``, how many took it; ``near``, likeness to the items that were asked about; ``content``, its
    features, of an item that nobody has had yet."""

    source: Source
    reason: Reason


def offered(
    items: Iterable[tuple[RawId, float]],
    source: Source,
    reason: Reason,
    is_new: Callable[[RawId], bool] = lambda item_id: False,
) -> list[Offered]:
    """Scored items that were chosen for a reason, as far as they aren't new."""
    content: Reason = reason if source == "popular" else "content"
    return [
        Offered(item_id=raw, score=score, source=source, reason=content if is_new(raw) else reason)
        for raw, score in items
    ]


class Similar(Answer):
    """The nearest items, best first."""

    items: list[Offered]
    family: str
    version: str
    recommendation_id: str | None = None
    """Of this one answer, so that what comes of it can be told from what comes of another."""


class Recommended(Similar):
    """Items for a user, best first, and where they come from; ``known``, for operators, says whether the answer is
    theirs: by what the model knows of them, or by the history that came with the request."""

    source: Source
    known: bool | None = None
    note: str | None = None
    """What may be wrong with the question."""


class Batch(Answer):
    """An answer for each user, in the order asked."""

    answers: list[Recommended]


class Scores(Answer):
    """Scores of the items that were asked about, in the order asked; null for an item that the family doesn't know."""

    scores: list[float | None]
    source: Source
    family: str
    version: str


class Taken(Answer):
    """Events were understood: how many. It says nothing of whether anybody is known, or hidden."""

    taken: int
    family: str
    version: str


class Share(Answer):
    item_id: RawId
    share: float


class Explained(Answer):
    """The user's items that most carried an item's score, the greatest first.

    ``by``: ``model`` where shares are what the model's own score is made of; ``likeness`` where it has no such parts
    and they are cosines between items.
    """

    items: list[Share]
    by: Literal["model", "likeness"]
    family: str
    version: str


class Person(Answer):
    """What this worker has of somebody: families whose model knows them, datasets in which they are hidden."""

    known_to: list[str]
    hidden_in: list[str]


class FamilyModel(Answer):
    version: str
    model: str
    sharding: str
    data_digest: str
    guarantee: str
    repeatable: bool
    """Whether the model gives the same bytes again on every device."""
    engine: Literal["numpy", "torch"]
    """What computes its answers; ``torch`` takes some 160 MB of a worker."""


class Described(Answer):
    """What is served."""

    families: dict[str, FamilyModel]
    bento: str


class ServedModels(Described):
    """What this worker serves."""

    pid: int
