"""Our own Python modules as subprocesses, with the workspace's environment and one-line errors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from filelock import FileLock, Timeout

from lethe.core import elsewhere, logs, warm
from lethe.core.interrupted import INTERRUPTED
from lethe.core.shipped import shipped_root
from lethe.core.workspace import Workspace
from lethe.errors import DataError, LetheError, Unreachable

FAULT = "error: "
"""How the one line of a module that fails on purpose begins."""
MAY_PASS = "error, may pass: "
"""The same where what is outside doesn't answer now."""
GRACE = 30.0
"""Seconds that a child has after Ctrl-C."""
_UNDER_WAY: set[int] = set()
"""Processes of the modules that run now."""


class BrokeDown(RuntimeError):
    """A bug of ours, without its text, which may hold a value of a row."""


def place_of(error: Exception) -> str:
    """What may be told of a bug of ours: its kind and its place."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"broke down with {type(error).__name__} at line {last.lineno} of {Path(last.filename).name}"


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """While no other process of ours changes or judges the workspace; within one process it may be entered again.

    A forget run beside a training would purge what the training is building. Who finds a stranger at work says so on
    standard error and waits.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(workspace.state / "flow.lock", thread_local=False, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logs.say("waiting: another flow is running in this workspace")
        lock.acquire()
    try:
        if lock.lock_counter == 1:
            elsewhere.end_all(workspace)
        yield
    finally:
        lock.release()


@contextmanager
def modules_warm(prepare: Callable[[], object]) -> Iterator[None]:
    """While a warm process runs our modules, those of DVC's stages among them (see lethe.core.warm). To be entered
    before this process starts anything else; where that can't be they run as ever. ``prepare``: what it does before the
    first of them, for all."""
    path = os.environ.get(warm.VARIABLE)
    started = warm.begin(Workspace(Path(path).parents[1]).settings(), prepare) if path else None
    try:
        yield
    finally:
        if started is not None:
            started.end()


def run_module(workspace: Workspace, module: str, *arguments: str, error: type[LetheError] = DataError) -> str:
    """Run ``python -m module arguments`` in the workspace and return its output. Raises ``error`` with its fault."""
    code, output = outcome(workspace, module, *arguments)
    if code is None:
        raise error(f"{module}: ended without a word, with the process that it ran in; run it again")
    if code != 0:
        if line := _line(MAY_PASS, output):
            raise Unreachable(line)
        raise error(fault_of(output) or _crash(" ".join([module, *arguments]), code, output))
    return output


def outcome(workspace: Workspace, module: str, *arguments: str, folder: Path | None = None) -> tuple[int | None, str]:
    """Exit code and output of ``python -m module arguments``, in the workspace or in a ``folder``; no code where it
    ended without a word, with the warm process."""
    # Not a pipe: one that is being read can't be read on when a signal comes in between (see ``end_children``).
    with tempfile.TemporaryFile() as said:
        process = _start(workspace, folder or workspace.root, module, arguments, said.fileno())
        _UNDER_WAY.add(process.pid)
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C, or a step that was given up: nothing writes on while nobody waits for it.
            _let_end(process.pid)
            raise
        finally:
            _UNDER_WAY.discard(process.pid)
        said.seek(0)
        return code, said.read().decode(errors="replace")


def _start(
    workspace: Workspace, folder: Path, module: str, arguments: Sequence[str], output: int
) -> warm.Job | subprocess.Popen[bytes]:
    environment = workspace.environment()
    if job := warm.ask(module, arguments, environment, str(folder), (0, output, output)):
        return job
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)


def run_flow(workspace: Workspace, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Run the flow module ``flows.<name>``, its output to ours; returns its exit code (it has said its one line).

    The project's own flows come first, because Python looks in the current folder before it looks elsewhere; a project
    that has none runs those that Lethe ships.
    """
    command, around = _flow(workspace, name, *arguments)
    process = subprocess.Popen(command, cwd=workspace.root, env=around | {**(environment or {})})
    try:
        return process.wait()
    except KeyboardInterrupt:
        return _let_end(process.pid)


def start_flow(workspace: Workspace, name: str, output: Path) -> subprocess.Popen[bytes]:
    """Start a flow in a session of its own, so that it outlives who started it; what it says is written to ``output``,
    a log of the workspace, which is made anew."""
    command, around = _flow(workspace, name)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(b"")
    # To be added to: a forget run cuts a log that names somebody who is forgotten, be it its own.
    with output.open("ab") as said:
        return subprocess.Popen(
            command,
            cwd=workspace.root,
            env=around | {"TQDM_DISABLE": "1", logs.VARIABLE: "text"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _flow(workspace: Workspace, name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the flow module ``flows.<name>``."""
    # Prefect's temporary server doesn't make the folder of its own database.
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(shipped_root())]))
    command = [sys.executable, "-m", f"flows.{name}", *arguments]
    return command, workspace.environment() | {"PYTHONPATH": path}


def is_busy(workspace: Workspace) -> bool:
    """Whether a process of ours changes or judges the workspace now."""
    lock = FileLock(workspace.state / "flow.lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


def _let_end(child: int) -> int:
    """Ctrl-C: a child gets time to bring to an end what it is writing, because a file that it is stopped in the middle
    of may be one that it can't read again (DVC's locks). One more Ctrl-C, or too long a time, and it is stopped.
    Returns its exit code."""
    try:
        process = psutil.Process(child)
        if not _told_by_terminal():
            process.send_signal(signal.SIGINT)
        return process.wait(timeout=GRACE) or 0
    except psutil.NoSuchProcess:
        pass
    except (KeyboardInterrupt, psutil.TimeoutExpired):
        _stop([*process.children(recursive=True), process])
    return INTERRUPTED


def _told_by_terminal() -> bool:
    """Whether we are in front of a terminal, which tells every process there of Ctrl-C, our children too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def end_children() -> None:
    """Let the modules that run come to an end, then stop every process that this one started, but for a service, which
    has a session of its own to outlive us."""
    for child in list(_UNDER_WAY):
        _let_end(child)
    _stop(_children())


def kill_children() -> None:
    """Kill every process that this one started, but for a service; what they were writing is left as it is."""
    for child in _children():
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _in_our_session(child)]


def _in_our_session(process: psutil.Process) -> bool:
    with suppress(ProcessLookupError):
        return os.getsid(process.pid) == os.getsid(0)
    return False


def _stop(processes: list[psutil.Process]) -> None:
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                send(process)
        _, processes = psutil.wait_procs(processes, timeout=5)


def fault_of(output: str) -> str:
    """The one line that a process ended with on purpose; empty if it didn't."""
    # DVC's own errors begin with ERROR.
    return _line(FAULT, output) or _line("ERROR: ", output)


def _line(prefix: str, output: str) -> str:
    """What follows on the first line that begins so; empty if there is none."""
    lines = (line.strip() for line in output.splitlines())
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), "")


def _crash(command: str, code: int, output: str) -> str:
    """What is known of a process that broke down: how it ended, and of a traceback the exception's kind and place.

    Never its text, which may hold a value of a row.
    """
    if code < 0:
        return f"{command}: killed by signal {-code}"
    trace = output.rpartition("Traceback (most recent call last):")[2]
    places = re.findall(r'^  File "([^"]+)", line (\d+)', trace, re.MULTILINE)
    kinds = re.findall(r"^([A-Za-z_][\w.]*)(?::|$)", trace, re.MULTILINE)
    if places and kinds:
        file, line = places[-1]
        return f"{command}: broke down with {kinds[0]} at line {line} of {Path(file).name}; run it to see all of it"
    return f"{command}: exit code {code}; run it to see why"
