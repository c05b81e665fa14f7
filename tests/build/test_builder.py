"""What a sub-model draws from and is kept under, and that the order of its shards shows in no byte of an ensemble."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lethe.build import builder as building
from lethe.build.builder import Builder
from lethe.config.params import Params
from lethe.core.artifacts import Artifact, ArtifactStore
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.learning.sub_model import Lesson
from tests.conftest import make_workspace, taste_blocks
from tests.test_traps import builder


@pytest.fixture
def laid(tmp_path: Path) -> Workspace:
    """A workspace whose shards are laid, nothing trained."""
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    build_data(workspace, Params.read(workspace.params), "tiny", ["mean-3"])
    return workspace


def drawn(one: Builder, shard: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Stream, Artifact]:
    """The stream that a sub-model is given to draw from, and its artifact (without weights)."""
    given: list[Stream] = []

    def note(folder: Path, lesson: Lesson, progress: object) -> None:
        given.append(lesson.stream)

    monkeypatch.setattr(building, "write_sub_model", note)
    artifact = one.sub_model(shard)
    return given[0], artifact


def test_a_sub_model_draws_by_seed_and_shard_and_is_kept_by_both(
    laid: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seven = builder(laid, "wmf", "mean-3")
    eight = replace(seven, recipe=seven.recipe.model_copy(update={"seed": 8}))
    # The same rows in both shards: nothing but the name tells them apart.
    seven.shard_path("01").write_bytes(seven.shard_path("00").read_bytes())
    made = [drawn(one, shard, monkeypatch) for one in (seven, eight) for shard in ("00", "01")]
    assert len({stream.integer() for stream, _ in made}) == 4
    assert len({artifact.key for _, artifact in made}) == 4


def test_the_order_in_which_sub_models_are_named_changes_no_byte_of_the_ensemble(laid: Workspace) -> None:
    one = builder(laid, "wmf", "mean-3")
    keys = {shard: one.sub_model(shard).key for shard in one.shard_names()}
    first = one.ensemble(keys)
    one.store.remove(first)
    assert one.ensemble(dict(reversed(keys.items()))).digest == first.digest


def test_a_checkpoint_is_of_one_kind_and_its_inputs_alone(tmp_path: Path) -> None:
    """What another training left must not be resumed from."""
    store = ArtifactStore(tmp_path)
    places = {store.checkpoint(kind, {"data": data}) for kind in ("sub-model", "slice") for data in ("a", "b")}
    assert len(places) == 4
