"""What verify, the audit and the membership attack last said, and the report's section on that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from lethe.cli.report.blocks import Block, Group, Table, Text
from lethe.core.reports import read_report
from lethe.core.workspace import Workspace
from lethe.proof.attack import Auc


@dataclass(frozen=True)
class Verified:
    """reports/verify.json: what a rebuild came to."""

    result: str
    compared: int
    differing: tuple[str, ...]


@dataclass(frozen=True)
class Audited:
    """reports/audit.json: what the last audit that passed looked at."""

    at: str
    digests: int
    stores: int
    found: int
    events: int
    certificates: int


@dataclass(frozen=True)
class Look:
    """An attack on one family by one signal; None where nothing was left to look at after forgetting."""

    family: str
    signal: str
    before: Auc
    after: Auc | None


@dataclass(frozen=True)
class Attacked:
    """reports/membership.json: what the attack came to."""

    users: int
    looks: tuple[Look, ...]


@dataclass(frozen=True)
class Proof:
    """The last of each; None where there is none yet."""

    verified: Verified | None = None
    audited: Audited | None = None
    attacked: Attacked | None = None

    @classmethod
    def read(cls, workspace: Workspace) -> Proof:
        return cls(_verified(workspace), _audited(workspace), _attacked(workspace))


def _verified(workspace: Workspace) -> Verified | None:
    with suppress(FileNotFoundError):
        report = read_report(workspace, "verify")
        return Verified(report["result"], report["compared"], tuple(report["differing"]))
    return None


def _audited(workspace: Workspace) -> Audited | None:
    with suppress(FileNotFoundError):
        report = read_report(workspace, "audit")
        scan, log = report["scan"], report["log"]
        seen = scan["digests"], scan["stores"], scan["found"], log["events"], log["certificates"]
        return Audited(report["at"], *seen)
    return None


def _attacked(workspace: Workspace) -> Attacked | None:
    with suppress(FileNotFoundError):
        report = read_report(workspace, "membership")
        looks = tuple(
            Look(family, signal, Auc(**before), Auc(**by["after"][signal]) if signal in by["after"] else None)
            for family, by in report["families"].items()
            for signal, before in by["before"].items()
        )
        return Attacked(report["users"], looks)
    return None


def proof(said: Proof) -> Iterator[Group]:
    yield Group("Rebuild", (_of_rebuild(said.verified),))
    yield Group("Audit", (_of_audit(said.audited),))
    yield Group("Membership attack", (_of_attack(said.attacked),))


def _of_rebuild(verified: Verified | None) -> Block:
    if verified is None:
        return Text("Nothing was rebuilt and compared yet.", "lethe verify")
    text = f"{verified.compared:,} digests of a rebuild were compared with what is served: {verified.result}."
    if verified.differing:
        text += f" Different: {', '.join(verified.differing)}."
    return Text(text)


def _of_audit(audited: Audited | None) -> Block:
    if audited is None:
        return Text("No audit has passed yet.", "lethe audit run")
    return Text(
        f"At {audited.at} all checks passed: {audited.digests:,} forgotten ids looked for in {audited.stores} stores, "
        f"{audited.found} found; {audited.events:,} events of the ledger and {audited.certificates:,} certificates"
        " read."
    )


def _of_attack(attacked: Attacked | None) -> Block:
    if attacked is None:
        return Text("Nobody has attacked what is served yet.", "lethe audit membership")
    rows = tuple((f"{one.family}, {one.signal}", _area(one.before), _area(one.after)) for one in attacked.looks)
    caption = f"Area under the attacker's curve over {attacked.users:,} users; .5 is chance"
    return Table(caption, ("family, signal", ">before forgetting", ">after"), rows)


def _area(auc: Auc | None) -> str:
    return "–" if auc is None else f"{auc.auc:.3f} ({auc.low:.3f} to {auc.high:.3f})"
