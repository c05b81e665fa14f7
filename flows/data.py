"""Bring the data up to date, then let the gates judge them."""

from __future__ import annotations

from prefect import flow, task

from flows.command import alone, command
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.dvc import repro
from lethe.data.gates import validate_dataset


@task(name="repro")
def reproduce() -> None:
    repro(Workspace.find())


@task(name="validate", task_run_name="validate-{dataset}")
def validate(dataset: str) -> None:
    validate_dataset(Workspace.find(), dataset)


@flow(name="data")
@alone
def data() -> None:
    """``dvc repro``, then the Great Expectations suites of every dataset; a failed gate stops the flow."""
    reproduce()
    for dataset in Params.read(Workspace.find().params).pipeline.datasets:
        validate(dataset)


if __name__ == "__main__":
    command(data)
