"""params.yaml as frozen, checked sections; see ``lethe.config.section`` for how faults are reported."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lethe.config.console import Console
from lethe.config.dataset import Dataset, Fraction
from lethe.config.evaluation import Evaluation
from lethe.config.section import Name, Once, Section, read_yaml
from lethe.config.serving import Serving
from lethe.config.sharding import Rows, Sharding
from lethe.config.stores import Stores
from lethe.core.spelling import meant

ReasonCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_compiles)]
DASK_ADDRESS = r"^(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):[0-9]{1,5}$"


class Candidate(Section):
    model: Name
    """A name of the models' table."""
    sharding: Name
    """A name below ``shardings``."""


class Family(Section):
    """One served slot: the best of its candidates on validation is registered and served."""

    dataset: Name
    """A name below ``datasets``."""
    candidates: Annotated[tuple[Candidate, ...], Once] = Field(min_length=1)
    """What is trained for it, at least one."""


Device = Literal["auto", "cpu", "cuda"]


class Training(Section):
    device: Device = "auto"
    """Where models learn: auto is the GPU where one can be used and the work is large enough. It is no part of a
    recipe."""
    runner: Literal["threads", "dask"] = "threads"
    """Who trains sub-models and candidates, and makes trials: threads of the process that asks, or the workers of a
    Dask cluster. Where its scheduler is named, they split and shard large datasets too."""
    workers: int = Field(2, ge=1)
    """Sub-models trained at once, each by one numeric thread: by threads, or processes of a local Dask cluster. Where
    there are several GPUs of one kind, each on the one that is at the fewest."""
    threads: int | None = Field(None, ge=1)
    """Cores that compiled solvers and evaluation of one process may keep busy together, however many sub-models it
    trains; without it all that there are. The bytes are the same for any number. A Dask worker has one."""
    dask_address: Annotated[str, Field(pattern=DASK_ADDRESS)] | None = None
    """The scheduler to ask where runner is dask, tcp://HOST:PORT or tls://HOST:PORT; how many workers it has decides
    how many sub-models are trained at once. Without one, and without LETHE_DASK_ADDRESS, which comes first, a local
    cluster is started for each run."""
    scoring: Literal["float32", "bfloat16"] = "float32"
    """Precision of the products that score validation rows in tuning. bfloat16 is for GPUs: faster, near ties may
    swap."""
    metric: str = "ndcg@10"
    """Validation metric that chooses a family's winner and decides promotion: one of ``evaluation.metrics`` at one of
    its cutoffs."""
    rating_metric: str = "rmse"
    """The same for a family of models of ratings, one of ``evaluation.rating_metrics``; less is better."""


class Promotion(Section):
    """What of a winner is served, and when it replaces what is served already."""

    serve: Rows = "all"
    """Rows that what is served has learnt: all, or train, which serves the very build that was measured (for
    experiments; newest rows are then neither learnt nor hidden)."""
    tolerance: Fraction = 0.01
    """Share of the served model's metric that its successor may lose and still replace it, because it is newer."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """How sure it must be that a newer build is worse (a paired test on the users that both know) for the older one to
    be kept."""
    max_age_days: float = Field(30, gt=0)
    """Days without a training that made or confirmed what is served, after which lethe status warns of it, and any
    training replaces it."""


class Validation(Section):
    """Bounds of the gates."""

    min_fraction: float = Field(0.5, ge=0, le=1)
    """Least share of the last epoch's interactions that must be there."""
    max_fraction: float = Field(2.0, ge=1)
    """Most of them: a multiple of the last epoch's interactions."""


class DriftLimits(Section):
    """From when on data count as moved away from those that their epoch began with. It is said and watched; nothing
    stops."""

    psi: float = Field(0.25, gt=0)
    """Most population stability index of what is counted (rows per user and item, ratings, hours of the day)."""
    ks: float = Field(0.2, gt=0, le=1)
    """Most distance between the cumulative shares of the same (Kolmogorov and Smirnov's statistic)."""


