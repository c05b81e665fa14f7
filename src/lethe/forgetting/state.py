"""What there is at one time: the digests of every dataset's data, and of everything served that is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lethe.build.registry import Registry
from lethe.config.section import Section
from lethe.core.artifacts import ArtifactStore
from lethe.core.canonical import Json, canonical_json, digest_file, digest_json
from lethe.core.environment import numeric_environment
from lethe.core.workspace import Workspace
from lethe.forgetting.plan import Served
from lethe.tables.reader import Reader


class DatasetState(Section):
    """Content digests of a dataset's tables, each with the side tables beside it."""

    interactions: str
    shards: dict[str, dict[str, str]]
    """{where a sharding is laid: {shard: digest}}: those that what is served was built from."""

    def digests(self) -> Iterator[str]:
        yield self.interactions
        for shards in self.shards.values():
            yield from shards.values()


class FamilyState(Section):
    """What a family serves: its version, and the digests of the artifacts that is made of."""

    version: str
    dataset: str
    package: str
    ensemble: str
    sub_models: dict[str, str]
    """{shard: digest}"""
    code: str
    """SHA-256 of the code that built and promoted it."""

    def digests(self) -> Iterator[str]:
        yield from (self.package, self.ensemble, *self.sub_models.values())


class State(Section):
    """Every dataset that has tables, and what is served. Names and digests only."""

    datasets: dict[str, DatasetState]
    families: dict[str, FamilyState]
    environment: str
    """SHA-256 of ``environment_of`` what is served."""

    def of(self, *datasets: str) -> State:
        """What of it belongs to these datasets."""
        return State(
            datasets={name: state for name, state in self.datasets.items() if name in datasets},
            families={name: state for name, state in self.families.items() if state.dataset in datasets},
            environment=self.environment,
        )

    def digests(self) -> frozenset[str]:
        """Of every table, package, ensemble and sub-model."""
        data = {digest for state in self.datasets.values() for digest in state.digests()}
        return frozenset(data.union(*(state.digests() for state in self.families.values())))

    @property
    def code(self) -> str:
        """Of what is served: one digest where one code built all of it, else the digest of the families' ones."""
        codes = {family: state.code for family, state in self.families.items()}
        return codes.popitem()[1] if len(set(codes.values())) == 1 else digest_json(codes)

    @property
    def artifacts(self) -> dict[str, str]:
        """Digests by name: {"family/package": …, "family/ensemble": …, "family/sub-model/00": …}."""
        named: dict[str, str] = {}
        for family, state in self.families.items():
            named |= {f"{family}/package": state.package, f"{family}/ensemble": state.ensemble}
            named |= {f"{family}/sub-model/{shard}": digest for shard, digest in state.sub_models.items()}
        return named

    @property
    def shards(self) -> dict[str, str]:
        """Digests by name: {"dataset/sharding/00": …}."""
        return {
            f"{dataset}/{sharding}/{shard}": digest
            for dataset, state in self.datasets.items()
            for sharding, shards in state.shards.items()
            for shard, digest in shards.items()
        }


def served(workspace: Workspace) -> list[Served]:
    return [Served(family, version.recipe) for family, version in Registry(workspace).served().items()]


def state_of(workspace: Workspace, reader: Reader | None = None) -> State:
    """Data and versions as they are now."""
    reader, versions = reader or Reader(), Registry(workspace).served()
    families = {
        family: FamilyState(
            version=version.tag,
            dataset=version.recipe.dataset,
            package=version.digest,
            ensemble=version.info.ensemble.digest,
            sub_models=version.info.sub_models,
            code=version.code,
        )
        for family, version in versions.items()
    }
    return State(
        datasets={
            dataset: DatasetState(
                interactions=reader.digest_beside(workspace.interactions(dataset)),
                shards={
                    version.recipe.laid_in: version.info.shards
                    for version in versions.values()
                    if version.info.dataset == dataset
                },
            )
            for dataset in workspace.datasets()
        },
        families=families,
        environment=digest_json(environment_of(workspace, families.values())),
    )


def settings_digests(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of params.yaml and requirements.lock, by name, where they are there."""
    return {one.name: digest_file(one) for one in (workspace.params, workspace.lock) if one.is_file()}


def environment_of(workspace: Workspace, families: Iterable[FamilyState]) -> Json:
    """The numeric environment of what families serve: a GPU's where any of it was made on one, else this machine's."""
    digests = {digest for family in families for digest in family.digests()}
    made = (one for one in ArtifactStore(workspace.artifacts).all() if one.digest in digests)
    there = [one.environment for one in made if one.environment.get("device", "cpu") != "cpu"]
    if not there:
        return numeric_environment("cpu")
    # Of two GPUs' the first by its text: nobody has both, so nobody is told that it can be compared.
    first = min(there, key=canonical_json)
    return {name: value for name, value in first.items() if name != "repeatable"}
