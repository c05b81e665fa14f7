"""docs/reference: every option of params.yaml, of each model, aggregator and command, as the code documents it.

``python -m tools.reference`` writes the pages. What they say stands beside the options in the code, and a test fails
where a page is stale or an option has no line.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from lethe.cli import app
from lethe.config.params import Params
from lethe.config.section import Section
from lethe.learning.aggregation import AGGREGATORS
from lethe.models import MODELS
from tools.messages import errors, messages

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "Made by `python -m tools.reference` from the code; edit the options' docstrings instead."
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ENDED = re.compile(r"(?<=[\w)])[.:] (?=[A-Z])|: |; in ")
Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """{file name: text} of every page."""
    return {
        "params.md": params_page(),
        "models.md": models_page(),
        "aggregators.md": aggregators_page(),
        "commands.md": commands_page(),
        "papers.md": papers_page(),
    }


def params_page() -> str:
    schema = Params.model_json_schema()
    parts = [f"# params.yaml\n\n{MADE}\n\nAn unknown key is an error that lists the known ones.\n", _table(schema)]
    parts += [f"## {name}\n\n{_lead(part)}{_table(part)}" for name, part in _in_order(schema)]
    return "\n".join(parts)


def models_page() -> str:
    parts = [f"# Models\n\n{MADE}\n\nSet below `models.<name>` of params.yaml, or tuned: `lethe tune`.\n"]
    for name, model in MODELS.items():
        about = inspect.getdoc(inspect.getmodule(model)) or ""
        reads = ", ".join(
            [*sorted(model.needs), *(f"{part} (where the dataset has it)" for part in sorted(model.optional))]
        )
        beside = f"\n\nReads beside the interactions: {reads}." if reads else ""
        parts.append(f"## {name}\n\n{about.splitlines()[0]}{beside}\n\n{_with_parts(model.Config)}")
    return "\n".join(parts)


def aggregators_page() -> str:
    parts = [f"# Aggregators\n\n{MADE}\n\nSet below `aggregators.<name>` of params.yaml.\n"]
    for name, aggregator in AGGREGATORS.items():
        about = inspect.getdoc(inspect.getmodule(aggregator.fit)) or ""
        parts.append(f"## {name}\n\n{about.splitlines()[0]}\n\n{_with_parts(aggregator.Config)}")
    return "\n".join(parts)


def commands_page() -> str:
    lead = "`lethe --help` and `lethe COMMAND -h` say the same. `lethe --quiet COMMAND` prints errors alone."
    parts = [f"# Commands\n\n{MADE}\n\n{lead}\n"]
    parts += [f"## lethe {name}\n\n{_said(command)}\n{_parameters(command)}" for name, command in commands()]
    return "\n".join(parts)


def commands() -> list[tuple[str, Any]]:
    """(name, command) of each, groups' commands by both words."""
    below: dict[str, Any] = getattr(get_command(app), "commands")  # noqa: B009
    nested = ((name, getattr(command, "commands", None) or {"": command}) for name, command in below.items())
    return [(f"{group} {name}".strip(), command) for group, own in nested for name, command in own.items()]


def _said(command: Any) -> str:
    """Its docstring, an example as one."""
    paragraphs = (" ".join(part.split()) for part in inspect.cleandoc(command.help).split("\n\n"))
    return "".join(
        f"```console\n{part.removeprefix('Example: ')}\n```\n" if part.startswith("Example: ") else f"{part}\n\n"
        for part in paragraphs
    )


def _parameters(command: Any) -> str:
    rows = []
    for one in command.params:
        if one.name == "help":
            continue
        argument = one.param_type_name == "argument"
        names = one.name.upper() if argument else " / ".join(filter(None, (", ".join(one.opts), *one.secondary_opts)))
        named = f" Also `{one.envvar}`." if one.envvar else ""
        meaning = _cell(" ".join((one.help or "").split()) + named)
        rows.append(f"| `{names}` | {'yes' if one.required else 'no'} | {meaning} |")
    return "\n".join(["| option | needed | meaning |", "| --- | --- | --- |", *rows]) + "\n" if rows else ""


def papers_page() -> str:
    """Which file of the code is which paper."""
    lead = (
        "What each model is made after, as its file says; the file has the equation, and each deviation from the"
        " authors' program. How they did: [what we found](../what-we-found.md)."
    )
    rows = ["| model | what it is | after | file |", "| --- | --- | --- | --- |"]
    for name, model in MODELS.items():
        about, file = inspect.getdoc(inspect.getmodule(model)) or "", inspect.getsourcefile(model) or ""
        what = about.splitlines()[0].partition(": ")[2] or about.splitlines()[0]
        paper = _cell(after(about) or "–").replace("``", "`")
        rows.append(f"| `{name}` | {_cell(what).replace('``', '`')} | {paper} | `models/{Path(file).name}` |")
    return f"# Papers and code\n\n{MADE}\n\n{lead}\n\n" + "\n".join(rows) + "\n"


