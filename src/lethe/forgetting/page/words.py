"""What a certificate says, in plain words and without mark-up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from lethe.config.promise import WITH_ASSIGNMENT
from lethe.errors import ArtifactError
from lethe.forgetting.certificate import Checked, Erasure, Family, NothingHeld, v1
from lethe.forgetting.certificate.claims import SENTENCES, Kind
from lethe.forgetting.certificate.nothing import unread_remotes

KINDS = {
    "links": "links to other people",
    "behaviours": "other behaviours",
    "features": "what was known about the person",
    "contexts": "rows of others that named the person",
    "source copy": "rows of our copy of the source",
    "earlier": "files made of earlier data",
}
"""Kinds of what is held that a reader would not know by the name in the certificate."""
_RECIPE = "This recipe: model {model}, settings {config}, layout {sharding}, seed {seed}. It was chosen by {chosen}."
_MEANS: dict[Kind, str] = {
    "equal": (
        "The model in service is, byte for byte, the one that this recipe makes from the data without the rows. It was"
        " made again from what remains, in a clean place, and every byte compared."
    ),
    "touched": (
        "The model in service is, byte for byte, the one that this recipe makes from the data without the rows. Every"
        " part that the rows had touched was made again from what remains, in a clean place, and every byte compared;"
        " the other parts are as they were, and what they are made of did not change."
    ),
    "sampled": (
        "Parts of the model, drawn by chance so that nobody could choose them, were made again from what remains, in a"
        " clean place, and are equal byte for byte. The other parts were made in the same way and not made again."
    ),
    "removed": (
        "The rows were removed and the model was made again without them. That it equals, byte for byte, a model that"
        " never saw the rows was not shown here."
    ),
}


@dataclass(frozen=True)
class Block:
    """A heading with paragraphs, points, and a table whose first row is its head."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    title: str
    summary: str
    blocks: tuple[Block, ...]
    facts: dict[str, str] = field(default_factory=dict)


def page_of(checked: Checked) -> Page:
    """The page of a certificate. Raises ArtifactError for one of the old kind, whose words say more than it shows."""
    content = checked.content
    if isinstance(content, NothingHeld):
        title, summary = "Certificate that nothing is held", _summary_of_nothing(content)
        blocks: tuple[Block, ...] = (_looked_for(content), _evidence(content), _how(checked))
    elif isinstance(content, Erasure):
        title, summary = "Certificate of erasure", _summary(content)
        blocks = (
            *_removed(content),
            _model(content),
            *_left(content),
            _evidence(content),
            _how(checked, "lethe reproduce CERTIFICATE.json --key KEY.pem"),
        )
    else:
        raise ArtifactError(f"{content.request.id}: {v1.WEAKER}; it has no page")
    return Page(
        title=title,
        summary=summary,
        blocks=blocks,
        facts={
            "Request": content.request.id,
            "Received": _day(content.request.received),
            "Due": _day(content.request.due),
            "Completed": _day(content.request.completed),
            "Subject, under the operator's key": content.request.subject_digest,
            "Signed by the key": checked.signer,
        },
    )


def text(page: Page) -> str:
    """The page for a terminal."""
    lines = [page.title, "", page.summary]
    for block in page.blocks:
        lines += ["", block.heading, *block.paragraphs, *(f"- {point}" for point in block.points)]
        lines += [" | ".join(row) for row in block.table]
        lines += [f"  {command}" for command in block.commands]
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in page.facts.items())])


def _summary(content: Erasure) -> str:
    whom = "the person" if content.request.kind == "user" else "the named interactions of the person"
    removed = sum(content.rows.removed.values())
    return (
        f"On {_day(content.request.completed)} all that the dataset {content.dataset!r} held of {whom} behind this"
        f" request was removed: {removed} {'row' if removed == 1 else 'rows'}. From its acceptance on, recommendations"
        " for this person were made without the model."
    )


def _summary_of_nothing(content: NothingHeld) -> str:
    whom = "the person" if content.request.kind == "user" else "the named interactions of the person"
    return (
        f"On {_day(content.request.completed)} {whom} behind this request was looked for in all that is kept of the"
        f" dataset {content.dataset!r}, and nothing was there. Rows that arrive later do not enter, until the person"
        " asks to be known again."
    )


