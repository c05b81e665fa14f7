"""``python -m lethe.data.gates DATASET...``: every gate of each; exit code 1 and one line where one fails."""

from __future__ import annotations

import shutil
import sys

import pyarrow.parquet as pq

from lethe.config.params import Params
from lethe.config.sharding import ROWS
from lethe.core.workspace import Workspace
from lethe.data.drift import write_drift
from lethe.data.gates.engine import Engine
from lethe.data.gates.epoch import Epoch, current_epoch, write_epoch
from lethe.data.gates.passed import forget_passed, pages, remember_passed, tables_digest
from lethe.data.gates.report import Report, Verdict, require
from lethe.data.gates.table import GATES, Judged
from lethe.errors import ConfigError, LetheError


def judge(workspace: Workspace, params: Params, dataset: str) -> list[Report]:
    """Run the gates in order up to the first that fails; write the summary, Data Docs and (all passed) the counts.

    An epoch of a dataset begins with the first data that pass; what is counted then is what later data are held
    against; rows that were forgotten since are not missed. ``lethe epoch begin`` begins the next.
    """
    *_, docs = pages(workspace, dataset)
    forget_passed(workspace, dataset)
    tables = tables_digest(workspace, params, dataset)
    shutil.rmtree(docs, ignore_errors=True)
    engine = Engine(docs)
    epoch = current_epoch(workspace, dataset, params.datasets[dataset].epoch)
    judged = Judged(workspace, params, dataset, epoch, engine)
    reports: list[Report] = []
    fault: str | None = None
    try:
        for gate in GATES.values():
            for report in gate(judged):
                reports.append(report)
                require(report)
    except LetheError as error:
        fault = str(error)
        raise
    finally:
        Verdict(dataset=dataset, fault=fault, suites=tuple(reports)).write(workspace)
        engine.write_docs()
    counts = _counts(judged)
    write_drift(workspace, params, dataset, counts.epoch, counts.shape, judged.look.tally.shape)
    write_epoch(workspace, dataset, counts)
    remember_passed(workspace, params, dataset, tables)
    return reports


def _counts(judged: Judged) -> Epoch:
    """The epoch's counts: those of its beginning, and of what joined it today."""
    layouts = [judged.params.shardings[name].digest() for name in judged.params.pipeline.shardings]
    begun = judged.epoch
    there = {of: pq.read_metadata(judged.rows(of)).num_rows for of in ROWS}
    train, everything = (dict.fromkeys(layouts, there[of]) for of in ROWS)
    rows = there["all"] if begun.interactions is None else begun.interactions
    return Epoch(
        epoch=begun.epoch,
        interactions=rows,
        train=train | begun.train,
        all=everything | begun.all,
        shape=begun.shape or judged.look.tally.shape,
        newest=begun.newest if begun.shape else judged.look.tally.newest,
    )


def main(arguments: list[str]) -> int:
    """Judge datasets of the workspace around the current folder."""
    try:
        workspace = Workspace.find()
        params = Params.read(workspace.params)
        unknown = [name for name in arguments if name not in params.datasets]
        if unknown or not arguments:
            raise ConfigError(f"dataset: must be one of {', '.join(params.datasets)}, got {' '.join(unknown)!r}")
        for dataset in arguments:
            judge(workspace, params, dataset)
    except LetheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
