"""What happened in the sandbox's Slack, in one numbered list, and a way to wait for what comes next."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass
class Entry:
    """One line of the log, `at` seconds since 1970; a call's `result` follows when it is answered.

    `kind` is call (of a Web API method), delivery (an envelope onto a socket, or a request), ack, refused (a
    request that failed), undelivered (all tries failed), socket (opened, closed) or verified (an address for
    requests); `name` is the method, or the event's type.
    """

    kind: str
    name: str
    data: Json
    at: float = field(default_factory=time.time)
    result: Json | None = None

    @property
    def arguments(self) -> Json:
        """The arguments of a call, from query, form and body together."""
        return self.data


class Journal:
    """The log of one Slack; at every change of anything `next`, an event, is set and replaced."""

    def __init__(self) -> None:
        self.log: list[Entry] = []
        self.next = asyncio.Event()

    def add(self, kind: str, name: str, data: Json) -> Entry:
        """Enter a line, and wake who waits."""
        entry = Entry(kind, name, data)
        self.log.append(entry)
        self.changed()
        return entry

    def changed(self) -> None:
        """Wake everyone who waits for a change."""
        self.next.set()
        self.next = asyncio.Event()

    def tail(self, count: int = 40) -> str:
        """Return the log's last lines, for people."""
        last = self.log[-count:]
        return "\n".join(
            f"{e.at:.3f} {e.kind} {e.name} {str(e.data)[:300]} {str(e.result)[:160]}" for e in last
        )
