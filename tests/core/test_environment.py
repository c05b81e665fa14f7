"""What lethe.core.environment computes: whose code a key holds, and which tables it leaves out."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import lethe
from lethe.core import environment
from lethe.models import MODELS


def closure(*modules: str) -> set[str]:
    return environment._closure(modules)


def test_the_root_is_the_package() -> None:
    assert Path(lethe.__file__).resolve().parent == environment.ROOT.resolve()


def test_tables_are_packages_that_list_everything_of_a_kind() -> None:
    # A stale name would fail without a word: adding a model would then change the keys of all others.
    listed = {name: [v for k, v in vars(import_module(name)).items() if k.isupper()] for name in environment.TABLES}
    assert all(any(isinstance(value, dict) and value for value in values) for values in listed.values()), listed


def test_a_model_is_made_by_what_it_imports_and_by_no_other_model() -> None:
    wmf = closure(MODELS["wmf"].__module__)
    assert {name.rpartition(".")[2] for name in wmf} >= {"wmf", "base", "als", "losses", "section", "matrix"}
    assert wmf.isdisjoint({model.__module__ for model in MODELS.values()} - {MODELS["wmf"].__module__})
    assert wmf.isdisjoint(environment.TABLES)


def test_a_digest_is_of_all_the_modules_together() -> None:
    one, other = MODELS["wmf"].__module__, MODELS["bpr"].__module__
    assert environment.code_digest(one) != environment.code_digest(other)
    assert environment.code_digest(one, other) == environment.code_digest(other, one)
    assert environment.whole_code_digest() != environment.code_digest(one)
