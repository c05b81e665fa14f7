"""No test lies where nobody looks for it."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.conftest import ROOT


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    paths = [path.parent.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")]
    passed_over = pytestconfig.getini("norecursedirs")
    assert not {path for path in paths if any(fnmatch(part, each) for part in path.parts for each in passed_over)}
