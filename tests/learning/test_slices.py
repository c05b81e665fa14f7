"""A shard in slices: a later slice leaves no trace in an earlier stage, and forgetting restarts behind that one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from lethe.build.builder import Builder, slices_before
from lethe.build.recipes import candidate_recipe
from lethe.config.evaluation import Evaluation
from lethe.config.params import Candidate, Params
from lethe.config.sharding import Sharding
from lethe.core.artifacts import Artifact
from lethe.core.random import Stream
from lethe.core.workspace import Workspace
from lethe.data.partition import Assignment, lay_slices
from lethe.data.partition.guarantee import frozen
from lethe.data.stages import build_data
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, DataError
from lethe.forgetting.lineage import live_artifacts
from lethe.forgetting.run import suppress
from lethe.learning.slices import axes, check_slices, resume, slice_config, write_moments
from lethe.learning.sub_model import write_model
from lethe.learning.training import train
from lethe.models import MODELS, configure
from lethe.tables.catalogue import Catalogue
from lethe.tables.interactions import Interactions
from lethe.tables.matrix import Shape
from tests.conftest import make_workspace, taste_blocks

LEARNERS = ["wmf", "bpr", "enmf-u", "lightgcn", "neumf"]
"""Alternating least squares, a sequential solver, Adagrad, Adam over a graph, and a network beside embeddings."""
SLICES = 3


def sliced(folder: Path, rows: Interactions, model: str = "wmf", **layout: object) -> Workspace:
    workspace = make_workspace(folder, rows, (model,))
    params = yaml.safe_load(workspace.params.read_text())
    params["shardings"]["sliced"] = {
        "partition": "user-hash", "num_shards": 2, "aggregator": "mean", "slices": SLICES, **layout
    }  # fmt: skip
    params["models"]["neumf"] = {"epochs": 4}
    workspace.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return workspace


def build(workspace: Workspace, model: str = "wmf") -> tuple[Builder, dict[str, list[Artifact]]]:
    """The stages of each shard, first to last; the last is the sub-model."""
    params = Params.read(workspace.params)
    build_data(workspace, params, "tiny", ["sliced"])
    builder = Builder(workspace, candidate_recipe(workspace, params, "tiny", Candidate(model=model, sharding="sliced")))
    made = {name: builder.sub_model(name) for name in builder.shard_names()}
    return builder, {name: [*slices_before(builder.store, last)[::-1], last] for name, last in made.items()}


def digests(stages: dict[str, list[Artifact]]) -> dict[str, list[str]]:
    return {name: [stage.digest for stage in held] for name, held in stages.items()}


def users_by_place(builder: Builder, stages: dict[str, list[Artifact]]) -> dict[tuple[str, int], list[str]]:
    """{(shard, slice): its users}."""
    found: dict[tuple[str, int], list[str]] = {}
    for name in stages:
        users, slices = builder.shard(name).user_ids, builder.slices(name)
        for user in np.unique(users):
            held = set(slices[users == user])
            assert len(held) == 1, "all rows of a user lie in one slice"
            found.setdefault((name, int(held.pop())), []).append(user)
    return found


@pytest.mark.parametrize("model", LEARNERS)
def test_forgetting_restarts_behind_the_touched_slice_and_equals_never_having_had(model: str, tmp_path: Path) -> None:
    rows = taste_blocks()
    forgetful = sliced(tmp_path / "forgetful", rows, model)
    builder, before = build(forgetful, model)
    places = users_by_place(builder, before)
    assert len(places) == 2 * SLICES
    for place in (("00", 0), ("00", SLICES - 1)):
        gone = places[place][0]
        suppress(forgetful, "tiny", [(gone, ())])
        rows = rows.take(rows.user_ids != gone)
        builder, after = build(forgetful, model)
        _, never = build(sliced(tmp_path / f"never-{place[1]}", rows, model), model)
        assert digests(after) == digests(never)
        same = [a == b for a, b in zip(digests(before)["00"], digests(after)["00"], strict=True)]
        assert same == [stage < place[1] for stage in range(SLICES)]
        assert digests(before)["01"] == digests(after)["01"]
        before = after


def test_a_stage_knows_nobody_of_a_later_slice_and_learns(tmp_path: Path) -> None:
    builder, stages = build(sliced(tmp_path / "w", taste_blocks()))
    places = users_by_place(builder, stages)
    for name, held in stages.items():
        for number, stage in enumerate(held):
            known = sorted(user for (shard, place), users in places.items() if shard == name and place <= number
                           for user in users)  # fmt: skip
            assert Catalogue.read(stage.path).users.values.tolist() == known
    sub_models = {name: held[-1].key for name, held in stages.items()}
    metrics = (
        builder.evaluation(builder.ensemble(sub_models).key, Evaluation(cutoffs=(5,))).file("metrics.json").read_text()
    )
    assert yaml.safe_load(metrics)["valid"]["hr@5"] > 0.3


def test_a_purge_keeps_the_stages_of_what_lives_and_no_other(tmp_path: Path) -> None:
    workspace = sliced(tmp_path / "w", taste_blocks())
    builder, before = build(workspace)
    gone = users_by_place(builder, before)["00", 1][0]
    suppress(workspace, "tiny", [(gone, ())])
    _, after = build(workspace)
    live = live_artifacts(workspace)["tiny"]
    assert {stage.key for held in after.values() for stage in held} <= live
    assert not {before["00"][1].key, before["00"][2].key} & live


@pytest.mark.parametrize("name", LEARNERS)
def test_what_a_stage_knew_goes_on_by_raw_id_whatever_the_positions(name: str, tmp_path: Path) -> None:
    rows = taste_blocks()
    # The first and the last user in order of ids come later, and so do two items: every position moves.
    late = np.isin(rows.user_ids, ["user-000", "user-023"]) | np.isin(rows.item_ids, ["item-000", "item-013"])
    early = rows.take(~late)
    known, whole = Catalogue.of(early), Catalogue.of(rows)
    assert len(known.items) < len(whole.items)
    config = configure(name, {"epochs": 3} if name != "wmf" else {})
    first, second = (MODELS[name](config, catalogue.shape) for catalogue in (known, whole))
    train(first, known.encode(early), Stream(1), saved=tmp_path / "saved")
    write_model(tmp_path, first, known, [])
    write_moments(tmp_path, tmp_path / "saved")
    second.prepare(whole.encode(rows), Stream(2))
    fresh = {n: p.detach().clone() for n, p in second.named_parameters()}
    optimizer = torch.optim.Adam(second.parameters()) if config.solver == "gradient" else None
    resume(tmp_path, whole)(second, optimizer)
    old = {
        axis: torch.from_numpy(getattr(whole, axis).encode(getattr(known, axis).values)) for axis in ("users", "items")
    }
    grew = 0
    for parameter_name, parameter in second.named_parameters():
        along, earlier = axes(second)[parameter_name], first.get_parameter(parameter_name)
        grown = [place for place, axis in enumerate(along) if axis is not None]
        if not grown:
            assert torch.equal(parameter, earlier)
            continue
        assert grown == [0]
        grew += 1
        new = torch.ones(len(parameter), dtype=torch.bool)
        new[old[along[0]]] = False
        assert new.any()
        assert torch.equal(parameter[~new], earlier)
        assert torch.equal(parameter[new], fresh[parameter_name][new])
    assert grew >= 2
    if optimizer is not None:
        written = load_file(tmp_path / "optimizer.safetensors")
        moments = optimizer.state[second.get_parameter("users")]
        place = [n for n, _ in second.named_parameters()].index("users")
        for key in (k for k in moments if f"{place}/{k}" in written and moments[k].dim()):
            assert torch.equal(moments[key][old["users"]], written[f"{place}/{key}"])
        assert any(key.endswith("/step") for key in written)


def test_the_axes_of_a_parameter_are_those_that_grow() -> None:
    assert axes(MODELS["bpr"](configure("bpr", {}), Shape(5, 7))) == {
        "users": ("users", None),
        "items": ("items", None),
    }
    network = axes(MODELS["neumf"](configure("neumf", {}), Shape(5, 7)))
    assert network["g"] == (None,)
    assert network["users"] == ("users", None)


def test_stages_together_cost_one_training() -> None:
    config = slice_config(configure("bpr", {"epochs": 120}), 4, "bpr")
    assert config.epochs == 48  # 48 · (1/4 + 2/4 + 3/4 + 1) = 120
    assert slice_config(configure("wmf", {"sweeps": 10}), 3, "wmf").sweeps == 5
    with pytest.raises(ConfigError, match="slices: 3, but model 'ease' has neither epochs nor sweeps"):
        slice_config(configure("ease", {}), 3, "ease")


def test_a_model_that_counts_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    workspace = sliced(tmp_path / "w", taste_blocks())
    params, candidate = Params.read(workspace.params), Candidate(model="mostpop", sharding="sliced")
    with pytest.raises(ConfigError, match="slices: 3, but model 'mostpop'"):
        candidate_recipe(workspace, params, "tiny", candidate)
    values = {"partition": "user-hash", "num_shards": 2, "aggregator": "mean", "placement": {"by": "requests"}}
    with pytest.raises(ConfigError, match="placement needs at least 2 slices"):
        Sharding.parse(values, "shardings.x")


# --- who lies where ----------------------------------------------------------------------------------------------


def test_a_slice_is_a_function_of_the_user_alone() -> None:
    rows = taste_blocks(users=200)
    slices = lay_slices(rows, 4, Stream(3))
    assert np.bincount(slices).min() > 0.7 * len(rows) / 4
    kept = rows.user_ids != "user-007"
    np.testing.assert_array_equal(lay_slices(rows.take(kept), 4, Stream(3)), slices[kept])
    assert (lay_slices(rows, 4, Stream(4)) != slices).any()


def test_users_who_are_likely_to_leave_lie_last(tmp_path: Path) -> None:
    rows = taste_blocks()
    likely = {f"user-{user:03d}" for user in (1, 4, 9)}
    placement = {"by": "column", "path": "churn.csv", "user": "who", "column": "risk", "at_least": 0.5}
    workspace = sliced(tmp_path / "w", rows, placement=placement)
    lines = [f"user-{user:03d},{0.9 if f'user-{user:03d}' in likely else 0.1}" for user in range(23)]
    (workspace.root / "churn.csv").write_text("\n".join(["who,risk", *lines]) + "\n")
    builder, stages = build(workspace)
    last = {u for (_, place), users in users_by_place(builder, stages).items() if place == SLICES - 1 for u in users}
    assert last == likely
    assert not frozen(builder.recipe.layout), "a value of the user's own moves nobody else"
    (workspace.root / "churn.csv").write_text("who,chance\n")
    with pytest.raises(DataError, match=r"churn.csv: column 'risk' is missing"):
        build(workspace)


def test_users_who_asked_before_lie_last_from_the_next_epoch_on(tmp_path: Path) -> None:
    rows = taste_blocks()
    workspace = sliced(tmp_path / "w", rows, placement={"by": "requests"})
    own = rows.item_ids[rows.user_ids == "user-005"]
    suppress(workspace, "tiny", [("user-005", (own[0],))])
    builder, stages = build(workspace)
    last = {u for (_, place), users in users_by_place(builder, stages).items() if place == SLICES - 1 for u in users}
    assert last == {"user-005"}
    assert frozen(builder.recipe.layout)
    # A request within the epoch moves nobody: the others' slices, and the asker's own, stay.
    placed = Assignment.read(workspace.assignment("tiny", "sliced") / "assignment.parquet")
    suppress(workspace, "tiny", [("user-006", (rows.item_ids[rows.user_ids == "user-006"][0],))])
    assert len(SuppressionList.read(workspace.suppression).entries) == 2
    build(workspace)
    later = Assignment.read(workspace.assignment("tiny", "sliced") / "assignment.parquet")
    where = dict(zip(placed.user_ids, placed.slices, strict=True))
    assert dict(zip(later.user_ids, later.slices, strict=True)) == where


SHAPE = Shape(3, 4, 3, 5, 6, 2, 2, 7)
REFUSED = {"slim": "has no parameters to resume from", "ensfm": "stands for several things"}


@pytest.mark.parametrize("name", [n for n in MODELS if {"epochs", "sweeps"} & set(MODELS[n].Config.model_fields)])
def test_every_model_that_learns_in_epochs_tells_what_its_parameters_run_over_or_is_refused(name: str) -> None:
    config = configure(name, {})
    if name in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[name]):
            check_slices(MODELS[name], config, 2, name)
        return
    check_slices(MODELS[name], config, 2, name)
    model = MODELS[name](config, SHAPE)
    along, sizes = axes(model), {field.removeprefix("num_"): size for field, size in vars(SHAPE).items()}
    for parameter_name, parameter in model.named_parameters():
        for axis, size in zip(along[parameter_name], parameter.shape, strict=True):
            assert axis is None or size == sizes[axis]
    assert {axis for one in along.values() for axis in one} >= {"items"}
