"""Private answers to what somebody pressed or chose: they reach people also where Bobbin is no member."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError

_log = structlog.get_logger(__name__)

Respond = Callable[..., Awaitable[Any]]
"""Bolt's: it posts to the address that came with the interaction, good for 5 answers in 30 minutes."""


async def whisper(respond: Respond, text: str, **how: Any) -> None:
    """Show it to that person alone; where that fails it is only logged."""
    try:
        await respond(text=text, **({"response_type": "ephemeral", "replace_original": False} | how))
    except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError, ValueError) as error:
        _log.warning("a private answer was not given", error=type(error).__name__)
