"""The workspace as the core sees it: its threads, its people, the replies in it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, get_args

import structlog

from bot.conversation import ThreadKey
from bot.errors import SlackError, SlackGone, SlackNotAllowed, SlackTokenRefused, StoreError, StreamClosed
from bot.events import File, Inquiry, Person, Posted
from bot.policy import NOTES
from bot.ports import NO_WORDS, Fetched, Line, Seen, Store, Turn, Words, Workspace
from bot.slack.api import SlackAPI
from bot.slack.blocks import forgetting
from bot.slack.downloads import Downloads
from bot.slack.history import NOTICE_EVENT, History, seen_of
from bot.slack.incoming import Me
from bot.slack.inquiries import FORGET, Inquiries
from bot.slack.parts import Parts
from bot.slack.people import People
from bot.slack.reply import SlackReply
from bot.slack.status import Abilities, Status
from bot.slack.text import mentions, read
from bot.slack.uploads import Uploads

_log = structlog.get_logger(__name__)


class SlackWorkspace(Workspace):
    """One Slack workspace. `settle` is in seconds; `admins` are ids, empty: its own admins and owners."""

    def __init__(
        self,
        api: SlackAPI,
        store: Store,
        me: Me,
        *,
        downloads: Downloads,
        uploads: Uploads,
        inquiries: Inquiries,
        settle: float,
        link_domains: Collection[str] = (),
        admins: Collection[str] = (),
    ) -> None:
        self._api = api
        self._store = store
        self._me = me
        self._downloads = downloads
        self._uploads = uploads
        self._inquiries = inquiries
        self._settle = settle
        self._link_domains = link_domains
        self._admins = admins
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
        parts = Parts(
            self._api, self._history, self._store, self._uploads, turn, check=check, settle=self._settle
        )
        status = Status(self._api, self._abilities, turn, check=check, me=self._me.user)
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

    async def fetch(self, file: File) -> Fetched:
        """See `Workspace`."""
        return await self._downloads.fetch(file)

    async def read_thread(self, thread: ThreadKey, until: str) -> tuple[list[Line], list[Posted]]:
        """See `Workspace`."""
        return await self._history.read(thread, until)

    def called(self, line: Line) -> bool:
        """See `Workspace`."""
        return line.role == "user" and self._me.user in mentions(line.text)

    async def is_admin(self, user: str) -> bool:
        """See `Workspace`."""
        if self._admins or user[:1] not in ("U", "W"):
            return user in self._admins
        return (await self._people.look_again(user)).admin

    async def show_place(self, thread: ThreadKey, ahead: int | None) -> None:
        """See `Workspace`. In a DM too it is a line of words, which fades by itself: nothing runs yet."""
        way = f"status in {thread.channel}"
        if not self._abilities.has(way):
            return
        words = "" if ahead is None else f"queued, {ahead} ahead" if ahead else "queued, next in line"
        where = {"channel_id": thread.channel, "thread_ts": thread.thread_ts}
        try:
            await self._api.call("assistant.threads.setStatus", status=words, **where)
        except SlackNotAllowed as error:
            self._abilities.refuse(way)
            _log.info("status is not shown in this way here", way=way, reason=error.code)

    async def tell(self, thread: ThreadKey, ts: str, user: str, reason: str, words: Words = NO_WORDS) -> None:
        """See `Workspace`. A note that cannot be given is only logged."""
        # Slack shows a private note in a thread only where there is one already.
        place: dict[str, Any] = {} if ts == thread.thread_ts else {"thread_ts": thread.thread_ts}
        try:
            if reason in get_args(Inquiry):
                note = await self._inquiries.answer(reason, user, thread.channel)
                if reason in FORGET:
                    place["blocks"] = forgetting(note, place.get("thread_ts", ""))
            else:
                note = _note(reason, words)
            await self._api.repeat(
                "chat.postEphemeral", channel=thread.channel, user=user, text=note, **place
            )
        except (SlackError, StoreError) as error:
            _log.warning("a private note was not given", reason=reason, error=str(error))

    async def tell_admins(self, reason: str, words: Words = NO_WORDS) -> None:
        """See `Workspace`. Told once: of a call that was lost nobody knows whether it was carried out."""
        for user in self._admins or await self._store.admins(self._me.team):
            try:
                await self._api.call(
                    "chat.postMessage",
                    channel=user,
                    text=_note(reason, words),
                    metadata={"event_type": NOTICE_EVENT, "event_payload": {"notice": reason}},
                )
            except SlackError as error:
                _log.warning("an admin was not told", reason=reason, error=str(error))

    async def seen(self, turn: Turn) -> list[Seen]:
        """See `Workspace`."""
        own = await self._history.own(turn.thread, after="0") or []
        return [seen_of(message) for message in own if not message.get("files")]

    async def starter(self, thread: ThreadKey) -> str:
        """See `Workspace`."""
        return await self._history.starter(thread)

    async def expelled(self) -> bool:
        """See `Workspace`."""
        try:
            await self._api.repeat("auth.test", tries=2)
        except SlackTokenRefused:
            return True
        except SlackError as error:
            _log.warning("whether I am still installed is not known", error=str(error))
        return False

    async def delete(self, channel: str, ts: str) -> None:
        """See `Workspace`."""
        try:
            try:
                await self._api.repeat("chat.delete", channel=channel, ts=ts)
            except SlackNotAllowed:
                # As long as it streams: it may be of a process that lost its lease, and nobody has ended it.
                await self._api.repeat("chat.stopStream", channel=channel, ts=ts)
                await self._api.repeat("chat.delete", channel=channel, ts=ts)
        except (SlackGone, SlackNotAllowed, StreamClosed) as error:
            _log.info("a message of mine is not deleted", channel=channel, reason=error.code)


def _note(reason: str, words: Words) -> str:
    """A note's words; a moment is shown in its reader's own time zone."""
    return NOTES[reason].format_map(
        {name: _date(word) if isinstance(word, datetime) else word for name, word in words.items()}
    )


def _date(at: datetime) -> str:
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"
