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
    user_column: Annotated[str, typer.Option(help="Column with the user's id.")] = "user",
    item_column: Annotated[str, typer.Option(help="Column with the item's id.")] = "item",
    rating_column: Annotated[str | None, typer.Option(help="Column with the rating, if any.")] = None,
    timestamp_column: Annotated[str | None, typer.Option(help="Column with the time, if any.")] = None,
    separator: Annotated[str, typer.Option(help="Separator of a CSV file.")] = ",",
) -> None:
    """Check a source and write its section to params.yaml."""
    from lethe.data.add import add_dataset

    columns = {"user": user_column, "item": item_column, "rating": rating_column, "timestamp": timestamp_column}
    add_dataset(workspace(), name, path, columns, separator)
    typer.echo(f"params.yaml: added datasets.{name}; run dvc repro or lethe train")


@app.command("repro")
def data_repro() -> None:
    """Bring every data stage up to date (dvc repro) and validate."""
    run_flow("data")
