"""What the service was told that people did since the last training: wiped of a subject when its request is accepted,
and again here, in case a kill came in between."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lethe.core.keys import subject_digest, subject_digests
from lethe.errors import ConfigError
from lethe.forgetting.stores.base import Folder, Found, Removed, Site, bytes_of
from lethe.forgetting.stores.needles import Needles
from lethe.serving.event_file import Named, count, files, settle, wipe


@dataclass(frozen=True)
class EventStore:
    """The buffer names people by keyed digests, so these are searched for, as text: also in what was deleted and not
    overwritten. The digests of whom nothing is taken stand there in bytes, and are no finding."""

    path: Path
    name: str = "events"

    def size(self) -> int:
        return bytes_of(files(self.path))

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, count(self.path, _named(needles)), 0)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        before, gone = self.size(), wipe(self.path, _named(needles))
        return Removed(self.name, gone, before - self.size())

    def find(self, needles: Sequence[Needles]) -> Found:
        # Else rows could move from the log to the file after that was read, and before the log is.
        with suppress(ConfigError):  # What can't be opened is found to be unreadable.
            settle(self.path)
        named = [replace(n, digests=n.digests | _digests(n)) for n in needles]
        return Folder(self.name, self.path.parent, digests_as_text=True).find(named)


def _named(needles: Sequence[Needles]) -> Named:
    named = Named()
    for n in needles:
        users = n.keyed_users | set(subject_digests(n.dataset, sorted(n.users)))
        interactions = n.keyed_pairs.keys() | {subject_digest(n.dataset, *pair) for pair in n.pairs}
        items = n.keyed_items | {subject_digest(n.dataset, raw) for raw in n.items}
        named |= Named(users, frozenset(interactions), items)
    return named


def _digests(needles: Needles) -> frozenset[str]:
    named = _named([needles])
    return named.users | named.interactions


def stores(site: Site) -> list[EventStore]:
    return [EventStore(site.workspace.events)]
