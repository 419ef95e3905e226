"""The workspace as the core sees it: its threads, its people, the replies in it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackError, SlackGone, SlackNotAllowed
from bot.events import Person, Posted
from bot.policy import NOTES
from bot.ports import Line, Store, Turn, Workspace
from bot.slack.api import SlackAPI
from bot.slack.history import History
from bot.slack.incoming import Me
from bot.slack.parts import Parts
from bot.slack.people import People
from bot.slack.reply import SlackReply
from bot.slack.status import Abilities, Status
from bot.slack.text import mentions, read

_log = structlog.get_logger(__name__)


class SlackWorkspace(Workspace):
    """One Slack workspace. `settle` is in seconds."""

    def __init__(
        self, api: SlackAPI, store: Store, me: Me, *, settle: float, link_domains: Collection[str] = ()
    ) -> None:
        self._api = api
        self._store = store
        self._me = me
        self._settle = settle
        self._link_domains = link_domains
        self._people = People(api, store, me)
        self._history = History(api, me)
        self._abilities = Abilities()

    async def acquaint(self, lines: Sequence[Line], needed: Collection[str]) -> Mapping[str, Person]:
        """See `Workspace`."""
        wanted: dict[str, None] = {}
        for line in lines:
            if line.role == "user":
                wanted[line.author] = None
                wanted.update(dict.fromkeys(mentions(line.text)))
        wanted.pop(self._me.user, None)
        return await self._people.acquaint(wanted, needed)

    def words(self, lines: Sequence[Line], people: Mapping[str, Person]) -> Mapping[str, str]:
        """See `Workspace`."""
        names = {user: person.name for user, person in people.items()}
        return {
            line.ts: read(line.text, me=self._me.user, names=names) for line in lines if line.role == "user"
        }

    def reply(self, turn: Turn, check: Callable[[], None]) -> SlackReply:
        """See `Workspace`."""
        parts = Parts(self._api, self._history, self._store, turn, check=check, settle=self._settle)
        status = Status(self._api, self._abilities, turn, check=check)
        pacer, hint = self._api.pacer, partial(self._hint, turn)
        return SlackReply(
            parts, status, self._abilities, pacer, turn, hint=hint, link_domains=self._link_domains
        )

    async def _hint(self, turn: Turn) -> str:
        """Once per person: how to go on, where Slack does not show a DM's threads by itself."""
        if not turn.direct or self._abilities.has("sessions"):
            return ""
        due = await self._store.note_due(turn.thread.team, turn.asker, "dm_hint", once_ever=True)
        return "Reply in this thread to go on." if due else ""

    async def read_thread(self, thread: ThreadKey, until: str) -> tuple[list[Line], list[Posted]]:
        """See `Workspace`."""
        return await self._history.read(thread, until)

    async def tell(self, thread: ThreadKey, ts: str, user: str, reason: str) -> None:
        """See `Workspace`. A note that cannot be given is only logged."""
        # Slack shows a private note in a thread only where there is one already.
        place: dict[str, Any] = {} if ts == thread.thread_ts else {"thread_ts": thread.thread_ts}
        try:
            await self._api.repeat(
                "chat.postEphemeral", channel=thread.channel, user=user, text=NOTES[reason], **place
            )
        except SlackError as error:
            _log.warning("a private note was not given", reason=reason, error=str(error))

    async def delete(self, channel: str, ts: str) -> None:
        """See `Workspace`."""
        try:
            await self._api.repeat("chat.delete", channel=channel, ts=ts)
        except (SlackGone, SlackNotAllowed) as error:
            _log.info("a message of mine is not deleted", channel=channel, reason=error.code)
