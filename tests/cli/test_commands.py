"""What holds of every command: help by -h, in sentences; --json wherever something is reported; --quiet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import lethe
import lethe.cli
from lethe.cli import app
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError, RequestError
from lethe.models import MODELS

SILENT = {
    "serve",  # ends with Ctrl-C
    "follow",  # the same
    "console",  # the same
    "worker",  # the same
    "env",  # shell exports
    "demo",  # reports/demo.json
    "data repro",
    "certificate show",  # the file itself is JSON
}
"""What reports nothing that a program would read."""


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if children := getattr(command, "commands", None):
        for child, below in children.items():
            yield from commands(below, f"{name} {child}".strip())
    else:
        yield name, command


ALL = dict(commands(get_command(app)))


def run(*arguments: str) -> str:
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == 0, ran.output
    return ran.output


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_help_in_sentences_and_json(name: str) -> None:
    command = ALL[name]
    assert (command.help or "").split("\n\n")[0].rstrip().endswith(".")
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) == (name not in SILENT)


@pytest.mark.parametrize("arguments", [["-h"], ["train", "-h"], ["data", "add", "-h"]])
def test_help_is_short_for_help(arguments: list[str]) -> None:
    assert run(*arguments) == run(*arguments[:-1], "--help")


def test_the_version() -> None:
    assert run("--version") == f"lethe {lethe.__version__}\n"


def test_quiet_leaves_json_alone(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    assert run("--quiet", "stop") == ""
    assert run("stop") == "no service was running\n"
    assert json.loads(run("--quiet", "stop", "--json")) == {"stopped": False}


def test_all_models_are_listed_and_one_with_all_its_options() -> None:
    cards = json.loads(run("models", "--json"))
    assert list(cards) == sorted(MODELS)
    assert cards["eatnn"]["needs"] == ["links"]
    assert cards["als"]["learns"] == "ratings"
    assert "attention" in cards["wmf"]["aggregators"]
    assert "attention" not in cards["ease"]["aggregators"]
    shown = run("show", "wmf")
    assert all(f"  {option} = " in shown for option in MODELS["wmf"].Config.model_fields)
    assert "(lethe tune: 8, 16, 32, 64, 128, 256)" in shown
    assert run("models", "wmf") == shown
    assert json.loads(run("show", "ease", "--json"))["options"]["reg"]["searched"][-1] == 20_000


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (PermissionError(13, "Permission denied", "/x/params.yaml"), "give its user the right to"),
        (OSError(30, "Read-only file system", "/x/.lethe"), "mount it for writing, or move the project"),
        (OSError(28, "No space"), "make room there, and run it again"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: OSError, mend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(lethe.cli, "app", refuse)
    monkeypatch.setattr(lethe.cli, "NUMERIC", {})
    with pytest.raises(SystemExit) as ended:
        lethe.cli.main()
    named = f"{error.filename}: " if error.filename else ""
    line = capsys.readouterr().err
    assert (ended.value.code, line.count("\n")) == (1, 1)
    assert line.startswith(f"error: {named}{error.strerror}; ")
    assert line.endswith(f"{mend}\n"), "it says what to do"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["forget", "add", "user-007"], "add: 1 words more than it takes"),
        (["forget", "add", "--user", "user-007", "--user", "user-008"], "--user: is given 2 times, must be given once"),
        (["status", "user-007", "x"], "status: 2 words more than it takes"),
        (
            ["forget", "add", "--user", "user-007", "--receipt", "params.yaml"],
            "receipt: params.yaml must be a new file",
        ),
        (["forget", "add", "--user", "user-007", "--receipt", "."], "receipt: . must be a new file"),
        (["forget", "add", "--user", "user-007", "--receipt", "no/r.json"], "receipt: no/r.json must be a new file"),
        (["verify", "--attest", "params.yaml"], "attest: params.yaml must be a folder that may be written to, or made"),
        (["verify", "--attest", "params.yaml/x"], "attest: params.yaml/x must be a folder that may be written to"),
        (["report", "--out", "params.yaml"], "out: params.yaml must be a file whose name ends in .html"),
        (["certificate", "show", "c.json", "--html", "c.json"], "html: c.json must be a file whose name ends in .html"),
        (["certificate", "show", "c.json", "--pdf", "/dev/stdout"], "pdf: /dev/stdout must be a file whose name ends"),
        (["forget", "cancel", "user-007"], "request: must be a request's id, such as req-"),
    ],
    ids=str,
)
def test_what_is_given_is_taken_whole_or_refused_before_anything_is_done(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tiny.root)
    params = tiny.params.read_bytes()
    ran = CliRunner().invoke(app, arguments)
    assert isinstance(ran.exception, ConfigError | RequestError)
    assert said in str(ran.exception)
    # Whoever mistypes a command mistypes it with somebody's id.
    assert "user-007" not in str(ran.exception)
    assert tiny.params.read_bytes() == params
    assert json.loads(run("forget", "list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], "error: lethe: no such command; known are audit, "),
        (["forget", "user-007"], "error: forget: no such command; known are add, alias, "),
        (["train", "--jsn"], "error: train: no such option (options like it are --json); what is none"),
        (
            ["forget", "show", "-user-007"],
            "error: show: no such option; what is none, and begins with -, stands behind",
        ),
        (["status", "--user-007"], "error: status: no such option; what is none"),
        (["status", "--user-007=1"], "error: status: no such option; what is none"),
        (["--user-007"], "error: lethe: no such option; what is none"),
        (["status", "--json=user-007"], "error: option '--json' does not take a value"),
        (["forget", "add", "--user"], "error: option '--user' requires an argument"),
        (["show"], "error: show: missing argument 'name'"),
        (["status", "user-007"], "error: status: 1 words more than it takes"),
        (
            ["verify", "--sample", "none"],
            "error: verify: invalid value for '--sample': Input should be a valid integer",
        ),
        (
            ["serve", "--port", "0"],
            "error: serve: invalid value for '--port': Input should be greater than or equal to 1",
        ),
        (["follow", "--port", "65536"], "error: follow: invalid value for '--port'"),
        (["console", "--port", "-1"], "error: console: invalid value for '--port'"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_miswritten_is_told_in_one_line_with_exit_code_2(
    words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lethe", *words])
    monkeypatch.setattr(lethe.cli, "NUMERIC", {})
    with pytest.raises(SystemExit) as ended:
        lethe.cli.main()
    said, told = capsys.readouterr()
    assert (ended.value.code, said, told.count("\n")) == (2, "", 1)
    assert told.startswith(line)
    assert told.endswith("; see its -h\n")
    # What was written may be somebody's id.
    assert "user-007" not in told
