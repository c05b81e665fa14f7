"""Where do I add a store? One file below forgetting/stores/, one entry in ``STORES``: it is emptied, then searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from lethe.core.workspace import Workspace
from lethe.errors import LetheError
from lethe.forgetting import erasure, stores
from lethe.forgetting.stores.base import Found, Place, Removed, Site, Store
from lethe.forgetting.stores.needles import Needles
from tests import house

# --- the store: what would stand in src/lethe/forgetting/stores/answers.py ---------------------------------------


@dataclass(frozen=True)
class Answers:
    """A cache of ready answers beside the service, by user: a key-value server of one's own (here a dictionary)."""

    entries: dict[str, bytes]
    name: str = "answers"

    def size(self) -> int:
        return sum(map(len, self.entries.values()))

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, len(self._of(needles)), sum(len(self.entries[key]) for key in self._of(needles)))

    def remove(self, needles: Sequence[Needles]) -> Removed:
        removed = self.would_remove(needles)
        for key in self._of(needles):
            del self.entries[key]
        return removed

    def find(self, needles: Sequence[Needles]) -> Found:
        return Found(tuple(Place(self.name, "id", len(self.entries[key])) for key in self._of(needles)))

    def _of(self, needles: Sequence[Needles]) -> list[str]:
        return [key for key in self.entries if any(n.is_user(key) for n in needles)]


@dataclass(frozen=True)
class Stuck(Answers):
    """One that can't be emptied."""

    def remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, 0, 0)


# --- what then holds ---------------------------------------------------------------------------------------------


def listed(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    def of_site(site: Site) -> list[Store]:
        # A real one makes its connection from site.params here.
        return [store]

    monkeypatch.setattr(stores, "STORES", (*stores.STORES, of_site))


def test_it_is_emptied_of_the_subject_alone_and_searched(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = {"user-003": b"item-001 item-002", "user-004": b"item-003"}
    listed(monkeypatch, Answers(cache))
    house.train(tiny)
    house.ask(tiny, "user-003")
    ended = erasure.erase(tiny, house.rebuild(tiny)).ended
    assert ended is not None
    assert cache == {"user-004": b"item-003"}
    assert [(p.removed, p.bytes) for p in ended.purged if p.store == "answers"] == [(1, 17)]
    assert "answers" in ended.scan.stores


def test_a_store_that_still_holds_the_subject_stops_the_run(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    listed(monkeypatch, Stuck({"user-003": b"item-001"}))
    house.train(tiny)
    house.ask(tiny, "user-003")
    with pytest.raises(LetheError, match="answers") as stopped:
        erasure.erase(tiny, house.rebuild(tiny))
    assert "user-003" not in str(stopped.value)
