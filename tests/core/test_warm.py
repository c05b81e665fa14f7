"""The warm process: a module that it runs ends as one that is run by its name, and whoever gets no answer goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.core.workspace import Workspace
from tests.conftest import ROOT

MODULES = {
    "said": "import os, sys; print(os.getcwd(), sys.argv[1:], 'json' in sys.modules, os.getpid() == os.getppid())",
    "failing": "import sys; sys.exit('error: column: 3 must be 4')",
    "broken": "def look():\n    {}['user-007']\nlook()",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "leaving": "import builtins, sys; builtins.left = 1; sys.exit(3)",
    "after": "import builtins; print('left' if hasattr(builtins, 'left') else 'nothing left')",
}
RUN = """
import os, signal, subprocess, sys
from lethe.core import process, warm
from lethe.core.workspace import Workspace

workspace, ran = Workspace.find(), []
here = str(workspace.root)
ask = lambda module, *given: warm.ask(module, given, os.environ, here)
with process.modules_warm(lambda: None):
    BODY
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    # Longer than the address of a socket may be.
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).touch()
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    return Workspace(folder)


def run(workspace: Workspace, text: str, **more: str) -> str:
    """What a process prints that has a warm one, and then runs this."""
    path = os.pathsep.join([str(workspace.root), *filter(None, [os.environ.get("PYTHONPATH"), str(ROOT)])])
    done = subprocess.run(
        [sys.executable, "-c", RUN.replace("BODY", text)],
        cwd=workspace.root,
        env=workspace.environment() | {"PYTHONPATH": path} | more,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_module_gets_its_arguments_and_folder_and_its_streams_are_ours(workspace: Workspace) -> None:
    assert run(workspace, "assert ask('said', 'a', 'b c').wait() == 0") == (
        f"{workspace.root} ['a', 'b c'] True False\n"
    )


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("failing", 1, "error: column: 3 must be 4\n"),
        ("leaving", 3, ""),
        ("killed", -9, ""),
        ("absent", 1, "No module named absent"),
        ("broken", 1, "KeyError: 'user-007'\n"),
    ],
)
def test_it_ends_as_by_its_name(workspace: Workspace, module: str, code: int, said: str) -> None:
    out = run(workspace, f"code = ask('{module}').wait(); assert code == {code}, code")
    assert said in out if said else not out


def test_nothing_stays_from_one_module_to_the_next(workspace: Workspace) -> None:
    assert run(workspace, "ask('leaving').wait(); ask('after').wait()") == "nothing left\n"


def test_whoever_gets_no_answer_runs_the_module_itself(workspace: Workspace) -> None:
    dead = "os.kill(int(subprocess.check_output(['pgrep', '-P', str(os.getpid())]).split()[0]), 9)"
    module = "print(process.run_module(workspace, 'said', 'x'), end='')"
    expected = f"{workspace.root} ['x'] "
    assert run(workspace, module).startswith(expected + "True")
    assert run(workspace, f"{dead}; {module}").startswith(expected + "False"), "the warm process died"
    assert run(workspace, module, OMP_NUM_THREADS="2").startswith(expected + "False"), "loaded with other settings"


def test_another_environment_is_not_served(workspace: Workspace) -> None:
    other = "warm.ask('said', [], os.environ | {'LETHE_KEY_DIR': '/elsewhere'}, here)"
    assert run(workspace, f"print({other})") == "None\n"


def test_a_module_whose_caller_is_gone_is_stopped(workspace: Workspace) -> None:
    (workspace.root / "slow.py").write_text("import time; time.sleep(50)")
    text = "import select; job = ask('slow'); ended = os.pidfd_open(job.pid); job._connection.close()"
    assert run(workspace, f"{text}; print(select.select([ended], [], [], 30)[0] == [ended])") == "True\n"


def test_a_stage_that_fails_is_the_same_by_either_way(workspace: Workspace) -> None:
    def by(environment: str) -> str:
        command = "[sys.executable, '-m', 'lethe.data.run', 'ingest', 'none']"
        return run(workspace, f"d = subprocess.run({command}, env={environment}, stderr=-1); print(d)")

    ended = by("os.environ")
    assert "returncode=1, stderr=b'error: params.yaml.pipeline: Field required\\n'" in ended
    assert ended == by("os.environ | {'LETHE_WARM': ''}")


def test_what_libraries_set_when_they_load_does_not_keep_a_run_from_its_warm_process(workspace: Workspace) -> None:
    said = run(
        workspace,
        """
        import torch, lethe.learning.training, lethe.models, bentoml
        from lethe.learning.device import load_rest_of_torch
        load_rest_of_torch()
        assert "torch._inductor" in sys.modules, "it sets a variable"
        job = ask("after")
        print(job is not None and job.wait() == 0)
        """.replace("\n        ", "\n    "),
    )
    assert said.splitlines()[-1] == "True", said


def test_a_shell_in_between_changes_nothing_that_counts(workspace: Workspace) -> None:
    """As DVC has one, below an activated virtual environment and a bash that exports functions."""
    (workspace.root / "asking.py").write_text(
        "import os, sys; from lethe.core import warm;"
        " job = warm.ask('after', [], os.environ, os.getcwd()); sys.exit(7 if job is None else job.wait())"
    )
    text = "done = subprocess.run(f'{sys.executable} asking.py', shell=True); print(done.returncode)"
    exported = {"PS1": "(.venv) $ ", "PS2": "> ", "IFS": " ", "BASH_FUNC_module%%": "() {  eval $1\n}"}
    assert run(workspace, text, **exported) == "nothing left\n0\n"


def test_what_a_worker_of_prefects_starts_has_one_too(workspace: Workspace) -> None:
    """It spells settings anew, and hands a run what the run's engine then takes away."""
    (workspace.root / "engine.py").write_text(
        "import os, sys; from lethe.core import process; from lethe.core.workspace import Workspace;"
        " del os.environ['PREFECT__CONTROL_TOKEN'];"
        " print(sys.argv[1:], process.run_module(Workspace.find(), 'said'), end='')"
    )
    around = workspace.environment() | {"PYTHONPATH": str(workspace.root), "PREFECT__CONTROL_TOKEN": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "lethe.data.warmed", "engine", "a"],
        cwd=workspace.root,
        env=around | {"PREFECT_LOGGING_TO_API_ENABLED": "True"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"['a'] {workspace.root} [] True False\n", done.stderr
