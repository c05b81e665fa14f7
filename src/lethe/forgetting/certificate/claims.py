"""What a certificate may claim, and what must hold before one is signed or believed.

Nothing here trusts a verdict: claims and invariants are derived from the evidence anew, and a certificate that says
otherwise contradicts itself. tools/check_certificate.py has the same rules and no line in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lethe.config.promise import EQUAL, WITH_ASSIGNMENT
from lethe.forgetting.certificate.content import Erasure, Invariant, Verification, drawn, fault_of_dates

BESIDE_TABLES = ("source copy", "earlier")
"""Kinds of what is held that are no rows of the ingested tables."""
Kind = Literal["equal", "touched", "sampled", "removed"]
SENTENCES: dict[Kind, str] = {
    "equal": EQUAL,
    "touched": f"{EQUAL}; sub-models of untouched shards were not rebuilt, as nothing that they are made of changed",
    "sampled": f"the sub-models that the nonces drew are {EQUAL}; the others were not rebuilt",
    "removed": "the rows were removed and what they touched was built again; equality with a rebuild is not claimed",
}

_line = Invariant.of


def derived(content: Erasure) -> Erasure:
    """With claims and invariants made from the evidence."""
    families = {name: one.model_copy(update={"claim": claim(content, name)}) for name, one in content.families.items()}
    content = content.model_copy(update={"families": families})
    return content.model_copy(update={"invariants": invariants(content)})


def claim(content: Erasure, family: str) -> str:
    """The most that the evidence lets us say of a family."""
    sentence = SENTENCES[_kind(content, family)]
    if (scores := content.verification.scores.get(family)) is not None:
        sentence += (
            f"; the scores of {scores.users} users and {scores.items} items differ from a rebuild's by at most"
            f" {scores.absolute:.3g}, relatively {scores.relative:.3g}"
        )
    return sentence + WITH_ASSIGNMENT if content.families[family].frozen else sentence


def _kind(content: Erasure, family: str) -> Kind:
    verification = content.verification
    if verification.result != "equal" or not content.families[family].repeatable:
        return "removed"
    if verification.sample is not None:
        return "sampled"
    carried = any(name.startswith(f"{family}/") for name in verification.carried)
    return "touched" if carried else "equal"


def invariants(content: Erasure) -> tuple[Invariant, ...]:
    """Every line that must hold, made from the evidence."""
    rows, scan, verification = content.rows, content.scan, content.verification
    held, removed = sum(rows.held.values()), sum(rows.removed.values())
    enough = held > 0 and all(rows.removed.get(kind, 0) >= count for kind, count in rows.held.items())
    data = f"{content.dataset}/interactions"
    before, after = content.before.get(data, "unknown"), content.after_keyed.get(data, "unknown")
    changed = "unknown" not in (before, after) and before != after
    # Whom only earlier versions or our copy of the source held, the tables don't miss.
    in_tables = any(count for kind, count in rows.held.items() if kind not in BESIDE_TABLES)
    lines = [
        _line("rows removed", f"at least {held} and more than 0", removed, enough),
        _line("rows left", 0, rows.left, rows.left == 0),
        *([_line("data changed", f"other than {before}", after, changed)] if in_tables else []),
        _line("hidden from acceptance on", "yes", "yes" if content.request.hidden else "no", content.request.hidden),
        *(_line(f"needles: {name}", "more than 0", count, count > 0) for name, count in sorted(scan.needles.items())),
        _line("kinds of needles", "more than 0", len(scan.needles), bool(scan.needles)),
        _line("stores searched", "more than 0", len(scan.stores), bool(scan.stores)),
        _line("places found", 0, scan.found, scan.found == 0),
    ]
    if content.request.kind == "user":
        absent = content.users is not None and content.users.shows_absence(content.request.subject_digest)
        lines.append(_line("absent from the remaining users", "shown", "shown" if absent else "not shown", absent))
    if verification.result in ("equal", "different"):
        unexplained = [name for name in verification.differing if _repeatable(content, name)]
        lines.append(_line("served differs from rebuilt", 0, len(unexplained), not unexplained))
    return tuple(lines)


def _repeatable(content: Erasure, name: str) -> bool:
    family = None if _is_table(name) else content.families.get(name.partition("/")[0])
    return family is None or family.repeatable


def _is_table(name: str) -> bool:
    # A family may be called like a dataset.
    return name.endswith("/interactions") or "/split/" in name or "/shard/" in name


def contradictions(content: Erasure) -> Iterator[str]:
    """Each way in which a certificate says what its evidence doesn't carry, in a line; none for a sound one."""
    for line in content.invariants:
        if not line.holds:
            yield f"{line.name}: must be {line.expected}, is {line.actual}"
    if content.invariants != invariants(content):
        yield "invariants: they are not those of the evidence"
    if content.scan.found != sum(len(places) for places in content.scan.stores.values()):
        yield f"scan: {content.scan.found} found, which is not the number of places listed"
    for family, one in content.families.items():
        if one.claim != claim(content, family):
            yield f"claim: that of {family} is not what the evidence carries"
    before = None if content.users is None else content.users.before
    if before is not None and not before.shows(content.request.subject_digest):
        yield "users: that the subject was among them is not shown"
    request = content.request
    if fault := fault_of_dates(request.received, request.due, request.completed):
        yield fault
    yield from _names(content)
    yield from _compared(content.verification)
    if content.verification.result in ("equal", "different"):
        yield from _covered(content)


