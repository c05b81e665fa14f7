"""What README.md and the page on side data show works as it is shown."""

from __future__ import annotations

import re

import pytest
import yaml

from lethe.config.dataset import Dataset
from lethe.models import MODELS
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SIDE_DATA = (ROOT / "docs" / "side-data.md").read_text(encoding="utf-8")


def test_it_is_read_in_one_sitting() -> None:
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", SIDE_DATA, flags=re.DOTALL))
def test_its_parameters_are_valid(block: str) -> None:
    datasets = yaml.safe_load(block)["datasets"]
    for name, section in datasets.items():
        assert Dataset.parse(section, f"datasets.{name}").source.kind == "table"


def test_the_table_of_side_data_says_what_the_models_need() -> None:
    rows = re.findall(
        r"^\| ([a-z, ]+) \| (.*) \|$",
        SIDE_DATA.split("| kind | models that need it |")[1].split("\n\n")[0],
        flags=re.MULTILINE,
    )
    said = {model.split(" (")[0].lower().replace("_", "-") for _, models in rows for model in models.split(", ")}
    needing = {name for name, model in MODELS.items() if model.needs}
    accepting = {name for name, model in MODELS.items() if "contexts" in model.accepts}
    assert said == needing | accepting
