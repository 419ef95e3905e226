"""What happened in the sandbox's Slack, in one numbered list, and a way to wait for what comes next."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Entry:
    """One line of the log.

    `kind` is call (of a Web API method), delivery (an envelope onto a socket), ack, undelivered (all tries
    failed) or socket (opened, closed). `name` is the method, or the event's type. `at`: seconds since 1970.
    A call is entered when it arrives; its `result` follows when it is answered.
    """

    number: int
    kind: str
    name: str
    data: Json
    at: float = field(default_factory=time.time)
    result: Json | None = None

    @property
    def method(self) -> str:
        """The Web API method of a call."""
        return self.name

    @property
    def arguments(self) -> Json:
        """The arguments of a call, from query, form and body together."""
        return self.data


class Journal:
    """The log of one Slack; every change of anything passes through `changed`."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.revision = 0
        self.on_change: list[Callable[[], None]] = []
        self._next = asyncio.Event()

    def add(self, kind: str, name: str, data: Json) -> Entry:
        """Enter a line, and wake who waits."""
        entry = Entry(len(self.log), kind, name, data)
        self.log.append(entry)
        self.changed()
        return entry

    def changed(self) -> None:
        """Wake everyone who waits for a change."""
        self.revision += 1
        self._next.set()
        self._next = asyncio.Event()
        for callback in self.on_change:
            callback()

    async def change(self) -> None:
        """Return after the next change."""
        await self._next.wait()

    def tail(self, count: int = 40) -> str:
        """Return the log's last lines, for people."""
        lines = [(e, "" if e.result is None else f" -> {e.result}"[:160]) for e in self.log[-count:]]
        return "\n".join(
            f"{e.number:5} {e.at:.3f} {e.kind} {e.name} {str(e.data)[:300]}{end}" for e, end in lines
        )
