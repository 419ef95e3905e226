"""The lines of a conversation, as the model reads them."""

import json

from bot.events import File
from bot.ports import Line
from storage.connector import Row


def line(row: Row) -> Line:
    """A message as the model reads it."""
    return Line(
        role=row["role"],
        ts=row["ts"],
        author=row["user_id"],
        text=row["text"],
        files=_files(row["files"]),
        turn=row["turn_id"],
        seq=row["seq"],
        addressed=bool(row["addressed"]),
        external=bool(row["external"]),
        unsure=row["external"] is None,
        bot=bool(row["bot"]),
    )


def _files(column: str) -> tuple[File, ...]:
    if column == "[]":  # as most of a long thread: nothing is to be parsed
        return ()
    return tuple(File(**{"id": "", "name": "", **file}) for file in json.loads(column))
