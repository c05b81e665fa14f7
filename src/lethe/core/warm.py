"""A warm process: it has imported what our modules import, and runs each as a fork of itself.

A run starts dozens of modules (DVC's stages, DVC itself, the gates), each of which would import for a second what the
run itself has imported. So the run forks once, before it starts anything, and what it forks off waits at a socket
(``LETHE_WARM``) for modules to run. Each runs in a process of its own, as it would by ``python -m``: arguments, folder,
streams, exit code and the signal that ended it are the same, and nothing it does stays in the warm process.

Whoever asks (``ask``) and gets no answer runs the module itself: without a run, after the warm process died, under
another environment, on a system without what this takes. This file imports nothing that takes time.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

VARIABLE = "LETHE_WARM"
"""Names the socket to whatever a run starts."""
_OF_A_PROCESS = {"PWD", "OLDPWD", "SHLVL", "_", "PATH", "PPID", "OPTIND", "IFS", "PS1", "PS2", "PS4"}
"""What shells, and DVC before it calls one, change from process to process (the prompt, for one, which activating a
virtual environment exports, is none of a shell that nobody types into); and what begins with _OF_A_RUN."""
_OF_A_LIBRARY = {"TORCHINDUCTOR_CACHE_DIR", "KMP_DUPLICATE_LIB_OK"}
"""What libraries set for themselves when they load: torch with its first optimiser, threadpoolctl at once."""
_OF_A_RUN = ("DVC_", "PREFECT__")
"""What DVC says of itself to its stages, and a worker of Prefect's to one run, whose engine takes it away."""
_PATIENCE = 30.0
"""Seconds for the few bytes of a request, or for a fork."""


class _Program(NamedTuple):
    """What is to run: a module, as by ``python -m``, with arguments, in a folder."""

    module: str
    arguments: list[str]
    folder: str


