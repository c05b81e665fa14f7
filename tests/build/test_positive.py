"""A threshold of likes: models of preferences learn as if dislikes were not there, models of ratings learn all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lethe.build.builder import Builder
from lethe.build.candidates import jobs
from lethe.build.checks import check_likes
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError, DataError
from lethe.serving.package import Package
from lethe.tables.interactions import Interactions
from lethe.tables.likes import are_likes, likes
from tests.conftest import make_workspace, taste_blocks

SHARDINGS = ["whole", "user-hash-3"]


def built(folder: Path, rows: Interactions, positive: str | None) -> tuple[Workspace, Params]:
    workspace = make_workspace(folder, rows)
    params = yaml.safe_load(workspace.params.read_text())
    if positive is not None:
        params["datasets"]["tiny"]["positive"] = positive
    params["families"]["stars"] = {"dataset": "tiny", "candidates": [{"model": "bias-lfm", "sharding": "whole"}]}
    params["models"]["bias-lfm"] = {"epochs": 2, "embedding_dim": 4}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    checked = Params.read(workspace.params)
    build_data(workspace, checked, "tiny", SHARDINGS)
    return workspace, checked


def builders(workspace: Workspace, params: Params) -> dict[str, Builder]:
    return {job.recipe.name: Builder(workspace, job.recipe) for job in jobs(workspace, params)}


@pytest.mark.parametrize(("threshold", "liked"), [(">= 4", 2), (">3.5", 2), ("> 4", 1), (">=-1", 5), (None, 5)])
def test_the_threshold_is_read_as_it_is_written(threshold: str | None, liked: int) -> None:
    rows = Interactions.of(np.arange(5), np.arange(5), np.array([1.0, 2, 3, 4, 5]))
    assert len(likes(rows, threshold)) == int(are_likes(rows, threshold).sum()) == liked


def test_a_threshold_needs_ratings(tmp_path: Path) -> None:
    rows = Interactions.of(np.arange(5), np.arange(5))
    with pytest.raises(DataError, match=r"^positive: '>= 4' needs ratings"):
        likes(rows, ">= 4")
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    params = yaml.safe_load(workspace.params.read_text())
    for threshold, rating, rule in (
        (">= 4", None, "needs a column of ratings"),
        ("4", "rating", "'4' must be a threshold such as"),
    ):
        params["datasets"]["tiny"] |= {"positive": threshold}
        params["datasets"]["tiny"]["source"]["columns"]["rating"] = rating
        workspace.params.write_text(yaml.safe_dump(params))
        with pytest.raises(ConfigError, match=rule):
            Params.read(workspace.params)


def test_a_rating_of_nothing_is_no_like_by_silence(tmp_path: Path) -> None:
    rows = taste_blocks()
    assert rows.ratings is not None
    rows = Interactions.of(rows.user_ids, rows.item_ids, rows.ratings - 1, rows.timestamps)
    count = int((rows.ratings <= 0).sum())
    for positive in (None, "all", "> 0"):
        workspace, params = built(tmp_path / str(positive), rows, positive)
        check_likes(workspace, params, "tiny", "bias-lfm")
        if positive is not None:
            check_likes(workspace, params, "tiny", "wmf")
            continue
        line = (
            f"^datasets.tiny.positive: {count} of {len(rows)} ratings are 0 or below, which 'wmf' would learn as likes"
        )
        with pytest.raises(DataError, match=line):
            check_likes(workspace, params, "tiny", "wmf")
    every = builders(workspace, params)["wmf-whole"]
    assert len(every.shard("00")) < len(every.reader.interactions(every.shard_path("00")))


def test_models_of_preferences_are_those_of_the_likes_alone(tmp_path: Path) -> None:
    rows = taste_blocks()
    with_dislikes = builders(*built(tmp_path / "a", rows, ">= 3"))
    of_likes = builders(*built(tmp_path / "b", likes(rows, ">= 3"), None))
    for name in ("wmf-user-hash-3", "wmf-whole", "mostpop-whole"):
        one, other = with_dislikes[name], of_likes[name]
        assert one.shard_names() == other.shard_names()
        for shard in one.shard_names():
            assert one.sub_model(shard).digest == other.sub_model(shard).digest
        assert [one.part(part).digest() for part in ("train", "valid", "test")] == [
            other.part(part).digest() for part in ("train", "valid", "test")
        ]


def test_models_of_ratings_learn_the_dislikes(tmp_path: Path) -> None:
    rows = taste_blocks()
    made = builders(*built(tmp_path / "a", rows, ">= 3"))
    assert made["bias-lfm-whole"].recipe.positive is None
    assert made["wmf-whole"].recipe.positive == ">= 3"
    assert len(made["bias-lfm-whole"].shard("00")) > len(made["wmf-whole"].shard("00"))
    assert made["bias-lfm-whole"].part("test").digest() == made["wmf-whole"].whole_part("test").digest()


def test_a_dislike_is_seen_but_makes_nothing_popular(tmp_path: Path) -> None:
    workspace, params = built(tmp_path / "a", taste_blocks(), ">= 3")
    builder = builders(workspace, params)["mostpop-whole"]
    ensemble = builder.ensemble({name: builder.sub_model(name).key for name in builder.shard_names()})
    package = Package.load(builder.package(ensemble.key, "plain", params).path)
    known = Interactions.concatenate(builder.whole_part("train"), builder.whole_part("valid"))
    liked = likes(known, ">= 3")
    assert 0 < len(liked) < len(known)
    assert int(package.counts.sum()) == int((package.ensemble.catalogue.items.encode(liked.item_ids) >= 0).sum())
    for user in np.unique(known.user_ids)[:5]:
        offered = {item for item, _ in package.recommend(user, 50).items}
        assert offered
        assert not offered & set(known.item_ids[known.user_ids == user])
