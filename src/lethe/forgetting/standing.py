"""What stands beside requests: the ledger, the datasets in reach, and what keeps the forgotten out until lifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from lethe.config.params import Params
from lethe.core.keys import subject_digest
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.errors import ConfigError, RequestError
from lethe.forgetting import kept_out
from lethe.forgetting.aliases import Aliases, pair_of
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.tables.interactions import Interactions


def ledger(workspace: Workspace) -> Ledger:
    return Ledger(workspace.ledger_url, workspace.hidden_users, keep_out=partial(kept_out.tell, workspace))


def pending(workspace: Workspace) -> list[ForgetRequest]:
    return ledger(workspace).pending()


@dataclass(frozen=True)
class DueSoon:
    """Requests that are due before the time kept in hand is over."""

    waiting: int
    hours_left: float
    """Of the first of them; below 0: overdue."""

    def __str__(self) -> str:
        count = f"{self.waiting} forget request{'s are' if self.waiting > 1 else ' is'} due soon"
        return f"{count}, the first {'in' if self.hours_left >= 0 else 'since'} {abs(self.hours_left):g} h"


def due_soon(workspace: Workspace, now: datetime | None = None) -> DueSoon | None:
    """What of all that nobody has ended, be it failed or not yet accepted, is due within ``forgetting.lead_hours``, or
    was received by a clock that is wrong, whose due date then is too: that counts as due now."""
    now, lead = now or datetime.now(UTC), timedelta(hours=Params.read(workspace.params).forgetting.lead_hours)
    due = [now if request.is_ahead(now) else request.due for request in ledger(workspace).open()]
    near = [date for date in due if date - now <= lead]
    return DueSoon(len(near), round((min(near) - now) / timedelta(hours=1), 1)) if near else None


def publish_hidden(workspace: Workspace) -> None:
    """Write the list of hidden users anew from the ledger, and whose events are not kept; a service begins with none
    without it."""
    kept_out.prepare(workspace)
    ledger(workspace).publish_hidden()


def digests_asked_about(workspace: Workspace) -> set[tuple[str, str]]:
    """Dataset and keyed digest of whom any request ever was about, under the key at hand."""
    book = ledger(workspace)
    rekeyed = book.rekeyed()
    return {(request.dataset, rekeyed.get(request.user_digest, request.user_digest)) for request in book.all()}


def within_reach(workspace: Workspace, params: Params) -> list[str]:
    """The datasets of params.yaml, and those that left it whose tables are still there."""
    return sorted({*params.pipeline.datasets, *workspace.datasets()})


def one_dataset(workspace: Workspace, params: Params, dataset: str | None, otherwise: str = "") -> str:
    """The dataset that is meant; ``otherwise``: what a command takes in place of a name. Raises RequestError."""
    known = within_reach(workspace, params)
    if dataset is None and len(known) > 1:
        raise RequestError(f"dataset: must be named where there are several ({', '.join(known)}){otherwise}")
    name = dataset or known[0]
    if name not in known:
        raise RequestError(f"dataset: unknown {name!r}; known: {', '.join(known)}")
    if not has_data(workspace, name):
        raise RequestError(f"dataset: {name} has no data yet, so nobody can tell what it holds; run lethe train first")
    return name


def has_time(params: Params, dataset: str, behaviour: str | None = None) -> bool:
    """Whether a dataset's timestamps, or those of another of its behaviours, are times and no mere positions, if there
    are any."""
    config = params.datasets.get(dataset)
    if config is None:
        return True
    return config.has_times if behaviour is None else config.behaviour_has_times(behaviour)


def has_data(workspace: Workspace, dataset: str) -> bool:
    return workspace.interactions(dataset).is_file() or workspace.source_digest(dataset).is_file()


def check_list(workspace: Workspace) -> int:
    """Every forgotten subject is on the suppression list unless lifted, and both are of the key at hand; returns how
    many digests that are. Raises ConfigError, which says how to restore what is not."""
    entries = SuppressionList.read(workspace.suppression).entries
    there = {(entry.dataset, entry.digest) for entry in entries}
    book = ledger(workspace)
    done, rekeyed = [request for request in book.in_state("completed") if not request.lifted], book.rekeyed()
    named = {(request.dataset, rekeyed.get(digest, digest)) for request in done for digest in _suppressed_by(request)}
    wanted = {(dataset, digest) for dataset, digest in named if digest}
    if lost := len(wanted - there):
        raise ConfigError(
            f"suppression list: {lost} of {len(wanted)} that the ledger says are forgotten are not on it, and would "
            f"come back; put {workspace.suppression.name} back (lethe keys restore FILE) or take it from a backup"
        )
    return len(wanted)


def _suppressed_by(request: ForgetRequest) -> list[str]:
    if request.result is not None and request.result.suppressed is not None:
        return list(request.result.suppressed)
    # As an older Lethe completed it: nothing was suppressed where nothing was held.
    return [request.subject_digest] if request.kind == "user" and request.work is not None else []


def lift(workspace: Workspace, dataset: str | None, user: str, since: datetime | None = None, actor: str = "") -> int:
    """Let somebody who was forgotten be known again, by rows that are new; returns how many requests this is about.

    ``since``: by rows of that time or later alone. Raises RequestError where the dataset has no time, where nobody was
    forgotten, or while a request about them is open. Their other ids that nobody asked about joined the list with them,
    and leave it with them.
    """
    params = Params.read(workspace.params)
    name = one_dataset(workspace, params, dataset)
    check_list(workspace)
    began = None
    if since is not None:
        if not has_time(params, name) or Interactions.read(workspace.interactions(name)).timestamps is None:
            raise RequestError(f"since: dataset {name} has no time, so nothing shows which rows are new; leave it out")
        began = int(since.timestamp())
    digest = subject_digest(name, user)
    lifted = ledger(workspace).lift(name, digest, began, actor)
    listed, aliases, asked = _who_is_out(workspace)
    others = (Suppressed(name, "user", other, other) for other in aliases.of(name, digest))
    same = [other.digest for other in others if other in listed and (name, other.digest) not in asked]
    # Recorded first: a kill in between leaves somebody out who may come in, and the same command lets them in.
    listed.lift_all(name, [digest, *same], began)
    ledger(workspace).publish_hidden()
    return len(lifted)


def alias(workspace: Workspace, dataset: str | None, ids: Sequence[tuple[str, str]], *, remove: bool = False) -> int:
    """Record that the two ids of each pair are one person's, or (``remove``) that they are not; returns how many
    aliases that changed. Raises RequestError where a pair is one id twice, or is to be removed and isn't there."""
    name = one_dataset(workspace, Params.read(workspace.params), dataset)
    if twice := [number for number, (one, other) in enumerate(ids, 1) if one == other or not one or not other]:
        raise RequestError(f"alias: pair {twice[0]} must be two different ids, neither of them empty")
    pairs, known = [pair_of(name, *two) for two in ids], Aliases.read(workspace.aliases)
    if remove:
        if strange := [number for number, pair in enumerate(pairs, 1) if pair not in known.pairs]:
            raise RequestError(f"alias: pair {strange[0]} is not recorded for {name}, nothing was removed")
        left = known.changed(gone=pairs)
        _let_in(workspace, name, {digest for pair in pairs for digest in pair[1:]}, left)
        return len(known.pairs) - len(left.pairs)
    changed = known.changed(new=pairs)
    # Who has an open request is hidden already; of the other id nothing is kept from now on.
    ledger(workspace).publish_hidden()
    return len(changed.pairs) - len(known.pairs)


def _let_in(workspace: Workspace, dataset: str, digests: set[str], aliases: Aliases) -> None:
    """Take ids off the suppression list that joined it with somebody who is another person after all."""
    listed, _, asked = _who_is_out(workspace)
    people = [{digest, *aliases.of(dataset, digest)} for digest in digests]
    alone = set[str]().union(*(ids for ids in people if not any((dataset, digest) in asked for digest in ids)))
    if others := [digest for digest in alone if Suppressed(dataset, "user", digest, digest) in listed]:
        listed.lift_all(dataset, others)
        ledger(workspace).publish_hidden()


def _who_is_out(workspace: Workspace) -> tuple[SuppressionList, Aliases, set[tuple[str, str]]]:
    """The suppression list, what is known of ids of one person, and whom any request ever was about."""
    listed, aliases = SuppressionList.read(workspace.suppression), Aliases.read(workspace.aliases)
    return listed, aliases, digests_asked_about(workspace)
