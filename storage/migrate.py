"""Brings a database to the schema of this code: `migrations/<dialect>/NNNN_name.sql`, in order, once each.

Migrations only expand (a new table, a new column with a default), so that the code before still runs
on the schema after, and a release can be rolled back by one.
"""

import re
from pathlib import Path

import structlog

from bot.errors import StoreForeign
from storage.connector import Connector, Dialect

_log = structlog.get_logger(__name__)

_MIGRATIONS = Path(__file__).with_name("migrations")


def migrations(dialect: Dialect) -> list[Path]:
    """List the scripts in order, from number 0001. Raises `ValueError` for a gap or a stray name."""
    scripts = sorted((_MIGRATIONS / dialect).glob("*.sql"))
    for number, script in enumerate(scripts, start=1):
        if not re.fullmatch(rf"{number:04}_[a-z0-9_]+\.sql", script.name):
            raise ValueError(f"migration {number:04} is missing: found {script.name} in its place")
    return scripts


UNFINISHED = "a copy into this database was begun and is not finished"
FINISH = "give the same command `python -m bot copy` again: no Bobbin uses it before"


def refuse_unfinished(version: int) -> None:
    """Raise `StoreForeign` for the version of a database that is half a copy (storage/copying.py)."""
    if version < 0:
        raise StoreForeign(f"{UNFINISHED}: {FINISH}")


async def migrate(connector: Connector) -> list[str]:
    """Apply what is missing, each migration in a transaction of its own; returns their names.

    Raises `StoreForeign` for a database more than one step newer than this code, or half a copy.
    """
    version = await connector.version()
    refuse_unfinished(version)
    scripts = migrations(connector.dialect)
    if version > len(scripts) + 1:
        raise StoreForeign(
            f"The database has schema {version}, this Bobbin knows {len(scripts)} and can run on one newer: "
            "install the newer Bobbin again."
        )
    applied: list[str] = []
    for number, script in enumerate(scripts[version:], start=version + 1):
        if await connector.migrate(number, script.read_text(encoding="utf-8")):
            applied.append(script.stem)
            _log.info("migrated the database", migration=script.stem)
    return applied
