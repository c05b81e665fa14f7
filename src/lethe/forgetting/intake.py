"""Taking requests: checked, what is held counted, recorded, and in the same moment hidden from the running service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from lethe.config.params import Params
from lethe.core.canonical import Json
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.errors import RequestError
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.approval import may_be_accepted, must_be_another
from lethe.forgetting.held import elsewhere, ids_of_the_same
from lethe.forgetting.ledger.requests import UNSAID, Fact, ForgetRequest
from lethe.forgetting.looked import Looked, look
from lethe.forgetting.nothing import ending
from lethe.forgetting.standing import check_list, digests_asked_about, has_data, ledger, one_dataset, within_reach
from lethe.forgetting.unsaid import NAMED_NOW, held_as_item, unsaid_items


@dataclass(frozen=True)
class Ask:
    """Whom, and of whom what, somebody asks to have forgotten."""

    user: str = field(repr=False)
    items: tuple[str, ...] = field(default=(), repr=False)
    external_id: str | None = None
    below: str | None = field(default=None, repr=False)
    """What stood alone above this first ask, and was taken for a head line."""


@dataclass(frozen=True)
class Terms:
    """What is said with requests, of one or of thousands alike."""

    reason: str | None = None
    """One of the codes of params.yaml; null: the first."""
    ticket: str | None = None
    also_item: bool | None = None
    """Whether the user is forgotten as an item too; null: as the dataset says."""
    confirm_unknown: bool = False
    """Whether somebody whom nobody knows is meant all the same."""
    nonce: str | None = None
    """What the requester, or an auditor, wants the sample of a rebuild drawn by."""
    actor: str = ""
    said_item: bool = True
    """Whether somebody has said so of these very ids: not, where one was found to be another's."""


@dataclass(frozen=True)
class Answer:
    """What became of an ask, and what else who asks should know; no ids."""

    request: ForgetRequest
    is_new: bool
    elsewhere: Mapping[str, int]
    """Rows of the same id in other datasets."""
    rows_as_item: int
    """Rows with the same id as an item, about which nobody has said whether it is the person."""
    same_person: tuple[ForgetRequest, ...] = ()
    """Requests about the person's other ids, where accounts were merged."""

    def to_json(self) -> Json:
        more: Json = {"is_new": self.is_new, "elsewhere": {**self.elsewhere}, "rows_as_item": self.rows_as_item}
        return self.request.to_json() | more | {"same_person": [request.to_json() for request in self.same_person]}


def submit(
    workspace: Workspace, dataset: str | None, user: str, items: Sequence[str] = (), terms: Terms = Terms()
) -> ForgetRequest:
    """Take one request; see ``submit_all``."""
    return submit_all(workspace, dataset, [Ask(user, tuple(items))], terms)[0].request


def submit_all(
    workspace: Workspace, dataset: str | None, asks: Sequence[Ask], terms: Terms = Terms(), *, everywhere: bool = False
) -> list[Answer]:
    """Take requests, all or none: each accepted, or completed at once where nothing is held (and suppressed, so that
    what arrives later never enters). ``everywhere``: in each dataset that holds the user, or, where none does, in all.

    Raises RequestError, also where nobody has the id and ``terms`` don't confirm it.
    """
    params = Params.read(workspace.params)
    check_list(workspace)
    if everywhere:
        names = [name for name in within_reach(workspace, params) if has_data(workspace, name)]
    else:
        names = [one_dataset(workspace, params, dataset, ", or take --everywhere")]
    _must_head_nobody(workspace, names, asks)
    asked = [_asked(workspace, params, name, asks, terms) for name in names]
    unknown = set(range(len(asks))).intersection(*(one.unknown for one in asked))
    if unknown and not terms.confirm_unknown:
        raise _nobody(", ".join(names), unknown, asks, max(one.looked.near for one in asked))
    beyond = [name for name in workspace.datasets() if name not in names]
    others = elsewhere(workspace, beyond, [ask.user for ask in asks]) if len(asks) == len(names) == 1 else {}
    return [answer for one in asked for answer in _take(workspace, params, one, terms, others)]


def follow_merged(workspace: Workspace) -> None:
    """Ask about ids of the same persons as those who wait, such as came since these were asked about."""
    if not Aliases.read(workspace.aliases).pairs:
        return
    params, book = Params.read(workspace.params), ledger(workspace)
    asked = digests_asked_about(workspace)
    for dataset in within_reach(workspace, params):
        mine = [r for r in book.in_state("accepted") if r.dataset == dataset and r.kind == "user"]
        ids = ids_of_the_same(workspace, params, dataset, [str(request.user) for request in mine])
        for request, others in zip(mine, ids, strict=True):
            new = [Ask(raw) for raw in others if (dataset, subject_digest(dataset, raw)) not in asked]
            if new:
                submit_all(
                    workspace, dataset, new, Terms(request.reason, request.ticket, request.also_item, said_item=False)
                )


def take_up(workspace: Workspace) -> list[ForgetRequest]:
    """Accept what was only received: once all that params.yaml requires is established, or where a command was killed
    in between. What holds nothing completes; what another took up meanwhile is left alone."""
    params, book = Params.read(workspace.params), ledger(workspace)
    ready = [r for r in book.in_state("received") if may_be_accepted(params.forgetting, r, partial(book.events, r.id))]
    done: list[ForgetRequest] = []
    for dataset in sorted({request.dataset for request in ready}):
        mine = [request for request in ready if request.dataset == dataset]
        looked = look(workspace, params, dataset, mine)
        held = {request.id: looked.held[request.subject] for request in mine}
        done += book.accept(held, end=ending(workspace, params, book, looked.nothing), since="received")
    return done


