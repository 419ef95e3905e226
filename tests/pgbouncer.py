"""A PgBouncer of the tests' own, Debian's, in front of their PostgreSQL: transactions share few connections.

It refuses to run as root; then it runs as the user `postgres`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.postgres import Server, wait_until_up

CONNECTIONS = 5
"""To the server, for a database: fewer than one worker opens by itself."""

_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {connections}
logfile = {folder}/log
"""


@contextmanager
def pooled(server: Server, name: str) -> Iterator[str]:
    """Yield the URL of a database by way of a PgBouncer that ends with the block."""
    program = shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin")
    assert program is not None, "the tests need PgBouncer: apt-get install pgbouncer"
    folder = Path(tempfile.mkdtemp(prefix="bobbin-pgbouncer-"))
    port = free_port()
    (folder / "users").write_text('"postgres" ""\n')
    settings = _SETTINGS.format(server=server.port, port=port, folder=folder, connections=CONNECTIONS)
    (folder / "pgbouncer.ini").write_text(settings)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    process = subprocess.Popen(
        [*as_user, program, "-q", str(folder / "pgbouncer.ini")], cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        wait_until_up(url)
        yield url
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)
