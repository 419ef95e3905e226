"""The files of a thread, for a request: each is fetched once, kept with its message, and read from there."""

import asyncio
from collections.abc import Coroutine, Sequence
from hashlib import sha256
from typing import Any

import structlog

from bot.files import FILES_A_TURN, Stored, fitting, notes, places
from bot.ports import Fetched, Line, Place, Read, Store, Turn, Workspace

_SECONDS = 120.0
"""For all files of a turn: who asked is waiting."""

_log = structlog.get_logger(__name__)


class Attachments:
    """What a turn reads of the files in its thread."""

    def __init__(self, turn: Turn, store: Store, workspace: Workspace) -> None:
        self._turn = turn
        self._store = store
        self._workspace = workspace
        self._asked: Sequence[Line] = ()
        self.stored: Stored = {}
        """What became of each file, with the bytes of those that go into the request."""

    @property
    def notes(self) -> list[str]:
        """What to tell people of files that came with this turn and were not read."""
        return notes(self._asked, self.stored)

    @property
    def sent(self) -> bool:
        """Whether the request holds any file."""
        return any(data for _, data in self.stored.values())

    async def gather(self, lines: Sequence[Line]) -> None:
        """Fetch what was not tried yet, and keep it: a turn that is taken up again fetches nothing twice.

        Raises `StoreError`s.
        """
        files = places(lines)
        if not files:
            return
        self._asked = [line for line in lines if line.turn == self._turn.id]
        reads = await self._store.reads(self._turn, files)
        untried = [place for place in files if place not in reads]
        late = asyncio.get_running_loop().time() + _SECONDS

        async def fetch(place: Place) -> None:
            try:
                async with asyncio.timeout_at(late):
                    fetched = await self._workspace.fetch(files[place])
            except TimeoutError:
                fetched = Fetched(reason="withheld")
            digest = sha256(fetched.data).hexdigest() if fetched.data else ""
            reads[place] = Read(fetched.format, fetched.reason, len(fetched.data), digest, fetched.name)
            await self._store.keep_read(self._turn, place, reads[place], fetched.data)

        for place in untried[:-FILES_A_TURN]:
            reads[place] = Read(reason="many")
            await self._store.keep_read(self._turn, place, reads[place])
        await _all(*map(fetch, untried[-FILES_A_TURN:]))
        chosen = fitting(lines, reads)
        data = await self._store.file_data({reads[place].sha256 for place in chosen})
        self.stored = {
            place: (read, data.get(read.sha256, b"") if place in chosen else b"")
            for place, read in reads.items()
        }

    async def refuse(self) -> bool:
        """Leave out what came with this turn: the model refused a request with it. False: nothing did.

        Raises `StoreError`s.
        """
        refused = {place for place in places(self._asked) if self.stored.get(place, (None, b""))[1]}
        for place in refused:
            read = Read(reason="model", name=self.stored[place][0].name)
            await self._store.keep_read(self._turn, place, read)
            self.stored = {**self.stored, place: (read, b"")}
        if refused:
            _log.warning("the model could not read what came with a message", turn=self._turn.id)
        return bool(refused)


async def _all(*work: Coroutine[Any, Any, None]) -> None:
    """Do it at the same time; where one fails, or the turn ends, the others end too."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
