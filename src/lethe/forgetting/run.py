"""A batch of requests on its way: planned, its rows removed, what was rebuilt confirmed.

Every step can be repeated, so that a run that was killed resumes with the same requests where it stopped.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lethe.build.costs import Costs
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.canonical import digest_file
from lethe.core.keys import subject_hashes
from lethe.core.workspace import Workspace
from lethe.data.gates.epoch import Epoch, read_epoch, write_epoch
from lethe.data.outputs import must_be_ingested
from lethe.errors import LetheError
from lethe.forgetting.aside import NONE_LEFT, begun_before, members, nothing_goes_on, set_aside
from lethe.forgetting.certificate.users import Member, UserTree
from lethe.forgetting.earlier import digests_of_earlier, earlier_files
from lethe.forgetting.held import held_now
from lethe.forgetting.intake import follow_merged, take_up
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import LAST, UNSAID, ForgetRequest, Held, covered_by
from lethe.forgetting.ledger.requests import State as RequestState
from lethe.forgetting.nothing import ending
from lethe.forgetting.places import follow_places
from lethe.forgetting.plan import Plan, plan
from lethe.forgetting.record import Run
from lethe.forgetting.removal import rewrite_what_no_stage_makes, take_out
from lethe.forgetting.standing import check_list, has_time, ledger, pending
from lethe.forgetting.state import served, settings_digests, state_of
from lethe.forgetting.unsaid import NAMED_NOW, named_since
from lethe.serving.server import must_serve_from_here
from lethe.tables.blocks import Block, block_of, in_steps, rows_of, side_by_side
from lethe.tables.drift import Tally, less, there_by
from lethe.tables.ids import Ids
from lethe.tables.reader import Reader


def begin(
    workspace: Workspace, *, scheduled: bool = False, now: datetime | None = None, reader: Reader | None = None
) -> Run | None:
    """The interrupted run, or a new one over every accepted request that isn't on hold; None if there is nothing to do.

    A ``scheduled`` one may let requests wait for others, see ``Forgetting.batch``; all that wait go together.
    """
    must_serve_from_here(workspace)
    run, book, reader = Run.read(workspace), ledger(workspace), reader or Reader()
    if run is not None and not members(book, run):
        Run.discard(workspace)  # All of it was cancelled, withdrawn or set aside.
        run = None
    if run is None:
        check_list(workspace)
        take_up(workspace)
        follow_places(workspace)
        follow_merged(workspace)
        params = Params.read(workspace.params)
        at = now or datetime.now(UTC)
        # Nothing could be signed of a request that was received later than it was completed: it waits, see ``aside``.
        ready = [request for request in book.pending() if not request.on_hold and not request.is_ahead(at)]
        for dataset in {request.dataset for request in ready}:
            must_be_ingested(workspace, dataset)
        now_held = held_now(workspace, ready, reader)
        waiting, held = _with_something_left(workspace, params, book, ready, now_held)
        waiting = _answered(workspace, params, book, waiting, reader)
        waiting = _leaving_some(workspace, params, book, waiting, now_held, reader)
        if not waiting:
            return None
        _drop_families_that_left(workspace, params)
        planned = plan(workspace, waiting, served(workspace), costs=Costs.read(workspace), reader=reader)
        if scheduled and _may_wait(workspace, planned, at):
            return None
        datasets = tuple(sorted({request.dataset for request in waiting}))
        epochs = {dataset: _without(workspace, params, dataset, waiting, reader) for dataset in datasets}
        run = Run(
            requests=tuple(request.id for request in waiting),
            datasets=datasets,
            plan=planned.record(),
            before=state_of(workspace, reader),
            held={request.id: held[request.id].to_remove() for request in waiting},
            suppressed={request.id: tuple(request.digests()) for request in waiting},
            users=_among_users(workspace, waiting),
            nonces={request.id: request.nonce or secrets.token_hex(16) for request in waiting},
            drawn_by="requesters" if any(request.nonce for request in waiting) else "random",
            expected={dataset: begun.interactions for dataset, begun in epochs.items()},
            shapes={dataset: begun.shape for dataset, begun in epochs.items()},
            newest={dataset: begun.newest for dataset, begun in epochs.items()},
            earlier=_digests_of_earlier(workspace, waiting, held),
            files=settings_digests(workspace),
            started=time.time(),
        )
        run = begun_before(workspace, run, waiting).write(workspace)
    _advance(book, run, "accepted", "planned", touched=run.touched)
    return run


def _drop_families_that_left(workspace: Workspace, params: Params) -> None:
    """As a training would: what params.yaml no longer names is not served, so it is not rebuilt either."""
    registry = Registry(workspace)
    for family in set(registry.families()) - set(params.families):
        registry.drop(family)


def user_tree(workspace: Workspace, dataset: str) -> UserTree:
    """Of the users of a dataset's interactions."""
    users = Ids.in_file(workspace.interactions(dataset), "user")
    return UserTree(subject_hashes(dataset, users.values.tolist()))


