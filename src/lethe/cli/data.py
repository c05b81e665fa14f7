"""``lethe data``: add a source, bring the stages up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from lethe.cli.common import Commands, Json, run_flow, show, workspace
from lethe.cli.reading import reads_a_source
from lethe.config.reading import Reading

app = Commands(no_args_is_help=True, help="Data: add a source, bring the stages up to date, validate.")


@app.command("add")
@reads_a_source
def data_add(
    name: Annotated[str, typer.Argument(help="Name of the dataset: lower case, digits, hyphens.")],
    path: Annotated[
        str,
        typer.Argument(
            help="A CSV or Parquet file; a folder of Parquet files, or of train and test files; a URL (s3://, https://);"
            " or env:NAME of a database's URL, with --query."
        ),
    ],
    how: Reading,
    family: Annotated[bool, typer.Option(help="Add a family of the same name that is trained from it.")] = True,
    as_json: Json = False,
) -> None:
    """Find out how a source is written, check it, and write its section to params.yaml.

    What it can't tell it refuses, naming the option that says it; with --yes it takes what is likeliest and says so.

    Example: lethe data add shop orders.csv --user-column customer --item-column product
    """
    from lethe.data.add import add

    new = add(workspace(), name, path, how, family=family)
    report = {
        "dataset": name,
        "section": new.section.to_json(),
        "profile": new.profile.to_json(),
        "notes": list(new.notes),
    }
    added = f"params.yaml: added datasets.{name}" + (f" and families.{name}" if family else "")
    lines = [*(f"note: {note}" for note in new.notes), *new.profile.lines()]
    show(report, as_json, [*lines, f"{added}; run lethe train"])


@app.command("repro")
def data_repro() -> None:
    """Bring every data stage up to date (dvc repro) and validate."""
    run_flow("data")
