"""Frozen, checked sections of parameters. An unknown key or a value out of range is one line: field, value, rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, GetJsonSchemaHandler, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from yaml.reader import ReaderError

from lethe.core.canonical import digest_json
from lethe.core.spelling import meant
from lethe.core.yaml_text import RepeatedKey, UnclearNumber, values_of
from lethe.errors import ConfigError

T = TypeVar("T")
# DVC reads dots in a key as a path, and BentoML wants lower case: names are plain.
_NAME = r"^[a-z0-9][a-z0-9-]*$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]


def _each_once(entries: tuple[T, ...]) -> tuple[T, ...]:
    for entry in entries:
        if (times := entries.count(entry)) > 1:
            raise ValueError(f"must hold each entry once, {entry} is there {times} times; keep one of them")
    return entries


Once = AfterValidator(_each_once)
"""Of a list that is a set by meaning: an entry that is repeated is a mistake."""
THRESHOLD = r"^( *(>=|>) *-?[0-9]+([.][0-9]+)? *|all)$"
"""Which ratings count as likes."""
_PATTERNS = {
    _NAME: "must be a name of lower-case letters, digits and hyphens, such as user-hash",
    THRESHOLD: "must be a threshold such as '>= 4' or '> 0', or all",
}
_LIST, _SECTION = "must be a list: [a, b]", "must be a section of keys and values"
_PLAIN = {"tuple_type": _LIST, "list_type": _LIST, "dict_type": _SECTION, "model_type": _SECTION}
_PLAIN["model_attributes_type"] = _SECTION


class Section(BaseModel):
    """A frozen part of the parameters. Unknown keys are errors that list the known ones."""

    # No number is infinite or none: nothing can be compared with it, and no report can hold it.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True, allow_inf_nan=False
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """What was said of a field holds for a subclass that only gives it another default."""
        for name, field in cls.model_fields.items():
            said = [_fields(base)[name].description for base in cls.__mro__[1:] if name in _fields(base)]
            field.description = next(filter(None, [field.description, *said]), None)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        for name, entry in handler.resolve_ref_schema(made).get("properties", {}).items():
            if said := cls.model_fields[name].description:
                entry["description"] = said
        return made

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Build from plain values; raises ConfigError with field, value and rule of the first fault."""
        try:
            made = cls.model_validate({} if values is None else values)
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join([where, *_written(cls, fault["loc"])])
            if fault["type"] == "extra_forbidden":
                known = _known_keys(cls, fault["loc"][:-1])
                near = meant(str(fault["loc"][-1]), known)
                raise ConfigError(f"{field}: unknown key{near}; known keys: {', '.join(known)}") from None
            if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
                raise ConfigError(f"{field}.{_tag_rule(cls, fault)}") from None
            # A URL with a secret in it must not be said either.
            given = fault["input"]
            sections = any(isinstance(each, dict) for each in (given if isinstance(given, list) else [given]))
            hidden = fault["type"] == "missing" or "must hold no " in fault["msg"] or sections
            value = "" if hidden else " nothing stands there;" if given is None else f" {given!r}"
            raise ConfigError(f"{field}:{value} {_rule(fault)}") from None
        for truth in _truth_for_numbers(values, made, where):
            raise ConfigError(f"{truth} must be a number; YAML takes yes, no, on and off for true and false, too")
        return made

    @classmethod
    def exactly(cls, values: Any) -> Self:
        """From JSON values as ``plain`` writes them: nothing converted, nothing left out. Raises ValueError."""
        section = cls.model_validate_json(json.dumps(values), strict=True)
        if section.plain() != values:
            raise ValueError("something is left out")
        return section

    def plain(self) -> dict[str, Any]:
        """As JSON-able values, every default written out."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest_json(self.plain())


def _rule(fault: Any) -> str:
    """The rule that a value breaks, in the words of who writes YAML."""
    if fault["type"] in _PLAIN:
        return _PLAIN[fault["type"]]
    if words := _PATTERNS.get(fault.get("ctx", {}).get("pattern")):
        return words
    rule = str(fault["msg"]).removeprefix("Value error, ").replace("Tuple should", "List should")
    if fault["type"] == "string_type" and isinstance(fault["input"], (bool, int, float, date)):
        # YAML takes no, on, 0123, 12:30 and 2024-01-01 for something else than text.
        rule += "; put it in quotes"
    return rule


def _tag_rule(section: type[BaseModel], fault: Any) -> str:
    """Of a section of several kinds: which word says the kind, what it is, what it may be."""
    kind: Any = section
    for part in fault["loc"]:
        kind = _bare(_kind_below(kind, part))
    word = fault["ctx"]["discriminator"].strip("'")
    known = [tag for member in get_args(kind) for tag in get_args(member.model_fields[word].annotation)]
    rule = f"must be one of {', '.join(known)}"
    if fault["type"] == "union_tag_not_found":
        return f"{word}: missing; {rule}"
    tag = fault["ctx"]["tag"]
    return f"{word}: {tag!r} {rule}{meant(tag, known)}"


def _written(section: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """A path of pydantic as it stands in the file: which kind of several a section is, is no key."""
    kind: Any = section
    keys: list[str] = []
    for place, part in enumerate(path):
        kind = _bare(kind)
        if get_origin(kind) not in (Union, UnionType):
            keys.append(str(part))
        try:
            kind = _kind_below(kind, part)
        except (StopIteration, KeyError, IndexError, AttributeError):
            return [*keys, *map(str, path[place + 1 :])]
    return keys


def _truth_for_numbers(given: Any, made: Any, where: str) -> Iterator[str]:
    """Fields, and what stands there, of true and false that became 1 and 0, as Python has them."""
    if isinstance(given, bool):
        if isinstance(made, int | float) and not isinstance(made, bool):
            yield f"{where}: {str(given).lower()}"
    elif isinstance(given, dict):
        for name, value in given.items():
            below = made.get(name) if isinstance(made, dict) else getattr(made, str(name), None)
            yield from _truth_for_numbers(value, below, f"{where}.{name}")
    elif isinstance(given, list) and isinstance(made, tuple):
        for place, (value, below) in enumerate(zip(given, made, strict=False)):
            yield from _truth_for_numbers(value, below, f"{where}.{place}")


def _bare(kind: Any) -> Any:
    """A type without what is annotated of it, and without None."""
    return _bare(get_args(kind)[0]) if get_origin(kind) is Annotated else _given(kind)


def _fields(kind: type) -> dict[str, FieldInfo]:
    return kind.model_fields if issubclass(kind, BaseModel) else {}


def _known_keys(section: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    kind: Any = section
    for part in path:
        kind = _given(_kind_below(kind, part))
    return sorted(kind.model_fields)


def _given(kind: Any) -> Any:
    """The type of what is there, where there may also be nothing."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    kinds = [each for each in get_args(kind) if each is not NoneType]
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007


