"""What Bobbin does from a message's menu: what an answer was made of; a question about a thread, in a DM."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from bot.errors import SlackError, SlackGone, StoreError
from bot.events import storable
from bot.ports import Store
from bot.slack import asides
from bot.slack.asides import ASK, LONGEST_QUESTION, Asides
from bot.slack.blocks import ANSWER_AGAIN, FORGET_THREAD
from bot.slack.choices import Chosen, read_choice, recall
from bot.slack.incoming import Me
from bot.slack.private import Respond, whisper
from bot.slack.receipts import told

_log = structlog.get_logger(__name__)

RECEIPT, CATCH_UP = "what_did_you_read", "catch_me_up"

SHORTCUTS: Mapping[str, tuple[str, str]] = {
    CATCH_UP: ("Catch me up", "Sums up this thread for you alone, in a DM"),
    ASK: ("Ask Bobbin privately", "Asks about this thread; the answer comes in a DM"),
    ANSWER_AGAIN: ("Answer again", "Has this answer of Bobbin's written anew"),
    RECEIPT: ("What did you read?", "Tells what this answer of Bobbin's was made of, and what it cost"),
    FORGET_THREAD: ("Forget this thread", "Erases all that Bobbin keeps of this thread; asks first"),
}
"""By its callback id, what a message's menu shows, and what it does; lengths keep to Slack's schema."""

_GONE = "This message is not there any more."
_LATER = "That did not work just now. Please choose it again in a moment."
_NOT_MINE = "Choose this on one of my answers: I tell what that one was made of."
_FORGOTTEN = "I do not know what this message was made of."
_NOT_YOURS = "Only whoever asked can see what I read for an answer."

Ack = Callable[..., Awaitable[Any]]


class Shortcuts:
    """Carries out what is chosen; Slack's menu gets its ack when it is done, or was refused."""

    def __init__(
        self,
        store: Store,
        me: Me,
        private: Asides,
        *,
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._store = store
        self._me = me
        self._asides = private
        self._later = later
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("shortcut", RECEIPT): self._read,
            ("shortcut", CATCH_UP): self._catch_up,
            ("shortcut", ASK): self._ask,
            ("view", ASK): self._asked,
        }

    # Bolt gives arguments by their names.
    async def _read(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        await self._choose(self._receipt, ack, body, respond)

    async def _catch_up(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        await self._choose(self._asides.begin, ack, body, respond)

    async def _ask(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        await self._choose(self._asides.open, ack, body, respond)

    async def _choose(
        self, work: Callable[[Chosen], Awaitable[str]], ack: Ack, body: Mapping[str, Any], respond: Respond
    ) -> None:
        chosen = read_choice(body, self._me)
        said = await _tried(work(chosen)) if chosen is not None else ""
        await ack()
        if chosen is None:
            _log.warning("what was chosen from a message's menu could not be read")
        elif said:
            thread = chosen.thread.thread_ts
            place = {"thread_ts": thread} if thread != chosen.ts else {}
            self._later(whisper(respond, said, **place))

    async def _asked(self, ack: Ack, body: Mapping[str, Any]) -> None:
        problem = ""
        match body:
            case {
                "user": {},
                "view": {
                    "private_metadata": str(kept),
                    "state": {"values": {asides.ASK: {asides.ASK: {"value": str(question)}}}},
                },
            } if (chosen := read_choice({**body, **recall(kept)}, self._me)) is not None:
                words = storable(question.strip())[:LONGEST_QUESTION]
                problem = await _tried(self._asides.begin(chosen, words))
        await (ack(response_action="errors", errors={ASK: problem}) if problem else ack())

    async def _receipt(self, chosen: Chosen) -> str:
        if not chosen.own:
            return _NOT_MINE
        receipt = await self._store.receipt(self._me.team, chosen.thread.channel, chosen.ts)
        if receipt is None:
            return _FORGOTTEN
        if chosen.user not in receipt.askers:
            return _NOT_YOURS
        people = await self._store.people(self._me.team, receipt.authors)
        return told(receipt, [people[user].name if user in people else user for user in receipt.authors])


async def _tried(work: Awaitable[str]) -> str:
    """Do it; what to say of it, also where it fails."""
    try:
        return await work
    except SlackGone:
        return _GONE
    except (SlackError, StoreError) as error:
        _log.warning("what was chosen from a message's menu failed", error=str(error))
        return _LATER
