"""Steps with Prefect: what its server shows of a run beside its state, so that whoever watches needs no terminal.

No id of a person may come to a server: of a fault that is a bug of ours, whose text may hold a value of a row, the
server gets kind and place alone; of an error that a user can mend, its one line.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any, ParamSpec, Self, TypeVar

import prefect
from httpx import HTTPError, HTTPStatusError
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.task_runners import ThreadPoolTaskRunner

from lethe.core import logs
from lethe.core.process import BrokeDown, place_of
from lethe.errors import LetheError

__all__ = [
    "PrefectFuture",
    "as_completed",
    "flow",
    "link",
    "quiet",
    "rename",
    "say",
    "server_fault",
    "table",
    "tagged",
    "task",
    "tell",
]

P = ParamSpec("P")
R = TypeVar("R")


DELAYS: tuple[float, ...] = (10, 60, 300)
"""Seconds before each further attempt of a step that needs what isn't ours: sources, remotes, the service."""
DAY = 86_400
"""Seconds after which such a step is given up: what hangs for so long would hold up the next night's run as well."""


def say(line: object) -> None:
    """To whoever reads: on standard error, because standard output is the report's of the command that called us, and
    in the run's log."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    logs.say(line, **({"run": run.name} if run else {}))
    if context:
        get_run_logger().info(str(line))


def rename(name: str) -> None:
    """Give the flow run that is on its way another name, known only now."""
    if context := FlowRunContext.get():
        assert context.flow_run is not None
        with get_client(sync_client=True) as client:
            client.update_flow_run(context.flow_run.id, name=name)


def table(key: str, rows: Sequence[Mapping[str, Any]], about: str) -> None:
    """Show a table with the run, and as the newest of its key."""
    if rows and FlowRunContext.get():
        create_table_artifact(table=[dict(row) for row in rows], key=key, description=about)


def link(key: str, url: str, text: str) -> None:
    if FlowRunContext.get():
        create_link_artifact(link=url, link_text=text, key=key)


def tell(event: str, about: str, numbers: Mapping[str, float]) -> None:
    """Let the server know of something, which its automations may act on: of what, and numbers."""
    if FlowRunContext.get():
        emit_event(event, {"prefect.resource.id": about}, payload=dict(numbers))


def tagged(*tags: str) -> AbstractContextManager[object]:
    """Every run that begins inside has these tags."""
    return prefect.tags(*tags)


def task(run: Callable[P, R] | None = None, *, outside: bool = False, **options: Any) -> Any:
    """A task; one that needs what is ``outside`` is tried again where its fault may pass, and given up after a day."""
    if run is None:
        return functools.partial(task, outside=outside, **options)
    if outside:
        options |= {"retries": len(DELAYS), "retry_delay_seconds": list(DELAYS), "timeout_seconds": DAY}
        options["retry_condition_fn"] = _may_pass
    # What can be re-used the artifacts' keys decide; Prefect would digest all that a task is given.
    options |= {"cache_policy": NO_CACHE}
    shown: Any = prefect.task(_discreet(run), **{"task_run_name": options.get("name"), **options})
    return shown


def flow(*, name: str, called: str | None = None, workers: Callable[[], int] | None = None) -> Any:
    """A flow, whose runs are ``called`` by a template of its parameters, or by its name and the day; ``workers``: how
    many of its tasks may run at once."""
    options: dict[str, Any] = {} if workers is None else {"task_runner": _Threads(workers)}
    named = called or functools.partial(_dated, name)
    decorated: Any = prefect.flow
    return lambda run: decorated(_discreet(run), name=name, flow_run_name=named, **options)


class _Threads(ThreadPoolTaskRunner[Any]):
    """As many threads as there are to be when a run begins, whoever began it."""

    def __init__(self, count: Callable[[], int]) -> None:
        super().__init__(max_workers=1)
        self._count = count

    def duplicate(self) -> _Threads:
        return _Threads(self._count)

    def __enter__(self) -> Self:
        self._max_workers = self._count()
        return super().__enter__()


def _dated(name: str) -> str:
    return f"{name} {datetime.now(UTC):%Y-%m-%d}"


def _may_pass(task: object, run: object, state: Any) -> bool:
    """Whether what a task failed with may be over a moment later."""
    if passing := isinstance(state.data, LetheError) and state.data.may_pass:
        say(f"to be tried again: {state.data}")
    return passing


def _discreet(run: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(run)
    def without_text(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return run(*args, **kwargs)
        except (LetheError, OSError, PrefectException, BrokeDown) as error:
            fault: Exception = error
        except Exception as error:
            fault = BrokeDown(f"{place_of(error)}; run it by hand, without a server, to see all of it")
        # Raised out here it carries no other fault along, which Prefect would log with its text.
        fault.__cause__ = fault.__context__ = None
        raise fault

    return without_text


def server_fault(error: Exception) -> str | None:
    """What to say of an error that is the server's, which began no run or lost sight of one; None of any other."""
    if isinstance(error, HTTPStatusError):
        reason = f"the server answers {error.response.status_code}"
    elif isinstance(error, HTTPError):
        reason = "no answer from the server"
    elif type(error) is RuntimeError and "prefect" in Path(extract_tb(error.__traceback__)[-1].filename).parts:
        other = "incompatible" in str(error)
        reason = (
            f"the server is of another version than {prefect.__version__}" if other else "no answer from the server"
        )
    else:
        return None
    return (
        f"PREFECT_API_URL: {reason}; mend that, or unset it, since a flow that is run by hand needs none; the next run"
        " resumes what was under way"
    )


def quiet() -> None:
    """Keep from the terminal what the server shows: the commands say there what there is to say."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).propagate = False
    # Prefect's queue of events says at exit what it still holds: noise after our one line.
    logging.getLogger("EventsWorker").setLevel(logging.CRITICAL)
