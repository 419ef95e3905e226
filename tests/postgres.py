"""A PostgreSQL server of the tests' own: Debian's, on a free port, gone with the process that asked for it.

It refuses to run as root; then it runs as the user `postgres`, as Debian's package has made it.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import psycopg

from tests.ports import free_port

_SECONDS = 60


class Server:
    """One server, `postgres://…/NAME` for a database of it. Make it with `start` or `shared`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def url(self, name: str = "postgres") -> str:
        """Give the URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def create(self, name: str) -> str:
        """Make a database, empty even if there was one; its URL."""
        self.drop(name)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def drop(self, name: str) -> None:
        """Take a database away, whoever is in it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def empty(self, name: str) -> None:
        """Take all rows out of Bobbin's tables, where there are any yet; no foreign key asks for an order."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'bobbin'"
            ).fetchall()
            connection.execute("SET session_replication_role = replica")
            connection.execute("; ".join(f'DELETE FROM "{table}"' for (table,) in tables).encode())

    @classmethod
    def start(cls, *, durable: bool = False) -> Self:
        """Start one that ends with this process. `durable`: as in earnest, it waits for the disk."""
        folder = Path(tempfile.mkdtemp(prefix="bobbin-postgres-"))
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        _command("initdb", "-D", folder / "d", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8",
                 "--locale=C.UTF-8")  # fmt: skip
        server = cls(folder, free_port())
        (folder / "fsync").write_text("on" if durable else "off")
        server.go()
        _watch(server, os.getpid())
        return server

    @classmethod
    def shared(cls, folder: Path, owner: int) -> Self:
        """Start one for all who name the same folder, or find it; it ends with the process `owner`."""
        with (folder / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = folder / "postgres"
            if not told.exists():
                server = cls.start()
                _watch(server, owner)
                told.write_text(f"{server.folder}\n{server.port}")
            where, port = told.read_text().split("\n")
        return cls(Path(where), int(port))

    def go(self) -> None:
        """Let it run."""
        options = (
            f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=200 "
            f"-c fsync={(self.folder / 'fsync').read_text()}"
        )
        log = self.folder / "log"
        _command(
            "pg_ctl", "-D", self.folder / "d", "-w", "-t", str(_SECONDS), "-l", log, "-o", options, "start"
        )

    def halt(self, mode: str = "fast") -> None:
        """Stop it: `fast` as at a restart, `immediate` as by a crash."""
        _command("pg_ctl", "-D", self.folder / "d", "-w", "-m", mode, "stop")


def _watch(server: Server, owner: int) -> None:
    """A shell waits for the end of a process, whatever it is, and ends the server then."""
    stop = " ".join(_words("pg_ctl", "-D", server.folder / "d", "-m", "immediate", "stop"))
    wait = f"while kill -0 {owner}; do sleep 0.5; done; {stop}; rm -rf {server.folder}"
    subprocess.run(
        ["/bin/sh", "-c", f"({wait}) </dev/null >/dev/null 2>&1 &"], start_new_session=True, check=True
    )


def _words(program: str, *arguments: str | Path) -> list[str]:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    path = str(found[-1]) if found else shutil.which(program)
    assert path is not None, "the tests need PostgreSQL's server: apt-get install postgresql"
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    return [*as_user, path, *map(str, arguments)]


def _command(program: str, *arguments: str | Path) -> None:
    done = subprocess.run(_words(program, *arguments), cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def wait_until_up(url: str) -> None:
    """Wait until a server takes connections."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
