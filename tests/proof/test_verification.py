"""Verification: equal after any history, different where a byte was made of something else, and by samples."""

from __future__ import annotations

import shutil

import pytest
import yaml

from lethe.build.registry import Registry
from lethe.build.rivals import Compared
from lethe.core.artifacts import ArtifactStore
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError, NotComparable
from lethe.learning import device
from lethe.proof import daily
from lethe.proof.verification import verify
from lethe.tables.interactions import Interactions
from tests.conftest import taste_blocks
from tests.edits import edited, with_code
from tests.house import forget, train
from tests.side import digest_beside


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
        sampled = verify(tiny, sample=1, seed=str(seed))
        assert sampled.equal
        (one,) = (name for name in sampled.compared if "/sub-model/" in name)
        assert verify(tiny, sample=1, seed=str(seed)).compared == sampled.compared
        assert {name for name in whole.compared if "/sub-model/" not in name} >= set(sampled.compared) - {one}
        seen.add(one)
    assert len(seen) > 1, "other seeds look at others"
    assert verify(tiny, sample=99, seed="0").equal
    assert verify(tiny, sample=1, seed="mine").to_json()["seed"] == "mine"
    drawn = [verify(tiny, sample=1) for _ in range(2)]
    assert drawn[0].seed != drawn[1].seed, "not the day's, which who builds could know"
    assert all(verify(tiny, sample=1, seed=one.seed).compared == one.compared for one in drawn)
    assert whole.seed is None
    assert list(tiny.temporary.iterdir()) == []


def test_rows_that_were_left_out_or_put_in_are_seen_by_a_sample_too(trained: Workspace) -> None:
    path = trained.interactions("tiny")
    rows = Interactions.read(path)
    rows.take(slice(1, None)).write(path)
    assert verify(trained, sample=1, seed="0").differing == ("tiny/interactions",)


def grow(workspace: Workspace, users: int = 6) -> None:
    """The source gets rows of new users."""
    rows = taste_blocks(users=users, seed=5)
    with (workspace.root / "ratings.csv").open("a") as file:
        for user, item in zip(rows.user_ids, rows.item_ids, strict=True):
            file.write(f"new-{user},{item},4,99999\n")


def test_a_growing_source_is_no_false_alarm(trained: Workspace) -> None:
    grow(trained)
    for whole in (verify(trained), verify(trained, sample=1, seed="0")):
        assert whole.equal
        assert whole.left_out == ("tiny/interactions",), "the source is not as it was when the table was made"
        assert "tiny/split/train" in whole.compared


def test_an_incumbent_that_training_on_new_data_keeps_is_rebuilt_from_its_own(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = {family: version.tag for family, version in Registry(trained).served().items()}
    grow(trained)
    much_worse = Compared(new=0.1, old=0.5, users=24, p_value=0.0, worse=0.0)
    monkeypatch.setattr("lethe.build.settling.compare", lambda *_: much_worse)
    train(trained)
    assert {family: version.tag for family, version in Registry(trained).served().items()} == served
    info = Registry(trained).served()["plain"].info
    assert info.data_digest != digest_beside(trained.interactions("tiny"))
    whole = verify(trained)
    assert whole.equal
    assert whole.left_out == ()
    assert {"plain/package", "sharded/ensemble", "tiny/interactions"} <= set(whole.compared)
    assert verify(trained, sample=1, seed="0").equal


def test_what_a_cpu_made_is_rebuilt_on_the_cpu_wherever_that_is(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as machine:  # With a GPU, that it would pay to use.
        machine.setattr(device, "fault", lambda: None)
        machine.setattr(device, "WORTH", 0)
        assert verify(trained).equal


def test_a_rollback_over_a_data_change_is_no_false_alarm(trained: Workspace) -> None:
    old = Registry(trained).served()["plain"].tag
    grow(trained)
    train(trained, ["tiny"])
    assert Registry(trained).served()["plain"].tag != old
    Registry(trained).roll_back("plain", old)
    assert verify(trained).equal
    assert verify(trained, sample=9, seed="0").equal


def test_without_the_data_of_a_version_nothing_is_said(trained: Workspace) -> None:
    old = Registry(trained).served()["plain"]
    grow(trained)
    train(trained, ["tiny"])
    Registry(trained).roll_back("plain", old.tag)
    store = ArtifactStore(trained.artifacts)
    store.remove(store.get("snapshot", old.info.snapshot.key))
    with pytest.raises(NotComparable, match=r"^plain: the data that lethe-plain:\w+ was built from are gone"):
        verify(trained)


def test_forgetting_takes_the_snapshots_that_held_the_subject(trained: Workspace) -> None:
    old = Registry(trained).served()["plain"].info.snapshot
    forget(trained, "user-004")
    new = Registry(trained).served()["plain"].info.snapshot
    assert [artifact.key for artifact in ArtifactStore(trained.artifacts).all() if artifact.kind == "snapshot"] == [
        new.key
    ]
    assert new != old
    assert verify(trained).equal


def test_params_that_were_edited_since_are_no_difference(trained: Workspace) -> None:
    values = yaml.safe_load(trained.params.read_text())
    values["datasets"]["tiny"]["split"] = {"by": "random", "valid": 0.2, "test": 0.2}
    del values["shardings"]["mean-3"]
    values["shardings"]["user-hash-3"]["num_shards"] = 2
    trained.params.write_text(yaml.safe_dump(values, sort_keys=False))
    whole = verify(trained)
    assert whole.equal
    assert whole.left_out == ("tiny/tables",)
    assert "sharded/sub-model/02" in whole.compared


@pytest.mark.parametrize(
    "module",
    [
        "lethe.learning.training",
        "lethe.learning.aggregation.attention",
        "lethe.serving.packing",
        "lethe.data.split",
        "lethe.models.wmf",
    ],
)
def test_what_other_code_made_is_not_comparable(module: str, trained: Workspace) -> None:
    with edited(module, with_code):
        with pytest.raises(NotComparable, match=r"^not comparable: made by other code"):
            verify(trained)
        if module in ("lethe.learning.training", "lethe.data.split"):
            with pytest.raises(NotComparable, match=r"^not comparable: made by other code"):
                verify(trained, sample=1, seed="0")
            with pytest.raises(NotComparable, match=r"^not comparable: made by other code"):
                daily.rebuild(trained)
    assert verify(trained).equal


def test_nor_is_it_where_the_artifacts_that_say_so_are_gone(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(trained.artifacts / "sub-model")
    assert verify(trained).equal, "nothing differs"
    with edited("lethe.learning.training", with_code):
        monkeypatch.setattr("lethe.proof.rebuild.whole_code_digest", lambda: "e" * 64)
        with pytest.raises(NotComparable, match=r"^not comparable: made by other code"):
            verify(trained)
