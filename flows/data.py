"""Bring the data up to date, then let the gates judge them."""

from __future__ import annotations

from flows.command import alone, command
from flows.engine import flow, say, task
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.dvc import repro
from lethe.data.gates import validate_datasets
from lethe.data.stages import suppressed_rows
from lethe.forgetting.standing import check_list


@task(name="repro", outside=True)
def reproduce() -> None:
    repro(Workspace.find())


@task(name="validate")
def validate(datasets: list[str]) -> None:
    validate_datasets(Workspace.find(), datasets)


@flow(name="data")
@alone
def data() -> None:
    """``dvc repro``, then the gates of every dataset that changed; a failed gate stops the flow."""
    workspace = Workspace.find()
    check_list(workspace)
    reproduce()
    datasets = list(Params.read(workspace.params).pipeline.datasets)
    validate(datasets)
    for dataset in datasets:
        if rows := suppressed_rows(workspace, dataset):
            say(f"{dataset}: {rows} rows of the source were kept out, because the suppression list names them")


if __name__ == "__main__":
    command(data)
