"""The end of a run: subjects erased, certificates signed, requests completed."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.environment import packages_digest
from lethe.core.keys import keyed
from lethe.core.logs import said_of
from lethe.core.workspace import Workspace
from lethe.data.partition.guarantee import frozen, residues
from lethe.errors import EvidenceError, LetheError
from lethe.forgetting import certificate
from lethe.forgetting.aside import forget_records, members, set_aside
from lethe.forgetting.certificate import Verification
from lethe.forgetting.certificate.files import derived
from lethe.forgetting.certificate.users import Users
from lethe.forgetting.deposit import deposit
from lethe.forgetting.erasure import must_be_clean, needles_of
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest
from lethe.forgetting.ledger.result import FORGOTTEN, Removed, Result, Work
from lethe.forgetting.plan import PlannedFamily
from lethe.forgetting.record import Run
from lethe.forgetting.standing import ledger
from lethe.forgetting.state import State, environment_of, settings_digests
from lethe.forgetting.stores import purge
from lethe.forgetting.stores.ledger import LedgerStore
from lethe.forgetting.witness import witness_of
from lethe.tables.reader import Reader

logger = logging.getLogger(__name__)

NOT_RUN = Verification(result="not run", reason="no rebuild was made in this run")


def complete(
    workspace: Workspace, run: Run, verification: Verification = NOT_RUN, reader: Reader | None = None
) -> list[str]:
    """Erase the subjects, sign the certificates, end the requests, and let the service answer normally again; returns
    the ids of those that were completed.

    A request whose certificate's invariants don't hold is set aside and holds up no other; where that is all of them,
    raises EvidenceError before anything is done.
    """
    assert run.ended is not None, "a run is erased before it is completed"
    book, ended = ledger(workspace), run.ended
    requests = members(book, run)
    seconds = {"total": round(time.time() - run.started, 2), "training": _training_seconds(workspace, run)}
    head = book.check_chain()
    contents, unsigned = [], dict[str, EvidenceError]()
    for request in requests:
        try:
            contents.append(derived(_content(workspace, run, request, verification, seconds, head)))
        except EvidenceError as error:
            unsigned[request.id] = error
    if unsigned and not contents:
        raise next(iter(unsigned.values()))
    set_aside(workspace, run, list(unsigned), "no-evidence", "; ".join(map(str, unsigned.values())))
    needles = needles_of(workspace, book, run, ended.after, reader)
    book.erase([content.request.id for content in contents])
    if kept := [request.id for request in members(book, run) if request.user is not None]:
        raise EvidenceError(f"{kept[0]}: nothing is signed: the ledger still holds its subject")
    must_be_clean(purge.scan([LedgerStore(book)], needles))
    results = {content.request.id: _result(workspace, run, content) for content in contents}
    book.complete_all(results)
    _witness(workspace, book)
    Run.discard(workspace)
    forget_records(workspace, results)
    return list(results)


def _result(workspace: Workspace, run: Run, content: certificate.Erasure) -> Result:
    """The certificate is put where it is kept, and what the ledger says of it and of the run."""
    path, shards = deposit(workspace, content), {family: one.shards for family, one in content.families.items()}
    return Result(
        outcome=FORGOTTEN,
        suppressed=run.suppressed[content.request.id],
        certificate=str(path.relative_to(workspace.root)),
        # Through the result's digest it is part of the chain: nobody can put another certificate in its place.
        certificate_digest=digest_file(path),
        work=Work(
            touched=tuple(run.touched),
            retrained=tuple(f"{family}/{shard}" for family, of in shards.items() for shard in of.retrained),
            reused=tuple(f"{family}/{shard}" for family, of in shards.items() for shard in of.reused),
            purged=tuple(Removed(one.store, one.removed) for one in content.purged),
            stores=len(content.scan.stores),
            found=content.scan.found,
            verification=content.verification.result,
            seconds=content.seconds,
        ),
    )


def _witness(workspace: Workspace, book: Ledger) -> None:
    """Have the newest head kept. Where the witness is out of reach the request stays completed: the audit asks."""
    try:
        if witness := witness_of(workspace, Params.read(workspace.params).audit):
            # Another project's log is left as it is.
            witness.tell(book.check_chain(witness.heads()))
    except (LetheError, OSError) as error:
        logger.warning("%s; lethe audit run tries again", said_of(error))


def _training_seconds(workspace: Workspace, run: Run) -> float:
    """Seconds of making what this run trained and aggregated."""
    records = [artifact.record() for artifact in ArtifactStore(workspace.artifacts).all()]
    return round(sum(record.seconds for record in records if record and record.made >= run.started), 3)


def _content(
    workspace: Workspace,
    run: Run,
    request: ForgetRequest,
    verification: Verification,
    seconds: dict[str, float],
    head: str,
) -> certificate.Erasure:
    ended = run.ended
    assert ended is not None
    before, after = (_digests(state, request.dataset) for state in (run.before, ended.after))
    environment = environment_of(workspace, ended.after.families.values())
    return certificate.Erasure(
        request=certificate.Subject(
            id=request.id,
            kind=request.kind,
            subject_digest=request.subject_digest,
            reason=request.reason,
            received=request.received.isoformat(),
            due=request.due.isoformat(),
            completed=datetime.now(UTC).isoformat(timespec="seconds"),
            hidden=ended.hidden[request.id],
        ),
        dataset=request.dataset,
        rows=ended.rows[request.id],
        users=_users(run, request),
        families=_families(workspace, run, request.dataset),
        outside_reach=ended.outside_reach,
        before={name: keyed(digest) for name, digest in before.items()},
        after_keyed={name: keyed(digest) for name, digest in after.items()},
        after=after,
        materials=_materials(workspace, run, ended.after),
        environment=environment,
        purged=ended.purged,
        scan=ended.scan,
        verification=verification.about(request.dataset, ended.after.of(request.dataset).families),
        seconds=seconds,
        ledger_head=head,
    )


def _users(run: Run, request: ForgetRequest) -> Users | None:
    assert run.ended is not None
    if request.kind != "user":
        return None
    return Users(before=run.users[request.id], after=run.ended.absent[request.id])


def _digests(state: State, dataset: str) -> dict[str, str]:
    """Of a dataset's tables and of what is served from it, by name."""
    own = state.of(dataset)
    tables = {f"{dataset}/interactions": own.datasets[dataset].interactions}
    for sharding, shards in own.datasets[dataset].shards.items():
        tables |= {f"{dataset}/{sharding}/shard/{shard}": digest for shard, digest in shards.items()}
    return tables | own.artifacts