def _among_users(workspace: Workspace, requests: Sequence[ForgetRequest]) -> dict[str, Member | None]:
    trees = {dataset: user_tree(workspace, dataset) for dataset in {request.dataset for request in requests}}
    return {request.id: trees[request.dataset].member(request.subject_digest) for request in requests}


def current_plan(workspace: Workspace) -> Plan:
    """What the waiting requests touch and cost, here and under the other shardings of params.yaml."""
    params, costs = Params.read(workspace.params), Costs.read(workspace)
    waiting = [request for request in pending(workspace) if not request.on_hold]
    return plan(workspace, waiting, served(workspace), costs=costs, params=params)


def _may_wait(workspace: Workspace, planned: Plan, now: datetime) -> bool:
    settings = Params.read(workspace.params).forgetting
    latest = planned.begin_by(timedelta(hours=settings.lead_hours))
    return settings.batch == "until-due" and latest is not None and now < latest


def _advance(book: Ledger, run: Run, since: RequestState, state: RequestState, **detail: Any) -> None:
    """Bring those of the run that are still in one state into the next: an earlier run may have done so."""
    waiting = [request.id for request in members(book, run) if request.state == since]
    if waiting:
        book.advance_all(waiting, state, **detail)


def _with_something_left(
    workspace: Workspace,
    params: Params,
    book: Ledger,
    requests: Sequence[ForgetRequest],
    now_held: Mapping[str, Held],
) -> tuple[list[ForgetRequest], dict[str, Held]]:
    """The requests that have anything to remove still, and what of each; those whose rows an earlier run took complete
    here."""
    begun = book.ever_in("executing")
    then = {r.id: r.held or now_held[r.id] for r in requests if r.id in begun or now_held[r.id].rows}
    held = {r.id: then.get(r.id, now_held[r.id]) for r in requests}
    done = [request for request in requests if not held[request.id]]
    for dataset in sorted({request.dataset for request in done}):
        mine = [request for request in done if request.dataset == dataset]
        files = earlier_files(workspace, dataset, mine)
        # The rows may have gone by another way: then what was made of them is still there.
        held |= {request.id: Held(earlier=count) for request, count in zip(mine, files, strict=True)}
        end = ending(workspace, params, book, [request for request in mine if not held[request.id]])
        for request, result in [(request, end(request)) for request in mine]:
            if result is not None:
                book.nothing_held(request.id, result)
                del held[request.id]
    return [request for request in requests if request.id in held], held


def _digests_of_earlier(
    workspace: Workspace, requests: Sequence[ForgetRequest], held: Mapping[str, Held]
) -> tuple[str, ...]:
    """Of the files that hold those whom no table holds: what was made of earlier data, and our copies of sources."""
    digests, late = set[str](), [request for request in requests if not held[request.id].rows]
    for dataset in {request.dataset for request in late}:
        digests |= digests_of_earlier(workspace, dataset, [r for r in late if r.dataset == dataset])
    copies = {workspace.source_copy(request.dataset) for request in late if held[request.id].source_copy}
    return tuple(sorted(digests | set(map(digest_file, copies))))


def _answered(
    workspace: Workspace, params: Params, book: Ledger, requests: Sequence[ForgetRequest], reader: Reader
) -> list[ForgetRequest]:
    """The requests but for those whose users the data name since these were asked about. Raises LetheError where that
    is all of them."""
    unsaid = named_since(workspace, params, requests, reader)
    if unsaid:
        book.fail(unsaid, UNSAID)
        if len(unsaid) == len(requests):
            nothing_goes_on(unsaid, UNSAID, f"{unsaid[0]}: {NAMED_NOW}")
    return [request for request in requests if request.id not in unsaid]


