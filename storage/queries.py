"""Reads `queries.sql`: every query by its name.

The format of the file:

    -- name                         or  -- name [postgres], that database's own form
    -- Why there is such a query, in as many lines as it takes.
    SELECT … WHERE id = :id

A comment line of one bare word is always a name. What stands before the first one is prose. Parameters are
`:named`, as SQLite reads them; for PostgreSQL's driver they are written anew here.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import get_args

from storage.connector import Dialect

_HEADER = re.compile(r"^-- (\w+)(?: \[(\w+)\])?[ \t]*$", re.MULTILINE)
_PARAMETER = re.compile(r"'(?:[^']|'')*'|::|:(\w+)")
_COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


@cache
def load(dialect: Dialect) -> Mapping[str, str]:
    """Give this database's queries, name to SQL. Raises `ValueError` when the file is malformed."""
    return parse(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"), dialect)


def parse(text: str, dialect: Dialect) -> dict[str, str]:
    r"""Read name to SQL without its comments; a database's own form wins over the common one.

    Raises `ValueError` for a name given twice, a query without SQL, a tag that is no database.

    >>> parse("-- one\n-- The simplest.\nSELECT 1\n", "sqlite")
    {'one': 'SELECT 1'}
    """
    forms: dict[tuple[str, str | None], str] = {}
    _, *pieces = _HEADER.split(text)
    for name, tag, body in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        sql = _COMMENT.sub("", body).strip()
        if tag not in (None, *get_args(Dialect)):
            raise ValueError(f"query {name}: [{tag}] is none of {', '.join(get_args(Dialect))}")
        if not sql:
            raise ValueError(f"query {name} has no SQL")
        if (name, tag) in forms:
            raise ValueError(f"query {name} is there twice")
        forms[name, tag] = sql
    if dialect == "postgres":
        forms = {header: percent(sql) for header, sql in forms.items()}
    common = {name: sql for (name, tag), sql in forms.items() if tag is None}
    return common | {name: sql for (name, tag), sql in forms.items() if tag == dialect}


def percent(sql: str) -> str:
    """Write the parameters as psycopg reads them.

    >>> percent("SELECT '%:a', b::text FROM c WHERE d = :d")
    "SELECT '%%:a', b::text FROM c WHERE d = %(d)s"
    """
    return _PARAMETER.sub(lambda found: f"%({found[1]})s" if found[1] else found[0], sql.replace("%", "%%"))
