"""What somebody sees who opens Bobbin's messages: a greeting, once, and prompts to begin with."""

from collections.abc import Mapping
from typing import Any

import structlog

from bot.errors import SlackError, SlackNotAllowed
from bot.ports import Store
from bot.slack.api import SlackAPI
from bot.slack.history import NOTICE_EVENT
from bot.slack.status import Abilities

_log = structlog.get_logger(__name__)

GREETING = """\
Hello! Write to me here: each message begins a thread, I answer in it, and there we go on. In a channel, \
mention me in a message: I read its thread before I answer.

• *What I keep:* what you write here and my answers, {kept_for}. Deleting a message erases it here too, \
within seconds; `/bobbin forget me` erases all.
• *While I answer:* press Stop or write `stop`; or change your question, and I answer the new one instead.
• *Afterwards:* choose _Answer again_ in the menu of my newest answer to have it written anew.

_I am an AI assistant and can be wrong. I run a Claude model on Amazon Bedrock._"""

_TITLE = "What can I do for you?"

Prompt = Mapping[str, str]
"""Slack sends its message as soon as it is pressed: nothing can be added to it."""
PROMPTS: tuple[Prompt, ...] = (
    {"title": "Summarise a thread", "message": "Summarise a thread for me. Ask me to paste it."},
    {
        "title": "Draft a reply",
        "message": "Help me draft a polite reply to a message. Ask me for it, and for what I want to say.",
    },
)
"""What is suggested to everybody."""

_CHANNEL = "slack#/types/channel_id"
_PROMPTS = "suggested prompts"


class Agent:
    """Greets people in their DM, as far as Slack shows it here. `kept_for`: how long words are."""

    def __init__(self, api: SlackAPI, store: Store, team: str, kept_for: str) -> None:
        self._api = api
        self._kept_for = kept_for
        self._store = store
        self._team = team
        self._abilities = Abilities()

    async def opened(self, event: Mapping[str, Any]) -> None:
        """Somebody opened the tab: `event` is Slack's app_home_opened."""
        match event:
            case {"tab": "messages", "user": str(user), "channel": str(channel)} if user and channel:
                await self._suggest(channel, looking_at(event))
                if await self._store.note_due(self._team, user, "greeting", once_ever=True):
                    await self._greet(channel)

    async def _greet(self, channel: str) -> None:
        """Say it once; never again, even if the answer is lost."""
        try:
            await self._api.call(
                "chat.postMessage",
                channel=channel,
                text=GREETING.format(kept_for=self._kept_for),
                unfurl_links=False,
                unfurl_media=False,
                metadata={"event_type": NOTICE_EVENT, "event_payload": {"notice": "greeting"}},
            )
        except SlackError as error:
            _log.warning("no greeting in a DM", error=str(error))

    async def _suggest(self, channel: str, beside: str) -> None:
        """Suggest what to begin with: for the channel they are looking at, then in general."""
        if not self._abilities.has(_PROMPTS):
            return
        try:
            prompts = [*(about(await self._name(beside)) if beside else ()), *PROMPTS]
            await self._api.call(
                "assistant.threads.setSuggestedPrompts", channel_id=channel, title=_TITLE, prompts=prompts
            )
        except SlackNotAllowed as error:
            self._abilities.refuse(_PROMPTS)
            _log.info("prompts are not shown here", reason=error.code)
        except SlackError as error:
            _log.info("no prompts were suggested", reason=str(error))

    async def _name(self, channel: str) -> str:
        try:
            answer = await self._api.call("conversations.info", channel=channel)
        except SlackError as error:
            _log.debug("a channel's name is not known", channel=channel, reason=str(error))
            return ""
        match answer:
            case {"channel": {"name": str(name)}}:
                return name
        return ""


def about(channel: str) -> tuple[Prompt, ...]:
    """What is suggested beside a channel of this name; nothing where it is not known."""
    if not channel:
        return ()
    return (
        {
            "title": f"Write a message for #{channel}"[:75],
            "message": f"Help me write a message for #{channel}. Ask me what it should say, and to whom.",
        },
        {
            "title": f"Explain something said in #{channel}"[:75],
            "message": f"Explain to me something that was said in #{channel}. Ask me to paste it.",
        },
    )


def looking_at(event: Mapping[str, Any]) -> str:
    """The channel beside which the tab is open; empty where Slack does not tell, or it is a DM."""
    context = event.get("context") or event.get("app_context")
    entities = context.get("entities") if isinstance(context, Mapping) else None
    for entity in entities if isinstance(entities, list) else ():
        match entity:
            case {"type": str(kind), "value": str(channel)} if kind == _CHANNEL:
                return channel if channel.startswith(("C", "G")) else ""
    return ""
