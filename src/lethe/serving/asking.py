"""What can be asked of the service: bodies of requests, checked, with examples that OpenAPI shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lethe.serving.features import Rule
from lethe.tables.ids import id_fault

LONGEST = 10_000
"""Items that one list of a request may name."""
LONGEST_NAME = 60
"""Characters of a name or a value that a refusal shows."""
LARGEST = 1e15
"""A rating that is further from 0 is none: models compute in 32 bits, and square them."""


def _raw_id(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be an integer or text")
    if fault := id_fault(str(value)):
        raise ValueError(fault)
    return value


def _plain(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be text, a number, true or false")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("must be a finite number")
    return value


RawId = Annotated[int | str, BeforeValidator(_raw_id)]
Value = Annotated[bool | int | float | str, BeforeValidator(_plain)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Rating = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(strict=True, ge=1)]
Items = Annotated[list[RawId], Field(max_length=LONGEST)]
SomeItems = Annotated[list[RawId], Field(min_length=1, max_length=LONGEST)]
Context = Annotated[dict[str, RawId], Field(max_length=100)]


class Body(BaseModel):
    """A request; unknown fields are refused. ``k`` items are wanted, of a ``family`` or the default one."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    k: Count = 10
    family: str | None = None


class Between(BaseModel):
    """A rule of a filter: values that a field must not have, numbers that it must lie between."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    none_of: list[Value] | None = Field(None, alias="not", min_length=1, max_length=LONGEST)
    least: Number | None = Field(None, alias="min")
    most: Number | None = Field(None, alias="max")

    @model_validator(mode="after")
    def _says_something(self) -> Between:
        if self.none_of is None and self.least is None and self.most is None:
            raise ValueError("must have one of not, min, max")
        return self


FieldRule = Value | Annotated[list[Value], Field(min_length=1, max_length=LONGEST)] | Between


class Wish(Body):
    """What may be in an answer.

    allow, deny       items: only these, none of these
    filter            {field of the item features: a value, a list of values, or {not: [...], min: ..., max: ...}}
    keep_seen         whether what the user took before may be recommended again
    exclude_history   whether what came as ``history`` is left out
    diversity         0: the best; towards 1: items unlike each other (maximal marginal relevance)
    caps              {field of the item features: at most so many items of one value}
    """

    allow: SomeItems | None = None
    deny: Items = []
    filter: Annotated[dict[str, FieldRule], Field(max_length=20)] = {}
    keep_seen: bool = False
    exclude_history: bool = True
    diversity: Annotated[float, Field(ge=0, le=1)] = 0.0
    caps: Annotated[dict[str, Count], Field(max_length=20)] = {}

    def rules(self) -> dict[str, Rule]:
        """The filter as rules."""
        return {name: _rule(rule) for name, rule in self.filter.items()}


class ForUser(Wish):
    """``history`` (items, oldest first; ``ratings`` of them, if there are) answers whoever the model doesn't know, and
    adds to what it knows of others. ``context`` {field: value} is for families whose model looks at contexts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "u-17", "k": 5},
                {
                    "user_id": "new",
                    "history": ["film-3", "film-9"],
                    "filter": {"genre": ["drama"], "price": {"max": 9}},
                },
            ]
        }
    )

    user_id: RawId
    context: Context | None = None
    history: Items | None = None
    ratings: Annotated[list[Rating], Field(max_length=LONGEST)] | None = None


class ForUsers(Wish):
    """Many users, scored together."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_ids": ["u-17", "u-18"], "k": 3}]})

    user_ids: Annotated[list[RawId], Field(min_length=1)]


class ForItem(Wish):
    """Items like one item, or like several."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item_id": "film-3"}, {"item_ids": ["film-3", "film-9"], "k": 3}]}
    )

    item_id: RawId | None = None
    item_ids: Annotated[list[RawId], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_items_once(cls, values: Any) -> Any:
        if isinstance(values, dict) and (values.get("item_id") is None) == (values.get("item_ids") is None):
            raise ValueError("must have one of item_id, item_ids")
        return values

    @property
    def items(self) -> list[RawId]:
        return [self.item_id] if self.item_id is not None else list(self.item_ids or ())


class ForScores(BaseModel):
    """Scores of given items for a user."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_id": "u-17", "item_ids": ["film-3", "film-9"]}]}
    )

    user_id: RawId
    item_ids: Annotated[list[RawId], Field(min_length=1, max_length=LONGEST)]
    family: str | None = None
    context: Context | None = None
    history: Items | None = None


class ForReasons(Body):
    """Which of a user's items carried the score of an item."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "u-17", "item_id": "film-3", "k": 3}]})

    user_id: RawId
    item_id: RawId
    history: Items | None = None


class ForEvents(BaseModel):
    """What a user did just now: items, oldest first, ``ratings`` of them if there are, and the ``recommendation_id`` of
    the answer that they came of, if they came of one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user_id": "u-17", "item_ids": ["film-3"], "recommendation_id": "rec-0123456789abcdef"},
                {"user_id": "new", "item_ids": ["film-3", "film-9"], "ratings": [4, 2.5]},
            ]
        },
    )

    user_id: RawId
    item_ids: Annotated[list[RawId], Field(min_length=1, max_length=100)]
    ratings: Annotated[list[Rating], Field(max_length=100)] | None = None
    family: str | None = None
    recommendation_id: Annotated[str, Field(pattern=r"^rec-[0-9a-f]{16}$")] | None = None


class ForPerson(BaseModel):
    """Somebody, for the privacy officer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"user_id": "u-17"}]})

    user_id: RawId


def refusal(fault: Mapping[str, Any], path: Sequence[str | int]) -> str:
    """What pydantic found wrong at a path of a body, as one line of bounded length: field, value, rule."""
    # What pydantic calls one of several types is no field.
    named = [part for part in path if isinstance(part, str) and not part.startswith("function-")]
    field = ".".join(part if part.isidentifier() and len(part) <= LONGEST_NAME else clip(part) for part in named)
    value = "" if fault["type"] == "missing" else f" {clip(fault['input'])}"
    return f"{field or 'body'}:{value} {fault['msg'].removeprefix('Value error, ')}"


def clip(value: object) -> str:
    """A value as it was given, in one line of bounded length."""
    text = repr(value)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def plain(value: Any) -> Any:
    """Sequences, mappings and what NumPy has as JSON has them; whatever else as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(one) for one in value]
    return value


def _rule(rule: Any) -> Rule:
    if isinstance(rule, Between):
        return Rule(None, None if rule.none_of is None else tuple(rule.none_of), rule.least, rule.most)
    return Rule(tuple(rule) if isinstance(rule, list) else (rule,))
