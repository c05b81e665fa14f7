"""Commands of seconds and memory: beside other programs, on a GPU, as data grow, of a request to forget."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.common import (
    DATA,
    RESULTS,
    WORK,
    AsJson,
    Commit,
    DataDir,
    publish,
    say,
    this_command,
    timed,
)
from lethe.errors import ConfigError

app = typer.Typer()


@app.command()
def peers(
    only: Annotated[
        list[str] | None, typer.Option(help="evaluation, epoch, forgetting, implicit, lenskit, recbole, large.")
    ] = None,
    data_dir: DataDir = DATA,
    commit: Commit = False,
) -> None:
    """Run other programs and ours in turn on ml-1m-receraser and print the ratios: reports/tables/peers.{json,md}.

    With --only, the other rows of the committed report stay as they are.
    """
    from benchmarks.collaborative import read_split
    from benchmarks.peers import PARTS, compare_all

    for name in only or []:
        if name not in PARTS:
            raise ConfigError(f"--only: unknown part {name!r}; known parts: {', '.join(PARTS)}")
    split = read_split(data_dir, "ml-1m-receraser")
    committed = RESULTS / "peers.json"
    before = json.loads(committed.read_text(encoding="utf-8")) if only and committed.is_file() else None
    report, text = compare_all(split, WORK, only or list(PARTS), this_command(), typer.echo, before)
    publish(timed(report), text, commit=commit)


@app.command()
def gpu(
    data_dir: DataDir = DATA,
    interpret: Annotated[bool, typer.Option(help="Only the kernels, in Triton's interpreter, without a GPU.")] = False,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """What a GPU gives again, how near it is to the CPU and how fast: reports/tables/gpu.{json,md}."""
    from benchmarks import gpu as card
    from benchmarks.page import page
    from lethe.learning.device import fault

    if interpret:
        typer.echo(json.dumps(card.interpret(), indent=1))
        return
    if (reason := fault()) is not None:
        typer.echo(f"{card.NO_GPU} ({reason})")
        return
    report = {"table": "gpu", "command": this_command(), **card.measure(data_dir, say)}
    publish(report, page("gpu", f"`{report['command']}`", *card.blocks(report)), as_json, commit)


@app.command()
def growth(
    size: Annotated[
        list[int] | None, typer.Option(help="Interactions; repeatable. Default: 0.1 to 10 million.")
    ] = None,
    commit: Commit = False,
) -> None:
    """Time and memory of the exact solver and of evaluation as the data grow: reports/tables/growth.{json,md}."""
    from benchmarks.growth import SIZES, measure, report

    contents, text = report(measure(size or SIZES, typer.echo), this_command())
    publish(timed(contents), text, commit=commit)


@app.command("partition-scale")
def partition_scale(
    rows: Annotated[int, typer.Option(help="Interactions to make.")] = 10_000_000,
    commit: Commit = False,
) -> None:
    """Seconds and peak memory of every partition on made interactions: reports/tables/partition-scale.{json,md}."""
    from benchmarks.partition_scale import measure, report

    figures = measure(rows, WORK / f"partition-scale-{rows}", typer.echo)
    made, text = report(rows, figures, this_command())
    publish(timed(made), text, commit=commit)


@app.command()
def scale(
    size: Annotated[list[int] | None, typer.Option(help="Rows; repeatable. Default: 1, 10 and 100 million.")] = None,
    whole: Annotated[int, typer.Option(help="Rows of the log that goes the whole way; 0: none does.")] = 20_000_000,
    anew: Annotated[bool, typer.Option(help="Measure again what was measured.")] = False,
    commit: Commit = False,
) -> None:
    """Data stages, gates, a model and a deletion up to 100 million rows: reports/tables/scale.{json,md}. What was
    measured is kept, so that a run that was stopped is resumed."""
    from benchmarks import scale_whole
    from benchmarks.scale import SIZES, measure, report

    folder = WORK / "scale"
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    figures = [row for rows in sorted(size or SIZES) for row in measure(rows, folder / str(rows), typer.echo)]
    way = scale_whole.measure(whole, folder / f"whole-{whole}", typer.echo) if whole else []
    made, text = report(figures, way, this_command())
    publish(timed(made), text, commit=commit)


@app.command()
def workers(
    rows: Annotated[int, typer.Option(help="Interactions to make.")] = 1_000_000,
    size: Annotated[list[int] | None, typer.Option(help="Workers of a cluster; repeatable. Default: 1 and 2.")] = None,
    repeats: Annotated[int, typer.Option(help="Clusters of each size, in turn.")] = 3,
    commit: Commit = False,
) -> None:
    """Seconds to train all shards by one worker of a Dask cluster and by several: reports/tables/workers.{json,md}."""
    from benchmarks.workers import measure, report

    figures = measure(rows, WORK / f"workers-{rows}", sorted({1, 2, *(size or [])}), repeats, typer.echo)
    made, text = report(rows, figures, this_command())
    publish(timed(made), text, commit=commit)


@app.command()
def threads(
    rows: Annotated[int, typer.Option(help="Interactions to make.")] = 1_000_000,
    repeats: Annotated[int, typer.Option(help="Runs of each number of threads, in turn.")] = 3,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """What one model and its evaluation take by one thread and by two: reports/tables/threads.{json,md}."""
    from benchmarks import threads as several

    figures = several.measure(rows, repeats, say)
    contents, text = several.report(figures, this_command())
    publish(timed(contents), text, as_json, commit)


@app.command()
def forget_time(
    size: Annotated[list[int] | None, typer.Option(help="Rows; repeatable. Default: 0.1, 1 and 10 million.")] = None,
    ids: Annotated[list[str] | None, typer.Option(help="integers, text or demo; repeatable. Default: all.")] = None,
    again: Annotated[bool, typer.Option(help="Measure rows again that are there already.")] = False,
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """Where the time of one request goes as tables grow: reports/tables/forget-time.{json,md}. Resumed by row."""
    from benchmarks import forget_time as times

    work = WORK / "forget-time"
    if again:
        shutil.rmtree(work, ignore_errors=True)
    rows = times.measure(size or times.SIZES, ids or (times.DEMO, *times.KINDS), work, say)
    contents, text = times.report(rows, this_command())
    publish(timed(contents), text, as_json, commit)


@app.command()
def idle(
    as_json: AsJson = False,
    commit: Commit = False,
) -> None:
    """What commands take that have little or nothing to do: reports/tables/idle.{json,md}."""
    from benchmarks import idle as waiting

    with tempfile.TemporaryDirectory(prefix="lethe-idle-") as folder:
        rows = waiting.measure(Path(folder) / "project")
    contents, text = waiting.report(rows, this_command())
    publish(timed(contents), text, as_json, commit)
