"""Train every candidate of every family from the shards up, and register the winners."""

from __future__ import annotations

from typing import Any

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


@task(name="sub-model")
def sub_model(job: Job, shard: str) -> str:
    """Key of the trained sub-model of a shard."""
    return job.sub_model(Workspace.find(), shard).key


@task(name="candidate")
def candidate(job: Job, sub_models: dict[str, Any]) -> Outcome:
    workspace = Workspace.find()
    return finish(workspace, Params.read(workspace.params), job, sub_models)


@task(name="promote")
def promote(outcomes: list[Outcome], rebuilt: bool) -> dict[str, str]:
    """Tags of what each family serves from now on."""
    workspace = Workspace.find()
    versions = promote_winners(workspace, Params.read(workspace.params), outcomes, rebuilt=rebuilt)
    return {family: version.tag for family, version in versions.items()}


def _watch(futures: list[PrefectFuture[str]]) -> None:
    for future in tqdm(as_completed(futures), total=len(futures), desc="sub-models", unit="model"):
        future.result()  # What went wrong in a task is raised here, as itself.


@flow(name="training")
@alone
def training(datasets: list[str] | None = None) -> dict[str, str]:
    """With ``datasets``: rebuild and replace what is served from them (after a forget request), nothing else."""
    workspace = Workspace.find()
    planned = jobs(workspace, Params.read(workspace.params), datasets)
    data()
    trained = [{s: sub_model.submit(job, s) for s in job.builder(workspace).shard_names()} for job in planned]
    outcomes = [candidate.submit(job, models) for job, models in zip(planned, trained, strict=True)]
    _watch([future for models in trained for future in models.values()])
    return promote([outcome.result() for outcome in outcomes], rebuilt=datasets is not None)


def run(datasets: list[str] | None = None) -> dict[str, str]:
    """The flow with as many workers as params.yaml says."""
    workers = Params.read(Workspace.find().params).training.workers
    runner: Any = ThreadPoolTaskRunner(max_workers=workers)
    return training.with_options(task_runner=runner)(datasets)


if __name__ == "__main__":
    command(run)
