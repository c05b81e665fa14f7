"""Train every candidate of every family from the shards up, and register the winners."""

from __future__ import annotations

from typing import Any, cast

from prefect import flow, task
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner
from tqdm import tqdm

from flows.command import alone, command
from flows.data import data
from lethe.build.candidates import Job, Outcome, finish, jobs
from lethe.build.promotion import promote_winners
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.tables.reader import Reader


@task(name="sub-model")
def sub_model(job: Job, shard: str, reader: Reader) -> str:
    """Key of the trained sub-model of a shard."""
    return job.sub_model(Workspace.find(), shard, reader).key


@task(name="candidate")
def candidate(job: Job, sub_models: dict[str, str], reader: Reader) -> Outcome:
    workspace = Workspace.find()
    return finish(workspace, Params.read(workspace.params), job, sub_models, reader)


@task(name="promote")
def promote(outcomes: list[Outcome], rebuilt: bool, reader: Reader) -> dict[str, str]:
    """Tags of what each family serves from now on."""
    workspace = Workspace.find()
    versions = promote_winners(workspace, Params.read(workspace.params), outcomes, rebuilt=rebuilt, reader=reader)
    return {family: version.tag for family, version in versions.items()}


def _watch(futures: list[PrefectFuture[str]]) -> None:
    for future in tqdm(as_completed(futures), total=len(futures), desc="sub-models", unit="model"):
        future.result()  # What went wrong in a task is raised here, as itself.


@flow(name="training")
@alone
def training(datasets: list[str] | None = None) -> dict[str, str]:
    """With ``datasets``: rebuild and replace what is served from them (after a forget request), nothing else."""
    workspace = Workspace.find()
    planned, reader = jobs(workspace, Params.read(workspace.params), datasets), Reader()
    data()
    shards = [job.builder(workspace, reader).shard_names() for job in planned]
    trained = [{s: sub_model.submit(job, s, reader) for s in names} for job, names in zip(planned, shards, strict=True)]
    outcomes = [
        candidate.submit(job, cast("dict[str, str]", models), reader)
        for job, models in zip(planned, trained, strict=True)
    ]
    _watch([future for models in trained for future in models.values()])
    return promote([outcome.result() for outcome in outcomes], datasets is not None, reader)


def run(datasets: list[str] | None = None) -> dict[str, str]:
    """The flow with as many workers as params.yaml says."""
    workers = Params.read(Workspace.find().params).training.workers
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    return training.with_options(task_runner=runner)(datasets)


if __name__ == "__main__":
    command(run)
