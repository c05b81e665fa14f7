"""What a page is given and what it gives: plain values, without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lethe.config.params import Params
from lethe.console.flow import Runs
from lethe.console.sessions import Session, Sessions
from lethe.core.workspace import Workspace
from lethe.errors import LetheError


class Changed(LetheError):
    """What somebody looked at isn't so any more: another console, or a run, was faster."""


@dataclass(frozen=True)
class Console:
    """What all pages share."""

    workspace: Workspace
    sessions: Sessions
    runs: Runs

    @property
    def params(self) -> Params:
        """As params.yaml is now."""
        return Params.read(self.workspace.params)


@dataclass(frozen=True)
class Form:
    """A form as it was sent; ids of people may be in it, so it is never shown whole."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def text(self, name: str) -> str:
        """A field to the letter; empty where it wasn't sent."""
        return self.fields.get(name, "")

    def line(self, name: str) -> str | None:
        """A field without blanks around it; None where it is empty."""
        return self.text(name).strip() or None

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a field that aren't empty."""
        lines = (line.removesuffix("\r") for line in self.text(name).split("\n"))
        return tuple(line for line in lines if line)


@dataclass(frozen=True)
class Asked:
    """A page, asked for by somebody whose role may see it."""

    console: Console
    session: Session
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Form = Form()
    problem: str = ""
    """Why what was sent was refused, in one line; the page is shown again as it was filled in."""

    @property
    def workspace(self) -> Workspace:
        return self.console.workspace

    def choice(self, name: str, known: Mapping[str, str], default: str) -> str:
        """One of some values of the query. What was asked for is not repeated: it may be anything."""
        value = self.query.get(name, default)
        if value not in known:
            raise LetheError(f"{name}: must be one of {', '.join(known)}")
        return value


@dataclass(frozen=True)
class View:
    """A page to be shown: a template and what it shows. ``done``: what was sent is dealt with, so that no form is
    left."""

    template: str
    values: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    done: bool = False


@dataclass(frozen=True)
class Go:
    """Somewhere else, where ``done`` names what is said there."""

    path: str
    done: str = ""


@dataclass(frozen=True)
class File:
    """Something to keep."""

    name: str
    content: bytes
    media_type: str = "application/json"


Answer = View | Go | File
Page = Callable[[Asked], Answer]
