"""Our modules as subprocesses: whatever ends one, the caller gets a LetheError of one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lethe.core.process import run_module
from lethe.core.workspace import Workspace
from lethe.errors import DataError, LetheError, ValidationError
from tests.conftest import ROOT

PROGRAMS = {
    "fine": "print('done')",
    "refused": "import sys; print('noise'); sys.exit('error: column: 3 must be 4')",
    "broken": "def look():\n    {}['user-007']\nlook()",
    "wrapped": "try:\n    {}['user-007']\nexcept KeyError as e:\n    raise ValueError('user-007\\nuser-8') from e",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "silent": "import sys; print('user-007'); sys.exit(3)",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name, text in PROGRAMS.items():
        (tmp_path / f"{name}.py").write_text(text)
    return Workspace(tmp_path)


def test_what_it_prints_comes_back(workspace: Workspace) -> None:
    assert run_module(workspace, "fine") == "done\n"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("refused", "column: 3 must be 4"),
        ("broken", "broken tiny: broke down with KeyError at line 2 of broken.py; run it to see all of it"),
        ("wrapped", "wrapped tiny: broke down with ValueError at line 4 of wrapped.py; run it to see all of it"),
        ("killed", "killed tiny: killed by signal 9"),
        ("silent", "silent tiny: exit code 3; run it to see why"),
        ("absent", "absent tiny: exit code 1; run it to see why"),
    ],
)
def test_a_fault_is_one_line_without_a_value_of_a_row(workspace: Workspace, module: str, line: str) -> None:
    with pytest.raises(DataError) as caught:
        run_module(workspace, module, "tiny")
    assert str(caught.value) == line


def test_the_caller_says_which_error_it_is(workspace: Workspace) -> None:
    kinds: tuple[type[LetheError], ...] = (ValidationError, LetheError)
    for kind in kinds:
        with pytest.raises(LetheError) as caught:
            run_module(workspace, "broken", error=kind)
        assert type(caught.value) is kind


def test_no_code_of_ours_changes_the_environment_of_its_process_but_where_one_begins() -> None:
    """A command; a notebook of the user's, before it loads what reads it; the warm process."""
    begin = ("src/lethe/cli/__init__.py", "src/lethe/__init__.py", "src/lethe/core/warm.py")
    changing = re.compile(
        r"os\.environ(\[[^]]*\] *=|\.(update|setdefault|pop|clear)\()|os\.(putenv|unsetenv)|del os\.environ"
    )
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    found = {str(path.relative_to(ROOT)): changing.findall(path.read_text()) for path in files}
    assert {name: len(places) for name, places in found.items() if places} == dict.fromkeys(begin, 1)
