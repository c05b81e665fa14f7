"""A flow runs the same steps in the same way without Prefect as with it; Prefect runs it where it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import httpx
import pytest

from flows import command, training
from flows.plain import as_completed, flow, task
from lethe.build.candidates import jobs
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.learning.runner.calling import Here
from lethe.tables.reader import Reader
from tests.conftest import ROOT

R = TypeVar("R")


@task(name="double")
def double(number: int) -> int:
    return 2 * number


@task
def total(numbers: dict[str, int], *more: list[int]) -> int:
    return sum(numbers.values()) + sum(map(sum, more))


def test_both_engines_have_the_same_steps() -> None:
    """Read, because whoever imports Prefect asks for it."""
    lists = re.compile(r"^__all__ = \[.*?\]", re.DOTALL | re.MULTILINE)
    plain, watched = (lists.findall((ROOT / "flows" / f"{name}.py").read_text()) for name in ("plain", "watched"))
    assert len(plain) == 1
    assert plain == watched


def in_flow(body, workers: int = 2):  # type: ignore[no-untyped-def]
    return flow(name="some", workers=lambda: workers)(body)()


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_submitted_gets_the_results_it_waits_for(workers: int) -> None:
    def body() -> int:
        doubled = {str(number): double.submit(number) for number in range(20)}
        summed = total.submit(doubled, [doubled["3"], 1])
        assert {future.result() for future in as_completed(doubled.values())} == set(range(0, 40, 2))
        return int(summed.result())

    assert in_flow(body, workers) == 380 + 7
    assert double(4) == 8


def test_as_many_run_at_once_as_there_are_workers() -> None:
    together = threading.Barrier(3, timeout=20)
    meet = task(lambda: together.wait())

    def body() -> set[int]:
        return {future.result() for future in [meet.submit() for _ in range(3)]}

    assert in_flow(body, 3) == {0, 1, 2}


def test_a_fault_is_raised_as_itself_and_nothing_more_is_begun() -> None:
    begun: list[int] = []

    @task
    def fail(number: int) -> None:
        begun.append(number)
        raise ValueError(f"no {number}")

    def body() -> None:
        futures = [fail.submit(number) for number in range(200)]
        futures[0].result()

    with pytest.raises(ValueError, match="no 0"):
        in_flow(body, 1)
    assert begun == list(range(len(begun)))


@pytest.mark.parametrize(
    ("asked", "with_prefect"),
    [({}, False), ({"PREFECT_API_URL": "http://127.0.0.1:1/api"}, True), ({"PREFECT_HOME": "home"}, True)],
    ids=["not asked for", "a server's address", "a profile"],
)
def test_prefect_is_imported_where_it_is_asked_for(asked: dict[str, str], with_prefect: bool, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "profiles.toml").write_text('active = "local"\n\n[profiles.local]\n')
    environment = {**Workspace(tmp_path).environment(), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **asked}
    program = "import flows.engine, sys; print('prefect' in sys.modules, flows.engine.flow.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    imported, module = done.stdout.split()
    assert imported == str(with_prefect)
    assert module == ("flows.watched" if with_prefect else "flows.plain")


def _refused_by_prefect(said: Exception | str) -> Exception:
    """What Prefect raises before a run begins, of a server that answers so when it is asked for its version."""

    def api_version() -> str:
        if isinstance(said, Exception):
            raise said
        return said

    from prefect.client.orchestration import SyncPrefectClient

    client = SimpleNamespace(
        server_type=None, api_url="http://user:secret@h/api", api_version=api_version, client_version=lambda: "3.8.8"
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011
        SyncPrefectClient.raise_for_api_version_mismatch(client)  # type: ignore[arg-type]
    return caught.value


def _status(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://h/api")
    return httpx.HTTPStatusError("Unauthorized", request=request, response=httpx.Response(code))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (httpx.ConnectError("refused"), "no answer from the server"),
        ("1.4.0", "the server is of another version than 3."),
        (_status(401), "the server answers 401"),
    ],
    ids=["away", "another version", "a key that is wrong"],
)
def test_a_server_that_is_away_or_another_is_one_line(
    said: Exception | str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import watched  # What is flows.engine's here was chosen before it brings Prefect.

    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(command, "quiet", lambda: None)
    monkeypatch.setattr(command, "server_fault", watched.server_fault)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    fault = _refused_by_prefect(said)

    def run() -> None:
        raise fault

    with pytest.raises(SystemExit) as caught:
        command.command(run)
    line = str(caught.value.code)
    assert line.startswith(f"error: PREFECT_API_URL: {reason}")
    assert "; mend that, or unset it" in line
    assert "\n" not in line
    assert "secret" not in line


def test_a_bug_of_ours_is_not_taken_for_the_servers() -> None:
    from flows import watched

    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("ours")
    assert watched.server_fault(caught.value) is None


class Recording(Here):
    """Runs every call here, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        self.asked.append(function.__name__)
        return super().call(function, *arguments)


def test_sub_models_and_candidates_are_made_where_params_say(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.root)
    params, place = Params.read(tiny.params), Recording()
    build_data(tiny, params, "tiny", ["whole", "user-hash-3"])
    planned = [job for job in jobs(tiny, params) if job.recipe.model == "mostpop" or job.recipe.sharding != "whole"]
    outcomes = flow(name="some", workers=lambda: 2)(lambda: training._train(planned, Reader(), place))()
    assert [len(outcome.sub_models) for outcome in outcomes] == [3, 1]
    assert sorted(place.asked) == ["finish"] * 2 + ["train_shard"] * 4
