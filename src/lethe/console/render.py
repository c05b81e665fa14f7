"""Templates to HTML: everything escaped, nothing undefined."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import lethe
from lethe.console.asked import Asked, View
from lethe.console.rooms import rooms_of
from lethe.forgetting.ledger.requests import OPEN, ForgetRequest

HERE = Path(__file__).parent
NOTICES = {
    "taken": "The request is taken; the service answers this person as a stranger from now on.",
    "there": "There is such a request already; this is it.",
    "established": "Recorded.",
    "cancelled": "The request is cancelled.",
    "withdrawn": "The request is withdrawn.",
    "held": "The request is on hold.",
    "released": "The request is no longer on hold.",
    "retried": "The request takes part in the next run again.",
    "started": "The run has begun.",
    "out": "You are logged out.",
}
"""What a page may say of what was just done; addresses carry the name alone."""


def html(asked: Asked, view: View, room: str) -> str:
    """A whole page."""
    notice = NOTICES.get(asked.query.get("done", ""), "") if not asked.problem else ""
    return (
        _environment()
        .get_template(f"{view.template}.html.jinja")
        .render(
            asked=asked,
            session=asked.session,
            form=asked.form,
            problem=asked.problem,
            notice=notice,
            room=room,
            rooms=rooms_of(asked.session.role),
            project=asked.workspace.root.name,
            version=lethe.__version__,
            **view.values,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"day": _day, "moment": _moment, "left": _left, "count": _count}
    return environment


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"


def _moment(time: datetime | str) -> str:
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return f"{at:%Y-%m-%d %H:%M}"


def _left(request: ForgetRequest) -> str:
    """Until a request is due; nothing once it is ended."""
    if request.state not in OPEN:
        return ""
    days = request.days_left()
    if days < 0:
        return f"{-days} {'day' if days == -1 else 'days'} overdue"
    return "due today" if days == 0 else f"{days} {'day' if days == 1 else 'days'} left"


def _count(number: Any, of: str, several: str = "") -> str:
    return f"{number:,} {of if number == 1 else several or of + 's'}"
