"""Asks the model until there is a whole answer. One voice decides about every retry: this one."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import TypeVar

import structlog

from bot import trail
from bot.errors import BrokenStream, EmptyAnswer, ModelBusy, ModelError
from bot.events import storable
from bot.ports import Model, Reply, Request, Stop
from bot.prompt import SILENT

_log = structlog.get_logger(__name__)

T = TypeVar("T")

TRIES = 3
WAITS = (1.0, 4.0, 10.0)
BUSY_SECONDS = 120.0
"""How long a throttled model is asked again, in all."""


class Silence(Exception):
    """The model says that the newest words are not for it. `stop` carries what it cost."""

    def __init__(self, stop: Stop) -> None:
        super().__init__("silent")
        self.stop = stop


async def patiently(
    ask: Callable[[], Awaitable[T]], turn: int, again: Callable[[], Awaitable[None]] | None = None
) -> T:
    """Ask, and ask again where that can help, `again` before each further time."""
    began = monotonic()
    tries = 0
    while True:
        tries += 1
        try:
            return await ask()
        except ModelError as error:
            wait = WAITS[min(tries, len(WAITS)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311  spread
            busy = isinstance(error, ModelBusy) and monotonic() - began + wait < BUSY_SECONDS
            if not error.retry or (tries >= TRIES and not busy):
                raise
            _log.warning("the model is asked again", turn=turn, tries=tries, error=str(error))
        if again is not None:
            await again()
        await asyncio.sleep(wait)


async def whole(model: Model, request: Request) -> str:
    """Ask once, for the whole answer."""
    text = ""
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            text += "" if isinstance(event, Stop) else event.text
    return storable(text)


async def show(model: Model, request: Request, reply: Reply) -> tuple[str, Stop]:
    """Ask once and show the answer as it comes.

    Nothing is shown while it may still turn out to be the word for silence: that raises `Silence`.
    """
    # What no database can keep must not be shown either: what people see and what is kept are one.
    text, held = "", True
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            if isinstance(event, Stop):
                if text.strip() == SILENT:
                    raise Silence(event)
                if not text.strip():
                    raise EmptyAnswer(f"no text, stopped by {event.reason}")
                if held:
                    reply.show(text)
                return text, event
            trail.mark("first token")
            delta = storable(event.text)
            text += delta
            if not held:
                reply.show(delta)
            elif not SILENT.startswith(text.strip()):
                held = False
                reply.show(text)
    raise BrokenStream("the stream ended without a stop")
