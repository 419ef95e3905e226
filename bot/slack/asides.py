"""Conversations in a DM about a thread of another channel: that thread is read first, and linked to."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackError, SlackNotAllowed
from bot.events import Posted
from bot.policy import NOTES, Answer, Ignore, Rules, decide
from bot.ports import Store
from bot.slack.about import escaped, utc
from bot.slack.api import SlackAPI
from bot.slack.choices import Chosen, remember
from bot.slack.history import NOTICE_EVENT
from bot.slack.incoming import Me

_log = structlog.get_logger(__name__)

ASK = "ask_privately"
LONGEST_QUESTION = 2000
_LATE = ("expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id")

_CATCH_ME_UP = """\
Catch me up on the thread above: what it is about, what was decided, what is still open, and what is wanted \
of me, if anything.

(It is one of another conversation, which I can read. None of it was said to you here.)"""

_TWICE_SECONDS = 10.0
"""The same once more within this time is a finger that slipped."""

_CLOSED = "I cannot read this: I am no member of this conversation. Invite me, and choose it again."
_TOO_LATE = "Slack gave me too little time. Please choose it once more."
_NOT_NOW = "I cannot answer about this."


class Asides:
    """Begins them. `wake` tells that there is something to answer."""

    def __init__(self, api: SlackAPI, store: Store, me: Me, rules: Rules, wake: Callable[[], None]) -> None:
        self._api = api
        self._store = store
        self._me = me
        self._rules = rules
        self._wake = wake
        self._begun: dict[tuple[str, ThreadKey, str, str], float] = {}

    async def open(self, chosen: Chosen) -> str:
        """Ask for the question. Returns why not, in words for the person; raises `SlackError`."""
        if refusal := await self._refusal(chosen):
            return refusal
        try:
            await self._api.call("views.open", trigger_id=chosen.trigger, view=_modal(chosen))
        except SlackError as error:
            if error.code in _LATE:
                return _TOO_LATE
            raise
        return ""

    async def begin(self, chosen: Chosen, question: str = "") -> str:
        """Begin it; without a question: catch them up. Returns why not; raises `SlackError`, `StoreError`."""
        now, what = monotonic(), (chosen.user, chosen.thread, chosen.ts if question else "", question)
        self._begun = {each: at for each, at in self._begun.items() if now - at < _TWICE_SECONDS}
        if what in self._begun:
            return ""
        self._begun[what] = now
        refusal = _NOT_NOW
        try:
            refusal = await self._refusal(chosen) or await self._ask(chosen, question)
        finally:
            if refusal:  # it may be chosen again at once
                self._begun.pop(what, None)
        return refusal

    async def _ask(self, chosen: Chosen, question: str) -> str:
        root = await self._opening(chosen, question)
        message = Posted(
            event_id=f"about/{chosen.trigger}",
            thread=root,
            ts=root.thread_ts,
            direct=True,
            author=chosen.user,
            text=escaped(_about(chosen, question) if question else _CATCH_ME_UP),
            external=chosen.external,
            mentions_me=True,
            about=chosen.thread,
        )
        ingested = await self._store.post(message, lambda _: Answer(summoned=True))
        _log.info("asked about a thread", outcome=ingested.outcome)
        self._wake()
        return ""

    async def _opening(self, chosen: Chosen, question: str) -> ThreadKey:
        """Post what it begins with, a link back; the thread of it."""
        place = {"channel": chosen.thread.channel, "message_ts": chosen.ts}
        link = (await self._api.call("chat.getPermalink", **place)).get("permalink", "")
        about = f"You asked me about <{link}|this thread>:\n{_quoted(question)}"
        posted = await self._api.call(
            "chat.postMessage",
            channel=chosen.user,
            text=about if question else f"You asked me to catch you up on <{link}|this thread>.",
            unfurl_links=False,
            unfurl_media=False,
            metadata={"event_type": NOTICE_EVENT, "event_payload": {"notice": "about"}},
        )
        return ThreadKey(self._me.team, str(posted["channel"]), str(posted["ts"]))

    async def _refusal(self, chosen: Chosen) -> str:
        """Say why nobody (or not this person) is answered about this thread; empty where they are."""
        thread = chosen.thread
        asks = Posted(
            event_id="",
            thread=thread,
            ts=chosen.ts,
            direct=thread.channel.startswith("D"),
            author=chosen.user,
            text="",
            external=chosen.external,
            mentions_me=True,
        )
        decision = decide(asks, None, self._rules)
        if isinstance(decision, Ignore):
            return NOTES[decision.note] if decision.note else _NOT_NOW
        where = {"channel": thread.channel}
        try:
            await self._api.call("conversations.replies", ts=thread.thread_ts, limit=1, **where)
        except SlackNotAllowed:
            return _CLOSED
        # What can be read all the same is a public channel: but there nobody tells of edits and deletions.
        if chosen.public:
            info = (await self._api.call("conversations.info", **where)).get("channel") or {}
            return _CLOSED if info.get("is_member") is False else ""
        return ""


def _about(chosen: Chosen, question: str) -> str:
    return (
        f"{question}\n\n(I ask about the thread above, and in it about the message of {utc(chosen.ts)}. "
        "It is one of another conversation, which I can read. None of it was said to you here.)"
    )


def _quoted(text: str) -> str:
    return "\n".join(f"&gt; {line}" for line in escaped(text).splitlines())


def _modal(chosen: Chosen) -> Mapping[str, Any]:
    """What asks for the question, and remembers what it is about."""
    return {
        "type": "modal",
        "callback_id": ASK,
        "private_metadata": remember(chosen),
        "title": _plain("Ask Bobbin privately"),
        "submit": _plain("Ask"),
        "close": _plain("Cancel"),
        "blocks": [
            {
                "type": "input",
                "block_id": ASK,
                "label": _plain("What do you want to know about this thread?"),
                "hint": _plain("The answer comes in a DM. Nobody else sees it."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": ASK,
                    "multiline": True,
                    "max_length": LONGEST_QUESTION,
                },
            }
        ],
    }


def _plain(text: str) -> Mapping[str, str]:
    return {"type": "plain_text", "text": text}
