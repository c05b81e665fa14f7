"""The running service as a store: what its workers hold in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.forgetting.stores.base import Found, Place, Removed, Site
from lethe.forgetting.stores.needles import Needles
from lethe.serving import deploy

_TRIES = 50
"""Questions a worker, at most, until each has answered one: which one answers is the system's choice."""


@dataclass(frozen=True)
class Running:
    """Redeployment replaces the workers; here they are asked what they serve."""

    workspace: Workspace
    name: str = "service"

    def size(self) -> int:
        return 0

    def would_remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, 0, 0)

    def remove(self, needles: Sequence[Needles]) -> Removed:
        return Removed(self.name, 0, 0)

    def find(self, needles: Sequence[Needles]) -> Found:
        server = deploy.status(self.workspace)
        if server is None:
            return Found()
        registry, old = Registry(self.workspace), {digest for n in needles for digest in n.digests}
        silent, found = server.worker_pids(), set[Place]()
        for _ in range(_TRIES * len(silent)):
            answer = server.ask("GET", "/model")
            silent.discard(answer["pid"])
            for family, about in answer["families"].items():
                if about["data_digest"] in old or registry.is_retired(about["version"]):
                    found.add(Place(family, "superseded version"))
            if not silent:
                break
        unheard = [Place("a worker", "unreadable")] if silent else []
        return Found((*sorted(found, key=str), *unheard))


def stores(site: Site) -> list[Running]:
    return [Running(site.workspace)]
