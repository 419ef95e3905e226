"""`/bobbin`: answered at once, by the ack itself; privately, but for what is set for a channel."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from bot.channels import Channels
from bot.errors import SlackError, StoreError
from bot.policy import NOTES, Order, order_of
from bot.ports import ChannelSetting
from bot.slack.about import escaped
from bot.slack.inquiries import Inquiries
from bot.slack.text import read

_log = structlog.get_logger(__name__)

COMMAND = "/bobbin"
DESCRIPTION = "Help, your usage, my status; what holds for a channel"
HINT = "help | usage | status | forget | instructions | model"

_MUTE = """\
A thread is muted in the thread: write `@Bobbin mute` there, or put :no_bell: on its first message. Then I \
answer only when mentioned; `@Bobbin wake` undoes it. A channel needs no muting: I speak only in threads \
that called me."""
_STOP = "Press Stop below the answer that is being written, or write `stop` in its thread."

_FORGET_ME = re.compile(r"\s*forget\s+me[\s.!]*", re.IGNORECASE)

_UNKNOWN = "I know no such command. To ask me something, mention me in a channel, or write to me in a DM."
_LATER = "I cannot look that up just now. Please try again in a moment."
_ONLY_CHANNELS = "That is set for a channel: write it in the one that you mean."


class Commands:
    """Carries them out. `is_admin` says whether somebody may set what holds for a channel.

    `erase` asks somebody, by the trigger of their command, whether their data shall be erased.
    """

    def __init__(
        self,
        inquiries: Inquiries,
        channels: Channels,
        team: str,
        is_admin: Callable[[str], Awaitable[bool]],
        erase: Callable[[str], Awaitable[str]],
    ) -> None:
        self._inquiries = inquiries
        self._channels = channels
        self._team = team
        self._is_admin = is_admin
        self._erase = erase
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("command", COMMAND): self._command,
        }

    # Bolt gives arguments by their names.
    async def _command(self, ack: Callable[..., Awaitable[Any]], command: Mapping[str, Any]) -> None:
        said, to_all = _UNKNOWN, False
        match command:
            case {"user_id": str(), "trigger_id": str(trigger), "text": str(text)} if _FORGET_ME.fullmatch(
                text
            ):
                said = await self._erase(trigger)
            case {"user_id": str(user), "channel_id": str(channel)}:
                try:
                    said, to_all = await self._carry_out(str(command.get("text") or ""), user, channel)
                except (StoreError, SlackError) as error:
                    _log.warning("a command was not carried out", error=str(error))
                    said = _LATER
        if said:
            await ack(text=said, response_type="in_channel" if to_all else "ephemeral")
        else:
            await ack()

    async def _carry_out(self, text: str, user: str, channel: str) -> tuple[str, bool]:
        """Return what to say, and whether it concerns everybody there."""
        if (order := order_of(text)) is not None:
            return await self._order(order, user, channel)
        match text.strip(" .!?").lower():
            case "help" | "usage" | "status" | "forget" as word:
                return await self._inquiries.answer(word, user, channel), False
            case "mute" | "wake" | "unmute":
                return _MUTE, False
            case "stop":
                return _STOP, False
            case word:
                help_ = await self._inquiries.answer("help", user, channel)
                return f"{_UNKNOWN}\n\n{help_}" if word else help_, False

    async def _order(self, order: Order, user: str, channel: str) -> tuple[str, bool]:
        if not channel.startswith(("C", "G")):
            return _ONLY_CHANNELS, False
        if order.value is None:
            return escaped(await self._channels.show(self._team, channel, order.name)), False
        if not await self._is_admin(user):
            return NOTES["not_admin"], False
        value = read(order.value, me="", names={})
        setting = ChannelSetting(order.name, value, user, ts="")
        if refusal := self._channels.refusal(setting):
            return escaped(refusal), False
        return escaped(await self._channels.set(self._team, channel, setting)), True