def messages_page() -> str:
    """Every error's messages. It is made for the site alone: each new message would make a committed page stale."""
    lead = (
        "Every message of an error, by its kind. `…` stands for what differs each time: a field, a value, a count;"
        " never the id of a person. Each is one line on standard error, with exit code 1. What is met most often, and"
        " what to do: [troubleshooting](../troubleshooting.md)."
    )
    parts = [f"# Messages\n\nMade from the code.\n\n{lead}\n"]
    for name, listed in messages().items():
        about = " ".join((inspect.getdoc(errors()[name]) or "").split())
        passing = " It may pass by itself: try again." if errors()[name].may_pass else ""
        rows = ["| message | from |", "| --- | --- |", *(f"| {_code(text)} | `{module}` |" for text, module in listed)]
        parts.append(f"## {name}\n\n{about}{passing}\n" + ("\n" + "\n".join(rows) + "\n" if listed else ""))
    return "\n".join(parts)


def _code(text: str) -> str:
    """As code in a table, whatever it holds."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{_cell(text)}{fence}"


def after(docstring: str) -> str:
    """The citation of a model's docstring, the first running text in which a year stands; empty where none does."""
    for part in docstring.split("\n\n")[1:]:
        text = " ".join(line for line in part.splitlines() if not line.startswith(" ")).partition("Idea: ")
        cited = text[2] or text[0]
        if year := _YEAR.search(cited):
            end = _ENDED.search(cited, year.end())
            return cited[: end.start() if end else None].rstrip(":.;")
    return ""


def undocumented() -> list[str]:
    """Options without a line, as section.option."""
    schemas = {"params": Params, **{name: model.Config for name, model in MODELS.items()}}
    schemas |= {name: aggregator.Config for name, aggregator in AGGREGATORS.items()}
    return [
        f"{name}/{title}.{option}"
        for name, section in schemas.items()
        for title, part in _parts(section.model_json_schema())
        for option, entry in part.get("properties", {}).items()
        if not entry.get("description")
    ]


def _parts(schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield schema["title"], schema
    yield from _in_order(schema)


def _in_order(schema: Schema) -> list[tuple[str, Schema]]:
    """The sections inside a section, each after the one that names it."""
    defined: dict[str, Schema] = schema.get("$defs", {})
    named = re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema["properties"]) if defined else "")
    for name in named:
        named += re.findall(r'"#/\$defs/(\w+)"', json.dumps(defined[name]))
    return [(name, defined[name]) for name in dict.fromkeys(named)]


def _with_parts(section: type[Section]) -> str:
    """A section's own table, and those of the sections inside it."""
    schema = section.model_json_schema()
    own = _table(schema) if schema.get("properties") else "Nothing to set.\n"
    whole = own + "".join(f"\nOf {name}:\n\n{_table(part)}" for name, part in _in_order(schema))
    # Several models have a section of the same name, so it stands for itself.
    return re.sub(r"\[(\w+)\]\(#\w+\)", r"\1, below", whole)


def _lead(part: Schema) -> str:
    return f"{part['description']}\n\n" if part.get("description") else ""


def _table(schema: Schema) -> str:
    required = schema.get("required", [])
    rows = ["| option | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, entry in schema["properties"].items():
        default = "needed" if name in required else _default(entry)
        meaning = _cell(" ".join(entry["description"].replace("``", "`").split()))
        rows.append(f"| `{name}` | {_kind(entry)} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(entry: Schema) -> str:
    value = entry.get("default")
    return "its defaults" if isinstance(value, dict) and value else f"`{_cell(json.dumps(value, ensure_ascii=False))}`"


def _kind(entry: Schema) -> str:
    """The values an option may have, in words."""
    match entry:
        case {"$ref": ref}:
            name = ref.rsplit("/", 1)[1]
            return f"[{name}](#{name.lower()})"
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"anyOf": kinds} | {"oneOf": kinds}:
            return " or ".join(_kind(kind) for kind in kinds)
        case {"type": "array", "prefixItems": kinds}:
            return f"list of {len(kinds)}: {_kind(kinds[0])}"
        case {"type": "array", "items": kind}:
            return f"list of {_kind(kind)}"
        case {"type": "object", "patternProperties": kinds}:
            return f"names, each with {_kind(*kinds.values())}"
        case {"type": "object", "additionalProperties": dict() as kind}:
            return f"names, each with {_kind(kind)}"
        case {"type": "object"}:
            return "settings"
    words = {"integer": "whole number", "string": "text", "boolean": "true or false"}
    return words.get(entry["type"], entry["type"]) + _limits(entry)


def _limits(entry: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[name]:g}" for name, sign in signs.items() if name in entry]
    return f" {', '.join(limits)}" if limits else ""


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
