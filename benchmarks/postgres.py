"""A real PostgreSQL server, from Debian's package: temporary folder, free port, unprivileged user. For benchmarks and
tests."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa


class NoPostgres(Exception):
    """There is none here, or nobody who may run it; the text says which."""


@dataclass(frozen=True)
class PostgresServer:
    folder: Path
    port: int
    user: str | None
    """Whom the server runs as; None: whoever runs the tests."""

    @property
    def url(self) -> str:
        return f"postgresql://lethe@127.0.0.1:{self.port}/postgres"

    @classmethod
    def start(cls) -> PostgresServer:
        """Raises NoPostgres."""
        _program("initdb")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Not below pytest's folder, which nobody else may enter.
        server = cls(Path(tempfile.mkdtemp(prefix="lethe-postgres-")), port, _somebody())
        if server.user is not None:
            shutil.chown(server.folder, server.user)
        data = str(server.folder / "data")
        server._run("initdb", "-D", data, "-U", "lethe", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.begin()
        return server

    def begin(self) -> None:
        """Start it once more, on what it holds."""
        data, options = self.folder / "data", f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-D", str(data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """End it at once, as a loss of power would; what was committed is found again by ``begin``."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [_program(program), *arguments], user=self.user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL
        )


def new_database(url: str) -> str:
    """An empty database of the server's, by its URL."""
    name = f"t{secrets.token_hex(6)}"
    made = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(made, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def _program(name: str) -> str:
    # Debian keeps the server's programs out of the search path.
    places = [shutil.which(name), *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found = next((str(place) for place in places if place), None)
    if found is None:
        raise NoPostgres("no PostgreSQL server on this machine: install Debian's package postgresql")
    return found


def _somebody() -> str | None:
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if user is None:
        raise NoPostgres("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    return user
