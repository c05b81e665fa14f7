"""Who was forgotten may come back as somebody else: a source that spells ids in another way (7.0 or 007 for 7, Anna for
anna). It may be somebody else, so nobody is kept out for it; it is told."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from lethe.core.keys import subject_digests
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.tables.ids import Ids

_NUMBER = re.compile(r"\+?0*([0-9]+)(?:\.0+)?")


def respelt(workspace: Workspace) -> dict[str, int]:
    """In which datasets how many people are, but for case, blanks or how a number is written, one whom the suppression
    list names."""
    entries = SuppressionList.read(workspace.suppression).entries
    counts = {}
    for dataset in workspace.datasets():
        listed = {e.digest for e in entries if e.dataset == dataset and e.kind == "user" and e.since is None}
        if listed:
            counts[dataset] = _respelt(workspace, dataset, listed)
    return {dataset: count for dataset, count in counts.items() if count}


def _respelt(workspace: Workspace, dataset: str, listed: set[str]) -> int:
    # A number in a column of numbers has one spelling.
    ids = (raw for raw in Ids.in_file(workspace.interactions(dataset), "user").values.tolist() if isinstance(raw, str))
    pairs = [(raw, other) for raw in ids for other in _others(raw)]
    digests = subject_digests(dataset, [other for _, other in pairs])
    return len({raw for (raw, _), digest in zip(pairs, digests, strict=True) if digest in listed})


def _others(raw: str) -> Iterator[str]:
    """Spellings that are told from this one by how they are written alone."""
    plain = unicodedata.normalize("NFC", raw).strip()
    number = _NUMBER.fullmatch(plain)
    address = plain.removeprefix("mailto:").rstrip(".")
    yield from {plain, plain.lower(), address or plain, *([number[1]] if number else [])} - {raw}
