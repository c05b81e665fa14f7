"""The steps of the flows in this process, without Prefect and without a service: for tests of what the steps do."""

from __future__ import annotations

from lethe.build.candidates import Job, Outcome, finish, jobs
from lethe.build.checks import check_held_out, check_likes
from lethe.build.decision import Decision
from lethe.build.promotion import promote_winners, settle_all
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.forgetting import completion, erasure, intake
from lethe.forgetting import run as runs
from lethe.forgetting.run import Run
from lethe.tables.reader import Reader


def train(workspace: Workspace, datasets: list[str] | None = None) -> list[Decision]:
    """Data, candidates, winners; with ``datasets`` what is served from them is rebuilt and replaced."""
    params = Params.read(workspace.params)
    for dataset in params.pipeline.datasets:
        build_data(workspace, params, dataset, list(params.pipeline.shardings))
    reader = Reader()
    for job in jobs(workspace, params) if datasets is None else ():
        check_likes(workspace, params, job.recipe.dataset, job.recipe.model)
        check_held_out(workspace, job.recipe.dataset)
    trained = [build(workspace, params, job, reader) for job in jobs(workspace, params, datasets)]
    return promote(workspace, params, trained, rebuilt=datasets is not None, reader=reader)


def build(workspace: Workspace, params: Params, job: Job, reader: Reader | None = None) -> Outcome:
    """A job's sub-models, and what is made of them."""
    names = job.builder(workspace, reader).shard_names()
    sub_models = {name: job.sub_model(workspace, name, reader).key for name in names}
    return finish(workspace, params, job, sub_models, reader)


def promote(
    workspace: Workspace,
    params: Params,
    trained: list[Outcome],
    *,
    rebuilt: bool = False,
    reader: Reader | None = None,
) -> list[Decision]:
    """Winners chosen, built on all rows and registered."""
    settled = settle_all(workspace, params, trained, rebuilt=rebuilt, reader=reader)
    built = trained if rebuilt else [build(workspace, params, s.job, reader) for s in settled if s.job is not None]
    return promote_winners(workspace, params, settled, built, trained, rebuilt=rebuilt, reader=reader)


def ask(workspace: Workspace, *users: str, items: tuple[str, ...] = ()) -> list[str]:
    """Ids of accepted requests."""
    return [intake.submit(workspace, None, user, items).id for user in users]


def rebuild(workspace: Workspace, reader: Reader | None = None) -> Run:
    """A forget run up to the point where what is served no longer knows the subjects."""
    reader = reader or Reader()
    run = runs.begin(workspace, reader=reader)
    assert run is not None
    runs.remove_rows(workspace, run)
    train(workspace, list(run.datasets))
    runs.confirm(workspace, run, reader)
    return run


def forget(workspace: Workspace, *users: str, items: tuple[str, ...] = ()) -> list[str]:
    """Requests taken and fulfilled; their ids."""
    ids = ask(workspace, *users, items=items)
    fulfil(workspace)
    return ids


def fulfil(workspace: Workspace) -> None:
    """A whole forget run."""
    reader = Reader()
    completion.complete(workspace, erasure.erase(workspace, rebuild(workspace, reader), reader), reader=reader)
