"""Whose events the service must not keep: who asks to be forgotten, in the moment in which they are hidden, and what
the suppression list names, until it is lifted. Where there is no event buffer nothing is done.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.suppression import Suppressed, SuppressionList
from lethe.forgetting.aliases import Aliases
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.serving.event_file import Named, count, discard, keep_out, make


def prepare(workspace: Workspace) -> None:
    """The buffer as params.yaml wants it: there, though nothing is taken before ``tell``; or gone with all it holds."""
    if Params.read(workspace.params).serving.events is None:
        discard(workspace.events)
    elif not workspace.events.is_file():
        make(workspace.events)


def tell(workspace: Workspace, requests: Sequence[ForgetRequest], keep: bool) -> None:
    """Wipe the events of who has one of these open requests, and take no more; others, who were kept out before,
    ``keep`` their place, or only those do whom the suppression list names. Raises ConfigError where that can't be done.
    """
    if not workspace.events.is_file():
        return
    named = _of_requests(workspace, requests)
    if not keep:
        named |= of_entries(SuppressionList.read(workspace.suppression).entries)
    keep_out(workspace.events, named, only=not keep)


def suppress(workspace: Workspace, entries: Iterable[Suppressed]) -> None:
    """Wipe the events that lines of the suppression list name, and take no more such."""
    if workspace.events.is_file():
        keep_out(workspace.events, of_entries(entries))


def knows(workspace: Workspace, request: ForgetRequest) -> bool:
    """Whether events of a request's subject are kept."""
    return workspace.events.is_file() and count(workspace.events, _of_requests(workspace, [request])) > 0


def of_entries(entries: Iterable[Suppressed]) -> Named:
    """Whom lines of the suppression list keep out now."""
    now, kinds = time.time(), dict[str, set[str]]()
    for entry in entries:
        if entry.since is None or entry.since > now:
            kinds.setdefault(entry.kind, set()).add(entry.digest)
    return Named(*(frozenset(kinds.get(kind, ())) for kind in ("user", "interaction", "item")))


def _of_requests(workspace: Workspace, requests: Sequence[ForgetRequest]) -> Named:
    """All of each person, whatever of them is to be forgotten: they are hidden. Under every id that is theirs."""
    aliases = Aliases.read(workspace.aliases)
    users = {other for r in requests for other in (r.user_digest, *aliases.of(r.dataset, r.user_digest))}
    return Named(users=frozenset(users), items=frozenset(r.user_digest for r in requests if r.also_item))
