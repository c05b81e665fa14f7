"""A recipe names no machine: what one promoted, any other can rebuild."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import yaml

from lethe.build import builder
from lethe.build.candidates import jobs
from lethe.build.recipe import Recipe
from lethe.build.recipes import recipes
from lethe.config.params import Params
from lethe.core.artifacts import ArtifactStore
from lethe.core.environment import numeric_environment
from lethe.core.workspace import Workspace
from lethe.data.stages import build_data
from lethe.errors import ConfigError
from lethe.forgetting.state import state_of
from lethe.learning import device, sub_model
from lethe.learning.training import train as learn
from tests import house


def trained_on(workspace: Workspace) -> set[str]:
    """The devices that the served family's sub-models name."""
    served = set(state_of(workspace).families["sharded"].sub_models.values())
    made = [artifact for artifact in ArtifactStore(workspace.artifacts).all() if artifact.digest in served]
    assert len(made) == len(served)
    return {artifact.inputs["environment"]["device"] for artifact in made}


@pytest.fixture
def gradient(tiny: Workspace) -> Workspace:
    """A workspace whose one family learns by gradients, on whatever device there is."""
    values = yaml.safe_load(tiny.params.read_text())
    candidates = [{"model": "enmf-u", "sharding": "user-hash-3"}]
    values["families"] = {"sharded": {"dataset": "tiny", "candidates": candidates}}
    tiny.params.write_text(yaml.safe_dump(values, sort_keys=False))
    return tiny


def test_what_a_gpu_promoted_is_rebuilt_on_a_cpu(gradient: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def on_a_card(model: Any, data: Any, stream: Any, where: torch.device, **more: Any) -> Any:
        asked.append(where.type)
        return learn(model, data, stream, **more)

    with monkeypatch.context() as machine:
        machine.setattr(device, "fault", lambda: None)
        machine.setattr(device, "WORTH", 0)
        machine.setattr(builder, "worthwhile", lambda *_: device.CPU)  # What comes after training stays here.
        machine.setattr(sub_model, "train", on_a_card)
        card = {**numeric_environment("cpu"), "device": "a card"}
        machine.setattr(
            builder, "numeric_environment", lambda kind, _=True: card if kind == "cuda" else numeric_environment(kind)
        )
        house.train(gradient)
        assert set(asked) == {"cuda"}
        assert trained_on(gradient) == {"a card"}
    monkeypatch.setattr(device, "fault", lambda: "there is none")
    house.train(gradient, ["tiny"])
    assert trained_on(gradient) == {"cpu"}


def test_a_recipe_of_an_older_version_is_read_without_its_device(gradient: Workspace) -> None:
    recipe = jobs(gradient, Params.read(gradient.params))[0].recipe
    assert "device" not in recipe.plain()
    assert Recipe.parse(recipe.plain() | {"device": "cuda"}, "model x") == recipe
    with pytest.raises(ConfigError, match=r"^model x\.card: unknown key"):
        Recipe.parse(recipe.plain() | {"card": "cuda"}, "model x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_absent_gpu_is_refused_before_anything_is_trained(gradient: Workspace) -> None:
    values = yaml.safe_load(gradient.params.read_text())
    gradient.params.write_text(yaml.safe_dump(values | {"training": {"device": "cuda"}}))
    with pytest.raises(ConfigError, match=r"^training\.device: 'cuda' was asked for"):
        jobs(gradient, Params.read(gradient.params))


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"partition": "alphabet"}, r"shardings\.mean-3\.partition: 'alphabet' must be one of whole, user-hash, "),
        ({"aggregator": "vote"}, r"shardings\.mean-3\.aggregator: 'vote' must be one of identity, mean, "),
        ({"partition": "ibp", "aggregator": "ease"}, r"shardings\.mean-3: aggregator 'ease' needs all rows of a user"),
    ],
)
def test_a_sharding_that_cannot_be_is_refused_before_anything_is_built(
    gradient: Workspace, layout: dict[str, str], words: str
) -> None:
    values = yaml.safe_load(gradient.params.read_text())
    values["shardings"]["mean-3"] |= layout
    gradient.params.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=f"^{words}"):
        jobs(gradient, Params.read(gradient.params))


def test_a_data_stage_refuses_an_unknown_partition_in_one_line(gradient: Workspace) -> None:
    values = yaml.safe_load(gradient.params.read_text())
    values["shardings"]["user-hash-3"]["partition"] = "alphabet"
    gradient.params.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match=r"^partition: 'alphabet' must be one of "):
        build_data(gradient, Params.read(gradient.params), "tiny", ["user-hash-3"])


@pytest.mark.parametrize(
    "text", ["", "# nothing is set\n", "- reg\n", "reg\n"], ids=["empty", "remarks", "a list", "a word"]
)
def test_a_file_of_tuned_values_that_holds_none_is_nothing_or_one_line(tiny: Workspace, text: str) -> None:
    before = recipes(tiny, Params.read(tiny.params), "sharded")
    file = tiny.root / "params" / "tiny" / "wmf.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    if "reg" not in text:
        assert recipes(tiny, Params.read(tiny.params), "sharded") == before
        return
    with pytest.raises(ConfigError, match=r"^params/tiny/wmf.yaml: .* must be options and their values") as caught:
        recipes(tiny, Params.read(tiny.params), "sharded")
    assert "\n" not in str(caught.value)
