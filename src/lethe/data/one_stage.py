"""``python -m lethe.data.one_stage STAGE DATASET [SHARDING]`` runs one stage, by the runner that params.yaml names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from lethe.config.params import Params
from lethe.core.format import must_fit
from lethe.core.process import FAULT, MAY_PASS
from lethe.core.workspace import Workspace
from lethe.data import copies
from lethe.data.stages import BY_USERS, STAGES
from lethe.errors import ConfigError, LetheError
from lethe.learning.runner.by_params import address, runner
from lethe.learning.runner.calling import HERE, Runner
from lethe.tables.stretches import stretches


def main(arguments: list[str]) -> int:
    """Run one stage; a fault is one line on standard error and exit code 1."""
    try:
        workspace = Workspace.find()
        must_fit(workspace)
        params = Params.read(workspace.params)
        name, dataset, *rest = arguments
        if dataset not in params.datasets:
            raise ConfigError(f"datasets: unknown {dataset!r}; known: {', '.join(params.datasets)}")
        with copies.at_url(workspace, dataset) if name == "source" else nullcontext():
            if name in BY_USERS:
                with _place(workspace, params, dataset) as place:
                    STAGES[name](workspace, params, dataset, *rest, place=place)
            else:
                STAGES[name](workspace, params, dataset, *rest)
    except LetheError as error:
        print(f"{MAY_PASS if error.may_pass else FAULT}{error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _place(workspace: Workspace, params: Params, dataset: str) -> Iterator[Runner]:
    """The cluster that is named, where there is more than one call to make. A local one is none to ask: to start it for
    a stage takes longer than the stage."""
    if address(params) is None or len(stretches(workspace.interactions(dataset))) < 2:
        yield HERE
    else:
        with runner(workspace, params) as place:
            yield place


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
