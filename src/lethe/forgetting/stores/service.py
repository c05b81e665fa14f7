"""The running service as a store: what its workers hold in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.forgetting.stores.base import Found, Place, Removed, Site
from lethe.forgetting.stores.needles import Needles
from lethe.serving import deploy


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
        answers, found = server.ask_each("/model"), set[Place]()
        for answer in answers.values():
            for family, about in answer["families"].items():
                if about["data_digest"] in old or registry.is_retired(about["version"]):
                    found.add(Place(family, "superseded version"))
        unheard = [Place("a worker", "unreadable")] if server.worker_pids() - answers.keys() else []
        return Found((*sorted(found, key=str), *unheard))


def stores(site: Site) -> list[Running]:
    return [Running(site.workspace)]
