"""From staging to production: the recipe is handed over, and where the rows are the same the bytes are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lethe.build.places import promote_to
from lethe.build.registry import Registry
from lethe.config.params import Params
from lethe.core.workspace import Workspace
from lethe.errors import ConfigError
from tests.conftest import make_workspace, taste_blocks
from tests.house import train


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Tuned, with a sharding of its own, and trained."""
    made = make_workspace(tmp_path_factory.mktemp("staging") / "w", taste_blocks())
    edit(made, shardings={"mean-2": {"partition": "user-hash", "num_shards": 2, "aggregator": "mean"}})
    values = yaml.safe_load(made.params.read_text())
    values["pipeline"]["shardings"].append("mean-2")
    values["families"] = {
        "plain": {"dataset": "tiny", "candidates": [{"model": "wmf", "sharding": "mean-2"}]},
        "sharded": values["families"]["sharded"],
    }
    made.params.write_text(yaml.safe_dump(values, sort_keys=False))
    (made.root / "params" / "tiny").mkdir(parents=True)
    (made.root / "params" / "tiny" / "wmf.yaml").write_text("{embedding_dim: 4, sweeps: 3}\n")
    train(made)
    return made


@pytest.fixture
def production(tmp_path: Path) -> Workspace:
    """With the same rows, as params.yaml first was."""
    return make_workspace(tmp_path / "production", taste_blocks())


def edit(workspace: Workspace, **sections: dict[str, object]) -> None:
    values = yaml.safe_load(workspace.params.read_text())
    for name, section in sections.items():
        values[name] |= section
    workspace.params.write_text(yaml.safe_dump(values, sort_keys=False))


def tags(workspace: Workspace) -> dict[str, str]:
    return {family: version.tag for family, version in Registry(workspace).served().items()}


def test_the_same_rows_give_the_same_bytes_there(staging: Workspace, production: Workspace) -> None:
    handed = promote_to(staging, production)
    assert {one.family: (one.version, one.differs) for one in handed} == {
        family: (tag, ()) for family, tag in tags(staging).items()
    }
    assert Registry(production).served() == {}, "nothing is served that was not made there"
    assert not (production.root / "artifacts").exists()
    train(production)
    assert tags(production) == tags(staging)
    record = json.loads((production.reports / "promoted-from.json").read_bytes())
    assert record["plain"]["version"] == tags(staging)["plain"]
    again = production.params.read_text()
    promote_to(staging, production)
    assert production.params.read_text() == again


def test_one_family_leaves_the_others_as_they_are(staging: Workspace, production: Workspace) -> None:
    before = Params.read(production.params)
    edit(production, datasets={"tiny": yaml.safe_load(production.params.read_text())["datasets"]["tiny"]})
    values = yaml.safe_load(production.params.read_text()) | {"seed": 8}
    production.params.write_text("# our own remark\n" + yaml.safe_dump(values, sort_keys=False))
    (one,) = promote_to(staging, production, ["plain"])
    after = Params.read(production.params)
    assert one.differs == ("seed",)
    assert after.families["sharded"] == before.families["sharded"]
    assert [candidate.sharding for candidate in after.families["plain"].candidates] == ["mean-2"]
    assert production.params.read_text().startswith("# our own remark\n")


def test_what_the_other_project_cant_take_over_is_one_line_and_changes_nothing(
    staging: Workspace, production: Workspace
) -> None:
    edit(production, shardings={"mean-2": {"partition": "user-hash", "num_shards": 5, "aggregator": "mean"}})
    before = production.params.read_bytes()
    for families, line in (
        (["plain"], "shardings.mean-2 is another one in the other project"),
        (["other"], "family: 'other' has no promoted version; there are: plain, sharded"),
    ):
        with pytest.raises(ConfigError, match=line):
            promote_to(staging, production, families)
    with pytest.raises(ConfigError, match="must be another project's"):
        promote_to(staging, staging)
    with pytest.raises(ConfigError, match="none has a promoted version"):
        promote_to(production, staging)
    assert production.params.read_bytes() == before
    assert not (production.root / "params").exists()


def test_where_one_family_does_not_fit_nothing_of_the_others_is_left(staging: Workspace, production: Workspace) -> None:
    values = yaml.safe_load(production.params.read_text())
    values["datasets"]["other"] = values["datasets"]["tiny"]
    values["pipeline"]["datasets"] = ["other"]
    values["families"] = {"own": {"dataset": "other", "candidates": [{"model": "mostpop", "sharding": "whole"}]}}
    production.params.write_text(yaml.safe_dump(values, sort_keys=False))
    tuned = production.root / "params" / "tiny" / "wmf.yaml"
    tuned.parent.mkdir(parents=True)
    for own in (None, "{reg: 0.5}\n"):
        if own is not None:
            tuned.write_text(own)
        before = production.params.read_bytes()
        with pytest.raises(ConfigError, match=r"families\.plain\.dataset names 'tiny', known are other"):
            promote_to(staging, production)
        assert production.params.read_bytes() == before
        assert (tuned.read_text() if tuned.exists() else None) == own, "what was tuned there is what it was"
