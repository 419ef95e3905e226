"""`python -m bot erase | backup | restore | copy | migrate`: what an operator does with what Bobbin keeps."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.erasing import forget
from bot.errors import BadConfiguration, BobbinError, StoreInUse
from bot.insight import Erased
from bot.places import Place
from bot.progress import progress
from storage import backup as copies
from storage import copied, database_path, erasable, migrated, open_store, order_book, teams, thread_at
from storage.connector import dialect_of

_ORDER_SECONDS = 60.0
_COUNTED = ("messages", "answers", "files", "summaries", "feedback", "names", "threads")


async def workspace(url: str, named: str) -> str:
    """Return the workspace that is meant: the one that is named, or the only one.

    Raises `BobbinError` where there are several or none.
    """
    known = await teams(url)
    if named:
        return named
    if len(known) != 1:
        found = f"several workspaces ({', '.join(known)})" if known else "no workspace"
        raise BobbinError(f"the database knows {found}: name one by its id, with --team")
    return known[0]


async def erase(url: str, *, user: str, thread: Place | None, team: str, sure: bool) -> str:
    """Erase, or say what would be erased. Returns the receipt.

    The file of a running Bobbin is written by that one alone: it is given the order. Raises `BobbinError`s.
    """
    team = await workspace(url, team)
    order = {"team": team, "user": user}
    if thread is not None:
        key = await thread_at(url, team, thread.channel, thread.thread)
        order |= {"channel": key.channel, "thread": key.thread_ts}
    if not sure:
        return f"Would erase {_counted(await erasable(url, order))}. Add --yes to do it."
    try:
        async with open_store(url, lock_seconds=0) as store:
            erased = await forget(store, order)
            await store.scrub()
    except StoreInUse:
        if (orders := order_book(url)) is None:
            raise
        answer = await orders.give(order, _ORDER_SECONDS)
        counts: dict[str, Any] = {name: int(answer.get(name, 0)) for name in _COUNTED}
        erased = Erased(**counts)
    return f"Erased {_counted(erased)}."


async def back_up(url: str, path: Path) -> str:
    """Copy the database into a new file, beside a running Bobbin.

    Raises `StoreError`s, and `BadConfiguration` for a database that is no file.
    """
    source = _file(
        url, 'pg_dump --format=custom --file=PATH "$DATABASE_URL" copies it, beside a running Bobbin'
    )
    with progress("Copying the database") as told:
        counts = await copies.back_up(source, path, told)
    return (
        f"{path}: holds {copies.told_of(counts)}, checked. Whoever can read it can read them: keep it safe."
    )


async def restore(url: str, path: Path, *, sure: bool) -> str:
    """Put a backup in the place of the database. Raises as `back_up`."""
    target = _file(
        url,
        'pg_restore --clean --if-exists --dbname="$DATABASE_URL" PATH puts a copy back, while no Bobbin runs',
    )
    with progress("Putting the backup in place") as told:
        restored = await copies.restore(path, target, sure=sure, told=told)
    lines = [f"{target}: holds {copies.told_of(restored.counts)}, checked."]
    if restored.carried is None:
        lines.append(
            "The database before it could not be read: erase again what was erased since the backup."
        )
    elif restored.carried:
        lines.append(f"Erased again in it: {restored.carried:,} things that were erased since the backup.")
    lines.append(
        "Start Bobbin: what was answered since the backup is looked up in Slack, not answered twice."
    )
    return "\n".join(lines)


def _file(url: str, instead: str) -> Path:
    """Return a database's file. Raises `BadConfiguration`, with what does it `instead`, where it is none."""
    if dialect_of(url) == "postgres":
        raise BadConfiguration([f"DATABASE_URL: it names a PostgreSQL, whose own tools do this: {instead}"])
    return database_path(url)


async def migrate(url: str) -> str:
    """Bring the database to this code's schema. Raises `StoreError`s."""
    applied = await migrated(url)
    if not applied:
        return "Nothing to migrate: the database has this Bobbin's schema."
    return "\n".join(f"Migrated: {name}" for name in applied)


async def copy(source: str, target: str) -> str:
    """Copy one database into another one, or go on with that. Raises `BadConfiguration`, `StoreError`s."""
    counts = await copied(source, target, progress)
    return "\n".join(
        [
            f"Copied {sum(counts.values()):,} rows, and compared each with what was copied.",
            *(f"  {name:<16}{count:>12,}" for name, count in sorted(counts.items()) if count),
            "Set DATABASE_URL to the new one, and start Bobbin. None on the old one: both would answer.",
        ]
    )


def _counted(erased: Erased) -> str:
    counts: dict[str, Any] = asdict(erased)
    told = [f"{counts[name]:,} {name}" for name in _COUNTED if counts[name]]
    return ", ".join(told) or "nothing: nothing of it is kept"
