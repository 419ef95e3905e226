"""The Slack messages of one reply, and the calls that make and change them.

A call that makes a message has no key that Slack would know again. So a lost answer to such a call is
never answered by a second call before the thread was read: turns of a thread are serial, hence a message
of Bobbin that is newer than the turn's input and recorded nowhere is this turn's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from bot import signals, trail
from bot.errors import (
    BobbinError,
    LeaseLost,
    SlackError,
    SlackGone,
    SlackLimited,
    SlackRefused,
    SlackUnreachable,
    StreamClosed,
    StreamStopped,
)
from bot.ports import Part, PartKind, Store, Turn
from bot.slack.api import SlackAPI
from bot.slack.attached import Attachment, attachments
from bot.slack.history import ANSWER_EVENT, History
from bot.slack.uploads import Uploads

_log = structlog.get_logger(__name__)

Block = Mapping[str, Any]

_FALLBACK = 3900
"""Characters of `text` beside blocks: the words of a notification; chat.update takes 4,000."""
_TRIES = 4
_APPEARS = (0.0, 0.5, 1.0, 2.0)
"""Seconds between looks for the message of a file that was attached."""
_STREAMS = "in_progress"
_LATE_SECONDS = 5.0
"""How long a turn whose answer stands is held open to look for what came late."""
_CUT_OFF_SECONDS = 1.0
"""How long a call that makes a message may go on when its turn is ended."""


class Parts:
    """What one reply consists of. `check` raises `LeaseLost` where nothing may be written any more."""

    def __init__(
        self,
        api: SlackAPI,
        history: History,
        store: Store,
        uploads: Uploads,
        turn: Turn,
        *,
        check: Callable[[], None],
        settle: float,
    ) -> None:
        self._api = api
        self._history = history
        self._store = store
        self._uploads = uploads
        self._turn = turn
        self._check = check
        self.settle = settle
        """Seconds within which a call whose answer was lost takes its effect, if it ever does."""
        self.made: list[str] = [part.ts for part in turn.parts if part.kind != "notice"]
        self.changing = False
        """An update is under way, or was cut off: it may still take effect."""
        self.creating = False
        """A call that makes a message is under way: whether it took effect is not known yet."""
        self._attaching = False
        self._searched = ""
        """From which ts on the thread was searched for what a lost call made."""
        self._met: set[str] = set()
        """What stood there already, and is not this turn's to delete."""

    @property
    def uncertain(self) -> bool:
        """Whether a call may still take an effect that is recorded nowhere."""
        return self.creating or self.changing or self._attaching

    async def settled(self) -> bool:
        """Find out what became of a call that makes a message and was cut off; whether it made one."""
        if not self.creating:
            return False
        await asyncio.sleep(self.settle)
        before = len(self.made)
        await self.take_over()
        self.creating = False
        return len(self.made) > before

    async def take_over(self) -> None:
        """Adopt what a dead owner made and could not record, and end the stream it may have left open."""
        if (stray := await self._stray()) is not None:
            await self._record(stray, "answer")
        if self.made:
            await self.end_stream(self.made[-1])

    async def late(self) -> tuple[str, ...]:
        """What a call that was taken for lost has made all the same, since the thread was searched for it.

        It came later than such effects come. The answer stands without it: something else was made instead.
        """
        if not self._searched:
            return ()
        try:
            async with asyncio.timeout(_LATE_SECONDS):
                unknown = await self._unaccounted(after=self._searched) or {}
        except (BobbinError, TimeoutError) as error:
            _log.info("the thread was not searched again", turn=self._turn.id, reason=str(error))
            return ()
        late = tuple(ts for ts in unknown if ts not in self._met and ts not in self.made)
        for ts in late:
            _log.warning("a message came by a call that was taken for lost", turn=self._turn.id, ts=ts)
            trail.note("late", ts)
        return late

    async def start_stream(self, text: str) -> str:
        """Begin a streamed message; its ts. Raises `SlackUnreachable` also where what it shows is unsure."""
        ts, found = await self._make(
            "chat.startStream",
            "answer",
            markdown_text=text,
            recipient_user_id=self._turn.asker,
            recipient_team_id=self._turn.thread.team,
        )
        if found:  # perhaps not by this call: what it shows is not certain, so it is rewritten
            raise SlackUnreachable("found_in_the_thread", "chat.startStream")
        return ts

    async def append(self, ts: str, text: str) -> None:
        """Add to a streamed message. Not repeated: whether a lost call added its text cannot be known."""
        self._check()
        await self._api.call(
            "chat.appendStream", channel=self._turn.thread.channel, ts=ts, markdown_text=text
        )

    async def stop(self, ts: str, text: str, blocks: Sequence[Block], *, more_follows: bool = False) -> None:
        """End a streamed message with its last text and what stands below it."""
        arguments: dict[str, Any] = {"session_status": "processing" if more_follows else "active"}
        if text:
            arguments["markdown_text"] = text
        if blocks:
            arguments["blocks"] = list(blocks)
        self._check()
        await self._api.repeat("chat.stopStream", channel=self._turn.thread.channel, ts=ts, **arguments)

    async def end_stream(self, ts: str) -> None:
        """Make sure that a message is not streaming, so that it can be rewritten."""
        self._check()
        try:
            await self._api.repeat("chat.stopStream", channel=self._turn.thread.channel, ts=ts)
        except (StreamClosed, StreamStopped, SlackGone):
            pass
        except SlackError as error:
            _log.info("a stream was not ended", turn=self._turn.id, reason=str(error))

    async def post(self, text: str, blocks: Sequence[Block], kind: PartKind = "answer") -> str:
        """Make an ordinary message in the thread; its ts."""
        ts, found = await self._make(
            "chat.postMessage",
            kind,
            text=text[:_FALLBACK],
            blocks=list(blocks),
            unfurl_links=False,
            unfurl_media=False,
            metadata={
                "event_type": ANSWER_EVENT,
                "event_payload": {"turn": self._turn.id, "part": len(self.made)},
            },
        )
        if found:
            await self.update(ts, text, blocks)
        return ts

    async def update(self, ts: str, text: str, blocks: Sequence[Block]) -> None:
        """Rewrite a message. One that still streams is ended first, and once more where that was in vain."""
        for _ in range(2):
            try:
                return await self._update(ts, text, blocks)
            except SlackRefused as error:
                if error.code != "streaming_state_conflict":
                    raise
            await self.end_stream(ts)
        return await self._update(ts, text, blocks)

    async def _update(self, ts: str, text: str, blocks: Sequence[Block]) -> None:
        """Call until it is done. An update that was lost and comes late must not overwrite a later one."""
        words: dict[str, Any] = {"text": text[:_FALLBACK], "blocks": list(blocks)}
        for _ in range(_TRIES):
            await self._api.pacer.wait_for("chat.update")
            self._check()
            self.changing = True
            try:
                await self._api.call("chat.update", channel=self._turn.thread.channel, ts=ts, **words)
            except SlackLimited as error:
                self.changing = False
                await asyncio.sleep(error.retry_after)
            except SlackUnreachable as error:
                _log.info("a message may or may not have been changed", turn=self._turn.id, reason=str(error))
                await asyncio.sleep(self.settle)
            except SlackError:
                self.changing = False
                raise
            else:
                self.changing = False
                trail.mark("first text")
                return
        raise SlackUnreachable("no_answer", "chat.update")

    async def attach(self, text: str) -> None:
        """Attach what of the answer is too large to be shown well; it stands without that, too."""
        for file in attachments(text):
            self._attaching = True  # also after it was cut off: its message may come yet
            try:
                await self._attach(file)
            except SlackError as error:
                _log.warning("a file was not attached", turn=self._turn.id, reason=str(error))
            self._attaching = False

    async def _attach(self, file: Attachment) -> None:
        """Put a file below the reply, once: one that is there already, from an earlier try, is found."""
        tried = self._turn.resumed
        for _ in range(_TRIES):
            ts = await self._with(file) if tried else None
            if ts is None:
                try:
                    sent = {"id": await self._uploads.send(file), "title": file.name}
                    self._check()
                    await self._complete(sent)
                except SlackLimited as error:
                    await asyncio.sleep(error.retry_after)
                    continue
                except SlackUnreachable:
                    tried = True
                    await asyncio.sleep(self.settle)
                    continue
                ts = await self._appears(file)
            if ts is not None:
                await self._store.record_part(self._turn, Part(ts, "notice", len(self.made)))
            return
        raise SlackUnreachable("no_answer", "files.completeUploadExternal")

    async def _complete(self, sent: Mapping[str, str]) -> None:
        key = self._turn.thread
        await self._api.call(
            "files.completeUploadExternal", files=[sent], channel_id=key.channel, thread_ts=key.thread_ts
        )

    async def _appears(self, file: Attachment) -> str | None:
        """The message that Slack makes of a file, a moment after the call, and does not name."""
        for wait in _APPEARS:
            await asyncio.sleep(wait)
            if (ts := await self._with(file)) is not None:
                return ts
        _log.warning("a file was attached, but its message is not seen", turn=self._turn.id)
        return None

    async def _with(self, file: Attachment) -> str | None:
        own = await self._history.own(self._turn.thread, after=self._turn.newest_ts) or ()
        found = [message for message in own if file.name in map(_title, message.get("files") or ())]
        return str(found[0]["ts"]) if found else None

    async def _make(self, method: str, kind: PartKind, **arguments: Any) -> tuple[str, bool]:
        """Make one message and record it, once: its ts, and whether it was only found in the thread.

        Being cancelled does not cut it off in between.
        """
        making = asyncio.ensure_future(self._call_and_record(method, kind, arguments))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait({making}, timeout=self._cut_off())
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
            raise

    def _cut_off(self) -> float | None:
        """How long the call may go on: to its end where the turn is somebody else's, who must not miss it."""
        try:
            self._check()
        except LeaseLost:
            return None
        return _CUT_OFF_SECONDS

    async def _call_and_record(
        self, method: str, kind: PartKind, arguments: Mapping[str, Any]
    ) -> tuple[str, bool]:
        if self.creating:  # what became of an earlier call could not be found out
            raise SlackUnreachable("an_earlier_call_is_unsettled", method)
        for _ in range(_TRIES):
            if method == "chat.postMessage":
                await self._api.pacer.wait_for(method, self._turn.thread.channel)
            self._check()
            self.creating, found = True, False
            try:
                ts = await self._called(method, arguments)
            except SlackUnreachable as error:
                _log.warning("a message may or may not have been made", turn=self._turn.id, reason=str(error))
                await asyncio.sleep(self.settle)
                self._check()
                stray = await self._stray()
                if stray is None:  # it was not made
                    trail.note("not made", method)
                    self.creating = False
                    if method == "chat.startStream":
                        raise  # an ordinary message may do better
                    continue
                ts, found = stray, True
            except SlackLimited as error:
                self.creating = False
                if method == "chat.startStream":
                    raise
                await asyncio.sleep(error.retry_after)
                continue
            except SlackError:
                self.creating = False
                raise
            await self._record(ts, kind)
            self.creating = False
            return ts, found
        raise SlackUnreachable("no_answer", method)

    async def _called(self, method: str, arguments: Mapping[str, Any]) -> str:
        key = self._turn.thread
        answer = await self._api.call(method, channel=key.channel, thread_ts=key.thread_ts, **arguments)
        if ts := str(answer.get("ts") or ""):
            return ts
        raise SlackUnreachable("no_ts", method)

    async def _record(self, ts: str, kind: PartKind) -> None:
        await self._store.record_part(self._turn, Part(ts, kind, len(self.made)))
        self.made.append(ts)
        if kind == "answer":
            trail.mark("first text")

    async def _stray(self) -> str | None:
        """The message of this turn that is recorded nowhere, if there is one."""
        newest = max([self._turn.newest_ts, *self.made])
        unknown = await self._unaccounted(after=newest)
        if unknown is None:
            return None
        if first := not self._searched:
            self._searched = newest
            self._met = {ts for ts, message in unknown.items() if message.get("streaming_state") != _STREAMS}
        mine = [ts for ts, message in unknown.items() if self._is_mine(ts, message, first=first)]
        if more := len(self._met.difference(mine[:1])) if first else 0:
            _log.warning("messages of mine that no turn accounts for", turn=self._turn.id, count=more)
            signals.tell(signals.Happened("unaccounted", times=more))
            trail.note("unaccounted", str(more))
        signals.tell(signals.Happened("reconciled", "adopted" if mine else "nothing there"))
        if not mine:
            return None
        trail.note("adopted", mine[0])
        return mine[0]

    def _is_mine(self, ts: str, message: Mapping[str, Any], *, first: bool) -> bool:
        """Whether this turn has made what nothing accounts for, by a call that was lost or by a dead owner.

        What was not there at the first look, or streams, is the turn's that is open. A turn that was closed
        before has left nothing else, but for what names it: what stands there has been said since, as a
        database that was put back does not know.
        """
        if not first:
            return ts not in self._met
        if message.get("streaming_state") == _STREAMS or not (
            self._turn.how == "again" or self._turn.earlier
        ):
            return True
        told = (message.get("metadata") or {}).get("event_payload") or {}
        return bool(told.get("turn") == self._turn.id)

    async def _unaccounted(self, after: str) -> dict[str, Mapping[str, Any]] | None:
        """Bobbin's messages that are recorded nowhere, oldest first, by ts; None: the thread is not read."""
        known = await self._store.accounted(self._turn.thread)
        own = await self._history.own(self._turn.thread, after=after)
        known |= await self._store.accounted(self._turn.thread)  # one may have been deleted meanwhile
        if own is None:
            return None
        # What has files shows no text of the answer.
        texts = {str(message["ts"]): message for message in own if not message.get("files")}
        return {ts: message for ts, message in texts.items() if ts not in known}


def _title(file: Any) -> str:
    return str(file.get("title") or file.get("name")) if isinstance(file, Mapping) else ""
