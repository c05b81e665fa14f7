"""A Dask cluster makes the bytes that threads make, whatever happens to its workers; or refuses in one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import torch
import yaml
from distributed import Client, LocalCluster, get_worker

from lethe.build import builder
from lethe.build.candidates import Job, Outcome, finish, jobs, train_shard
from lethe.build.space import Space
from lethe.build.trials import Trial
from lethe.build.tuning import Budget, read_task, search
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.elsewhere import sent_out
from lethe.core.process import BrokeDown
from lethe.core.workspace import NUMERIC, Workspace
from lethe.data import stages
from lethe.data.outputs import ByTable
from lethe.data.stages import build_data
from lethe.errors import ArtifactError, ConfigError, Unreachable
from lethe.learning import device
from lethe.learning.runner import cluster
from lethe.learning.runner.by_params import ADDRESS, address, calls_at_once, must_answer, runner
from lethe.learning.runner.calling import Here, Runner
from lethe.learning.runner.cluster import Cluster
from lethe.learning.runner.worker import Terms, refusal
from lethe.tables.stretches import Stretch
from tests.conftest import make_workspace, taste_blocks


def settle(workspace: Workspace, **training: object) -> Params:
    values = yaml.safe_load(workspace.params.read_text())
    values["training"] = training
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return Params.read(workspace.params)


def made(folder: Path) -> Workspace:
    workspace = make_workspace(folder, taste_blocks(), ("bpr",))
    params = settle(workspace, runner="dask", workers=2)
    build_data(workspace, params, "tiny", ["whole", "user-hash-3"])
    return workspace


def build(workspace: Workspace, place: Runner) -> list[Outcome]:
    """Every candidate, sub-models side by side as the flow makes them."""
    params = Params.read(workspace.params)

    def candidate(job: Job) -> Outcome:
        names = job.builder(workspace).shard_names()
        keys = list(pool.map(lambda name: place.call(train_shard, workspace, job, name), names))
        return place.call(finish, workspace, params, job, dict(zip(names, keys, strict=True)))

    with ThreadPoolExecutor(4) as pool:
        return [candidate(job) for job in jobs(workspace, params)]


def digests(workspace: Workspace) -> dict[str, str]:
    return {f"{one.kind}/{one.key}": one.digest for one in ArtifactStore(workspace.artifacts).all()}


@pytest.fixture(scope="module")
def by_threads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    workspace = made(tmp_path_factory.mktemp("threads") / "w")
    build(workspace, Here())
    return digests(workspace)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Cluster]]:
    """A workspace, and a local cluster of two processes that work in it."""
    workspace = made(tmp_path_factory.mktemp("dask") / "w")
    with runner(workspace, Params.read(workspace.params)) as place:
        assert isinstance(place, Cluster)
        yield workspace, place


def test_a_cluster_makes_the_bytes_that_threads_make(shared, by_threads: dict[str, str]) -> None:
    workspace, place = shared
    outcomes = build(workspace, place)
    assert digests(workspace) == by_threads
    assert len({key for outcome in outcomes for key in outcome.sub_models.values()}) == 5
    assert all(outcome.metrics(workspace)["valid"] for outcome in outcomes)


def dies_once(mark: Path, workspace: Workspace, job: Job, shard: str) -> str:
    """A worker is killed when all files of its sub-model are written, and the artifact isn't in place yet."""
    if mark.exists():
        return train_shard(workspace, job, shard)
    write = builder.write_sub_model

    def last(*arguments: object) -> None:
        write(*arguments)
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    builder.write_sub_model = last
    return train_shard(workspace, job, shard)


def test_a_worker_that_is_killed_loses_nothing(shared, by_threads: dict[str, str], tmp_path: Path) -> None:
    workspace, place = shared
    params = settle(workspace, runner="dask", workers=2)
    job = next(job for job in jobs(workspace, params) if job.recipe.sharding == "user-hash-3")
    store = ArtifactStore(workspace.artifacts)
    for artifact in [one for one in store.all() if one.kind == "sub-model"]:
        store.remove(artifact)
    names = job.builder(workspace).shard_names()
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(place.call, dies_once, tmp_path / "mark", workspace, job, names[0]),
            *(pool.submit(place.call, train_shard, workspace, job, name) for name in names[1:]),
        ]
        keys = [call.result(timeout=120) for call in calls]
    assert (tmp_path / "mark").exists(), "nobody was killed"
    assert [store.get("sub-model", key).digest for key in keys] == [by_threads[f"sub-model/{key}"] for key in keys]
    assert build(workspace, place)
    assert digests(workspace) == by_threads


