"""``lethe data``: add a source, bring the stages up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.common import run_flow, workspace

app = typer.Typer(no_args_is_help=True, help="Data: add a source, bring the stages up to date, validate.")


@app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="Name of the dataset: lower case, digits, hyphens.")],
    path: Annotated[Path, typer.Argument(help="A CSV or Parquet file, or a folder with train and test files.")],
    user_column: Annotated[str | None, typer.Option(help="Column with the user's id [user, or 1].")] = None,
    item_column: Annotated[str | None, typer.Option(help="Column with the item's id [item, or 2].")] = None,
    rating_column: Annotated[str | None, typer.Option(help="Column with the rating, if any.")] = None,
    timestamp_column: Annotated[str | None, typer.Option(help="Column with the time, if any.")] = None,
    separator: Annotated[str | None, typer.Option(help=r"Between the columns of CSV: , ; \t | :: [found].")] = None,
    header: Annotated[bool, typer.Option(help="Whether the first line names the columns.")] = True,
    encoding: Annotated[str | None, typer.Option(help="Of CSV: utf-8, utf-16, cp1252 [found].")] = None,
    trim: Annotated[bool | None, typer.Option(help="Leave blanks around values out [found].")] = None,
    ignore_lines: Annotated[
        list[str] | None, typer.Option(help="Lines that begin so are no rows: '#', 'Total,'.")
    ] = None,
    member: Annotated[str | None, typer.Option(help="The file to read of a zip archive of several.")] = None,
    ids: Annotated[str | None, typer.Option(help="integer or text [found].")] = None,
    item_ids: Annotated[str | None, typer.Option(help="Of items, where they are of another kind [found].")] = None,
    decimal: Annotated[str | None, typer.Option(help="Before the decimals of ratings: . or , [found].")] = None,
    thousands: Annotated[str | None, typer.Option(help="Between the thousands of numbers.")] = None,
    timestamp_unit: Annotated[str | None, typer.Option(help="s, ms, us, ns, iso, day, position [found].")] = None,
    time_format: Annotated[str | None, typer.Option(help="As in strptime: '%d/%m/%Y %H:%M' [found].")] = None,
    timezone: Annotated[str | None, typer.Option(help="Of times that name none: Europe/Berlin [UTC].")] = None,
    duplicates: Annotated[str | None, typer.Option(help="Of a repeated pair: latest, or error.")] = None,
    positive: Annotated[str | None, typer.Option(help="Ratings that are likes: '>= 4', '> 0', all.")] = None,
) -> None:
    """Find out how a source is written, check it, and write its section to params.yaml."""
    from lethe.data.add import add_dataset

    columns = {"user": user_column, "item": item_column, "rating": rating_column, "timestamp": timestamp_column}
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
    }
    given = {key: value for key, value in options.items() if value is not None}
    for note in add_dataset(workspace(), name, path, columns, given):
        typer.echo(f"note: {note}")
    typer.echo(f"params.yaml: added datasets.{name}; run dvc repro or lethe train")


@app.command("repro")
def data_repro() -> None:
    """Bring every data stage up to date (dvc repro) and validate."""
    run_flow("data")
