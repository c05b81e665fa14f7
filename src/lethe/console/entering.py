"""Taking requests: one that is typed, or many in a file. Ids travel in the body of a form and nowhere else."""

from __future__ import annotations

from collections import Counter

from lethe.console.asked import Answer, Asked, Go, View
from lethe.errors import RequestError
from lethe.forgetting.bulk import asks_of
from lethe.forgetting.intake import Answer as Taken
from lethe.forgetting.intake import Ask, Terms, submit_all
from lethe.forgetting.standing import within_reach

SHOWN = 200
"""Requests of a file that are listed one by one."""
_ALSO = {"": None, "yes": True, "no": False}
EVERYWHERE = "*"


def form(asked: Asked) -> View:
    return View("enter", _choices(asked))


def file_form(asked: Asked) -> View:
    return View("file", _choices(asked))


def _choices(asked: Asked) -> dict[str, object]:
    params = asked.console.params
    return {
        "datasets": within_reach(asked.workspace, params),
        "reasons": params.forgetting.reasons,
        "requires": params.forgetting.requires,
    }


def take(asked: Asked) -> Answer:
    """One request, in one dataset or in each that holds the person."""
    fields = asked.form
    ask = Ask(fields.text("user"), fields.lines("items"), fields.line("external_id"))
    answers = _taken(asked, [ask])
    (first, *others) = answers
    if others or first.elsewhere or first.rows_as_item or first.same_person:
        return View("taken", {"answers": answers, "states": {}, "shown": SHOWN}, done=True)
    return Go(f"/ui/requests/{first.request.id}", "taken" if first.is_new else "there")


def take_file(asked: Asked) -> Answer:
    """All requests of a file, or none."""
    if "file" not in asked.form.files:
        raise RequestError("file: must be a CSV file with at least one id")
    asks = asks_of(asked.form.files["file"])
    answers = _taken(asked, asks)
    states = Counter(answer.request.state for answer in answers)
    return View("taken", {"answers": answers, "states": dict(states), "shown": SHOWN}, done=True)


def _taken(asked: Asked, asks: list[Ask]) -> list[Taken]:
    fields, dataset = asked.form, asked.form.text("dataset")
    if (also := fields.text("also_item")) not in _ALSO:
        raise RequestError("also_item: must be empty, yes or no")
    terms = Terms(
        reason=fields.line("reason"),
        ticket=fields.line("ticket"),
        also_item=_ALSO[also],
        confirm_unknown=fields.text("confirm_unknown") == "yes",
        nonce=fields.line("nonce"),
        actor=asked.session.name,
    )
    everywhere = dataset == EVERYWHERE
    return submit_all(asked.workspace, None if everywhere else dataset or None, asks, terms, everywhere=everywhere)