def _names(content: Erasure) -> Iterator[str]:
    if content.after.keys() != content.after_keyed.keys():
        yield "after: keyed and plain digests are not of the same things"
    for family in content.families:
        if f"{family}/package" not in content.after:
            yield f"after: the package of {family} is missing"


def _compared(verification: Verification) -> Iterator[str]:
    equal = bool(verification.served) and verification.served == verification.rebuilt
    if verification.result in ("equal", "different"):
        if equal != (verification.result == "equal"):
            yield f"verification: says {verification.result}, its digests say otherwise"
        if verification.reason:
            yield "verification: a reason for not comparing, and a comparison"
    elif verification != Verification(result=verification.result, reason=verification.reason):
        yield f"verification: says {verification.result}, and lists what it compared"
    elif not verification.reason:
        yield f"verification: says {verification.result}, and not why"


def _covered(content: Erasure) -> Iterator[str]:
    """What the certificate tells is served must be what was compared, all of it or the sample that was drawn."""
    after, verification = content.after, content.verification
    served, carried, sample = verification.served, verification.carried, verification.sample
    if wrong := [name for name in after if name in served and served[name] != after[name]]:
        yield f"verification: {wrong[0]} was compared with another digest than that served"
    for name in carried:
        family, _, shard = name.partition("/sub-model/")
        unchanged = name in after and content.before.get(name) == content.after_keyed.get(name)
        touched = family not in content.families or shard in content.families[family].shards.touched
        if not unchanged or touched or name in served or sample is not None:
            yield f"verification: {name} was not rebuilt, and had to be"
    expected = {name for name in after if name not in carried}
    if sample is not None:
        expected = set(filter(_is_table, after)) | set(drawn(_again(content), sample.count, sample.nonces))
        sub_models = {name for name in served if "/sub-model/" in name}
        if not sub_models <= expected:
            yield "verification: the sample is not the one that the nonces draw"
    for name in verification.left_out:
        if not _is_table(name) or name in served:
            yield f"verification: {name} is no table that was left out"
    told = set() if sample is not None else {name for name, one in content.families.items() if not one.repeatable}
    if verification.scores.keys() != told:
        yield "verification: scores must be compared of exactly the families that don't repeat"
    expected -= set(verification.left_out)
    if missing := sorted(expected - served.keys()):
        yield f"verification: {missing[0]} was not compared"


def _again(content: Erasure) -> list[str]:
    """Names of the sub-models that this request had built again."""
    names = (
        f"{family}/sub-model/{shard}"
        for family, one in content.families.items()
        for shard in (*one.shards.touched, *one.shards.retrained)
    )
    return [name for name in dict.fromkeys(names) if name in content.after]
