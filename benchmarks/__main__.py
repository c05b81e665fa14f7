"""``python -m benchmarks COMMAND``, from the project's folder: every figure that is published, made again."""

from __future__ import annotations

import os

import typer

from benchmarks.commands import accuracy, pages, promise, service, settings, speed
from lethe.core.workspace import NUMERIC
from lethe.errors import LetheError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Published tables run again; peers side by side.")
for part in (accuracy, settings, pages, promise, service, speed):
    app.add_typer(part.app)


def main() -> None:
    """Run; an error that a user can mend is one line."""
    # Before anything numeric is imported.
    os.environ.update(NUMERIC)
    try:
        app()
    except LetheError as error:
        typer.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
