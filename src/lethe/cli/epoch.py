"""``lethe epoch``: begin a new epoch of the data."""

from __future__ import annotations

from typing import Annotated

import typer

from lethe.cli.common import Commands, Json, show, workspace

app = Commands(no_args_is_help=True, help="Epochs of the data: shards, choices and counts are kept for one.")


@app.callback()
def epoch() -> None:
    """Epochs of the data: shards, choices and counts are kept for one."""


@app.command("begin")
def begin(
    dataset: Annotated[str | None, typer.Argument(help="Dataset; may be left out where there is one.")] = None,
    as_json: Json = False,
) -> None:
    """Begin a new epoch: the next train lays shards anew, chooses winners anew and counts rows anew."""
    from lethe.config.tuned import tuned_models
    from lethe.data.epoch import begin_epoch

    name, number = begin_epoch(workspace(), dataset)
    tuned = tuned_models(workspace(), name)
    lines = [f"params.yaml: epoch {number} of {name} begins; run lethe train"]
    if tuned:
        lines.append(f"note: params/{name} holds values that were tuned before, of {', '.join(tuned)}; tune them again")
    show({"dataset": name, "epoch": number, "tuned_before": tuned}, as_json, lines)
