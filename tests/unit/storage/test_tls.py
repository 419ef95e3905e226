"""The URL's parameters for TLS, at a server without it and at one with a certificate of its own making."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from bot.errors import StoreUnavailable
from storage import open_store
from storage.server import examine
from tests.postgres import Server


def with_certificate() -> tuple[Server, Path]:
    """Start a server that speaks TLS as `localhost`, and give what vouches for it."""
    server = Server.start()
    key, certificate = (server.folder / "d" / f"server.{kind}" for kind in ("key", "crt"))
    openssl = shutil.which("openssl")
    assert openssl is not None, "the tests need openssl"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, "req", "-x509", *made, *named, *files], check=True, capture_output=True)
    key.chmod(0o600)
    if os.getuid() == 0:
        shutil.chown(key, "postgres")
        shutil.chown(certificate, "postgres")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = on")
    server.halt()
    server.go()
    return server, certificate


async def test_where_the_url_asks_for_tls_a_server_without_it_is_refused(postgres: Server) -> None:
    with pytest.raises(StoreUnavailable, match="server does not support SSL, but SSL was required"):
        async with open_store(f"{postgres.url()}?sslmode=require"):
            pass


async def test_a_server_is_taken_by_the_name_in_its_certificate_alone() -> None:
    server, certificate = await asyncio.to_thread(with_certificate)
    verified = f"?sslmode=verify-full&sslrootcert={certificate}"
    by_name = server.url().replace("127.0.0.1", "localhost") + verified
    async with open_store(by_name) as store:
        assert await store.writable()
    (found,) = (check.found for check in await examine(by_name) if check.name == "postgresql")
    assert found.endswith("encrypted")
    with pytest.raises(StoreUnavailable, match="does not match host name"):
        async with open_store(server.url() + verified):
            pass