def tables(workspace: Workspace) -> dict[str, str]:
    made = [path for path in sorted((workspace.root / "data").rglob("*")) if path.is_file()]
    return {str(path.relative_to(workspace.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def split_dies_once(mark: Path, of: Stretch, *given: Any) -> Iterator[ByTable]:
    """The first worker that gets here is killed when it has written some rows."""
    for rows in stages.split_of(of, *given):
        yield rows
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_tables_made_by_workers_have_the_same_bytes_though_one_is_killed(
    shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, place = shared
    params, before = Params.read(workspace.params), tables(workspace)
    ends = [None, "user-003", "user-017", None]
    monkeypatch.setattr(stages, "stretches", lambda path: [Stretch(*cut) for cut in pairwise(ends)])
    monkeypatch.setattr(stages, "SHARDS_A_CALL", 1)
    monkeypatch.setattr(stages, "split_of", partial(split_dies_once, tmp_path / "mark"))
    shutil.rmtree(workspace.split("tiny"))
    stages.split_stage(workspace, params, "tiny", place)
    assert (tmp_path / "mark").exists(), "nobody was killed"
    shutil.rmtree(workspace.root / "data" / "tiny" / "user-hash-3")
    for stage in ("assign", "shards"):
        stages.STAGES[stage](workspace, params, "tiny", "user-hash-3", place)
    assert tables(workspace) == before


def test_what_a_run_and_a_worker_must_share_is_compared(
    shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = shared
    for name, value in NUMERIC.items():
        monkeypatch.setenv(name, value)
    with sent_out(workspace) as run:
        terms = Terms.of(workspace, run, "cpu")
        assert refusal(terms) is None
        for name, cure in {"torch": "requirements.lock", "code": "same Lethe", "params.yaml": "project's"}.items():
            reason = refusal(replace(terms, standing=terms.standing | {name: "1.0"}))
            assert reason is not None
            assert reason.startswith(f"has {name} {terms.standing[name]!r}, must be '1.0' as here; ")
            assert cure in reason
        assert "must be the same folder" in str(refusal(replace(terms, workspace=Workspace(tmp_path))))
        if not Path("/dev/nvidiactl").exists():
            assert "training.device: 'cuda'" in str(refusal(replace(terms, device="cuda")))
        monkeypatch.delenv("MKL_CBWR")
        assert refusal(terms) == "has MKL_CBWR unset, must be 'AVX2'; start it by lethe worker"
    assert "must be the same folder" in str(refusal(terms)), "its run has ended"


def test_a_worker_that_computes_otherwise_is_refused(shared) -> None:
    workspace, place = shared
    client, terms = place._client, place._terms
    other = replace(terms, run="a" * 16, standing=terms.standing | {"numpy": "9.9"})
    for suffix in ("owner", "run"):
        (workspace.state / "elsewhere" / f"{other.run}.{suffix}").touch()
    before = digests(workspace)
    with pytest.raises(ConfigError, match=r"^training.runner: the Dask worker tls://\S+ has numpy .* '9.9' as here;"):
        cluster._must_agree(client, other, "the cluster")
    # One that joins later is refused by its first call.
    late = Cluster(client, other, "the cluster")
    with pytest.raises(ConfigError, match=r"^training.runner: the Dask worker tls://\S+ has numpy .* '9.9' as here;"):
        build(workspace, late)
    assert digests(workspace) == before


def test_a_worker_without_the_code_is_refused(shared, monkeypatch: pytest.MonkeyPatch) -> None:
    ghost = ModuleType("only_here")
    exec("def step(terms): return None", ghost.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", ghost)
    monkeypatch.setattr(cluster, "refusal", ghost.step)
    with pytest.raises(ConfigError, match=r"tls://\S+ can't run this Lethe's code; install the same"):
        cluster._must_agree(shared[1]._client, shared[1]._terms, "the cluster")


def test_trials_are_the_same_wherever_they_are_made(shared, tmp_path: Path) -> None:
    workspace, place = shared
    task = read_task(workspace, Params.read(workspace.params), "bpr", "tiny", "recall@5")
    space = Space("bpr", {"embedding_dim": 4, "epochs": 4}, {"learning_rate": [0.01, 0.05, 0.1, 0.2, 0.3, 1e-7]})
    budget, seen = Budget(6, seed=3, at_once=3), list[Trial]()
    there = search(space, task, budget, tmp_path / "there.sqlite", seen.append, place)
    assert there == search(space, task, budget, tmp_path / "here.sqlite")
    assert sorted(trial.number for trial in seen) == list(range(6))


def test_a_local_cluster_is_for_its_run_alone(shared) -> None:
    """Nobody can send it calls without its certificate, and it has no pages."""
    _, place = shared
    about = place._client.scheduler_info(n_workers=-1)
    nodes = [about, *about["workers"].values()]
    addresses = [about["address"], *about["workers"]]
    assert {address.rpartition(":")[0] for address in addresses} == {"tls://127.0.0.1"}
    with pytest.raises(OSError, match=r"."):
        Client(about["address"].replace("tls", "tcp"), timeout=1, set_as_default=False)
    ports = [node["services"]["dashboard"] for node in nodes if "dashboard" in node["services"]]
    assert ports
    for port in ports:
        for path in ("health", "info/main/workers.html", "json/index.html", "metrics"):
            assert httpx.get(f"http://127.0.0.1:{port}/{path}", timeout=5).status_code == 404


def own_key() -> str:
    return str(get_worker().get_current_task())


def own_card(cards: int) -> int:
    """The GPU that this worker computes on, of so many pretended ones."""
    numbers = list[int]()

    @contextmanager
    def chosen(number: int) -> Iterator[None]:
        numbers.append(number)
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "_cards", lambda: tuple(range(cards)))
        patch.setattr(torch.cuda, "device", chosen)
        with device._free_card():
            time.sleep(0.3)  # so that the other worker gets the other call
    return numbers[0]


def test_each_worker_of_a_machine_has_a_card_of_its_own(shared) -> None:
    _, place = shared
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(lambda cards: place.call(own_card, cards), (4, 4))) == [0, 1]
        assert list(pool.map(lambda cards: place.call(own_card, cards), (1, 1))) == [0, 0]


def breaks() -> None:
    raise KeyError("user-007")


def missing(workspace: Workspace) -> None:
    ArtifactStore(workspace.artifacts).get("ensemble", "f" * 64)


def test_faults_come_back_as_themselves_and_without_a_value_of_a_row(shared, capfd: pytest.CaptureFixture[str]) -> None:
    workspace, place = shared
    assert place.call(own_key).rpartition("-")[0] == f"own_key-{place._terms.run}"
    with pytest.raises(BrokeDown, match=r"^broke down with KeyError at line \d+ of test_cluster.py; run it") as broken:
        place.call(breaks)
    assert "user-007" not in str(broken.getrepr(chain=True))
    with pytest.raises(ArtifactError, match="no manifest in ensemble"):
        place.call(missing, workspace)
    assert capfd.readouterr().err == ""


def test_no_scheduler_or_worker_is_one_line_and_nothing_is_begun(shared, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, _ = shared
    monkeypatch.setattr(cluster, "ANSWERS_IN", 1.0)
    params = Params.read(workspace.params)
    monkeypatch.setenv(ADDRESS, "127.0.0.1:8786")
    with pytest.raises(ConfigError, match=r"^LETHE_DASK_ADDRESS: '127.0.0.1:8786' must be tcp://HOST:PORT"):
        must_answer(workspace, params)
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:9")
    with pytest.raises(
        Unreachable, match=r"^training.dask_address: no scheduler answers at tcp://127.0.0.1:9 within 1 s"
    ):
        must_answer(workspace, params)
    with LocalCluster(
        n_workers=0, dashboard_address="127.0.0.1:0", processes=False, protocol="tcp", host="127.0.0.1"
    ) as empty:
        monkeypatch.setenv(ADDRESS, empty.scheduler_address)
        with pytest.raises(Unreachable, match="has no worker; start one on each machine"):
            must_answer(workspace, params)


def waits(seconds: float) -> None:
    time.sleep(seconds)


def test_a_scheduler_that_goes_away_is_one_line(shared, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, _ = shared
    for name, value in NUMERIC.items():
        monkeypatch.setenv(name, value)
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
    ) as short:
        monkeypatch.setenv(ADDRESS, short.scheduler_address)
        monkeypatch.setattr(cluster, "ANSWERS_IN", 3.0)
        with runner(workspace, Params.read(workspace.params)) as asked:
            threading.Timer(0.5, short.close).start()
            with pytest.raises(
                Unreachable, match=r"the Dask cluster tcp://\S+: the scheduler went away; what was made"
            ):
                asked.call(waits, 3)


def test_params_name_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(tmp_path / "w", taste_blocks())
    monkeypatch.setenv(ADDRESS, "tcp://10.0.0.1:8786")
    params = settle(workspace, workers=3)
    assert (address(params), calls_at_once(params)) == (None, 3)
    params = settle(workspace, runner="dask", dask_address="tls://[::1]:8786", workers=3)
    assert address(params) == "tcp://10.0.0.1:8786"
    monkeypatch.delenv(ADDRESS)
    assert address(params) == "tls://[::1]:8786"
    assert calls_at_once(params) > 3
    assert calls_at_once(settle(workspace, runner="dask", workers=3)) == 3
    with pytest.raises(ConfigError, match=r"training.dask_address"):
        settle(workspace, runner="dask", dask_address="here:8786")