def _materials(workspace: Workspace, run: Run, after: State) -> dict[str, str]:
    # Of a file that was edited since the run began nobody knows which of its steps read what: it is not named.
    named = dict(run.files.items() & settings_digests(workspace).items())
    if workspace.suppression.is_file():
        named["suppression list"] = digest_file(workspace.suppression)
    built = {"code": after.code, "code before": run.before.code, "environment": after.environment}
    return {**built, "installed packages": packages_digest(), **named}


def _families(workspace: Workspace, run: Run, dataset: str) -> dict[str, certificate.Family]:
    assert run.ended is not None
    registry, plans = Registry(workspace), {planned.family: planned for planned in run.plan}
    inexact = not_repeatable(workspace, run.ended.after)
    families = {}
    for family, now in run.ended.after.of(dataset).families.items():
        version = registry.version(now.version)
        families[family] = certificate.Family(
            version=now.version,
            recipe=version.recipe.plain(),
            chosen=_chosen(version),
            frozen=frozen(version.recipe.layout),
            repeatable=family not in inexact,
            residues=residues(version.recipe.layout),
            shards=_shards(run, family, plans.get(family)),
        )
    return families


def not_repeatable(workspace: Workspace, now: State) -> set[str]:
    """The families of which an artifact was made in an environment that may build other bytes of the same inputs."""
    made = ArtifactStore(workspace.artifacts).all()
    exact = {one.digest for one in made if one.environment.get("repeatable", True)}
    return {
        name for name, one in now.families.items() if not exact.issuperset((one.ensemble, *one.sub_models.values()))
    }


def _chosen(version: Version) -> str:
    rule = None if version.grounds is None else version.grounds.rule
    return f"{rule or version.reason}, on data that held the forgotten rows"


def _shards(run: Run, family: str, planned: PlannedFamily | None) -> certificate.Shards:
    """Which shards held the subjects, which sub-models were trained anew, and which were used again."""
    assert run.ended is not None
    replaced, now = run.before.families.get(family), run.ended.after.families[family].sub_models
    before = {} if replaced is None else replaced.sub_models
    return certificate.Shards(
        touched=() if planned is None else planned.touched,
        retrained=tuple(shard for shard, digest in now.items() if before.get(shard) != digest),
        reused=tuple(shard for shard, digest in now.items() if before.get(shard) == digest),
    )
