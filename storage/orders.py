"""Orders to a running Bobbin, which alone may write to its SQLite file: files beside it, for its owner only.

`python -m bot erase` puts one there and waits; the process that holds the database carries it out and
writes what came of it.
"""

import asyncio
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.errors import StoreUnavailable

_POLL_SECONDS = 0.1

Order = Mapping[str, str]


class Orders:
    """The orders beside one database file."""

    def __init__(self, database: Path) -> None:
        self._folder = database.absolute().with_name(database.name + ".orders")

    async def give(self, order: Order, seconds: float) -> Mapping[str, Any]:
        """Give one and wait for what came of it. Raises `StoreUnavailable` where nobody carries it out."""
        name = uuid.uuid4().hex
        answer = self._folder / f"{name}.done"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            _write(self._folder / f"{name}.order", order)
            try:
                async with asyncio.timeout(seconds):
                    while not answer.exists():  # noqa: ASYNC110  a disk tells nobody
                        await asyncio.sleep(_POLL_SECONDS)
                return dict(json.loads(answer.read_text("utf-8")))
            finally:
                (self._folder / f"{name}.order").unlink(missing_ok=True)
                answer.unlink(missing_ok=True)
        except TimeoutError:
            raise StoreUnavailable(
                f"the running Bobbin did not do it within {seconds:g} seconds: nothing may have been erased. "
                "See its log; or stop it, and give the command again."
            ) from None
        except (OSError, ValueError) as error:
            raise StoreUnavailable(f"{self._folder}: {error}") from error

    def waiting(self) -> Iterator[tuple[str, Order]]:
        """Yield what was ordered, each with its name."""
        try:
            files = sorted(self._folder.glob("*.order"))
        except OSError:
            return
        for file in files:
            try:
                yield file.stem, dict(json.loads(file.read_text("utf-8")))
            except (OSError, ValueError):
                file.unlink(missing_ok=True)

    def done(self, name: str, answer: Mapping[str, Any]) -> None:
        """Say what came of one."""
        (self._folder / f"{name}.order").unlink(missing_ok=True)
        _write(self._folder / f"{name}.done", answer)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write it whole or not at all, for its owner only."""
    part = path.with_suffix(".part")
    with os.fdopen(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(value, file)
    part.rename(path)
