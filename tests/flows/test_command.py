"""A flow as a command, as real processes: Ctrl-C and a reader that goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT

LONG = 60


def start(folder: Path, script: str, **streams: int) -> subprocess.Popen[bytes]:
    """The script in a process of its own, in a session of its own as a terminal would give it none of ours."""
    path = folder / "script.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.Popen(
        [sys.executable, str(path)],
        cwd=folder,
        env=environment,
        start_new_session=True,
        # Tests that a shell runs in its background ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **{"stderr": -1, **streams},
    )


def wait_for(path: Path) -> None:
    for _ in range(10 * LONG):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path.name} never came")


def interrupt(process: subprocess.Popen[bytes]) -> tuple[int, str, list[psutil.Process]]:
    """(exit code, standard error, the processes it leaves) after Ctrl-C."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LONG)
    _, left = psutil.wait_procs(children, timeout=5)
    for child in left:
        child.kill()
    return process.returncode, said.decode(), left


ONE_LINE = "error: interrupted; the next run resumes what was under way\n"


def test_ctrl_c_ends_a_flow_in_one_line_and_leaves_no_child(tmp_path: Path) -> None:
    """Not even where a thread works on, or a child of Prefect's."""
    process = start(
        tmp_path,
        f"""
import subprocess, sys, threading, time
from pathlib import Path
from flows.command import command

def run():
    threading.Thread(target=time.sleep, args=({LONG},)).start()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep({LONG})"])
    Path("begun").touch()
    time.sleep({LONG})

command(run)
""",
    )
    wait_for(tmp_path / "begun")
    assert interrupt(process) == (130, ONE_LINE, [])


DEAF = """
import signal, time
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda number, frame: Path("asked").touch())
Path("begun").touch()
while True:
    time.sleep(0.1)
"""


def test_ctrl_c_while_a_flow_still_loads_is_one_line(tmp_path: Path) -> None:
    process = start(tmp_path, "import pathlib, time, flows; pathlib.Path('loads').touch(); time.sleep(60)")
    wait_for(tmp_path / "loads")
    assert interrupt(process) == (130, "error: interrupted; nothing was begun\n", [])


def test_a_fault_while_a_flow_loads_is_shown_as_ever(tmp_path: Path) -> None:
    process = start(tmp_path, "import flows; raise ValueError('a bug')")
    _, said = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert said.decode().endswith("ValueError: a bug\n")


def test_a_second_ctrl_c_waits_for_nobody(tmp_path: Path) -> None:
    (tmp_path / "deaf.py").write_text(DEAF)
    process = start(
        tmp_path,
        """
import subprocess, sys
from flows.command import command

command(lambda: subprocess.run([sys.executable, "deaf.py"]))
""",
    )
    wait_for(tmp_path / "begun")
    (child,) = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGINT)
    wait_for(tmp_path / "asked")
    assert interrupt(process) == (130, ONE_LINE, [])
    assert not child.is_running()


MODULE = """
import signal, time
from pathlib import Path

signal.signal(signal.SIGINT, lambda number, frame: None)
Path("begun").touch()
for _ in range(20):
    time.sleep(0.1)
Path("ended").touch()
"""


def test_a_module_that_writes_when_ctrl_c_comes_is_given_time_to_end(tmp_path: Path) -> None:
    (tmp_path / "writing.py").write_text(MODULE)
    process = start(
        tmp_path,
        """
from pathlib import Path
from flows.command import command
from lethe.core.process import run_module
from lethe.core.workspace import Workspace

command(lambda: run_module(Workspace(Path.cwd()), "writing"))
""",
    )
    wait_for(tmp_path / "begun")
    assert interrupt(process) == (130, ONE_LINE, [])
    assert (tmp_path / "ended").exists(), "it was not killed in the middle"


def test_ctrl_c_in_the_command_waits_for_the_flow_and_says_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").touch()
    (tmp_path / "flows" / "slow.py").write_text(
        f"""
import sys, time
from pathlib import Path
try:
    Path("begun").touch()
    time.sleep({LONG})
except KeyboardInterrupt:
    time.sleep(1)
    Path("ended").touch()
    print("one line", file=sys.stderr)
    sys.exit(130)
"""
    )
    process = start(
        tmp_path,
        """
import sys
from pathlib import Path
from lethe.core.process import run_flow
from lethe.core.workspace import Workspace

sys.exit(run_flow(Workspace(Path.cwd()), "slow"))
""",
    )
    wait_for(tmp_path / "begun")
    assert interrupt(process) == (130, "one line\n", [])
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flow_whose_reader_goes_away_goes_on_to_its_end(stream: str, tmp_path: Path) -> None:
    """As with ``lethe train 2>&1 | head``: a progress bar must not hang in its lock."""
    reader, writer = os.pipe()
    process = start(
        tmp_path,
        """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tqdm import tqdm
from flows.command import command

def one(number):
    with tqdm(total=10, position=number, mininterval=0) as bar:
        for _ in range(10):
            time.sleep(0.02)
            bar.update()
            print("line", number, flush=True)

def run():
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    Path("done").touch()

command(run)
""",
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer},
    )
    os.close(writer)
    os.read(reader, 4)
    os.close(reader)
    assert process.wait(timeout=LONG) == 0
    assert (tmp_path / "done").exists()
