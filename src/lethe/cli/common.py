"""What every command shares: the workspace, flows as processes, --json, --quiet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from lethe.core.format import must_fit
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")

QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""What ``lethe --quiet`` sets, for the command that follows."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PORTS = {"min": 1, "max": 65535}
"""The ports that there are, as an option's bounds."""


class _Command(TyperCommand):
    """A command that takes what it is given, or none of it: of an option given twice the first would be lost."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, left, given = self.make_parser(ctx).parse_args(args=[*args])
        if left and not ctx.allow_extra_args:
            # What was written may be somebody's id.
            raise UsageError(f"{ctx.info_name}: {len(left)} words more than it takes; see its -h")
        for option in given:
            single = option.nargs == 1 and not (option.multiple or getattr(option, "is_flag", False))
            if single and (times := given.count(option)) > 1:
                raise UsageError(f"{option.opts[-1]}: is given {times} times, must be given once")
        return super().parse_args(ctx, args)


class Root(TyperGroup):
    """All commands: what is written otherwise than one takes it is said in one line, as every other fault is."""

    def make_context(self, *words: Any, **more: Any) -> Any:
        with _in_one_line():
            return super().make_context(*words, **more)

    def invoke(self, ctx: Any) -> Any:
        with _in_one_line():
            return super().invoke(ctx)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """Faults of the parser, whose classes typer doesn't tell, as a UsageError that names the command."""
    try:
        yield
    except Exception as error:
        said = _without_what_was_written(error)
        if not said:  # Help, which was asked for by no words at all, is printed already; or no fault of the parser.
            raise
        context = getattr(error, "ctx", None)
        # The parser doesn't always know whose words it reads; that of all commands is called as it was started.
        name = "" if context is None else f"{context.info_name if context.parent else 'lethe'}: "
        if said.startswith("No such command") and context is not None:
            said = f"no such command; known are {', '.join(sorted(context.command.commands))}"
        raise UsageError(f"{name}{said[0].lower()}{said[1:]}; see its -h") from None


def _without_what_was_written(error: Exception) -> str:
    """What the parser says of a fault, on one line. What it would repeat may be somebody's id, -5 say."""
    if hasattr(error, "possibilities"):
        near = f" (options like it are {', '.join(sorted(error.possibilities))})" if error.possibilities else ""
        return f"no such option{near}; what is none, and begins with -, stands behind --"
    return " ".join(getattr(error, "format_message", str)().split()).rstrip(".")


class Commands(typer.Typer):
    """Commands that share these rules."""

    def command(self, *names: Any, **more: Any) -> Any:
        return super().command(*names, **{"cls": _Command, **more})


def each_once(option: str, pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """{name: value}. Raises ConfigError for a name that is given twice, of which the first value would be lost."""
    values: dict[str, T] = {}
    for name, value in pairs:
        if name in values:
            raise ConfigError(f"{option}: {name} is given twice, must be given once")
        values[name] = value
    return values


def must_be_new(option: str, file: Path) -> None:
    """Raises ConfigError where a file that is written once is there, or has no folder to be in."""
    if file.exists() or not file.parent.is_dir() or not file.name or not os.access(file.parent, os.W_OK):
        raise ConfigError(f"{option}: {file} must be a new file in a folder that is there and may be written to")


def must_take_files(option: str, folder: Path) -> None:
    """Raises ConfigError where what is to be written at the end of long work could have no such folder."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"{option}: {folder} must be a folder that may be written to, or made")


def must_end_in(suffix: str, option: str, file: Path) -> None:
    """Raises ConfigError where a page would be written over a file of another kind."""
    if file.suffix.lower() != suffix or file.is_dir():
        raise ConfigError(f"{option}: {file} must be a file whose name ends in {suffix}")


def workspace() -> Workspace:
    """The workspace around the current folder. Raises ConfigError if it is of an older Lethe."""
    here = Workspace.find()
    must_fit(here)
    return here


def run_flow(name: str, *arguments: str) -> None:
    """Run a flow in a process of its own; its one error line and exit code become ours."""
    from lethe.core.process import run_flow as run

    # Progress bars read that where they are made.
    more = {"TQDM_DISABLE": "1"} if is_quiet() else {}
    if code := run(workspace(), name, *arguments, environment=more):
        raise SystemExit(code)


def is_quiet() -> bool:
    """Whether ``lethe --quiet`` was given: only errors, and what --json prints."""
    return QUIET.get()


def show(value: Any, as_json: bool, lines: Iterable[str]) -> None:
    """The value as JSON, or lines for people."""
    if as_json:
        typer.echo(json.dumps(value, indent=1, sort_keys=True))
    elif not is_quiet():
        typer.echo("\n".join(lines))


def show_table(
    value: Any, as_json: bool, title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """The value as JSON, or a table for people."""
    from lethe.cli.tables import table

    show_tables(value, as_json, [table(title, columns, rows)])


def show_tables(value: Any, as_json: bool, tables: Iterable[Table], lines: Iterable[str] = ()) -> None:
    """The value as JSON, or tables and then lines for people."""
    from lethe.cli.tables import console

    if not as_json and not is_quiet():
        for made in tables:
            console().print(made)
    lines = list(lines)
    if as_json or lines:
        show(value, as_json, lines)
