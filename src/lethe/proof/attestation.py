"""What is served, told in two predicates that other tools read: SLSA Provenance v1 of each version, and what ``verify``
showed of all of them as a Simple Verification Result. Subjects are the manifests of packages, by SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from lethe import __version__
from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.core.canonical import Json, digest_json
from lethe.core.envelope import seal, statement
from lethe.core.files import write_whole
from lethe.core.workspace import Workspace
from lethe.proof.compare import Comparison

PROVENANCE = "https://slsa.dev/provenance/v1"
RESULT = "https://in-toto.io/attestation/svr/v0.1"
BUILDER, BUILD, VERIFIER = "urn:lethe:builder", "urn:lethe:build:v1", "urn:lethe:verify:v1"
REBUILT = "LETHE_EVERY_ARTIFACT_REBUILT_EQUAL"
SAMPLED = "LETHE_SAMPLED_ARTIFACTS_REBUILT_EQUAL"


def attest(workspace: Workspace, comparison: Comparison, folder: Path) -> list[Path]:
    """Write FOLDER/FAMILY.provenance.json of each served version and, if the comparison is equal, FOLDER/verify.json;
    returns what was written."""
    served = Registry(workspace).served()
    files = {f"{family}.provenance.json": provenance(version) for family, version in served.items()}
    if comparison.equal:
        files["verify.json"] = result(served, comparison, datetime.now(UTC))
    for name, stated in files.items():
        write_whole(folder / name, seal(stated))
    return [folder / name for name in files]


def provenance(version: Version) -> Json:
    """How a version was built: its recipe, and by digest all that it was built from."""
    info = version.info
    materials = {
        **{f"{info.dataset}/{name}": digest for name, digest in info.tables.items()},
        **{f"sub-model/{shard}": digest for shard, digest in info.sub_models.items()},
        "ensemble": info.ensemble.digest,
        "code": version.code,
        "requirements.lock": version.lock,
    }
    metrics: Json = {**version.metrics}
    byproduct: Json = {"name": "metrics", "digest": {"sha256": digest_json(metrics)}, "annotations": metrics}
    predicate: Json = {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {"recipe": version.recipe.plain()},
            "internalParameters": {},
            "resolvedDependencies": [
                {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(materials.items()) if digest
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"lethe": __version__}},
            "metadata": {"invocationId": version.tag},
            "byproducts": [byproduct],
        },
    }
    return statement({f"{info.family}/package": version.digest}, PROVENANCE, predicate)


def result(served: Mapping[str, Version], comparison: Comparison, now: datetime) -> Json:
    """That a rebuild of these versions is equal; of a sample if that is all that was rebuilt."""
    packages = {f"{family}/package": version.digest for family, version in served.items()}
    assert comparison.equal, "a difference is no property"
    whole = packages.keys() <= set(comparison.compared)
    predicate: Json = {
        "verifier": {"id": VERIFIER},
        "timeCreated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "properties": [REBUILT if whole else SAMPLED],
    }
    return statement(packages, RESULT, predicate)
