"""Every option has a line where it stands, in the JSON schema and on the reference page, which is not stale."""

from __future__ import annotations

import pytest
from pydantic import Field

from lethe.config.params import Params
from lethe.config.section import Section
from lethe.models import MODELS
from tools import reference


def test_every_option_has_a_line() -> None:
    assert reference.undocumented() == []


@pytest.mark.parametrize("name", reference.pages())
def test_the_page_is_what_the_code_says(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "stale: run python -m tools.reference"


def test_a_line_reaches_the_schema_and_holds_for_a_subclass_with_another_default() -> None:
    schema = Params.model_json_schema()["$defs"]["Serving"]["properties"]
    assert schema["port"]["description"] == "TCP port of the service."
    schema = MODELS["lightgcn"].Config.model_json_schema()["properties"]
    assert schema["learning_rate"] == {
        "default": 0.05,
        "description": "Length of a step, in the optimiser's unit.",
        "exclusiveMinimum": 0,
        "title": "Learning Rate",
        "type": "number",
    }


def test_an_option_without_a_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare(Section):
        depth: int = Field(1, ge=0)

    monkeypatch.setattr(MODELS["mostpop"], "Config", Bare)
    assert reference.undocumented() == ["mostpop/Bare.depth"]


def test_every_command_has_its_section_and_options() -> None:
    page = reference.pages()["commands.md"]
    named = [name for name, _ in reference.commands()]
    assert {"train", "forget add", "certificate check", "report", "keys rotate"} <= set(named)
    assert [line for line in page.splitlines() if line.startswith("## ")] == [f"## lethe {name}" for name in named]
    silent = [(name, one.name) for name, command in reference.commands() for one in command.params if not one.help]
    assert silent == []


@pytest.mark.parametrize(
    ("docstring", "cited"),
    [
        ('A: b.\n\nSteck, "Shallow: and Deep", WWW 2019.\n\n    y = x', 'Steck, "Shallow: and Deep", WWW 2019'),
        (
            'A.\n\nX et al., "T", TOIS 2020, eq. (3.9) of the\nthesis:\n    L',
            'X et al., "T", TOIS 2020, eq. (3.9) of the thesis',
        ),
        ('A.\n\nwith x = 1. Idea: Ma, "SoRec", CIKM 2008. A user has', 'Ma, "SoRec", CIKM 2008'),
        ("A.\n\n    x in 2019\n\nOurs alone.", ""),
    ],
)
def test_the_paper_a_model_is_made_after(docstring: str, cited: str) -> None:
    assert reference.after(docstring) == cited
