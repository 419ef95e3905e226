"""Whether the process lives: each of its loops goes round, and its event loop is not held up.

How long a loop has been quiet is counted in ticks, one a second, and not by a clock: a process that was
frozen as a whole must not take its loops for stuck once it goes on.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

TICK_SECONDS = 1.0


class Pulse:
    """Watches loops: each tells by `beat` that it goes round, and may be quiet for so many ticks."""

    def __init__(self) -> None:
        self.lag: Callable[[float], None] = lambda _: None
        """Told by how many seconds each tick came late."""
        self._ticks = 0
        self._beats: dict[str, int] = {}
        self._patience: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, task: asyncio.Task[None], patience: float | None = None) -> asyncio.Task[None]:
        """Watch a loop by its task's name; `patience` in seconds, None: it may wait for ever."""
        name = task.get_name()
        self._tasks[name] = task
        self._beats[name] = self._ticks
        if patience is not None:
            self._patience[name] = int(patience / TICK_SECONDS)
        return task

    def beat(self, name: str) -> None:
        """Say that it goes round."""
        self._beats[name] = self._ticks

    def troubles(self) -> Mapping[str, str]:
        """Each loop, and what is wrong with it; empty where nothing is."""
        return {name: self._trouble(name, task) for name, task in self._tasks.items()}

    async def tick(self) -> None:
        """Count until cancelled."""
        while True:
            due = monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._ticks += 1
            self.lag(max(0.0, monotonic() - due))

    def _trouble(self, name: str, task: asyncio.Task[None]) -> str:
        if task.done():
            error = None if task.cancelled() else task.exception()
            return f"it has ended ({type(error).__name__})" if error else "it has ended"
        quiet = self._ticks - self._beats[name]
        if quiet > self._patience.get(name, quiet):
            return f"it has been stuck for {quiet * TICK_SECONDS:.0f} s"
        return ""
