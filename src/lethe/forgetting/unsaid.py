"""Whether an id that stands among the items, or in what facts, features or contexts say, is the person who asks.

That is asked when a request is taken; and again, before anything is certified, where data that came later name the id.
Of those that were certified the audit tells which data name since, unless somebody has said it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lethe.config.params import Params
from lethe.core.keys import subject_digests
from lethe.core.workspace import Workspace
from lethe.errors import RequestError
from lethe.forgetting.held import Tables
from lethe.forgetting.ledger.ledger import Ledger
from lethe.forgetting.ledger.requests import ForgetRequest, Held
from lethe.tables.ids import Ids, as_integer
from lethe.tables.reader import Reader

NAMED_NOW = "its user's id is an item now, or named by facts, features or contexts: is that the person?"


def unsaid_items(
    params: Params, dataset: str, tables: Tables | None, requests: Sequence[ForgetRequest], said: bool
) -> list[int]:
    """Of each request, rows that name its user's id as an item though nobody has ``said`` whether that is the person.

    Raises RequestError where ids are text: the same text twice is hardly chance. Numbers are.
    """
    config = params.datasets.get(dataset)
    if said or tables is None or config is None or config.items_are_users is not None:
        return [0] * len(requests)
    people = list(dict.fromkeys(str(request.user) for request in requests if not request.items))
    named = dict(zip(people, tables.as_things(people), strict=True))
    counts = [0 if request.items else named[str(request.user)] for request in requests]
    if any(count and _is_text(request) for request, count in zip(requests, counts, strict=True)):
        raise RequestError(
            f"user: {sum(map(bool, counts))} of {len(requests)} ids are items of {dataset} too, or named by facts,"
            " features or contexts; say --also-item to forget the person as both, or --not-item (for all:"
            " items_are_users in params.yaml)"
        )
    return counts


def named_since(
    workspace: Workspace, params: Params, requests: Sequence[ForgetRequest], reader: Reader | None = None
) -> list[str]:
    """Ids of the requests about which that has to be asked now: the data name a user's id, a text, as it has never been
    said of."""
    named = []
    for dataset in sorted({request.dataset for request in requests}):
        config = params.datasets.get(dataset)
        mine = [r for r in requests if r.dataset == dataset and _is_open_question(r)]
        if mine and config is not None and config.items_are_users is not False:
            counts = Tables.read(workspace, dataset, reader).as_things([str(request.user) for request in mine])
            named += [request.id for request, count in zip(mine, counts, strict=True) if count]
    return named


def named_after(workspace: Workspace, params: Params, book: Ledger) -> list[str]:
    """Completed requests whose user's id, a text, is an item's or in a fact now, of which nobody was ever asked whether
    that is the person; an answer stands, also one given with another request about them."""
    done = [r for r in book.in_state("completed") if r.kind == "user" and not r.lifted]
    said = {(r.dataset, r.user_digest) for r in done if r.also_item or r.said_item}
    asked = []
    for dataset in sorted({request.dataset for request in done}):
        config = params.datasets.get(dataset)
        open_still = [r for r in done if r.dataset == dataset and (dataset, r.user_digest) not in said]
        if open_still and config is not None and config.items_are_users is None:
            things = set(subject_digests(dataset, _texts_among_things(workspace, dataset)))
            asked += [request.id for request in open_still if request.user_digest in things]
    return asked


def _texts_among_things(workspace: Workspace, dataset: str) -> list[str]:
    facts = workspace.side(dataset) / "triples.parquet"
    columns = [(workspace.interactions(dataset), "item"), (facts, "entity")]
    ids = {str(raw) for path, name in columns if path.is_file() for raw in Ids.in_file(path, name).values.tolist()}
    return sorted(raw for raw in ids if as_integer(raw) is None)


def held_as_item(workspace: Workspace, book: Ledger, request: ForgetRequest) -> Held:
    """What there was of the subject of a request that is about an item too from now on."""
    also = replace(request, also_item=True)
    if same := [other.id for other in book.open() if other.subject == also.subject]:
        raise RequestError(f"also_item: {same[0]} asks for that already; withdraw one of the two")
    now = Tables.read(workspace, request.dataset).held([also])[0]
    # Rows that an earlier run took are counted in what was held when it was accepted.
    begun = request.id in book.ever_in("executing")
    return request.held + now if begun else replace(now, source=request.held.source, earlier=request.held.earlier)


def _is_open_question(request: ForgetRequest) -> bool:
    whole = request.kind == "user" and request.user is not None
    return whole and _is_text(request) and not (request.also_item or request.said_item)


def _is_text(request: ForgetRequest) -> bool:
    return as_integer(str(request.user)) is None
