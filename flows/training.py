"""Train every candidate of every family from the shards up, then each winner on all rows, and register that."""

from __future__ import annotations

from typing import cast

from tqdm import tqdm

from flows.command import alone, command
from flows.data import data
from flows.engine import PrefectFuture, as_completed, flow, say, table, task
from lethe.build.candidates import Job, Outcome, finish, jobs, train_shard
from lethe.build.checks import check_held_out, check_likes
from lethe.build.decision import Decision
from lethe.build.promotion import promote_winners, settle_all
from lethe.build.settling import Settled
from lethe.config.params import Params
from lethe.core import logs
from lethe.core.shipped import call_flow
from lethe.core.workspace import Workspace
from lethe.forgetting.known_tables import remember
from lethe.learning.runner.by_params import calls_at_once, runner
from lethe.learning.runner.calling import Runner
from lethe.tables.reader import Reader

OF = "{job.recipe.dataset}/{job.recipe.name}, {job.recipe.rows} rows"
"""How a server calls what is done for a job."""


@task(name="sub-model", task_run_name=f"sub-model {{shard}} of {OF}")
def sub_model(job: Job, shard: str, reader: Reader, place: Runner) -> str:
    """Key of the trained sub-model of a shard."""
    return place.call(train_shard, Workspace.find(), job, shard, reader)


@task(name="candidate", task_run_name=f"candidate {OF}")
def candidate(job: Job, sub_models: dict[str, str], reader: Reader, place: Runner) -> Outcome:
    workspace = Workspace.find()
    return place.call(finish, workspace, Params.read(workspace.params), job, sub_models, reader)


@task(name="enough rows")
def enough_rows(planned: list[Job]) -> None:
    """Something is liked, and something held out, before anything is trained."""
    workspace = Workspace.find()
    params = Params.read(workspace.params)
    for job in planned:
        check_likes(workspace, params, job.recipe.dataset, job.recipe.model)
    for dataset in dict.fromkeys(job.recipe.dataset for job in planned if job.compared):
        check_held_out(workspace, dataset)


@task(name="choose")
def choose(outcomes: list[Outcome], rebuilt: bool, reader: Reader) -> list[Settled]:
    workspace = Workspace.find()
    return settle_all(workspace, Params.read(workspace.params), outcomes, rebuilt=rebuilt, reader=reader)


@task(name="promote")
def promote(
    settled: list[Settled], built: list[Outcome], trained: list[Outcome], rebuilt: bool, reader: Reader
) -> list[Decision]:
    """What the training came to in each family."""
    workspace = Workspace.find()
    params = Params.read(workspace.params)
    return promote_winners(workspace, params, settled, built, trained, rebuilt=rebuilt, reader=reader)


def _watch(futures: list[PrefectFuture[str]]) -> None:
    # A bar of progress is no line, so where lines are objects there is none.
    bar = tqdm(as_completed(futures), total=len(futures), desc="sub-models", unit="model", disable=logs.as_json())
    for future in bar:
        future.result()  # What went wrong in a task is raised here, as itself.


def _at_once() -> int:
    return calls_at_once(Params.read(Workspace.find().params))


@flow(name="training", workers=_at_once)
@alone
def training(datasets: list[str] | None = None) -> list[Decision]:
    """With ``datasets``: rebuild and replace what is served from them (after a forget request), nothing else."""
    workspace = Workspace.find()
    params = Params.read(workspace.params)
    planned = jobs(workspace, params, datasets)
    with runner(workspace, params) as place:
        decisions = _trained(planned, datasets, place)
    for decision in decisions:
        say(decision)
    table("promotions", [decision.plain() for decision in decisions], "What the training came to in each family")
    return decisions


def _trained(planned: list[Job], datasets: list[str] | None, place: Runner) -> list[Decision]:
    reader, rebuilt = Reader(), datasets is not None
    call_flow(data, datasets)
    if not rebuilt:
        enough_rows(planned)
    trained = _train(planned, reader, place)
    if not rebuilt:
        _show(trained)
    settled = choose(trained, rebuilt, reader)
    built = trained if rebuilt else _train([one.job for one in settled if one.job is not None], reader, place)
    decisions = cast("list[Decision]", promote(settled, built, trained, rebuilt, reader))
    if not rebuilt:
        # What was digested for training isn't read for the first request to forget.
        remember(Workspace.find(), reader)
    return decisions


def _show(candidates: list[Outcome]) -> None:
    workspace = Workspace.find()
    table("candidates", [one.row(workspace) for one in candidates], "Candidates by their validation metrics")


def _train(planned: list[Job], reader: Reader, place: Runner) -> list[Outcome]:
    """Sub-models in parallel, then what is made of them."""
    workspace = Workspace.find()
    shards = [job.builder(workspace, reader).shard_names() for job in planned]
    trained = [
        {s: sub_model.submit(job, s, reader, place) for s in names} for job, names in zip(planned, shards, strict=True)
    ]
    outcomes = [
        candidate.submit(job, cast("dict[str, str]", models), reader, place)
        for job, models in zip(planned, trained, strict=True)
    ]
    _watch([future for models in trained for future in models.values()])
    return [outcome.result() for outcome in outcomes]


if __name__ == "__main__":
    command(training)