def _kind_below(kind: Any, part: int | str) -> Any:
    """The type of what stands at ``part`` of a section, a mapping, a list, or a union told apart by its tag."""
    if get_origin(kind) is Annotated:
        return _kind_below(get_args(kind)[0], part)
    if get_origin(kind) in (dict, tuple):
        return get_args(kind)[0 if get_origin(kind) is tuple else 1]
    if get_origin(kind) in (Union, UnionType):
        tagged = (m for m in get_args(kind) if any(part in get_args(f.annotation) for f in m.model_fields.values()))
        return next(tagged)
    return kind.model_fields[part].annotation


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file; raises ConfigError."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return values_of(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        line = _line_of(error, text)
        if isinstance(error, RepeatedKey):
            raise ConfigError(f"{path.name}: line {line}: {error.problem}; keep one of them") from None
        if isinstance(error, UnclearNumber):
            raise ConfigError(
                f"{path.name}: line {line}: {error.problem}; write it without zeros and colons, or in quotes"
            ) from None
        raise ConfigError(f"{path.name}: line {line} is not valid YAML{_said_of(error, text, line)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}: must be UTF-8; save it so") from None
    except ValueError:
        raise ConfigError(f"{path.name}: a value is written as a date that there isn't; put it in quotes") from None


def _line_of(error: yaml.YAMLError, text: str) -> int:
    """Counted from 1; of a sign that YAML doesn't have the reader says only which byte of the text it is."""
    if isinstance(error, ReaderError):
        return text.encode()[: error.position].count(b"\n") + 1
    return getattr(getattr(error, "problem_mark", None), "line", 0) + 1


def _said_of(error: yaml.YAMLError, text: str, line: int) -> str:
    """What is wrong with a line, where that can be told, and what to do."""
    written = text.splitlines()[line - 1 : line]
    if any("\t" in each[: len(each) - len(each.lstrip())] for each in written):
        return ": it begins with a tab; indent by blanks"
    problem = error.reason if isinstance(error, ReaderError) else getattr(error, "problem", None)
    if str(problem).startswith("but "):
        problem = f"{getattr(error, 'context', '')}, {problem}"
    return f": {problem}" if problem else ""
