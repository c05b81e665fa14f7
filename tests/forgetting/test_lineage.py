"""What lives is what comes from today's data alone, whatever kind of artifact it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.canonical import digest_file
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.forgetting.known_tables import remember, table_digests
from lethe.forgetting.lineage import live_artifacts
from lethe.forgetting.run import suppress
from lethe.tables.interactions import Interactions
from lethe.tables.reader import Reader
from lethe.tables.side_tables import SideTable


def _note(text: str):
    return lambda folder: (folder / "note.json").write_text(json.dumps(text)) and None


def made(workspace: Workspace, kind: str, **inputs: object) -> Artifact:
    return ArtifactStore(workspace.artifacts).make(kind, dict(inputs), _note(kind))


def test_everything_of_today_lives_and_nothing_of_before(trained: Workspace) -> None:
    artifacts = {a.key: a for a in ArtifactStore(trained.artifacts).all()}
    served = {version.key for version in Registry(trained).served().values()}
    assert live_artifacts(trained)["tiny"] == {k for k, a in artifacts.items() if a.kind != "package" or k in served}

    suppress(trained, "tiny", [("user-004", ())])
    params = Params.read(trained.params)
    build_data(trained, params, "tiny", ["whole", "user-hash-3"])
    alive = live_artifacts(trained, kept=[])["tiny"]
    folders = [trained.shards("tiny", place) for place in ("user-hash-3", "user-hash-3/all")]
    rows = {Interactions.read(path).digest() for folder in folders for path in folder.glob("*.parquet")}
    untouched = {k for k, a in artifacts.items() if a.kind == "sub-model" and a.inputs["data"] in rows}
    assert len(untouched) == 4, "those of the shards that he was not in, of training rows and of all"
    assert alive == untouched
    kept, versions = live_artifacts(trained)["tiny"], Registry(trained).served().values()
    behind = {version.info.ensemble.digest for version in versions}
    behind |= {digest for version in versions for digest in version.info.sub_models.values()}
    assert served | {k for k, a in artifacts.items() if a.digest in behind} <= kept, "while they are served"
    assert {version.comparison for version in versions} <= kept, "and what they were chosen by"


def test_an_artifact_of_a_new_kind_lives_as_long_as_all_it_names(trained: Workspace) -> None:
    shard = sorted(trained.shards("tiny", "user-hash-3").glob("*.parquet"))[0]
    checkpoint = made(trained, "checkpoint", data=Interactions.read(shard).digest(), slice=1, code="c" * 64)
    after_it = made(trained, "checkpoint", of=checkpoint.digest, by_key=[{"sub-model": checkpoint.key}])
    of_nothing_here = made(trained, "checkpoint", data="d" * 64)
    after_that = made(trained, "index", of=[checkpoint.digest, of_nothing_here.digest])
    of_no_data = made(trained, "index", of="everything")
    alive = live_artifacts(trained)["tiny"]
    assert {checkpoint.key, after_it.key} <= alive
    assert not {of_nothing_here.key, after_that.key, of_no_data.key} & alive


def test_a_side_table_is_known_by_its_bytes(trained: Workspace) -> None:
    text = np.array(["item-000"], dtype=object)
    features = SideTable.of("item_features", item=text, field=text, value=text, weight=np.ones(1))
    path = trained.side("tiny") / "item_features.parquet"
    features.write(path)
    vectors = made(trained, "vectors", table=digest_file(path))
    assert vectors.key in live_artifacts(trained)["tiny"]
    path.unlink()
    assert vectors.key not in live_artifacts(trained)["tiny"]


@pytest.fixture
def two(trained: Workspace) -> Workspace:
    """A trained dataset, and another of the same tables, none of which is in use."""
    shutil.copytree(trained.root / "data" / "tiny", trained.root / "data" / "untouched")
    return trained


def datasets_read(two: Workspace, monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]) -> set[str]:
    """Of which datasets tables were read."""
    read, seen = Interactions.read, set[str]()

    def counted(path: Path) -> Interactions:
        seen.add(path.relative_to(two.root / "data").parts[0])
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Interactions, "read", staticmethod(counted))
        look()
    return seen


def test_no_table_of_an_untouched_dataset_is_read_and_the_same_lives(
    two: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live_artifacts(two)
    assert before["untouched"]
    assert datasets_read(two, monkeypatch, lambda: live_artifacts(two)) == {"tiny", "untouched"}
    remember(two, Reader())
    assert datasets_read(two, monkeypatch, lambda: live_artifacts(two)) == set()
    assert live_artifacts(two) == before
    suppress(two, "tiny", [("user-004", ())])
    build_data(two, Params.read(two.params), "tiny", ["whole", "user-hash-3"])
    after = live_artifacts(two, kept=[])
    assert datasets_read(two, monkeypatch, lambda: remember(two, Reader())) == {"tiny"}
    assert datasets_read(two, monkeypatch, lambda: live_artifacts(two, kept=[])) == set()
    assert live_artifacts(two, kept=[]) == after
    packages = {artifact.key for artifact in ArtifactStore(two.artifacts).all() if artifact.kind == "package"}
    assert after["untouched"] == before["untouched"] - packages
    assert after["tiny"] < before["tiny"], "what is remembered of old tables keeps nothing alive"


def test_a_threshold_that_nobody_looked_for_is_looked_for(two: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(two, Reader())
    infos = [version.info.model_copy(update={"positive": ">= 1"}) for version in Registry(two).served().values()]
    look = lambda: table_digests(two, "untouched", infos, Reader())  # noqa: E731
    assert datasets_read(two, monkeypatch, look) == {"untouched"}
    assert datasets_read(two, monkeypatch, lambda: table_digests(two, "untouched", [], Reader())) == set()
    (two.state / "tables.json").write_text('{"untouched": {"files": ')
    assert datasets_read(two, monkeypatch, lambda: table_digests(two, "untouched", [], Reader())) == {"untouched"}


def test_a_behaviour_without_ratings_is_all_likes(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Interactions.read(trained.interactions("tiny"))
    views = trained.side("tiny") / "behaviours" / "view.parquet"
    Interactions.of(rows.user_ids[:9], rows.item_ids[:9]).write(views)
    infos = [version.info.model_copy(update={"positive": ">= 4"}) for version in Registry(trained).served().values()]
    assert Reader().digest(views) in table_digests(trained, "tiny", infos, Reader())
