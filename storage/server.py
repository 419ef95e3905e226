"""Whether a PostgreSQL server will carry Bobbin: reach, rights, schema, encryption, room for connections."""

from ipaddress import ip_address

from bot.checks import Check
from bot.errors import BadConfiguration, StoreError
from storage.connector import Query, Row, Transaction
from storage.migrate import FINISH, UNFINISHED, migrations
from storage.postgres import CONNECTIONS, Postgres
from storage.queries import load


async def examine(url: str) -> list[Check]:
    """Examine the database at a `postgresql://` URL; nothing is changed in it but the time of a mark."""
    try:
        connector = await Postgres.open(url, load("postgres"))
    except BadConfiguration as error:
        return [Check("database", "failed", error.problems[0], "look at the parts of DATABASE_URL")]
    except StoreError as error:
        todo = "let the server run and be reached, and DATABASE_URL name a user and a database of it"
        return [Check("database", "failed", str(error), todo)]
    try:
        version = await connector.version()
        writable = not version or await connector.writable()
        facts = await connector.read(_facts)
    except StoreError as error:
        return [Check("database", "failed", str(error), "look at the server's log")]
    finally:
        await connector.close()
    return [_schema(version, writable=writable), _safe(facts), _room(facts)]


def _facts() -> Transaction[Row]:
    return (yield Query("server"))[0]


def _schema(version: int, *, writable: bool) -> Check:
    known = len(migrations("postgres"))
    if not writable:
        todo = "connect to the primary server, as the user that owns the tables"
        return Check("database", "failed", "it cannot be written", todo)
    if version < 0:
        return Check("database", "failed", UNFINISHED, FINISH)
    if version > known + 1:
        found = f"its schema {version} is newer than this Bobbin's ({known})"
        return Check("database", "failed", found, "install the newer Bobbin again, or restore a backup")
    if version < known:
        return Check("database", "ok", f"writable; the next start brings schema {version} to {known}")
    return Check("database", "ok", f"writable; schema {version}")


def _safe(facts: Row) -> Check:
    found = f"PostgreSQL {facts['version']}"
    if facts["encrypted"] or facts["address"] is None or ip_address(facts["address"]).is_loopback:
        return Check(
            "postgresql", "ok", f"{found}, {'encrypted' if facts['encrypted'] else 'on this machine'}"
        )
    todo = "add ?sslmode=verify-full to DATABASE_URL (and sslrootcert=…, where its authority is your own)"
    return Check("postgresql", "warning", f"{found}, not encrypted on its way", todo)


def _room(facts: Row) -> Check:
    """Whether one more worker fits in."""
    free = facts["most"] - facts["open"]
    found = f"{facts['open']} of {facts['most']} open; a worker has up to {CONNECTIONS + 1}"
    if free > CONNECTIONS:
        return Check("connections", "ok", found)
    return Check("connections", "warning", found, "raise max_connections, or put PgBouncer between")
