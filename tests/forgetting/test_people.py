"""Thousands are counted together as they are one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from lethe.forgetting.held import Tables
from lethe.forgetting.ledger.beside import changed_by, mentioned_by
from lethe.forgetting.ledger.requests import ForgetRequest, Held, holds
from lethe.tables.inside import KnownIds
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTable, SideTables

NAMES = [f"person-{number:02d}" for number in range(40)]


def request(user: str, *items: str, also_item: bool = False) -> ForgetRequest:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ForgetRequest.new("d", user, items, now=now, datasets=["d"], also_item=also_item)


def tables(seed: int) -> Tables:
    """Where people are items, choose themselves, and are named by contexts, features and facts, also among words."""
    draw = np.random.default_rng(seed)

    def names(count: int) -> np.ndarray:
        return draw.choice(np.array(NAMES, dtype=object), count)

    def words(count: int) -> np.ndarray:
        pairs = zip(names(count), names(count), strict=True)
        return np.array([f"by {one}, {other}" if one > other else one for one, other in pairs], dtype=object)

    rows = Interactions.of(names(300), names(300), contexts={"said": words(300)})
    side = {
        "links": SideTable.of("links", user=names(80), friend=names(80)),
        "item_features": SideTable.of(
            "item_features", item=names(90), field=np.full(90, "by"), value=words(90), weight=np.ones(90)
        ),
        "triples": SideTable.of("triples", item=names(90), relation=words(90), entity=names(90)),
    }
    views = Interactions.of(names(100), names(100), contexts={"said": words(100)})
    return Tables(rows, SideTables(side), {"view": views}, rows.take(np.arange(len(rows)) % 2 == 0))


def alone(there: Tables, asked: ForgetRequest) -> Held:
    """What a request covers, looked for by itself."""
    side, known = there.beside.tables, KnownIds((there.rows,))
    views = there.behaviours["view"]
    mentions = {name: int(mentioned_by([asked], t.columns, len(t), known).sum()) for name, t in side.items()}
    return Held(
        interactions=holds(there.rows, asked),
        source_copy=holds(there.copy, asked),
        links=mentions.pop("links"),
        features=sum(mentions.values()),
        behaviours=holds(views, asked),
        contexts=sum(int(changed_by([asked], rows, known).sum()) for rows in (there.rows, views)),
    )


@pytest.mark.parametrize("count", [1, 5, 40], ids=["one", "few", "many"])
def test_all_at_once_hold_what_each_holds_alone(count: int) -> None:
    there = tables(count)
    asked = [request(user, also_item=bool(place % 3)) for place, user in enumerate(NAMES[:count])]
    asked += [request(NAMES[0], NAMES[1], NAMES[2]), request("nobody-at-all", also_item=True)]
    assert there.held(asked) == [alone(there, one) for one in asked]
    assert max(held.contexts for held in there.held(asked)) > 0 or count == 1


def test_thousands_who_are_items_too_take_one_look_at_each_column(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = list[int]()
    there = tables(7)
    covers = ForgetRequest.covers
    monkeypatch.setattr(ForgetRequest, "covers", lambda one, *columns: looks.append(1) or covers(one, *columns))
    there.held([request(f"somebody-{number}", also_item=True) for number in range(5000)])
    assert looks == []
