"""Verification: equal after any history, different where a byte was made of something else, and by samples."""

from __future__ import annotations

import pytest

from lethe.build.registry import Registry
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, NotComparable
from lethe.proof.verification import verify
from lethe.tables.interactions import Interactions
from tests.house import forget, train


def test_a_sample_compares_the_data_and_some_sub_models(tiny: Workspace) -> None:
    with pytest.raises(ArtifactError, match="nothing is promoted yet"):
        verify(tiny)
    train(tiny)
    forget(tiny, "user-004")
    whole = verify(tiny)
    assert whole.equal
    names = {name for name in whole.compared if "/sub-model/" in name}
    assert len(names) == 4
    seen = set()
    for seed in range(6):
        sampled = verify(tiny, sample=1, seed=seed)
        assert sampled.equal
        (one,) = (name for name in sampled.compared if "/sub-model/" in name)
        assert verify(tiny, sample=1, seed=seed).compared == sampled.compared
        assert {name for name in whole.compared if "/sub-model/" not in name} >= set(sampled.compared) - {one}
        seen.add(one)
    assert len(seen) > 1, "other seeds look at others"
    assert verify(tiny, sample=99, seed=0).equal
    assert list(tiny.temporary.iterdir()) == []


def test_rows_that_were_left_out_or_put_in_are_seen_by_a_sample_too(tiny: Workspace) -> None:
    train(tiny)
    path = tiny.interactions("tiny")
    rows = Interactions.read(path)
    rows.take(slice(1, None)).write(path)
    assert verify(tiny, sample=1, seed=0).differing == ("tiny/interactions",)


def test_what_other_code_made_is_not_comparable(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tiny)
    monkeypatch.setattr("lethe.build.builder.code_digest", lambda *modules: "e" * 64)
    with pytest.raises(NotComparable, match="code differ"):
        verify(tiny)
    with pytest.raises(NotComparable, match="code differ"):
        verify(tiny, sample=1, seed=0)
    assert Registry(tiny).served()
