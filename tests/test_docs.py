"""The documents say what is there: the rooms, the paths, the examples; and each answer is short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lethe.cli import app
from tests.conftest import ROOT

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ANSWERS = re.findall(
    r"^## … add an? (\w+)\?\n\n(.*?)\n(?=\n## |\Z)",
    (ROOT / "docs" / "contributing" / "where-do-i.md").read_text(encoding="utf-8"),
    flags=re.DOTALL | re.MULTILINE,
)


def test_the_rooms_of_the_picture_are_those_of_the_house() -> None:
    rooms = (path for path in (ROOT / "src" / "lethe").iterdir() if path.is_dir() or path.suffix == ".py")
    there = {path.name for path in rooms if not path.name.startswith("__")}
    listed = re.findall(r"^\| `([a-z]+)(?:/|\.py)` \|", ARCHITECTURE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(name.removesuffix(".py") for name in there)
    assert len(listed) == 14
    picture = ARCHITECTURE.split("```")[1]
    assert all(re.search(rf"\b{room}\b", picture) for room in listed)


def test_every_way_to_extend_is_answered() -> None:
    extensions = ["model", "source", "store", "metric", "endpoint", "partition", "gate"]
    assert [name for name, _ in ANSWERS] == extensions


@pytest.mark.parametrize(("name", "answer"), ANSWERS, ids=[name for name, _ in ANSWERS])
def test_an_answer_is_short_and_names_files_that_are_there(name: str, answer: str) -> None:
    assert len(answer.splitlines()) < 10
    assert f"Example: `tests/extending/test_{name}.py`." in answer
    paths = [path for path in re.findall(r"`((?:src|tests|docs)/[\w/.-]+)`", answer) if "<" not in path]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "docs/architecture.md", "docs/erasure.md"])
def test_what_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    modules = re.findall(r"`lethe((?:\.[a-z_]+)+)", text)
    missing = [name for name in modules if not _is_there(name.strip(".").split("."))]
    assert missing == []
    paths = re.findall(r"\b((?:src/lethe|docs|tests|tools)/[\w/-]+(?:\.\w+)?)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def _is_there(parts: list[str]) -> bool:
    """Whether it is a module, or a name that a module's text has."""
    place = ROOT / "src" / "lethe"
    for number, part in enumerate(parts):
        if (place / part).is_dir():
            place = place / part
            continue
        module = place / f"{part}.py"
        if module.is_file():
            rest = parts[number + 1 :]
            return not rest or rest[0] in module.read_text(encoding="utf-8")
        return part in (place / "__init__.py").read_text(encoding="utf-8")
    return True


def test_the_tutorials_commands_are_there() -> None:
    """Every ``lethe ...`` of its blocks names a command, and options that the command has."""
    known = dict(_commands(get_command(app)))
    tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    lines = [
        line for block in re.findall(r"```console\n(.*?)```", tutorial, flags=re.DOTALL) for line in block.splitlines()
    ]
    used = [line.split()[1:] for line in lines if line.startswith("lethe ")]
    assert len(used) == 6
    for words in used:
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


ENVIRONMENT = r"\bLETHE_[A-Z0-9_]+\b"
BETWEEN_OURSELVES = {"LETHE_DEPLOYMENT", "LETHE_WARM"}
"""Set by our processes for our own."""
OF_TESTS = {"LETHE_TEST_DEVICE"}


def test_a_variable_of_the_environment_is_documented_and_read() -> None:
    def named(pattern: str, *places: str) -> set[str]:
        files = (path for place in places for path in (ROOT / place).rglob("*") if path.is_file())
        texts = (path.read_text(encoding="utf-8") for path in files if "__pycache__" not in path.parts)
        return {name for text in texts for name in re.findall(pattern, text)}

    in_words = {*named(ENVIRONMENT, "docs"), *re.findall(ENVIRONMENT, (ROOT / "README.md").read_text(encoding="utf-8"))}
    # In code as a text of its own, which is how a variable is read; in deploy/ by whatever reads that file.
    read = named(r"(?<=[\"'])LETHE_[A-Z0-9_]+(?=[\"'])", "src", "flows")
    statements = {name for name in read if name.endswith("_REBUILT_EQUAL")}
    assert read - statements - BETWEEN_OURSELVES - in_words == set()
    assert in_words - read - named(r"(?<=\$\{)LETHE_[A-Z0-9_]+", "deploy") - OF_TESTS == set()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_there_with_its_options(page: Path) -> None:
    known = dict(_commands(get_command(app)))
    text = page.read_text(encoding="utf-8")
    written = re.findall(r"`lethe ([a-z][^`\n]*)`", text) + re.findall(
        r"^(?:.*&& )?lethe ([a-z].*)", text, re.MULTILINE
    )
    for line in written:
        words = re.split(r"&&|;|#|\|| \(", line)[0].split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, line
        if not hasattr(known[name], "commands"):
            options = {name for one in known[name].params for name in (*one.opts, *one.secondary_opts)} | {"-h"}
            assert {word for word in words if word.startswith("-") and word != "-"} <= options, line


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for child, below in getattr(command, "commands", {}).items():
        yield f"{name} {child}".strip(), below
        yield from _commands(below, f"{name} {child}".strip())
