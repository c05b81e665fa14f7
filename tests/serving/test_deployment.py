from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lethe.errors import ConfigError, DeploymentError
from lethe.serving.deployment import Deployment

PLAIN: dict[str, Any] = {"bento": "recommender:1", "families": {"plain": "lethe-plain:1"}, "default": "plain"}


def test_a_deployment_survives_the_file(tmp_path: Path) -> None:
    deployment = Deployment.parse({**PLAIN, "max_k": 7}, "deployment")
    deployment.write(tmp_path / "state" / "deployment.json")
    assert Deployment.read(tmp_path / "state" / "deployment.json") == deployment
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["deployment.json"]


@pytest.mark.parametrize(
    ("content", "error", "line"),
    [
        (None, DeploymentError, "nothing is deployed yet"),
        ("{", DeploymentError, "not valid JSON"),
        ('{"bento": "b"}', ConfigError, "families"),
        ('{"bento": "b", "families": {"a": "t"}, "default": "z"}', ConfigError, "'z' must be one of a"),
    ],
)
def test_a_missing_or_malformed_deployment_is_one_line(
    tmp_path: Path, content: str | None, error: type[Exception], line: str
) -> None:
    path = tmp_path / "deployment.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=line) as caught:
        Deployment.read(path)
    assert "\n" not in str(caught.value)