def establish(workspace: Workspace, id: str, fact: Fact, actor: str = "") -> ForgetRequest:
    """Record a fact about the asking; with the last of those that params.yaml requires the request is accepted.
    Raises RequestError where ``forgetting.four_eyes`` asks for another than who entered it."""
    book, settings = ledger(workspace), Params.read(workspace.params).forgetting
    book.establish(id, fact, actor, look=must_be_another(settings, fact, actor))
    take_up(workspace)
    return book.get(id)


def retry(workspace: Workspace, id: str, actor: str = "", also_item: bool | None = None) -> ForgetRequest:
    """Let a request that failed take part in the next run again; one that was set aside because its user's id is an
    item's too takes the answer, ``also_item``. Raises RequestError where that is missing, or nobody asked."""
    book = ledger(workspace)
    request = book.get(id)
    if request.state != "failed":
        raise RequestError(f"state: {id} is {request.state}, only what failed can be tried again")
    if (request.failure == UNSAID) != (also_item is not None):
        asked = f"{NAMED_NOW} say --also-item or --not-item" if also_item is None else "was not asked of this request"
        raise RequestError(f"also_item: {asked}")
    held = held_as_item(workspace, book, request) if also_item else request.held
    return book.accept({id: held}, actor=actor, also_item=also_item)[0]


# --- below -------------------------------------------------------------------------------------------------------


def _must_head_nobody(workspace: Workspace, names: Sequence[str], asks: Sequence[Ask]) -> None:
    """Raises RequestError where what was taken for a head line may be the first of the ids."""
    head = next((ask.below for ask in asks if ask.below is not None), None)
    if head is None or any(ask.user == head for ask in asks):
        return
    if any(elsewhere(workspace, [name], [head]) for name in names):
        raise RequestError(
            "file: its first line is somebody's id, or the name of the column; write it once more above if it is an"
            " id, or as USER if it is the name"
        )


def _request(params: Params, dataset: str, ask: Ask, terms: Terms) -> ForgetRequest:
    settings = params.forgetting
    reason = terms.reason or settings.reasons[0]
    if reason not in settings.reasons:
        raise RequestError(f"reason: must be one of {', '.join(settings.reasons)}; a ticket's number goes to --ticket")
    if terms.ticket is not None and not re.fullmatch(settings.ticket, terms.ticket):
        raise RequestError(f"ticket: must be a number such as {settings.ticket} describes (forgetting.ticket)")
    config = params.datasets.get(dataset)
    said = terms.also_item if terms.also_item is not None else bool(config and config.items_are_users)
    return ForgetRequest.new(
        dataset,
        ask.user,
        ask.items,
        reason,
        now=datetime.now(UTC),
        datasets=[dataset],
        due_days=settings.due_days,
        also_item=said and not ask.items,
        said_item=terms.said_item and terms.also_item is not None,
        ticket=terms.ticket,
        external_id=ask.external_id,
        nonce=terms.nonce,
    )


@dataclass(frozen=True)
class _Asked:
    """Asks of one dataset, with what was found of them; nothing is written yet."""

    dataset: str
    requests: list[ForgetRequest]
    """One an ask, also where two asks are the same; after them those about other ids of the same persons."""
    others: list[list[int]]
    """Of each ask, which of the requests these are."""
    looked: Looked
    rows_as_item: list[int]

    @property
    def unknown(self) -> set[int]:
        """Which of the asks are about somebody whom nobody knows."""
        subjects = {request.subject for request in self.looked.unknown}
        # Whose other id is held is known.
        alone = (place for place, others in enumerate(self.others) if not others)
        return {place for place in alone if self.requests[place].subject in subjects}


def _asked(workspace: Workspace, params: Params, dataset: str, asks: Sequence[Ask], terms: Terms) -> _Asked:
    others, merged = list[list[int]](), list[Ask]()
    for ask, ids in zip(asks, ids_of_the_same(workspace, params, dataset, [ask.user for ask in asks]), strict=True):
        others.append([len(asks) + len(merged) + number for number in range(len(ids))])
        merged += [Ask(raw, ask.items) for raw in ids]
    requests = [_request(params, dataset, ask, terms) for ask in [*asks, *merged]]
    looked = look(workspace, params, dataset, list({request.subject: request for request in requests}.values()))
    return _Asked(
        dataset,
        requests,
        others,
        looked,
        unsaid_items(params, dataset, looked.tables, requests, terms.also_item is not None),
    )


def _take(workspace: Workspace, params: Params, asked: _Asked, terms: Terms, others: Mapping[str, int]) -> list[Answer]:
    looked, accept, book = asked.looked, not params.forgetting.requires, ledger(workspace)
    taken = book.take(
        [replace(request, held=looked.held[request.subject]) for request in asked.requests],
        accept=accept,
        end=ending(workspace, params, book, looked.nothing if accept else ()),
        actor=terms.actor,
    )
    return [
        Answer(*taken[place], others, asked.rows_as_item[place], tuple(taken[one][0] for one in same_person))
        for place, same_person in enumerate(asked.others)
    ]


def _nobody(where: str, unknown: set[int], asks: Sequence[Ask], near: int) -> RequestError:
    first = min(unknown)
    field, who = ("items", "there is no such interaction") if asks[first].items else ("user", "nobody has this id")
    if len(asks) > 1:
        head = " (a head line must call the column user)" if first == 0 else ""
        who = f"{len(unknown)} of {len(asks)} ids are nobody's, the first of them is number {first + 1}{head},"
    spelt = f", but {near} ids are the same there but for case, blanks or spelling" if near else ""
    return RequestError(
        f"{field}: {who} in {where}{spelt}; correct it, or confirm by --confirm-unknown, or the box of the form, that"
        " it is meant as it stands"
    )