class Job:
    """A module that runs in a fork of the warm process."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid

    def wait(self) -> int | None:
        """Its exit code, or less than 0 the signal that ended it; None where both it and the warm process ended without
        a word."""
        with self._connection:
            said = _line(self._connection)
        return None if said is None else int(said)


def ask(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    streams: Sequence[int] = (0, 1, 2),
) -> Job | None:
    """Have a module run in a folder; ``streams`` are file descriptors of its input, output and errors. None where
    nobody answers."""
    path = environment.get(VARIABLE)
    if not path:
        return None
    request = _Program(module, [*arguments], folder)._asdict() | {"environment": _lasting(environment)}
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_PATIENCE)
        _at(path, connection.connect)
        socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [*streams])
        pid = _line(connection)
        connection.settimeout(None)
    except OSError:
        pid = None
    if pid is None:
        connection.close()
        return None
    return Job(connection, int(pid))


class Warm:
    """The warm process, as the run that forked it sees it. It ends when the run does and its last module has."""

    def __init__(self, path: Path, lifeline: int) -> None:
        self.path = path
        self._lifeline = lifeline

    def end(self) -> None:
        os.close(self._lifeline)
        self.path.unlink(missing_ok=True)


def begin(settings: Mapping[str, str], prepare: Callable[[], object]) -> Warm | None:
    """Fork the warm process off this one, with what that has imported so far; None where this can't be.

    It must be the first thing that a process does: a fork of one that has threads, or computed already, would not be as
    new. ``settings`` are variables that the process must have been started with: libraries read them when loaded.
    ``prepare`` is what the warm process does first, for all that it will run.
    """
    path = Path(settings[VARIABLE])
    # A worker of Prefect's spells settings anew, true as True.
    same = (os.environ.get(name, "").lower() == value.lower() for name, value in settings.items() if name != "PATH")
    if not all(same) or threading.active_count() > 1 or not hasattr(os, "pidfd_open"):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener, mask = socket.socket(socket.AF_UNIX), os.umask(0o077)
    try:
        _at(str(path), listener.bind)
        listener.listen(64)
    except OSError:
        listener.close()
        return None
    finally:
        os.umask(mask)
    watched, lifeline = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(watched)
        listener.close()
        return Warm(path, lifeline)
    try:
        os.close(lifeline)
        os.environ.update(settings)
        prepare()
        _Server(listener, watched).serve()
    finally:
        os._exit(0)


class _Server:
    """The warm process itself."""

    def __init__(self, listener: socket.socket, lifeline: int) -> None:
        self._listener, self._lifeline = listener, lifeline
        self._jobs: dict[int, tuple[int, socket.socket]] = {}
        """Descriptor of a process -> (its id, who waits for it)."""
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for watched in (self._listener, self._lifeline):
            self._selector.register(watched, selectors.EVENT_READ)
        run_is_there = True
        while run_is_there or self._jobs:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._lifeline:
                    self._selector.unregister(self._lifeline)
                    run_is_there = False
                elif key.fd in self._jobs:
                    self._ended(key.fd)
                elif any(waiting is key.fileobj for _, waiting in self._jobs.values()):
                    # Who waited has gone, and with it the reason to go on.
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGTERM)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_PATIENCE)
        streams: list[int] = []
        try:
            content, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
            while not content.endswith(b"\n") and (more := connection.recv(1 << 16)):
                content += more
            asked = json.loads(content)
            if asked.pop("environment") == _lasting(os.environ) and len(streams) == 3:
                self._start(connection, _Program(**asked), streams)
            else:
                connection.close()
        except (OSError, ValueError, KeyError, TypeError):
            connection.close()
        finally:
            for stream in streams:
                os.close(stream)

    def _start(self, connection: socket.socket, program: _Program, streams: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(connection, program, streams)
        descriptor = os.pidfd_open(pid)
        self._jobs[descriptor] = (pid, connection)
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ, data=pid)

    def _ended(self, descriptor: int) -> None:
        pid, connection = self._jobs.pop(descriptor)
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(descriptor)
        with suppress(KeyError):
            self._selector.unregister(connection)
        os.close(descriptor)
        if os.WIFSIGNALED(status):
            with suppress(OSError):
                connection.sendall(b"%d\n" % -os.WTERMSIG(status))
        connection.close()

    def _become(self, connection: socket.socket, program: _Program, streams: list[int]) -> NoReturn:
        """Be the process that was asked for."""
        code = 1
        try:
            for held in (self._listener, *(waiting for _, waiting in self._jobs.values())):
                held.close()
            for number in (*self._jobs, self._lifeline):
                with suppress(OSError):
                    os.close(number)
            self._selector.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            # The run may have wrapped its own.
            sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # It answers for itself, so that it ends well though the warm process may not.
            connection.sendall(b"%d\n" % os.getpid())
            code = _run(program)
        finally:
            with suppress(OSError):
                connection.sendall(b"%d\n" % code)
            os._exit(code)


def _run(program: _Program) -> int:
    """As ``python -m module`` does it; returns the exit code."""
    atexit._clear()
    os.chdir(program.folder)
    sys.path[0], sys.argv = program.folder, [program.module, *program.arguments]
    code = 0
    # Of what is imported already, which is what all this is for.
    warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)
    try:
        runpy.run_module(program.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = _code(end.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _code(ended: Any) -> int:
    if ended is None:
        return 0
    if isinstance(ended, int):
        return ended & 0xFF
    print(ended, file=sys.stderr)
    return 1


def _lasting(environment: Mapping[str, str]) -> dict[str, str]:
    own = {name for name in environment if name in _OF_A_PROCESS | _OF_A_LIBRARY or name.startswith(_OF_A_RUN)}
    # Some shells hand on no name that they can't write themselves, as those of the functions that bash exports.
    return {name: value for name, value in environment.items() if name not in own and name.isidentifier()}


def _line(connection: socket.socket) -> str | None:
    """The next line; None where there is none to come. Two lines may come together."""
    said = b""
    while not said.endswith(b"\n"):
        part = connection.recv(1)
        if not part:
            return None
        said += part
    return said.decode().strip()


def _at(path: str, use: Any) -> None:
    """Bind or connect to a socket's file, whose path may be longer than a socket's address can be."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        use(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
