"""Where everything lives, in one place: paths below the folder that holds params.yaml."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lethe.core.compiled import cache_of_compiled
from lethe.core.warm import VARIABLE as WARM
from lethe.errors import ConfigError

NUMERIC = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    # One code path of MKL for every row of a product, whatever its place, alignment or processor: without it the same
    # user, asked for twice in one batch, may get two scores.
    "MKL_CBWR": "AVX2",
    # The same for a GPU's products: cuBLAS repeats its sums only from a workspace of a fixed size.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # What Triton does by default today, said so that a later release's other default changes no bytes.
    "TRITON_DEFAULT_FP_FUSION": "1",
}
"""What every process of ours that computes has in its environment. The numeric libraries read it when they are loaded
and never again, so no later call can stand in for it."""


LOCAL = ("127.0.0.1", "localhost", "::1")
"""How this machine is called by itself."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def past_proxies(given: Mapping[str, str]) -> dict[str, str]:
    """What keeps this machine's own addresses from a proxy that the environment names: Prefect's server, the service
    and whatever else of ours answers on 127.0.0.1 is behind none. Nothing where no proxy is named."""
    if not any(given.get(name) or given.get(name.upper()) for name in _PROXIES):
        return {}
    # Who has both written reads the lower case.
    past = [name.strip() for name in (given.get("no_proxy") or given.get("NO_PROXY") or "").split(",") if name.strip()]
    past += [] if "*" in past else [name for name in LOCAL if name not in past]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(past))


@dataclass(frozen=True)
class Workspace:
    """A folder with params.yaml and dvc.yaml. Nothing outside ``root`` is written, but for the keys (see keys.py)
    and, if there is no other place, what is compiled (see compiled.py)."""

    root: Path
    sources: Path | None = None
    """Where relative source paths begin, if not at ``root``: a clean rebuild reads the same sources from elsewhere."""

    @property
    def source_root(self) -> Path:
        return self.sources or self.root

    @classmethod
    def find(cls, start: Path | None = None) -> Workspace:
        """The workspace that holds ``start`` (default: the current folder), looking upwards."""
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return cls(folder)
        raise ConfigError(f"{start}: no params.yaml and dvc.yaml here or in a folder above; lethe init makes a project")

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def lock(self) -> Path:
        """The packages that an installation is made of, by version and digest, if the project has such a file."""
        return self.root / "requirements.lock"

    @property
    def suppression(self) -> Path:
        """Keyed digests of what must not come back."""
        return self.root / "suppression" / "list.csv"

    @property
    def aliases(self) -> Path:
        """Keyed digests of ids that are one person's."""
        return self.state / "aliases.csv"

    def source_copy(self, dataset: str) -> Path:
        """Our own copy of a downloaded source, which a forget run rewrites."""
        return self.root / "data" / dataset / "source.parquet"

    def source_digest(self, dataset: str) -> Path:
        return self.root / "data" / dataset / "source.json"

    def suppression_digest(self, dataset: str) -> Path:
        """What of the suppression list is about a dataset, as a digest: its ingest depends on that."""
        return self.root / "data" / dataset / "suppression.json"

    def suppressed_rows(self, dataset: str) -> Path:
        """How many rows of the source the suppression list kept out at the last ingest."""
        return self.root / "data" / dataset / "suppressed.json"

    def ingested(self, dataset: str) -> Path:
        """The folder the ingest stage makes: interactions.parquet, and the parts of a ready-made split."""
        return self.root / "data" / dataset / "ingested"

    def datasets(self) -> list[str]:
        """The datasets that have an ingested table, also those that params.yaml no longer names."""
        return sorted(path.parts[-3] for path in self.root.glob("data/*/ingested/interactions.parquet"))

    def interactions(self, dataset: str) -> Path:
        return self.ingested(dataset) / "interactions.parquet"

    def side(self, dataset: str) -> Path:
        """The folder of a dataset's side tables."""
        return self.ingested(dataset) / "side"

    def split(self, dataset: str, part: str | None = None) -> Path:
        """The folder of a dataset's split, or its train, valid or test file."""
        folder = self.root / "data" / dataset / "split"
        return folder if part is None else folder / f"{part}.parquet"

    def rows(self, dataset: str, rows: str) -> Path:
        """What a build may learn from: the training part of the split, or ``all`` rows."""
        return self.interactions(dataset) if rows == "all" else self.split(dataset, rows)

    def assignment(self, dataset: str, laid_in: str) -> Path:
        """The folder the assign stage makes: assignment.parquet and, in epoch.json, what it was made under.

        ``laid_in``: a sharding's name, or, of all rows, that and ``/all`` (see ``lethe.config.sharding``).
        """
        return self.root / "data" / dataset / laid_in / "assignment"

    def shards(self, dataset: str, laid_in: str) -> Path:
        return self.root / "data" / dataset / laid_in / "shards"

    def shard_side(self, dataset: str, laid_in: str, shard: str) -> Path:
        """The folder of a shard's side tables."""
        return self.shards(dataset, laid_in) / "side" / shard

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def certificates(self) -> Path:
        return self.root / "certificates"

    @property
    def state(self) -> Path:
        """The product's own run-time state: ledger, server files, Prefect, BentoML, locks."""
        return self.root / ".lethe"

    @property
    def temporary(self) -> Path:
        """Temporary files, in one place so that what an interrupted process left can be emptied and searched."""
        return self.state / "tmp"

    @property
    def prefect_home(self) -> Path:
        return self.state / "prefect"

    @property
    def bentoml_home(self) -> Path:
        return self.state / "bentoml"

    @property
    def deployment(self) -> Path:
        """What the running service serves: a JSON file with pinned versions, replaced atomically."""
        return self.state / "deployment.json"

    @property
    def server(self) -> Path:
        """Process id, port and workers of the running service."""
        return self.state / "server.json"

    @property
    def hidden_users(self) -> Path:
        """Keyed digests of the users whose erasure is accepted but not yet deployed."""
        return self.state / "hidden-users.json"

    @property
    def events(self) -> Path:
        """What people did since the last training, as far as the service was told; alone in the serving folder."""
        return self.state / "serving" / "events.sqlite"

    @property
    def ledger_url(self) -> str:
        return os.environ.get("LETHE_LEDGER_URL") or f"sqlite:///{self.state / 'ledger.sqlite'}"

    def environment(self) -> dict[str, str]:
        """The environment of every process we start: what we were started with, and our settings over it."""
        return {**os.environ, **self.settings()}

    def settings(self) -> dict[str, str]:
        """Environment variables: our folders, one numeric thread, nothing that phones home."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {
            **NUMERIC,
            **past_proxies(os.environ),
            **cache_of_compiled(os.environ),
            "PATH": path,
            "PREFECT_HOME": str(self.prefect_home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
            "PREFECT_LOGGING_LEVEL": "CRITICAL",
            # A run's own log goes to the server, where there is one; nothing else is said.
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",
            "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "INFO",
            # Of a run that is not heard of for some minutes its server knows that it is gone (flows/alerts.py).
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60",
            # In memory, the server's default, a run's lease of its place is lost when the server is started anew, and
            # the run is ended at its next renewal.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "BENTOML_HOME": str(self.bentoml_home),
            "BENTOML_DO_NOT_TRACK": "True",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc" / "site-cache"),
            "GX_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONHASHSEED": "0",
            WARM: str(self.state / "warm.sock"),
        }
