"""Moves house: every row of one database into another one, of the same kind or the other.

Which tables there are, and in which order they refer to each other, is read from the databases. Rows go in
the order of their primary keys, some at a time, so that what stands in the target tells where to go on.

While it is filled, the target's version is a mark: a negative number, made of all rows of the source. No
Bobbin opens such a database (`migrate.refuse_unfinished`), and a copy that broke off is gone on with by the
same source alone, as it was. The mark goes when the target has been read again and holds the same, and so has
the source where it is a server's: a file is held meanwhile, a server is not.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from bot.errors import StoreForeign, StoreInUse, StoreUnavailable
from storage import workers
from storage.connector import Connector, Query, Row, Transaction
from storage.migrate import migrate, migrations
from storage.queries import percent

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Shows how far something is while a block runs: how much is done, and of how much."""

_ROWS, _BLOBS = 500, 8
"""Rows at a time; so many where each may be a file of some megabytes."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table as both databases have it: its columns, their kinds, and which are its primary key."""

    name: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    """bigint, text or bytea."""
    key: tuple[str, ...]

    @property
    def at_once(self) -> int:
        """How many rows are moved at a time."""
        return _BLOBS if "bytea" in self.kinds else _ROWS

    def key_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Pick a row's primary key."""
        return tuple(row[self.columns.index(column)] for column in self.key)


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds: its rows, and a hash over all their values in the order of the primary key."""

    rows: int
    hash: str


class End:
    """One of the two databases; the connector runs the queries of `queries`, which grow with its tables."""

    def __init__(self, connector: Connector, queries: dict[str, str]) -> None:
        self.connector = connector
        self._queries = queries

    async def tables(self) -> list[Table]:
        """Read which tables it has, each after those that it refers to."""
        rows = await self.connector.read(_rows, Query("columns"))
        refers: dict[str, set[str]] = {}
        for row in rows:
            refers.setdefault(row["table"], set()).update({row["refers"]} - {None, row["table"]})
        order = TopologicalSorter({name: sorted(refers[name]) for name in sorted(refers)}).static_order()
        return [_table(name, [row for row in rows if row["table"] == name]) for name in order]

    async def pages(
        self, table: Table, after: Sequence[Any] | None = None
    ) -> AsyncIterator[list[Sequence[Any]]]:
        """Yield its rows in the order of their keys, some at a time, from after this key."""
        names = ", ".join(map(_quoted, table.columns))
        key = ", ".join(map(_quoted, table.key))
        where = f"WHERE ({key}) > ({', '.join(f':k{place}' for place in range(len(table.key)))})"
        begin, end = f"SELECT {names} FROM {_quoted(table.name)}", f"ORDER BY {key} LIMIT {table.at_once}"  # noqa: S608  names of the schema
        while True:
            sql = f"{begin} {end}" if after is None else f"{begin} {where} {end}"
            params = {f"k{place}": value for place, value in enumerate(after or ())}
            rows = await self.connector.read(_rows, Query(self._named(sql), params))
            if rows:
                yield [tuple(row[column] for column in table.columns) for row in rows]
            if len(rows) < table.at_once:
                return
            after = [rows[-1][column] for column in table.key]

    async def contents(
        self, tables: Iterable[Table], show: Callable[[int, int], None]
    ) -> dict[Table, Content]:
        """Count and hash what they hold."""
        counts = {table: await self._count(table) for table in tables}
        found: dict[Table, Content] = {}
        done = 0
        for table in counts:
            hashed = hashlib.sha256()
            before = done
            async for page in self.pages(table):
                for row in page:
                    hashed.update(repr(tuple(map(_comparable, row))).encode())
                done += len(page)
                show(done, sum(counts.values()))
            found[table] = Content(done - before, hashed.hexdigest())
        return found

    async def holds(self, tables: Iterable[Table]) -> dict[str, int]:
        """Count the rows of those that have any."""
        counts = {table.name: await self._count(table) for table in tables}
        return {name: count for name, count in counts.items() if count}

    async def newest(self, table: Table) -> tuple[Any, ...] | None:
        """Read the greatest key of a table; None where it is empty."""
        return await self.connector.read(_newest, table, self._last(table))

    async def put(
        self, table: Table, rows: Sequence[Sequence[Any]], after: Sequence[Any] | None, mark: int
    ) -> None:
        """Add these rows to a table of a database with this mark, which ends with the key `after`.

        Raises `StoreInUse` where one or the other is not so.
        """
        await self.connector.write(_put, table, after, mark, self._last(table), self._insert(table, rows))

    async def mark(self, version: int, counting: Iterable[Table] = ()) -> None:
        """Set the version, and let these tables count on from the rows that came with their ids."""
        statements = [f"PRAGMA user_version = {version}"]  # which counts on by itself
        if self.connector.dialect == "postgres":
            statements = [self._count_on(table) for table in counting]
            statements.append(f"UPDATE bobbin SET version = {version}")  # noqa: S608  a number
        await self.connector.write(_mark, list(map(self._named, statements)))

    def _count_on(self, table: Table) -> str:
        greatest = f"SELECT max(id) FROM {_quoted(table.name)}"  # noqa: S608  names of the schema
        # Of a table whose ids are not the server's this is NULL, and does nothing.
        sequence = f"pg_get_serial_sequence('{_quoted(table.name)}', 'id')"
        return f"SELECT setval({sequence}, ({greatest}))"

    async def at_work(self) -> bool:
        """Whether a Bobbin works on it just now, as far as its workers have said so."""
        return await self.connector.read(workers.at_work) > 0

    async def _count(self, table: Table) -> int:
        sql = f"SELECT count(*) AS count FROM {_quoted(table.name)}"  # noqa: S608  names of the schema
        rows = await self.connector.read(_rows, Query(self._named(sql)))
        return int(rows[0]["count"])

    def _last(self, table: Table) -> str:
        key = ", ".join(map(_quoted, table.key))
        order = ", ".join(f"{_quoted(column)} DESC" for column in table.key)
        return self._named(f"SELECT {key} FROM {_quoted(table.name)} ORDER BY {order} LIMIT 1")  # noqa: S608  names of the schema

    def _insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> list[Query]:
        """Insert them, on a server at one blow."""
        places = [f"c{place}" for place in range(len(table.columns))]
        into = f"INSERT INTO {_quoted(table.name)}({', '.join(map(_quoted, table.columns))})"
        if self.connector.dialect == "sqlite":
            sql = self._named(f"{into} VALUES ({', '.join(f':{place}' for place in places)})")
            return [Query(sql, dict(zip(places, row, strict=True))) for row in rows]
        arrays = (f"CAST(:{place} AS {kind}[])" for place, kind in zip(places, table.kinds, strict=True))
        columns = [[_comparable(value) for value in column] for column in zip(*rows, strict=True)]
        sql = self._named(f"{into} SELECT * FROM unnest({', '.join(arrays)})")  # noqa: S608  names of the schema
        return [Query(sql, dict(zip(places, columns, strict=True)))]

    def _named(self, sql: str) -> str:
        """Let the connector know a statement; its name is the statement itself."""
        if sql not in self._queries:
            self._queries[sql] = percent(sql) if self.connector.dialect == "postgres" else sql
        return sql


async def copy(source: End, target: End, progress: Progress) -> dict[str, int]:
    """Fill the target with all that the source holds; the rows of each table.

    Raises `StoreForeign` where one of them has another schema, or the target is half filled with something
    else; `StoreInUse` where somebody works on one of them, now or meanwhile, or the target holds something
    else; `StoreUnavailable` where the copy turned out not to be the same.
    """
    known = len(migrations(source.connector.dialect))
    await _must_be_at(known, source, "--from")
    begun = await target.connector.version()
    if begun >= 0:
        await migrate(target.connector)
        await _must_be_at(known, target, "--to")
    await _must_rest(source, "--from")
    await _must_rest(target, "--to")
    tables = await source.tables()
    if tables != await target.tables():
        raise StoreForeign("the databases have not the same tables: another program has some in one of them")
    with progress("Reading what there is to copy") as show:
        contents = await source.contents(tables, show)
    mark = _mark_of(known, contents)
    counts = {table.name: content.rows for table, content in contents.items()}
    if begun < 0 and begun != mark:
        raise StoreForeign(
            "--to: a copy into it was begun, of another database or of this one before it changed, and broke "
            "off. Let it be an empty database, and copy again."
        )
    if begun >= 0:
        if held := await target.holds(tables):
            if held == {name: count for name, count in counts.items() if count}:
                with progress("Comparing with what is there") as show:
                    if not await _unlike(contents, target, show):
                        return counts  # it was copied before, and broke off before that was said
            raise StoreInUse(f"--to: it is not empty ({told_of(held)}). Let it be an empty database.")
        await target.mark(mark)
    with progress("Copying") as show:
        await _fill(source, target, mark, contents, show)
    await _must_be_alike(contents, source, target, progress)
    await target.mark(known, [table for table in tables if table.key == ("id",)])
    return counts


def told_of(counts: Mapping[str, int]) -> str:
    """Name what a database holds.

    >>> told_of({"turn": 1200, "step": 1})
    'turn 1,200, step 1'
    """
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


async def _must_be_at(known: int, end: End, name: str) -> None:
    version = await end.connector.version()
    if version < 0:
        raise StoreForeign(f"{name}: it is itself a copy that is not finished")
    if version > known:
        raise StoreForeign(f"{name}: a newer Bobbin left it, with schema {version}: copy with that one")
    if version < known:
        raise StoreForeign(
            f"{name}: an older Bobbin left it: bring it to this one's schema by `migrate` first"
        )


async def _must_rest(end: End, name: str) -> None:
    if await end.at_work():
        raise StoreInUse(
            f"{name}: a Bobbin is at work on it: stop all of its workers first (one that was killed counts "
            "for 15 seconds more)"
        )


async def _must_be_alike(
    contents: Mapping[Table, Content], source: End, target: End, progress: Progress
) -> None:
    """Read the target again; and the source, for unlike a file nothing holds what is on a server."""
    with progress("Checking the copy") as show:
        wrong = await _unlike(contents, target, show)
    if wrong:
        raise StoreUnavailable(
            f"the copy is not the same as what was copied ({', '.join(wrong)}): let the database of --to be "
            "an empty one, and copy again"
        )
    if not source.connector.exclusive:
        await _must_rest(source, "--from")
        with progress("Checking that nothing has changed") as show:
            changed = await _unlike(contents, source, show)
        if changed:
            raise StoreInUse(
                f"--from: it was changed while it was copied ({', '.join(changed)}): stop all of its "
                "workers, let the database of --to be an empty one, and copy again"
            )


async def _unlike(contents: Mapping[Table, Content], end: End, show: Callable[[int, int], None]) -> list[str]:
    """Read all that it holds: the tables in which that is something else."""
    held = await end.contents(contents, show)
    return [table.name for table, content in contents.items() if held[table] != content]


async def _fill(
    source: End,
    target: End,
    mark: int,
    contents: Mapping[Table, Content],
    show: Callable[[int, int], None],
) -> None:
    done, total = 0, sum(content.rows for content in contents.values())
    for table in contents:
        after = await target.newest(table)
        done += (await target.holds([table])).get(table.name, 0)
        async for rows in source.pages(table, after):
            await target.put(table, rows, after, mark)
            after = table.key_of(rows[-1])
            done += len(rows)
            show(done, total)


def _table(name: str, rows: Iterable[Row]) -> Table:
    columns = {row["column"]: row for row in rows}
    key = sorted((row["key"], column) for column, row in columns.items() if row["key"])
    names = tuple(sorted(columns))
    kinds = tuple(columns[column]["kind"] for column in names)
    return Table(name, names, kinds, tuple(column for _, column in key))


def _mark_of(schema: int, contents: Mapping[Table, Content]) -> int:
    """Name a source by all that it holds, as a number below 0 that fits into a version."""
    told = repr(
        (schema, sorted((table.name, content.rows, content.hash) for table, content in contents.items()))
    )
    return -1 - int.from_bytes(hashlib.sha256(told.encode()).digest()[:4], "big") % (2**31 - 1)


def _comparable(value: Any) -> Any:
    """PostgreSQL's text holds no NUL: there it is what its connector makes of it."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _quoted(name: str) -> str:
    return f'"{name}"'


def _rows(query: Query) -> Transaction[list[Row]]:
    return (yield query)


def _newest(table: Table, last: str) -> Transaction[tuple[Any, ...] | None]:
    rows = yield Query(last)
    return tuple(rows[0][column] for column in table.key) if rows else None


def _put(
    table: Table, after: Sequence[Any] | None, mark: int, last: str, insert: Iterable[Query]
) -> Transaction[None]:
    [held] = yield Query("hold_version")
    found = yield from _newest(table, last)
    if held["version"] != mark or found != (None if after is None else tuple(after)):
        raise StoreInUse("--to: somebody else is writing to it: let one copy end, and no Bobbin run")
    for query in insert:  # noqa: UP028  a list takes no rows that are sent
        yield query


def _mark(statements: Iterable[str]) -> Transaction[None]:
    yield Query("hold_version")
    for statement in statements:
        yield Query(statement)