def _leaving_some(
    workspace: Workspace,
    params: Params,
    book: Ledger,
    requests: Sequence[ForgetRequest],
    now_held: Mapping[str, Held],
    reader: Reader,
) -> list[ForgetRequest]:
    """The requests but for those after which a dataset that is learnt from would be empty. Raises LetheError where that
    is all of them."""

    def takes_all(dataset: str) -> bool:
        path, mine = workspace.interactions(dataset), [request for request in requests if request.dataset == dataset]
        if sum(now_held[request.id].interactions for request in mine) < reader.rows(path):
            return False  # As nearly always, and then no row is looked at.
        rows = (rows_of(block) for block, _ in side_by_side(path))
        return all(covered_by(mine, some.user_ids, some.item_ids).all() for some in rows)

    learnt_from = {request.dataset for request in requests} & {*params.pipeline.datasets}
    emptied = {dataset for dataset in learnt_from if takes_all(dataset)}
    last = [request.id for request in requests if request.dataset in emptied]
    if last:
        book.fail(last, LAST)
        if len(last) == len(requests):
            nothing_goes_on(last, LAST, f"dataset {min(emptied)}: {NONE_LEFT}")
    return [request for request in requests if request.id not in last]


def remove_rows(workspace: Workspace, run: Run) -> None:
    """Keyed digests join the suppression list; our own copies of sources are rewritten without the rows."""
    book, params = ledger(workspace), Params.read(workspace.params)
    _advance(book, run, "planned", "executing")
    requests = members(book, run)
    for dataset in run.datasets:
        begun = {
            "interactions": run.expected[dataset],
            "shape": run.shapes.get(dataset, {}),
            "newest": run.newest.get(dataset),
        }
        write_epoch(workspace, dataset, read_epoch(workspace, dataset).model_copy(update=begun))
        mine = [request for request in requests if request.dataset == dataset]
        take_out(workspace, params, dataset, mine)
        rewrite_what_no_stage_makes(workspace, params, dataset, mine)


def _without(
    workspace: Workspace, params: Params, dataset: str, requests: Sequence[ForgetRequest], reader: Reader
) -> Epoch:
    """A dataset's epoch as it is reckoned to have begun without what these requests cover."""
    path, begun = workspace.interactions(dataset), read_epoch(workspace, dataset)
    mine = [request for request in requests if request.dataset == dataset]
    then, remaining = (Tally(timed=has_time(params, dataset)) for _ in range(2))

    def clear() -> None:
        then.clear()
        remaining.clear()

    def count(block: Block, _: Sequence[Block]) -> int:
        rows = rows_of(block)
        # What came since the epoch began was not counted then.
        was_there, goes = there_by(rows, begun.newest), covered_by(mine, rows.user_ids, rows.item_ids)
        then.add(block_of(rows.take(was_there)))
        remaining.add(block_of(rows.take(was_there & ~goes)))
        return int(goes.sum())

    gone = sum(in_steps(count, reader.source(path), begin=clear))
    rows = reader.rows(path) if begun.interactions is None else begun.interactions
    shape = less(begun.shape, then.shape, remaining.shape)
    newest = None if begun.newest is None else remaining.newest
    return begun.model_copy(update={"interactions": rows - gone, "shape": shape, "newest": newest})


def suppress(workspace: Workspace, dataset: str, subjects: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Forget users (or, with items, their interactions) without a request: what is left of a run's steps for a copy of
    the workspace that proves something."""
    now = datetime.now(UTC)
    requests = [ForgetRequest.new(dataset, user, items, now=now, datasets=[dataset]) for user, items in subjects]
    take_out(workspace, Params.read(workspace.params), dataset, requests)


def confirm(workspace: Workspace, run: Run, reader: Reader | None = None) -> None:
    """No served version may come from other data than what remains; then the requests are verified. One whose rows are
    still there is set aside as failed, and holds up no other.

    Raises LetheError if a version does, or if no request is left.
    """
    book, reader = ledger(workspace), reader or Reader()
    for family, version in Registry(workspace).served().items():
        dataset = version.info.dataset
        if dataset in run.datasets and version.info.data_digest != reader.digest_beside(
            workspace.interactions(dataset)
        ):
            raise LetheError(f"{family}: {version.tag} was not rebuilt from the remaining data")
    left = held_now(workspace, members(book, run), reader)
    failed = {id: count for id, held in left.items() if (count := held.rows + held.source_copy)}
    why = f"{sum(failed.values())} rows are still in the data after removal, there must be none"
    set_aside(workspace, run, list(failed), "rows-left", why)
    # What the stages took in meanwhile may name somebody.
    if unsaid := named_since(workspace, Params.read(workspace.params), members(book, run), reader):
        set_aside(workspace, run, unsaid, UNSAID, f"{unsaid[0]}: {NAMED_NOW}")
    _advance(book, run, "executing", "verified")
