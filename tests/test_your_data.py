"""docs/your-data.md names options that exist, and every option of ``lethe data add``."""

from __future__ import annotations

import re

import typer
from typer.main import get_command

from lethe.cli import app
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "your-data.md").read_text()


def options(*names: str) -> set[str]:
    command = get_command(app)
    for name in names:
        command = command.get_command(typer.Context(command), name)  # type: ignore[attr-defined]
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_the_page_and_the_command_name_the_same_options() -> None:
    known = {name for name in options("data", "add") if name.startswith("--")} - {"--help"}
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", PAGE))
    assert named - known == {"--since", "--csv"}
    assert known - named == {"--header", "--no-trim", "--family"}
