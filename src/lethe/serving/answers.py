"""What the desk answers, as the service sends it: frozen values with one JSON form, which OpenAPI documents."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ScoredItem(Answer):
    item_id: int | str
    score: float


class Similar(Answer):
    """The nearest items, best first."""

    items: list[ScoredItem]
    family: str
    version: str


class Recommended(Similar):
    """Items for a user, best first, and where they come from; ``known`` says whether the answer is theirs: by what the
    model knows of them, or by the history that came with the request."""

    source: Literal["model", "similar", "popular"]
    known: bool


class FamilyModel(Answer):
    version: str
    model: str
    sharding: str
    data_digest: str
    guarantee: str


class Described(Answer):
    """What is served."""

    families: dict[str, FamilyModel]
    bento: str


class ServedModels(Described):
    """What this worker serves."""

    pid: int
