"""Other projects that hold the same people, as staging does of production: who was forgotten there is asked about here.

Nothing is sent. What such a project keeps anyhow, its suppression list of keyed digests, is read under the same secret,
so it needs to know nothing of us, every way in is covered, and what was forgotten while we were away is found too.
"""

from __future__ import annotations

from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError
from lethe.forgetting.held import Tables, all_rows
from lethe.forgetting.intake import Ask, Terms, submit_all
from lethe.forgetting.standing import within_reach


def follow_places(workspace: Workspace) -> int:
    """Ask about everybody whom a project of ``forgetting.follows`` has forgotten and whose rows are here; returns how
    many requests that made. Who was forgotten there as an item too is so here; of others, whom data of here name, it is
    asked before they go, and nobody else waits for the answer.

    Raises ConfigError where such a project isn't there, or has another key."""
    params, made = Params.read(workspace.params), 0
    for place in params.forgetting.follows:
        listed = _list_of(workspace, place)
        for dataset in within_reach(workspace, params):
            config = params.datasets.get(dataset)
            unsaid = Terms(also_item=bool(config and config.items_are_users), said_item=False)
            if workspace.interactions(dataset).is_file():
                for asks, terms in zip(_asks(workspace, dataset, listed), (Terms(also_item=True), unsaid), strict=True):
                    answers = submit_all(workspace, dataset, asks, terms) if asks else []
                    made += sum(answer.is_new for answer in answers)
    return made


def _list_of(workspace: Workspace, place: str) -> SuppressionList:
    other = Workspace((workspace.root / place).resolve())
    if not other.params.is_file():
        raise ConfigError(f"forgetting.follows: no project is at {place}; correct it, or make it reachable from here")
    return SuppressionList.read(other.suppression)


def _asks(workspace: Workspace, dataset: str, listed: SuppressionList) -> tuple[list[Ask], list[Ask]]:
    """Whole users who are items too; and others, and of further ones the interactions that were forgotten alone."""
    tables = Tables.read(workspace, dataset)
    rows, alone = all_rows(tables.rows), dict[str, set[str]]()
    people, things = {*map(str, rows.user_ids)}, {*map(str, rows.item_ids)}
    for table in tables.beside.tables.values():
        people |= {str(id) for name in ("user", "friend") if name in table.columns for id in table.columns[name]}
        things |= {str(id) for name in ("item", "entity") if name in table.columns for id in table.columns[name]}
    both = listed.people_among(dataset, sorted(people | things), "item")
    whole = listed.people_among(dataset, sorted(people), "user") - both
    named = listed.matches(rows, dataset)
    for user, item in zip(rows.user_ids[named], rows.item_ids[named], strict=True):
        if not {str(user), str(item)} & both and str(user) not in whole:
            alone.setdefault(str(user), set()).add(str(item))
    others = (Ask(user, tuple(sorted(alone[user]))) for user in sorted(alone))
    return [Ask(user) for user in sorted(both)], [*(Ask(user) for user in sorted(whole)), *others]
