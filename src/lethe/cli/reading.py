"""The options that say how a source is read, which ``lethe init`` and ``lethe data add`` share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lethe.cli.common import each_once
from lethe.config.reading import Reading
from lethe.errors import ConfigError


def reading(
    user_column: Annotated[str | None, typer.Option(help="Column with the user's id (default: user, or 1).")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column with the item's id (default: item, or 2).")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column with the rating; - for none.")] = None,
    timestamp_column: Annotated[str | None, typer.Option(help="Column with the time; - for none.")] = None,
    weight_column: Annotated[
        str | None, typer.Option(help="Column with how much an interaction counts: views, purchases.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help=r"Between the columns of CSV: , ; \t | :: (default: found from the file).")
    ] = None,
    header: Annotated[bool, typer.Option(help="Whether the first line names the columns.")] = True,
    encoding: Annotated[
        str | None, typer.Option(help="Of CSV: utf-8, utf-16, cp1252 (default: found from the file).")
    ] = None,
    trim: Annotated[
        bool | None, typer.Option(help="Leave blanks around values out (default: found from the file).")
    ] = None,
    ignore_lines: Annotated[
        list[str] | None, typer.Option(help="Lines that begin so are no rows: '#', 'Total,'.")
    ] = None,
    member: Annotated[str | None, typer.Option(help="The file to read of a zip archive of several.")] = None,
    ids: Annotated[str | None, typer.Option(help="integer or text (default: found from the file).")] = None,
    item_ids: Annotated[
        str | None, typer.Option(help="Of items, where they are of another kind (default: found from the file).")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="Before the decimals of ratings: . or , (default: found from the file).")
    ] = None,
    thousands: Annotated[str | None, typer.Option(help="Between the thousands of numbers.")] = None,
    timestamp_unit: Annotated[
        str | None, typer.Option(help="s, ms, us, ns, iso, day, excel, position (default: found from the file).")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="As in strptime: '%d/%m/%Y %H:%M' (default: found from the file).")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Of times that name none: Europe/Berlin (default: UTC).")] = None,
    duplicates: Annotated[
        str | None, typer.Option(help="Of a repeated pair: latest, sum (it weighs what all do), or error.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="Ratings that are likes: '>= 4', '> 0', all.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only rows of that value: label=1; may be given several times.")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="Column of a situation: daytime; may be given several times.")
    ] = None,
    links: Annotated[str | None, typer.Option(help="File of links between users: who follows whom.")] = None,
    behaviour: Annotated[
        list[str] | None, typer.Option(help="Another behaviour and its file: view=views.csv; may be repeated.")
    ] = None,
    user_features: Annotated[str | None, typer.Option(help="File of what is known of users.")] = None,
    item_features: Annotated[str | None, typer.Option(help="File of what is known of items.")] = None,
    triples: Annotated[str | None, typer.Option(help="File of facts about items: head, relation, tail.")] = None,
    query: Annotated[str | None, typer.Option(help="SELECT, where the path is env:NAME of a database's URL.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take what is likeliest, and say so, in place of asking.")] = False,
) -> Reading:
    """What was said of a source."""
    options = {
        "separator": separator,
        "header": None if header else False,
        "encoding": encoding,
        "trim": trim,
        "ignore_lines": ignore_lines or None,
        "member": member,
        "ids": ids,
        "item_ids": item_ids,
        "decimal": decimal,
        "thousands": thousands,
        "timestamp_unit": timestamp_unit,
        "time_format": time_format,
        "timezone": timezone,
        "duplicates": duplicates,
        "positive": positive,
        "where": _pairs("where", where),
    }
    tables = {"links": links, "user_features": user_features, "item_features": item_features, "triples": triples}
    tables |= {f"behaviours.{name}": file for name, file in (_pairs("behaviour", behaviour) or {}).items()}
    side = {kind: file for kind, file in tables.items() if file is not None}
    columns = {"user": user_column, "item": item_column, "rating": rating_column, "timestamp": timestamp_column}
    columns |= {"weight": weight_column}
    given = {key: value for key, value in options.items() if value is not None}
    return Reading(columns, given, tuple(context or ()), query, side, assume=yes)


def _pairs(option: str, given: list[str] | None) -> dict[str, str] | None:
    """{name: value} of ``name=value``."""
    for pair in given or ():
        if "=" not in pair.strip("="):
            raise ConfigError(f"{option}: {pair!r} must be a name and its value, such as label=1 or view=views.csv")
    parted = (pair.partition("=") for pair in given or ())
    return each_once(option, ((name.strip(), value.strip()) for name, _, value in parted)) or None


def reads_a_source(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose last parameter, ``how``, is made of the options of ``reading``."""
    options = inspect.signature(reading, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def run(**values: Any) -> None:
        command(**{name: values[name] for name in own if name != "how"}, how=reading(**{n: values[n] for n in options}))

    parameters = [*(parameter for name, parameter in own.items() if name != "how"), *options.values()]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    # What typer reads of a command: its parameters with their annotations.
    run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword}
    del run.__wrapped__
    return run
