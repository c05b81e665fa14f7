"""``lethe init``: a project of one's own, from a file of one's own."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lethe.cli.common import Json, show
from lethe.cli.reading import reads_a_source
from lethe.config.reading import NO_COLUMN, Reading
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError

if TYPE_CHECKING:
    from lethe.data.add import NewDataset

ROLES = ("user", "item", "rating", "timestamp")
KEPT = frozenset({".gitignore", "README.md"})
"""What a folder may have of its own already."""


@reads_a_source
def init(
    folder: Annotated[Path, typer.Argument(help="The folder of the project; it is made if it isn't there.")],
    how: Reading,
    csv: Annotated[
        str | None, typer.Option("--csv", "--data", help="Your interactions, as lethe data add takes them.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset (default: that of the file).")] = None,
    as_json: Json = False,
) -> None:
    """Make a project: params.yaml, the data stages, flows and a first family of candidates that suits the data.

    The file is read where it is and not copied. Without one the project begins with generated data. Nothing that is
    there is overwritten.

    Example: lethe init shop --csv orders.csv --yes
    """
    from lethe.cli.project import example, files_of
    from lethe.core.project import RECORD, write_project
    from lethe.data.add import read_new

    root = folder.resolve()
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{folder}: is a file; give the folder of the project")
    if (root / RECORD).exists() or (root / "params.yaml").exists():
        raise ConfigError(f"{folder}: a project is there already; add data to it with lethe data add, in that folder")
    if csv is None:
        new, lines, profile = example(), ["data     generated, until lethe data add adds yours"], None
    else:
        dataset = name or _slug(csv)
        where = Workspace(root)
        new = _asked(where, dataset, csv, how) if not how.assume else read_new(where, dataset, csv, how, seed=2026)
        lines, profile = [*(f"note: {note}" for note in new.notes), *new.profile.lines()], new.profile.to_json()
    stood = write_project(root, files_of(new), kept=KEPT)
    lines += [f"first    {', '.join(new.family.models)}: the best on validation is served"]
    lines += [f"{file}: kept as it was" for file in stood]
    report = {
        "folder": str(root),
        "dataset": new.name,
        "section": new.section.to_json(),
        "profile": profile,
        "models": list(new.family.models),
        "notes": list(new.notes),
    }
    show(report, as_json, [*lines, f"{folder}: ready; next: cd {folder} && lethe train && lethe serve"])


_NO_NAME = re.compile(r"([0-9]|-|e[0-9]|0x[0-9a-f]+)*|null|true|false|yes|no|on|off")
"""What is a number, a day or a no to who reads YAML."""


def _slug(source: str) -> str:
    """The name of the file, or of the variable that names the database, as the name of a dataset."""
    last = source.removeprefix("env:").partition("?")[0].rstrip("/").rpartition("/")[2]
    slug = re.sub(r"[^a-z0-9]+", "-", last.split(".")[0].lower()).strip("-")
    return f"data-{slug}".strip("-") if _NO_NAME.fullmatch(slug) else slug


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _asked(workspace: Workspace, dataset: str, csv: str, how: Reading) -> NewDataset:
    """What is proposed, shown and asked for at a terminal. Raises ConfigError where nobody can be asked."""
    from lethe.data.add import read_new

    if not _is_terminal():
        raise ConfigError(
            "init: there is nobody to ask; give --yes to take what is likeliest, and the options it names"
        )
    while True:
        new = read_new(workspace, dataset, csv, replace(how, assume=True), seed=2026)
        typer.echo("\n".join([*(f"note: {note}" for note in new.notes), *new.profile.lines()]))
        if typer.confirm("Is that right?", default=True):
            return new
        columns = new.section.columns
        said = {
            role: typer.prompt(f"Column of the {role} ({NO_COLUMN} for none)", default=columns.get(role, NO_COLUMN))
            for role in ROLES
        }
        given = dict(how.given)
        if said["rating"] != NO_COLUMN:
            given["positive"] = typer.prompt(
                "Ratings that are likes ('>= 4', '> 0', all)", default=new.section.positive or "all"
            )
        # Of a column that nobody is asked about, what was given stands.
        how = replace(how, columns={**how.columns, **said}, given=given)
