"""What lethe.core.environment computes: whose code a key holds, what of it counts, and which tables it leaves out."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import lethe
from lethe.build import objectives, trials
from lethe.build.measuring import write_evaluation
from lethe.core import environment
from lethe.data import stages
from lethe.learning.aggregation import AGGREGATORS
from lethe.learning.aggregation.combine import read_sub_model, write_ensemble
from lethe.learning.slices import write_slice
from lethe.learning.sub_model import write_sub_model
from lethe.models import MODELS
from lethe.serving.packing import write_package
from tests.edits import Edit, edited, with_code, with_words

WMF = MODELS["wmf"]
MADE: dict[str, tuple[Any, ...]] = {
    "sub-model": (write_sub_model, WMF),
    "slice": (write_slice, WMF),
    "ensemble": (read_sub_model, write_ensemble, AGGREGATORS["stacked"].fit, WMF),
    "evaluation": (write_evaluation, WMF),
    "package": (write_package, WMF),
    "tuning": (trials.Search, objectives.ranking_objective, WMF),
}
"""What is kept under a key, and what makes it."""


def after(module: str, edit: Edit, *what: Any) -> str:
    """The digest of ``what`` if the source of a module were another."""
    with edited(module, edit):
        return environment.code_digest(*what)


def test_the_root_is_the_package() -> None:
    assert Path(lethe.__file__).resolve().parent == environment.ROOT.resolve()


def test_tables_are_packages_that_list_everything_of_a_kind() -> None:
    # A stale name would fail without a word: adding a model would then change the keys of all others.
    listed = {name: [v for k, v in vars(import_module(name)).items() if k.isupper()] for name in environment.TABLES}
    assert all(any(isinstance(value, Mapping) and value for value in values) for values in listed.values()), listed


def test_a_model_is_made_by_what_it_imports_and_by_no_other_model() -> None:
    wmf = environment.closure(WMF)
    assert {name.rpartition(".")[2] for name in wmf} >= {"wmf", "base", "als", "losses", "section", "matrix"}
    assert wmf.isdisjoint({model.__module__ for model in MODELS.values()} - {WMF.__module__})
    assert wmf.isdisjoint(environment.TABLES)


def test_a_digest_is_of_all_the_modules_together() -> None:
    one, other = WMF, MODELS["bpr"]
    assert environment.code_digest(one) != environment.code_digest(other)
    assert environment.code_digest(one, other) == environment.code_digest(other, one)
    assert environment.whole_code_digest() != environment.code_digest(one)
    assert environment.code_digest(one) == environment.code_digest(sys.modules[one.__module__])


@pytest.mark.parametrize("kind", MADE)
def test_a_line_of_code_in_any_module_of_a_closure_moves_the_key_and_words_do_not(kind: str) -> None:
    what = MADE[kind]
    key, modules = environment.code_digest(*what), environment.closure(*what)
    assert len(modules) > 10
    for module in modules:
        assert after(module, with_code, *what) != key, module
        assert after(module, with_words, *what) == key, module


@pytest.mark.parametrize(
    ("kind", "needed"),
    {
        "sub-model": ["learning.training", "learning.checkpoint", "tables.catalogue", "tables.side_tables"],
        "slice": ["learning.slices", "learning.sub_model", "learning.training"],
        "ensemble": [
            "learning.ensemble", "learning.aggregation.align", "models.solvers.als", "models.solvers.als_compiled",
        ],
        "evaluation": [
            "build.measuring", "evaluation.ranking", "evaluation.rating", "evaluation.contextual", "evaluation.metrics",
            "learning.ensemble",
        ],
        "package": ["serving.packing", "learning.ensemble"],
        "tuning": [
            "build.trials", "build.objectives", "evaluation.ranking", "evaluation.rating", "evaluation.contextual",
            "learning.training", "models.parts.rating", "tables.side_tables",
        ],
    }.items(),
)  # fmt: skip
def test_what_decides_the_bytes_is_in_the_key(kind: str, needed: list[str]) -> None:
    assert environment.closure(*MADE[kind]) >= {f"lethe.{name}" for name in needed}


@pytest.mark.parametrize("kind", MADE)
def test_an_option_of_params_yaml_moves_no_key(kind: str) -> None:
    read = {name for name in environment.closure(*MADE[kind]) if name.startswith(("lethe.config.", "lethe.data."))}
    assert read <= {f"lethe.config.{name}" for name in ("section", "measures", "search")}, "none holds an option"


@pytest.mark.parametrize("kind", MADE)
def test_an_entry_more_in_a_table_moves_no_key_but_its_functions_do(kind: str) -> None:
    key, modules = environment.code_digest(*MADE[kind]), environment.closure(*MADE[kind])
    for table in environment.TABLES:
        more = b"\nfrom lethe.models.brand_new import New\n\nMODELS['new'] = New\n"
        assert after(table, lambda source: source + more, *MADE[kind]) == key  # noqa: B023
        moved = after(table, with_code, *MADE[kind]) != key
        assert moved == (table in modules), table


def test_what_a_table_hands_on_is_followed_to_where_it_is_defined() -> None:
    data = environment.closure(*stages.STAGES.values())
    assert {f"lethe.data.partition.{name}" for name in ("slices", "assignment")} <= data
    assert "lethe.data.partition.graph" not in data
    assert "lethe.models.wmf" in data, "a balanced partition looks at its vectors"


def test_docstrings_of_modules_classes_functions_and_attributes_are_no_code() -> None:
    module = "lethe.core.random"
    spare = b"class A:\n    b: int = 1\n    def c(self):\n        return 'd'\n"
    words = (
        b'class A:\n    """A."""\n\n    b: int = 1\n    """B."""\n    # c\n'
        b'    def c(self):\n        """C."""\n        return "d"\n'
    )
    other = spare.replace(b"'d'", b"'e'")
    first, same, changed = (
        after(module, lambda _, text=text: text, import_module(module)) for text in (spare, words, other)
    )
    assert first == same != changed


def test_a_module_run_by_its_name_has_the_digest_that_it_has_when_imported(tmp_path: Path) -> None:
    package = tmp_path / "outside"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("from lethe.core.random import Stream\n")
    (package / "models.py").write_text(
        textwrap.dedent(
            """
            from lethe.core.environment import closure, code_digest
            from . import helper

            def made():
                return helper

            print(code_digest(made), "lethe.core.random" in closure(made), "outside.helper" in closure(made))
            """
        )
    )
    path = {"PYTHONPATH": f"{tmp_path}:{environment.ROOT.parent}"}
    runs = [
        subprocess.run([sys.executable, *command], env=path, capture_output=True, text=True, check=True).stdout.split()
        for command in (["-m", "outside.models"], ["-c", "import outside.models"])
    ]
    assert runs[0] == runs[1]
    assert runs[0][1:] == ["True", "True"]


def test_a_drivers_version_is_read_where_it_is_stated_and_asked_of_the_driver_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = tmp_path / "version"
    stated.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC: 12.2\n")
    assert environment._driver(stated) == "580.159.04"

    class Library:
        def cuDriverGetVersion(self, place: Any) -> int:
            place._obj.value = 13020
            return 0

    monkeypatch.setattr(environment.ctypes, "CDLL", lambda name: Library())
    assert environment._driver(tmp_path / "none") == "CUDA 13.2"
