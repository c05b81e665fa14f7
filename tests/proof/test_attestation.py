"""Statements for other tools: signed, about the packages that are served, and no more said than was shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.build.registry import Registry
from lethe.cli import app
from lethe.core.canonical import digest_file
from lethe.core.envelope import PublicKey, stated, unseal
from lethe.core.workspace import Workspace
from lethe.proof import attestation
from lethe.proof.compare import Comparison
from lethe.proof.verification import verify
from tests.house import train


def opened(path: Path, kind: str) -> tuple[list[dict], dict]:
    return stated(unseal(path.read_bytes(), PublicKey.own(), path.name), kind, path.name)


def test_each_version_has_a_provenance_and_all_of_them_a_result(tiny: Workspace, tmp_path: Path) -> None:
    tiny.lock.write_text("torch==2.13.0\n")
    train(tiny)
    built_with = digest_file(tiny.lock)
    tiny.lock.write_text("torch==2.14.0\n")
    written = attestation.attest(tiny, verify(tiny), tmp_path)
    assert [path.name for path in written] == ["plain.provenance.json", "sharded.provenance.json", "verify.json"]
    served = Registry(tiny).served()
    for family, version in served.items():
        subjects, predicate = opened(tmp_path / f"{family}.provenance.json", attestation.PROVENANCE)
        manifest = digest_file(Registry(tiny).folder(version.tag) / "manifest.json")
        assert subjects == [{"name": f"{family}/package", "digest": {"sha256": manifest}}]
        build = predicate["buildDefinition"]
        assert build["externalParameters"]["recipe"] == version.recipe.plain()
        named = {one["name"]: one["digest"]["sha256"] for one in build["resolvedDependencies"]}
        assert named["tiny/interactions"] == version.info.data_digest
        assert named["requirements.lock"] == built_with, "that of the build, whatever it is now"
        assert {f"sub-model/{shard}" for shard in version.info.sub_models} <= named.keys()
        assert predicate["runDetails"]["byproducts"][0]["annotations"] == version.metrics
    subjects, predicate = opened(tmp_path / "verify.json", attestation.RESULT)
    assert [subject["name"] for subject in subjects] == ["plain/package", "sharded/package"]
    assert predicate["properties"] == [attestation.REBUILT]


def test_a_sample_and_a_difference_are_not_called_more(trained: Workspace, tmp_path: Path) -> None:
    attestation.attest(trained, verify(trained, sample=1, seed="0"), tmp_path / "sampled")
    assert opened(tmp_path / "sampled" / "verify.json", attestation.RESULT)[1]["properties"] == [attestation.SAMPLED]
    different = Comparison(("plain/package",), ("plain/package",))
    attestation.attest(trained, different, tmp_path / "different")
    assert not (tmp_path / "different" / "verify.json").exists()


def test_the_command_attests(trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.root)
    done = CliRunner().invoke(app, ["verify", "--attest", str(tmp_path / "out")])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "out" / "verify.json").is_file()
