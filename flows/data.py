"""Bring the data up to date, then let the gates judge them."""

from __future__ import annotations

from flows.command import alone, command
from flows.engine import flow, say, table, task
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.drift import read_drift
from lethe.data.dvc import repro
from lethe.data.gates import validate_datasets
from lethe.data.stages import suppressed_rows
from lethe.forgetting.standing import check_list
from lethe.tables.drift import Drift


@task(name="repro", outside=True)
def reproduce(datasets: list[str] | None) -> None:
    repro(Workspace.find(), datasets)


@task(name="validate")
def validate(datasets: list[str]) -> None:
    validate_datasets(Workspace.find(), datasets)


@flow(name="data")
@alone
def data(touched: list[str] | None = None) -> None:
    """``dvc repro``, then the gates of every dataset that changed; a failed gate stops the flow. With ``touched``: of
    these datasets alone, so that nothing about another one holds up a request to forget."""
    workspace = Workspace.find()
    check_list(workspace)
    known = Params.read(workspace.params).pipeline.datasets
    datasets = [name for name in known if touched is None or name in touched]
    say(f"data: stages of {', '.join(datasets)}")
    reproduce(touched)
    validate(datasets)
    _show(read_drift(workspace, datasets))
    for dataset in datasets:
        if rows := suppressed_rows(workspace, dataset):
            say(f"{dataset}: {rows} rows of the source were kept out, because the suppression list names them")


def _show(drifts: list[Drift]) -> None:
    """How far each dataset has moved since its epoch began."""
    for drift in drifts:
        for moved in drift.above:
            say(f"{drift.dataset} has moved since epoch {drift.epoch} began: {moved}")
    rows = [{"dataset": drift.dataset, **moved.plain()} for drift in drifts for moved in drift.moved]
    table("drift", rows, "Data of this run against those that the epoch began with")


if __name__ == "__main__":
    command(data)
