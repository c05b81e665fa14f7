"""Forgetting bad data, on small made data: what the fakes are, and that forgetting them leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bad_data, sharded
from benchmarks.collaborative import Split
from benchmarks.sharded import Kind
from lethe.config.dataset import RandomSplit
from lethe.core.random import Stream
from lethe.data.split import split
from lethe.tables.interactions import Interactions


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    monkeypatch.setattr(sharded, "ROOMS", tmp_path / "rooms")
    for name, value in {"FAKES": 12, "EACH": 6, "PROMOTED": 3, "POPULAR": 20}.items():
        monkeypatch.setattr(bad_data, name, value)
    generator = np.random.default_rng(4)
    chance = np.where(np.arange(40) < 15, 0.1, 0.5)
    users, items = np.nonzero(generator.random((50, 40)) < chance)
    parts = split(Interactions.of(users, items), RandomSplit(valid=0.0, test=0.2), Stream(1))
    return Split("made", parts["train"], parts["test"])


def test_fakes_are_new_users_who_all_have_the_same_rare_items(clean: Split) -> None:
    bad = bad_data.fakes(clean.train)
    assert set(bad.user_ids) == set(range(50, 62))
    assert np.bincount(bad.user_ids)[50:].tolist() == [6] * 12
    promoted = bad_data._promoted(bad)
    assert len(promoted) == 3
    assert set(promoted) <= set(range(15))
    assert set(bad.item_ids) - set(promoted) <= set(range(15, 40))


def test_what_is_forgotten_is_as_if_it_never_was(clean: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = bad_data.fakes(clean.train)
    spoilt = replace(clean, train=Interactions.concatenate(clean.train, bad))
    kind = Kind("wmf", "user-hash", "stacked", num_shards=3)

    def run(learnt: Split, forget: bool) -> dict[str, float]:
        row = bad_data._row("", clean, learnt, bad, kind, baseline=False, base="", forget=forget)
        return row.run(1).metrics

    never, with_them, forgotten = run(clean, False), run(spoilt, False), run(spoilt, True)
    assert with_them != never
    assert forgotten == never
    assert forgotten["differing"] == 0
    # What was not taken away is seen.
    monkeypatch.setattr(bad_data, "_kept", lambda learnt, real: learnt.user_ids != 51)
    assert run(spoilt, True)["differing"] > 0
