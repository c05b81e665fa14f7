"""A flow that a project changed meets the others as they are today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from flows import data
from lethe.core.shipped import call_flow, shipped_root
from lethe.errors import ConfigError

DECORATED = """
from flows.{engine} import flow

@flow(name="data")
def data({parameters}):
    return "ran"
"""


def kept(folder: Path, engine: str, parameters: str) -> ModuleType:
    """A project's own flows/data.py."""
    path = folder / "data.py"
    path.write_text(DECORATED.format(engine=engine, parameters=parameters))
    spec = importlib.util.spec_from_file_location(f"kept_{engine}_{len(parameters)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("engine", ["plain", "watched"])
def test_a_flow_that_takes_no_arguments_any_more_is_one_line(engine: str, tmp_path: Path) -> None:
    module = kept(tmp_path, engine, "")
    with pytest.raises(ConfigError) as raised:
        call_flow(module.data, ["tiny"])
    line = str(raised.value)
    assert line.startswith(f"{tmp_path / 'data.py'}: data() must accept (touched: list[str] | None=None)")
    assert f"copy {shipped_root() / 'flows' / 'data.py'} over it" in line
    assert "\n" not in line


def test_a_flow_that_fits_is_called_and_its_own_errors_are_its_own(tmp_path: Path) -> None:
    assert call_flow(kept(tmp_path, "plain", "touched=None").data, ["tiny"]) == "ran"

    def broken(touched: list[str]) -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        call_flow(broken, ["tiny"])
    with pytest.raises(ConfigError):
        call_flow(data.data, ["tiny"], "one more")