class Forgetting(Section):
    due_days: int = Field(30, ge=1, le=3650)
    """Days from the receipt of a request to the date it is due."""
    reasons: Annotated[tuple[ReasonCode, ...], Once] = Field(
        ("user-request", "consent-withdrawn", "objection", "account-closed", "retention", "bad-data", "legal-order"),
        min_length=1,
    )
    """Why something is forgotten, as codes; the first is that of a request that names none. No free text: what the
    ledger and certificates keep for good must hold no id of a person."""
    ticket: Pattern = r"[A-Za-z]{0,12}-?[0-9]{1,12}"
    """What a ticket's number looks like, whole, as a regular expression."""
    requires: Annotated[tuple[Literal["identity", "approval"], ...], Once] = ()
    """What must be established (lethe forget establish) before a request is accepted, whichever way it came in. Its
    subject is hidden from the service meanwhile."""
    four_eyes: bool = False
    """Whether an approval counts only where another than who entered the request gave it, whichever way either came
    in. ``requires`` must then name approval."""
    follows: Annotated[tuple[str, ...], Once] = ()
    """Folders of other projects that hold the same people, under the same keys: a forget run here asks first about
    everybody who was forgotten there. Of staging, that of production."""
    batch: Literal["at-once", "until-due"] = "at-once"
    """When a scheduled run fulfils what waits: each time, or together, as late as the earliest due date allows."""
    lead_hours: float = Field(24.0, ge=0, le=87_600)
    """Time kept in hand before that date, from when on it counts as near (flows/watch.py); no less than the schedule's
    interval."""
    expected_requests: int = Field(0, ge=0)
    """Whole-user requests expected in a batch. With 0 a family's winner is the most accurate, whatever it costs."""
    accuracy_given_up: Fraction = 0.0
    """Share of the best validation metric within which the candidate that forgets most cheaply wins."""
    verify_above_rows: int = Field(1_000_000, ge=0)
    """Rows of a dataset above which a forget run rebuilds only a sample (``audit.sample``) of the sub-models that its
    requests touched."""

    @model_validator(mode="after")
    def _approval_is_asked_for(self) -> Forgetting:
        if self.four_eyes and "approval" not in self.requires:
            raise ValueError("four_eyes needs an approval to look at: put approval into forgetting.requires")
        return self


class Audit(Section):
    sample: int = Field(2, ge=1)
    """Sub-models that an audit rebuilds."""
    users: int = Field(50, ge=2)
    """Users that the membership audit forgets, and as many that it never shows."""
    witness: str | None = None
    """Who keeps the heads of the ledger's chain: URL of an RFC 3161 authority, or path of a log that others keep for
    this project alone."""
    witness_root: str | None = None
    """PEM file of the root certificate of that authority."""


class Pipeline(Section):
    """The matrix of dvc.yaml: every dataset is split, every dataset is laid out in every sharding."""

    datasets: Annotated[tuple[Name, ...], Once] = Field(min_length=1)
    """Names below ``datasets``."""
    shardings: Annotated[tuple[Name, ...], Once] = Field(min_length=1)
    """Names below ``shardings``."""


class Params(Section):
    """The whole of params.yaml."""

    seed: int = 2026
    """Seed of everything that is drawn: the same seed, the same bytes."""
    pipeline: Pipeline
    """What the data stages make."""
    datasets: dict[Name, Dataset]
    """Datasets by name."""
    shardings: dict[Name, Sharding]
    """Layouts into shards by name."""
    families: dict[Name, Family]
    """What is served, by name."""
    models: dict[str, dict[str, Any]] = Field({})
    """Settings of models by name; what is left out is the default."""
    aggregators: dict[str, dict[str, Any]] = Field({})
    """Settings of aggregators by name."""
    training: Training = Training()
    """How sub-models are trained and winners chosen."""
    promotion: Promotion = Promotion()
    """What is served of a winner, and when it replaces what is served."""
    evaluation: Evaluation = Evaluation()
    """What is measured."""
    validation: Validation = Validation()
    """Bounds of the gates."""
    drift: DriftLimits = DriftLimits()
    """How far data may move before it is said."""
    serving: Serving = Serving()
    """The service."""
    forgetting: Forgetting = Forgetting()
    """Forget requests."""
    audit: Audit = Audit()
    """What an audit looks at."""
    console: Console = Console()
    """Pages for people (lethe console)."""
    stores: Stores = Stores()
    """URLs at which what the project makes is kept as well."""

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for field, name, known in self._named():
            if name not in known:
                raise ValueError(f"{field} names {name!r}{meant(name, known)}, known are {', '.join(sorted(known))}")
        return self

    def _named(self) -> Iterator[tuple[str, str, Collection[str]]]:
        """Each name that stands for something: its field, itself, and those that there are."""
        yield from (("pipeline.datasets", name, self.datasets) for name in self.pipeline.datasets)
        yield from (("pipeline.shardings", name, self.shardings) for name in self.pipeline.shardings)
        for family, section in self.families.items():
            yield f"families.{family}.dataset", section.dataset, self.pipeline.datasets
            for candidate in section.candidates:
                yield f"families.{family}.candidates.sharding", candidate.sharding, self.pipeline.shardings

    @classmethod
    def read(cls, path: Path) -> Params:
        """Read and check params.yaml; raises ConfigError."""
        return cls.parse(read_yaml(path), path.name)
