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
from lethe.forgetting.intake import Ask, submit_all
from lethe.forgetting.standing import within_reach


def follow_places(workspace: Workspace) -> int:
    """Ask about everybody whom a project of ``forgetting.follows`` has forgotten and whose rows are here; returns how
    many requests that made. Raises ConfigError where such a project isn't there, or has another key."""
    params, made = Params.read(workspace.params), 0
    for place in params.forgetting.follows:
        listed = _list_of(workspace, place)
        for dataset in within_reach(workspace, params):
            if workspace.interactions(dataset).is_file() and (asks := _asks(workspace, dataset, listed)):
                made += sum(answer.is_new for answer in submit_all(workspace, dataset, asks))
    return made


def _list_of(workspace: Workspace, place: str) -> SuppressionList:
    other = Workspace((workspace.root / place).resolve())
    if not other.params.is_file():
        raise ConfigError(f"forgetting.follows: no project is at {place}; correct it, or make it reachable from here")
    return SuppressionList.read(other.suppression)


def _asks(workspace: Workspace, dataset: str, listed: SuppressionList) -> list[Ask]:
    """Whole users, and of others the interactions that were forgotten alone."""
    tables = Tables.read(workspace, dataset)
    rows, alone = all_rows(tables.rows), dict[str, set[str]]()
    people = {*map(str, rows.user_ids)}
    for table in tables.beside.tables.values():
        people |= {str(id) for name in ("user", "friend") if name in table.columns for id in table.columns[name]}
    whole = listed.whole_users(dataset, sorted(people))
    named = listed.matches(rows, dataset)
    for user, item in zip(rows.user_ids[named], rows.item_ids[named], strict=True):
        if str(user) not in whole:
            alone.setdefault(str(user), set()).add(str(item))
    return [*(Ask(user) for user in sorted(whole)), *(Ask(user, tuple(sorted(alone[user]))) for user in sorted(alone))]
