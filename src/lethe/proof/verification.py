"""``lethe verify``: is what is served what its own data give, and are today's tables what the source gives?

Everything is made anew in clean folders and compared by digest. Each version is rebuilt from the tables that its build
began with, whatever happened to the source since; today's tables are held against the source, if that is still as it
was when they were made.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

from lethe.build.registry import Registry
from lethe.build.version import Version
from lethe.config.params import Params
from lethe.core import reports
from lethe.core.process import alone
from lethe.core.workspace import Workspace
from lethe.errors import ArtifactError
from lethe.forgetting.certificate.content import drawn
from lethe.proof.compare import Comparison, compare
from lethe.proof.rebuild import Progress, Rebuild, place_to_build


def verify(
    workspace: Workspace, progress: Progress = lambda _: None, *, sample: int | None = None, seed: str | None = None
) -> Comparison:
    """Compare what is deployed, and today's tables behind it, with a rebuild.

    ``sample``: of the artifacts only so many sub-models, drawn by ``seed`` (an auditor's word; default: a random one),
    which the comparison names: nobody who built them could know it, and anybody can draw the same again.

    Raises ArtifactError if nothing is deployed or a stored byte was changed, NotComparable where something was built by
    other code, in another numeric environment, or from data that are gone.
    """
    params = Params.read(workspace.params)
    with alone(workspace):
        served = Registry(workspace).served()
        if not served:
            raise ArtifactError("registry: nothing is promoted yet, so there is nothing to verify; run lethe train")
        deployed = deployed_digests(workspace, served)
        with place_to_build(workspace, params, "verify") as folder:
            rebuild = Rebuild.begin(workspace, params, served, folder, progress)
            tables = rebuild.tables()
            if sample is None:
                made = rebuild.everything()
            else:
                seed = seed or secrets.token_hex(16)
                chosen = drawn((name for name in deployed if "/sub-model/" in name), sample, [seed])
                deployed, made = {name: deployed[name] for name in chosen}, rebuild.sub_models(chosen)
            comparison = compare(tables.today | deployed, tables.made | made, tables.left_out)
            return comparison if sample is None else replace(comparison, seed=seed)


def deployed_digests(workspace: Workspace, served: Mapping[str, Version]) -> dict[str, str]:
    """Digest of every artifact behind what is served: {"family/ensemble": sha256, ...}."""
    digests: dict[str, str] = {}
    for family, version in served.items():
        # The served copy's own bytes are checked against its manifest, not only its name.
        package = Registry(workspace).open(version.tag)
        digests[f"{family}/package"] = package.digest
        digests[f"{family}/ensemble"] = version.info.ensemble.digest
        digests |= {f"{family}/sub-model/{name}": digest for name, digest in version.info.sub_models.items()}
    return digests


def write_report(workspace: Workspace, comparison: Comparison) -> None:
    """reports/verify.json."""
    reports.write_report(workspace, "verify", comparison.to_json())
