"""What unit tests share: time that passes in no time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest


class _Instant(asyncio.SelectorEventLoop):
    """A loop that jumps to its next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def jump(timeout: float | None) -> Any:
            assert timeout is not None, "nothing is left that could happen"
            self.now += timeout
            return select(0)

        selector.select = jump

    def time(self) -> float:
        self.now += 1e-9  # as every clock does, it goes on while it is read
        return self.now


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a story whose hours take no time; the modules that read a clock read this one."""

    def run(story: Coroutine[Any, Any, None]) -> None:
        loop = _Instant()
        for clock in ("bot.lease.uptime", "bot.slack.pacing.monotonic"):
            monkeypatch.setattr(clock, loop.time)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(story)

    return run