def _looked_for(content: NothingHeld) -> Block:
    source = "could not be read" if content.source is None else str(content.source)
    outside = (
        *((name, "could not be read" if count is None else str(count)) for name, count in content.remotes.items()),
        ("the source as it was then", source),
        *((f"dataset {name}", str(count)) for name, count in content.elsewhere.items()),
    )
    points = [
        f"The {name} could not be read then: whether it holds earlier files of the person is not said here."
        for name in unread_remotes(content)
    ]
    if content.source is None:
        points.append("The source could not be read then: whether it holds rows of the person is not said here.")
    elif content.source:
        points.append("The rows in the source never enter. To have them removed there is for the source's owner.")
    if any(content.elsewhere.values()):
        points.append(
            "Other datasets hold the same id. This request does not name them: one about them has to be made."
        )
    return Block(
        "Where was looked, and what was there",
        points=tuple(points),
        table=(("Place", "Rows or files"), *((name, str(count)) for name, count in content.held.items()), *outside),
    )


def _removed(content: Erasure) -> Iterator[Block]:
    rows = tuple(
        (KINDS.get(kind, kind), str(held), str(content.rows.removed.get(kind, 0)))
        for kind, held in content.rows.held.items()
    )
    yield Block(
        "What was removed",
        (f"{content.rows.left} rows are left.",),
        table=(("Kind", "Held when the request came", "Removed"), *rows),
    )
    places = tuple((one.store, str(one.removed)) for one in content.purged)
    yield Block(
        "From where",
        (
            "What was made with the rows left these places as well: copies, models, reports, logs. Then each place was"
            f" searched for the person and for everything that was made with the rows; {content.scan.found} traces were"
            " found.",
        ),
        table=(("Place", "Entries removed"), *places),
    )


def _model(content: Erasure) -> Block:
    points = []
    for name, family in content.families.items():
        points += [f"{name}: {_means(family)}", _recipe(family)]
    return Block("What that means for the recommendations", points=tuple(points))


def _means(family: Family) -> str:
    kind = next(kind for kind in reversed(SENTENCES) if family.claim.startswith(SENTENCES[kind]))
    far = family.claim.removeprefix(SENTENCES[kind]).removesuffix(WITH_ASSIGNMENT)
    kept = " The rows of others stayed in the parts to which they were assigned before." if family.frozen else ""
    return _MEANS[kind] + (f" Measured: {far.lstrip('; ')}." if far else "") + kept


def _recipe(family: Family) -> str:
    config = family.recipe.get("config")
    values = config.items() if isinstance(config, dict) else ()
    settings = ", ".join(f"{name} {value}" for name, value in values) or "none"
    said = {name: family.recipe.get(name) for name in ("model", "sharding", "seed")}
    return _RECIPE.format(config=settings, chosen=family.chosen, **said)


def _left(content: Erasure) -> Iterator[Block]:
    stays = dict.fromkeys((one.what, one.until) for family in content.families.values() for one in family.residues)
    yield Block(
        "What may still show that the rows were there",
        table=(("What", "Until"), *stays),
    )
    outside = tuple((one.what, one.until) for one in content.outside_reach)
    yield Block(
        "What was not in reach",
        points=(
            *(f"Could not be looked into: {place}" for place in content.scan.not_searched),
            *(f"Not made again from its source, since changed: {name}" for name in content.verification.left_out),
            *_short(content),
        ),
        table=(("What", "Until"), *outside) if outside else (),
    )


def _short(content: Erasure) -> tuple[str, ...]:
    if not content.scan.typed_only:
        return ()
    return (
        "The id is so short, so common a word or also said of something else, that it was searched where ids stand, and"
        " not in free text.",
    )


def _evidence(content: Erasure | NothingHeld) -> Block:
    rows = tuple((line.name, line.expected, line.actual) for line in content.invariants)
    return Block(
        "What had to hold before this was signed",
        ("Each line was looked at by the program that signed; with one that failed there would be no certificate.",),
        table=(("What", "Must be", "Is"), *rows),
    )


def _how(checked: Checked, *more: str) -> Block:
    told = "was" if checked.pinned else "was NOT"
    items = " --item ITEM --item ITEM" if checked.content.request.kind == "interaction" else ""
    return Block(
        "How to check it yourself",
        (
            "Take the signer's public key from the operator by another way than this page, and compare its fingerprint"
            f" with the one below. When this page was made, the signer {told} compared with a key that the maker of the"
            " page trusts.",
            "The first command needs no software of the operator but one readable file; with your receipt it also shows"
            " that the certificate answers your request."
            + (
                " The last one, on a machine that may read the data, makes the models again and compares."
                if more
                else ""
            ),
        ),
        commands=(
            f"python check_certificate.py CERTIFICATE.json --key KEY.pem --receipt RECEIPT.json --user -{items}",
            "openssl pkey -pubin -in KEY.pem -outform DER | sha256sum",
            "lethe certificate check CERTIFICATE.json --key KEY.pem",
            *more,
        ),
    )


def _day(moment: str) -> str:
    at = datetime.fromisoformat(moment)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
