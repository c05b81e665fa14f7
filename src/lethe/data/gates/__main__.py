"""``python -m lethe.data.gates DATASET``: every gate of a dataset; exit code 1 and one line where one fails."""

from __future__ import annotations

import shutil
import sys

from lethe.config.params import Params
from lethe.core.reports import write_text
from lethe.core.workspace import Workspace
from lethe.data.gates.engine import Engine
from lethe.data.gates.epoch import read_epoch, write_epoch
from lethe.data.gates.report import Report, require, summary
from lethe.data.gates.side import validate_shard_side, validate_side
from lethe.data.gates.suites import validate_interactions, validate_shards, validate_split
from lethe.data.split import PARTS
from lethe.data.stages import training_tables
from lethe.data.suppression import SuppressionList
from lethe.errors import ConfigError, LetheError
from lethe.tables.interactions import Interactions
from lethe.tables.side_tables import SideTables


def judge(workspace: Workspace, params: Params, dataset: str) -> list[Report]:
    """Run the gates in order up to the first that fails; write the summary, Data Docs and (all passed) the counts.

    An epoch of a dataset begins with the first data that pass; what is counted then is what later data are held
    against; rows that were forgotten since are not missed. Removing .lethe/epochs/DATASET.json begins a new one.
    """
    epoch = read_epoch(workspace, dataset)
    docs = workspace.reports / "validation" / "data_docs" / dataset
    shutil.rmtree(docs, ignore_errors=True)
    engine = Engine(docs)
    config = params.datasets[dataset]
    reports: list[Report] = []
    fault: str | None = None

    def passed(report: Report) -> None:
        reports.append(report)
        require(report)

    try:
        whole = Interactions.read(workspace.interactions(dataset))
        listed = SuppressionList.read(workspace.suppression)
        suppressed = listed.matches(whole, dataset)
        passed(
            validate_interactions(
                whole, config, params.validation, epoch.get("interactions"), suppressed=suppressed, engine=engine
            )
        )
        tables = SideTables.read(workspace.side(dataset))
        if tables:
            allowed = listed.drop_side(tables, dataset)
            passed(validate_side(tables, whole, allowed, engine=engine))
        parts = {part: Interactions.read(workspace.split(dataset, part)) for part in PARTS}
        passed(validate_split(parts, whole, engine=engine))
        for sharding in params.pipeline.shardings:
            layout = params.shardings[sharding]
            paths = sorted(workspace.shards(dataset, sharding).glob("*.parquet"))
            shards = [Interactions.read(path) for path in paths]
            # Another layout of the same name is another epoch of it.
            begun = epoch["train"].get(layout.digest())
            passed(validate_shards(shards, parts["train"], layout, begun, name=f"shards-{sharding}", engine=engine))
            if tables:
                clean = training_tables(workspace, params, dataset)
                beside = [
                    (rows, SideTables.read(workspace.shard_side(dataset, sharding, path.stem)))
                    for path, rows in zip(paths, shards, strict=True)
                ]
                passed(validate_shard_side(beside, clean, name=f"side-{sharding}", engine=engine))
            epoch["train"].setdefault(layout.digest(), len(parts["train"]))
    except LetheError as error:
        fault = str(error)
        raise
    finally:
        write_text(workspace, f"validation/{dataset}.txt", summary(dataset, reports, fault))
        engine.write_docs()
    epoch.setdefault("interactions", len(whole))
    write_epoch(workspace, dataset, epoch)
    return reports


def main(arguments: list[str]) -> int:
    """Judge one dataset of the workspace around the current folder."""
    try:
        workspace = Workspace.find()
        params = Params.read(workspace.params)
        if len(arguments) != 1 or arguments[0] not in params.datasets:
            raise ConfigError(f"dataset: must be one of {', '.join(params.datasets)}, got {' '.join(arguments)!r}")
        judge(workspace, params, arguments[0])
    except LetheError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
