"""Emptying every store of what is superseded, and the scan that shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import LetheError
from lethe.forgetting import known_tables
from lethe.forgetting.aside import members, set_aside
from lethe.forgetting.certificate import Absence, Lasting, Purged, Rows
from lethe.forgetting.held import held_now
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest, Held
from lethe.forgetting.lineage import kept_versions, live_artifacts, live_digests
from lethe.forgetting.record import Ended, Run
from lethe.forgetting.run import current_plan, user_tree
from lethe.forgetting.standing import ledger
from lethe.forgetting.state import State, state_of
from lethe.forgetting.stores import every_store, purge
from lethe.forgetting.stores.base import Site, Store
from lethe.forgetting.stores.held import still_held
from lethe.forgetting.stores.needles import Needles
from lethe.serving.hidden import HiddenUsers
from lethe.tables.reader import Reader


def erase(workspace: Workspace, run: Run, reader: Reader | None = None) -> Run:
    """Empty every store of what is superseded, then scan them all; raises LetheError if anything is found."""
    reader = reader or Reader()
    book, after = ledger(workspace), state_of(workspace, reader)
    requests = members(book, run)
    known_tables.remember(workspace, reader)
    places = stores(workspace, book, run, reader)
    needles = needles_of(workspace, book, run, after, reader)
    removed = purge.purge(workspace, places, needles)
    scan = purge.scan(places, needles)
    if scan.found:
        # Whom the ledger has erased already can't be set aside: that run is resumed until it is clean.
        failed = _still_found(workspace, places, [request for request in requests if request.user is not None])
        set_aside(workspace, run, failed, "still-found", _told(scan))
        requests = [request for request in requests if request.id not in failed]
        needles = needles_of(workspace, book, run, after)
        scan = purge.scan(places, needles) if failed else scan
    must_be_clean(scan)
    trees = {dataset: user_tree(workspace, dataset) for dataset in run.datasets}
    absent = {request.id: trees[request.dataset].absent(request.subject_digest) for request in requests}
    if run.ended is not None and any(request.user is None for request in requests):
        # It was killed after the ledger erased its subjects. Keyed digests were searched for now; what the first scan
        # showed of the ids themselves stands. What is served may have been trained anew since.
        ended = run.ended.model_copy(update={"absent": absent, "after": after})
        return run.model_copy(update={"ended": ended}).write(workspace)
    ended = Ended(
        purged=tuple(Purged(store=one.store, removed=one.entries, bytes=one.bytes) for one in removed),
        scan=_absence(scan, needles),
        outside_reach=(*_sources_outside(workspace, run), *purge.outside_reach(workspace, book)),
        rows=_rows(workspace, run, requests),
        absent=absent,
        hidden=_hidden(workspace, book, requests),
        after=after,
    )
    return run.model_copy(update={"ended": ended}).write(workspace)


def _still_found(workspace: Workspace, places: Sequence[Store], requests: Sequence[ForgetRequest]) -> list[str]:
    """Which of several requests the finds are about, so that they hold up no other: halves are searched for, and halves
    of those that are found."""
    listed, held = SuppressionList.read(workspace.suppression).entries, still_held(workspace)
    datasets = sorted({request.dataset for request in requests})
    needles = [Needles.of(dataset, requests, suppressed=listed, held=held) for dataset in datasets]
    if not requests or not purge.scan(places, needles).found:
        return []
    if len(requests) == 1:
        return [requests[0].id]
    half = len(requests) // 2
    return [id for some in (requests[:half], requests[half:]) for id in _still_found(workspace, places, some)]


def _absence(scan: purge.Scan, needles: Sequence[Needles]) -> Absence:
    return Absence(
        stores={name: tuple(map(str, places)) for name, places in scan.places.items()},
        found=scan.found,
        needles={"subjects": scan.subjects, "digests": len({digest for n in needles for digest in n.digests})},
        typed_only=scan.typed_only,
        not_searched=tuple(f"{name}: {place}" for name, places in scan.not_searched.items() for place in places),
    )


def _rows(workspace: Workspace, run: Run, requests: Sequence[ForgetRequest]) -> dict[str, Rows]:
    rows = {}
    # Of those whom only files of earlier data held as the run began, these are counted.
    late = {r.id: Held(earlier=count) for r in requests if (count := run.held[r.id].get("earlier"))}
    for id, now in held_now(workspace, [replace(r, held=late.get(r.id, r.held)) for r in requests]).items():
        held, left = run.held[id], now.to_remove()
        rows[id] = Rows(held=held, removed={kind: held[kind] - left[kind] for kind in held}, left=sum(left.values()))
    return rows


def _hidden(workspace: Workspace, book: Ledger, requests: Sequence[ForgetRequest]) -> dict[str, bool]:
    """Of each request whether its user was hidden when it was accepted, as was written down then, and is so still."""
    still, never = HiddenUsers(workspace.hidden_users), book.not_hidden_at_acceptance()
    return {r.id: r.id not in never and still.holds(r.dataset, str(r.user)) for r in requests}


def stores(workspace: Workspace, book: Ledger, run: Run | None = None, reader: Reader | None = None) -> list[Store]:
    """Every place where forgotten data can hide. Without a run they can be searched, but not emptied."""
    datasets = () if run is None else run.datasets
    reader = reader or Reader()
    live = live_artifacts(workspace, kept_versions(workspace, datasets, reader), reader)
    return every_store(Site(workspace, book, live, datasets, Params.read(workspace.params), reader))


@dataclass(frozen=True)
class Share:
    """Of one store: the bytes it holds, and what the waiting requests would remove from it."""

    store: str
    bytes: int
    entries: int
    removed: int
    """Bytes."""

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)


def dry_run(workspace: Workspace) -> list[Share]:
    """What of each store the waiting requests would remove: their subjects, the tables and shards with their rows, what
    was made of those, and what nothing refers to. Nothing is changed."""
    book, now = ledger(workspace), state_of(workspace)
    waiting = book.pending()
    shards = {(f.served.family, shard) for f in current_plan(workspace).families for shard in f.touched}
    needles, held = [], still_held(workspace)
    for dataset in sorted({request.dataset for request in waiting}):
        own = now.of(dataset)
        digests = {data.interactions for data in own.datasets.values()}
        for name, family in own.families.items():
            digests |= {family.package, family.ensemble}
            digests |= {digest for shard, digest in family.sub_models.items() if (name, shard) in shards}
        needles.append(replace(Needles.of(dataset, waiting, held=held), digests=frozenset(digests)))
    would = [(store, store.would_remove(needles)) for store in stores(workspace, book)]
    return [Share(store.name, store.size(), one.entries, one.bytes) for store, one in would]


def must_be_clean(scan: purge.Scan) -> None:
    if scan.found:
        raise LetheError(_told(scan))


def _told(scan: purge.Scan) -> str:
    where = next(f"{store}: {found[0]}" for store, found in scan.places.items() if found)
    return f"scan: {scan.found} places still hold forgotten data, there must be none; first: {where}"


def needles_of(workspace: Workspace, book: Ledger, run: Run, now: State, reader: Reader | None = None) -> list[Needles]:
    """What must be gone: the subjects, and every digest of before, in their datasets, that is of nothing now.

    A sub-model of a shard that was not touched may be there twice, made by the code of then and by that of today: it
    has seen nobody who is forgotten, and stays.
    """
    alive = now.digests() | live_digests(workspace, kept_versions(workspace, run.datasets, reader), reader)
    old = (run.before.of(*run.datasets).digests() | {*run.earlier}) - alive
    requests = members(book, run)
    listed, held = SuppressionList.read(workspace.suppression).entries, still_held(workspace)
    return [Needles.of(dataset, requests, suppressed=listed, held=held, digests=old) for dataset in run.datasets]


def _sources_outside(workspace: Workspace, run: Run) -> list[Lasting]:
    outside = []
    for dataset in run.datasets:
        source = json.loads(workspace.source_digest(dataset).read_text())
        if source["reach"] == "outside":
            outside.append(f"source of {dataset} ({source['kind']}): only read")
        outside += [f"{name}: its table is only read" for name in source if name.startswith("placement of ")]
    return [Lasting(what=what, until="its owner removes the rows there") for what in outside]
