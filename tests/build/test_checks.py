"""What params.yaml says of training is looked at before any stage runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lethe.build.candidates import jobs
from lethe.build.checks import check_held_out
from lethe.config.params import Params
from lethe.core import memory
from lethe.core.memory import free_memory
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError, DataError
from lethe.learning import memory as fitting
from tests.conftest import ROOT


def edited(workspace: Workspace, change: Callable[[dict[str, Any]], None]) -> Params:
    values = yaml.safe_load(workspace.params.read_text())
    change(values)
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return Params.read(workspace.params)


def candidate(model: str, sharding: str = "whole") -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        values["families"]["plain"]["candidates"] = [{"model": model, "sharding": sharding}]

    return change


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        *above, last = path.split("/")
        for part in above:
            values = values[part]
        values[last] = value

    return change


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for one in changes:
            one(values)

    return change


def split(**settings: Any) -> Callable[[dict[str, Any]], None]:
    return put("datasets/tiny/split", settings)


PARTS = {"kind": "folder", "path": ".", "columns": {"rating": "rating", "timestamp": "timestamp"}}
COLUMNS = "datasets/tiny/source/columns"
NEW_ITEMS = {"item_features": {"path": "items.csv", "fields": {"kind": {}}, "new_items": True}}
SHARDED = [{"model": "ensfm", "sharding": "user-hash-3"}, {"model": "wmf", "sharding": "whole"}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (candidate("wmff"), r"unknown model 'wmff' \(did you mean 'wmf'\?\)"),
        (
            candidate("light_gcn"),
            r"candidates\.0\.model: 'light_gcn' must be a name of lower-case letters, digits and hyphens",
        ),
        (put("models/easee", {}), r"unknown model 'easee' \(did you mean 'ease'\?\)"),
        (put("models/wmf", {"embeding_dim": 8}), r"unknown key \(did you mean 'embedding_dim'\?\)"),
        (put("aggregators/attenton", {}), r"unknown aggregator 'attenton' \(did you mean 'attention'\?\)"),
        (put("aggregators/attention", {"dropout": 2}), r"^aggregators\.attention\.dropout: 2"),
        (put("shardings/mean-3/partition", "userhash"), r"did you mean 'user-hash'"),
        (
            put("shardings/mean-3/centroids", "scalar"),
            r"^shardings\.mean-3\.centroids: 'scalar' is for partitions whose",
        ),
        (put("shardings/mean-3/cap", "overshoot"), r"^shardings\.mean-3\.cap: 'overshoot' is for balanced partitions"),
        (put("shardings/mean-3/aggregator", "men"), r"did you mean 'mean'"),
        (put("families/plain/dataset", "tinny"), r"did you mean 'tiny'"),
        (
            put("training", {"metric": "ndgc@10"}),
            r"^training\.metric: 'ndgc@10' is not measured; measured are .*ndcg@10",
        ),
        (candidate("ease", "user-hash-3"), r"aggregator: attention is for sub-models of models with two towers"),
        (
            candidate("eatnn"),
            r"eatnn learns from links, which dataset 'tiny' doesn't have; .*datasets\.tiny\.side\.links",
        ),
        (candidate("jnskr"), r"jnskr learns from triples, .*or choose another model$"),
        (both(candidate("gru4rec"), put(f"{COLUMNS}/timestamp", None)), r"gru4rec learns from timestamps"),
        (both(candidate("lfm"), put(f"{COLUMNS}/rating", None)), r"lfm learns from ratings"),
        (
            both(put("datasets/tiny/split", {"by": "newest"}), put(f"{COLUMNS}/timestamp", None)),
            r"^datasets\.tiny\.split: 'newest' goes by time, but the source has none",
        ),
        (split(by="random", valid=0), r"^datasets\.tiny\.split\.valid: must be above 0, got 0: without validation"),
        (split(by="random", test=0), r"^datasets\.tiny\.split\.test: must be above 0, got 0: without test rows"),
        (split(by="newest", valid=0), r"^datasets\.tiny\.split\.valid: must be above 0"),
        (split(by="newest", test_from=9), r"^datasets\.tiny\.split\.valid_from: must be a time before test_from \(9\)"),
        (split(by="leave-one-out", valid=False), r"^datasets\.tiny\.split\.valid: must be true, got false"),
        (
            both(put("datasets/tiny/source", PARTS), split(by="ready", valid=0)),
            r"^datasets\.tiny\.split\.valid: must be above 0, got 0 \(or name a file in source\.valid\)",
        ),
        (
            both(put("datasets/tiny/side", NEW_ITEMS), put("families/plain/candidates", SHARDED)),
            r"^datasets\.tiny\.side\.item_features\.new_items: true, but no .* one of ensfm, fm, nfm, deepfm, cfm in a "
            r"sharding whose aggregator is identity or mean or static, or leave it out$",
        ),
    ],
)
def test_a_fault_is_one_line_with_a_way_out(
    tiny: Workspace, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        jobs(tiny, edited(tiny, change))
    assert "\n" not in str(caught.value)
    assert not (tiny.root / "data").exists()


def test_a_split_that_leaves_no_row_to_compare_by_is_told_before_anything_is_learnt(tiny: Workspace) -> None:
    params = edited(tiny, split(by="random", valid=1e-9))
    build_data(tiny, params, "tiny", ["whole"])
    with pytest.raises(DataError, match=r"^datasets\.tiny\.split: leaves 0 rows for validation, at least 1 is needed"):
        check_held_out(tiny, "tiny")


def test_new_items_need_one_candidate_that_recommends_them(tiny: Workspace) -> None:
    change = both(candidate("ensfm"), put("datasets/tiny/side", NEW_ITEMS))
    assert [job.recipe.model for job in jobs(tiny, edited(tiny, change))] == ["wmf", "ensfm"]


def test_the_repositorys_own_params_pass() -> None:
    workspace = Workspace(ROOT)
    assert len(jobs(workspace, Params.read(workspace.params))) > 20


def test_what_needs_more_memory_than_there_is_is_refused_before_and_while_it_learns(
    tiny: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = edited(tiny, candidate("ease"))
    build_data(tiny, params, "tiny", ["whole"])
    needed = 2 * 8 * 20**2
    monkeypatch.setattr(fitting, "free_memory", lambda: needed)
    assert len(jobs(tiny, params)) == 2
    monkeypatch.setattr(fitting, "free_memory", lambda: needed - 1)
    with pytest.raises(
        ConfigError, match=r"^families\.plain: ease: 20 items need 0 GB, 0 are free; use sparse-ease, slim or item-knn"
    ):
        jobs(tiny, params)
    (job,) = [job for job in jobs_unchecked(tiny, params) if job.recipe.model == "ease"]
    monkeypatch.setattr(fitting, "free_memory", lambda: 0)
    with pytest.raises(ConfigError, match=r"^EASE: 20 items need"):
        job.sub_model(tiny, "00")


def jobs_unchecked(workspace: Workspace, params: Params) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lethe.build.candidates.check_params", lambda *_: None)
        return jobs(workspace, params)


def test_free_memory_keeps_to_the_containers_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = memory.psutil.virtual_memory().available
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > machine // 2
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    assert free_memory(tmp_path) == 1300
