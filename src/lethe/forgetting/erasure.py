"""Emptying every store of what is superseded, and the scan that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.errors import LetheError
from lethe.forgetting.certificate import Absence, Lasting, Purged, Rows
from lethe.forgetting.intake import current_plan, ledger, rows_of
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.lineage import live_artifacts
from lethe.forgetting.run import Ended, Run
from lethe.forgetting.state import State, state_of
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.needles import Needles
from lethe.forgetting.stores.service import Running
from lethe.forgetting.stores.stores import Store
from lethe.serving import deploy
from lethe.serving.hidden import HiddenUsers
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import digest_beside


def erase(workspace: Workspace, run: Run) -> Run:
    """Empty every store of what is superseded, then scan them all; raises LetheError if anything is found."""
    book, after = ledger(workspace), state_of(workspace)
    requests = book.get_all(run.requests)
    if run.ended is not None and any(request.user is None for request in requests):
        return run  # It was killed after its subjects were erased: what to search for is gone, what was found stands.
    places = stores(workspace, book, run)
    needles = needles_of(workspace, book, run, after)
    removed = purge.purge(places, needles)
    scan = purge.scan(places, needles)
    must_be_clean(scan)
    ended = Ended(
        purged=tuple(Purged(store=one.store, removed=one.entries, bytes=one.bytes) for one in removed),
        scan=_absence(scan, needles),
        outside_reach=tuple(
            Lasting(what=place, until="who keeps it removes it there")
            for place in (*_sources_outside(workspace, run), *purge.outside_reach(workspace, book))
        ),
        rows={request.id: _rows(workspace, run, request) for request in requests},
        hidden=_hidden(workspace, requests),
        after=after,
    )
    return run.model_copy(update={"ended": ended}).write(workspace)


def _absence(scan: purge.Scan, needles: Sequence[Needles]) -> Absence:
    subjects = [*(user for n in needles for user in n.users), *(user for n in needles for user, _ in n.pairs)]
    texts = {text for n in needles for text in n.texts}
    return Absence(
        stores={name: tuple(map(str, found)) for name, found in scan.places.items()},
        found=scan.found,
        needles={"subjects": len(subjects), "digests": len({digest for n in needles for digest in n.digests})},
        typed_only=len({user for user in subjects if user not in texts}),
        not_searched=(),
    )


def _rows(workspace: Workspace, run: Run, request: ForgetRequest) -> Rows:
    left = rows_of(workspace, request)
    held = run.held[request.id]
    return Rows(held=held, removed={kind: held[kind] - left[kind] for kind in held}, left=sum(left.values()))


def _hidden(workspace: Workspace, requests: Sequence[ForgetRequest]) -> dict[str, bool]:
    hidden = HiddenUsers(workspace.hidden_users)
    return {request.id: hidden.holds(request.dataset, str(request.user)) for request in requests}


def stores(workspace: Workspace, book: Ledger, run: Run | None = None) -> list[Store]:
    """Every place where forgotten data can hide. Without a run they can be searched, but not emptied."""

    def of_a_run(retire: Callable[[Run], int]) -> int:
        assert run is not None, "only a forget run empties stores"
        return retire(run)

    places = purge.stores(
        workspace,
        artifacts=live_artifacts(workspace),
        ledger=book,
        retire_models=lambda: of_a_run(lambda run: _retire_models(workspace, run)),
        retire_bentos=lambda: of_a_run(lambda run: len(deploy.retire_bentos(workspace, ()))),
    )
    return [*places, Running(workspace)]


@dataclass(frozen=True)
class Share:
    """Of one store: the bytes it holds, and how many of them are in files that the waiting requests touch."""

    store: str
    bytes: int
    places: int
    held: int

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)


def dry_run(workspace: Workspace) -> list[Share]:
    """What of each store the waiting requests touch: their subjects, the tables and shards with their rows, and what
    was made of those. Nothing is changed."""
    book, now = ledger(workspace), state_of(workspace)
    waiting = book.pending()
    shards = {(f.served.family, shard) for f in current_plan(workspace).families for shard in f.touched}
    needles = []
    for dataset in sorted({request.dataset for request in waiting}):
        own = now.of(dataset)
        digests = {data.interactions for data in own.datasets.values()}
        for name, family in own.families.items():
            digests |= {family.package, family.ensemble}
            digests |= {digest for shard, digest in family.sub_models.items() if (name, shard) in shards}
        needles.append(replace(Needles.of(dataset, waiting), digests=frozenset(digests)))
    found = [(store, store.find(needles)) for store in stores(workspace, book)]
    return [Share(store.name, store.size(), len(places), sum(p.bytes for p in places)) for store, places in found]


def must_be_clean(scan: purge.Scan) -> None:
    if scan.found:
        where = next(f"{store}: {found[0]}" for store, found in scan.places.items() if found)
        raise LetheError(f"scan: {scan.found} places still hold forgotten data, there must be none; first: {where}")


def needles_of(workspace: Workspace, book: Ledger, run: Run, now: State) -> list[Needles]:
    """What must be gone: the subjects, and every digest of before, in their datasets, that is of nothing now."""
    requests, old = book.get_all(run.requests), run.before.of(*run.datasets).digests() - now.digests()
    return [
        Needles.of(dataset, requests, Interactions.read(workspace.interactions(dataset)), digests=old)
        for dataset in run.datasets
    ]


def _retire_models(workspace: Workspace, run: Run) -> int:
    """A version of the run's datasets that isn't made of what remains saw what is forgotten, served or not."""
    registry = Registry(workspace)
    remaining = {dataset: digest_beside(workspace.interactions(dataset)) for dataset in run.datasets}
    versions = [version for family in registry.families() for version in registry.versions(family)]
    old = [v for v in versions if v.info["data_digest"] != remaining.get(v.info["dataset"], v.info["data_digest"])]
    for version in old:
        registry.retire(version.tag)
    return len(old) + registry.discard_unfinished()


def _sources_outside(workspace: Workspace, run: Run) -> list[str]:
    found = []
    for dataset in run.datasets:
        source = json.loads(workspace.source_digest(dataset).read_text())
        if source["reach"] == "outside":
            found.append(f"source of {dataset} ({source['kind']}): only read; its owner has to remove the rows there")
        found += [f"{name}: its table is only read" for name in source if name.startswith("placement of ")]
    return found
