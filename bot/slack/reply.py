"""A reply on its way into a thread: the only writer of its messages.

The model's text is fed in as it comes; one task shows it at the pace that Slack allows. Three ways, each
the fallback of the one before: a native stream; a message that is rewritten as it grows; the whole answer
at its end. However it was shown, the end is the same: the whole text, once, with its notes below.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal

import structlog

from bot import trail
from bot.errors import (
    BobbinError,
    SlackError,
    SlackGone,
    SlackLimited,
    SlackNotAllowed,
    SlackRefused,
    SlackTokenRefused,
    SlackUnreachable,
    StreamClosed,
    StreamStopped,
)
from bot.events import Person
from bot.ports import Line, Turn
from bot.prompt import outside
from bot.slack import blocks
from bot.slack.pacing import Pacer
from bot.slack.parts import Parts
from bot.slack.status import Abilities, Status
from bot.slack.streamed import STREAM_LIMIT, Streamed
from bot.slack.text import Links, Outgoing, fit, harmless, links, presentable, split

_log = structlog.get_logger(__name__)

REWRITE_LIMIT = 3_900
"""Characters of one rewritten message; chat.update takes 4,000."""

Way = Literal["unopened", "stream", "rewrite", "whole", "closed"]


class SlackReply:
    """One turn's reply: `meet` the thread, `show` what the model says, then `finish`, `stop` or `fail`."""

    def __init__(
        self,
        parts: Parts,
        status: Status,
        abilities: Abilities,
        pacer: Pacer,
        turn: Turn,
        *,
        hint: Callable[[], Awaitable[str]],
        link_domains: Collection[str] = (),
    ) -> None:
        self._parts = parts
        self._status = status
        self._abilities = abilities
        self._pacer = pacer
        self._turn = turn
        self._hint = hint
        self._link_domains = link_domains
        self._names: Mapping[str, str] = {}
        self._links = Links()
        self._outgoing = Outgoing()
        self._text = ""  # harmless
        self._way: Way = "unopened"
        # Where the current part begins in the text, what opens it, which of the parts it is.
        self._base, self._opening, self._index = 0, "", 0
        self._shown = 0  # characters of the text that people see
        self._streamed = Streamed()  # the part that is streamed
        self._left_open = False  # its stream, by a reply that was halted
        self._resumed = not turn.resumed  # an earlier try left nothing that is not taken up
        self._before = ""  # what an earlier try showed: it stands until the new text is as long
        self._earlier = ""  # what was answered earlier: it stands until there is new text
        self._seen: dict[str, str] = {}
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    @property
    def shown(self) -> str:
        """What people see of the answer."""
        return self._text[: self._shown] or self._before or self._earlier

    @property
    def uncertain(self) -> bool:
        """Whether a message may have been made that is not recorded."""
        return self._parts.uncertain

    @property
    def stands(self) -> bool:
        """Whether a message of the turn stands in the thread."""
        return bool(self._parts.made)

    def begin(self, words: str) -> None:
        """Show that the answer is being worked on; returns at once."""
        self._status.show(words)

    def meet(self, lines: Sequence[Line], people: Mapping[str, Person]) -> None:
        """Learn who is in the thread. Links that the team wrote stay whole, not those from outside."""
        own = [line for line in lines if line.role == "user" and not outside(line, people.get(line.author))]
        written = frozenset[str]().union(*(links(line.text) for line in own))
        self._names = {user: person.name for user, person in people.items()}
        self._links = Links(written, self._link_domains)
        self._outgoing = Outgoing(self._names, self._links)
        self._earlier = self._earlier or harmless(self._turn.earlier, self._names, self._links)
        self._status.meet(lines, self._names)

    async def resume(self) -> None:
        """Take up what an earlier try of this turn has shown: its messages are rewritten."""
        await self._parts.take_over()
        self._resumed = True
        if self._parts.made:
            self._go("rewrite")

    def show(self, delta: str) -> None:
        """Take more of the model's text. Raises what the writer has failed with."""
        self._text += self._outgoing.feed(delta)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        elif self._writer.done():
            self._writer.result()
        self._news.set()

    async def restart(self, *, outdated: bool = False) -> None:
        """Throw the text away: another try writes the same messages anew."""
        await self._end_writer(quietly=outdated)
        if self._way == "stream":
            await self._parts.end_stream(self._parts.made[-1])
        self._go("rewrite" if self._parts.made else "unopened")
        shown = self._text[: self._shown] or self._before
        self._before, self._earlier = ("", shown or self._earlier) if outdated else (shown, self._earlier)
        self._base, self._opening, self._index, self._shown = 0, "", 0, 0
        self._text, self._outgoing = "", Outgoing(self._names, self._links)
        self._ended.clear()

    async def finish(self, text: str | None = None, notes: Sequence[str] = ()) -> tuple[str, ...]:
        """Show the whole answer, or `text` in its place, and close it. Returns `Finish.surplus`."""
        if text is not None:
            await self.restart()
            self._text = harmless(text, self._names, self._links)
        else:
            self._text += self._outgoing.close()
        surplus = await self._close(blocks.footer([*notes, await self._hint()]))
        await self._parts.attach(self._text)
        return surplus

    async def say(self, text: str) -> tuple[str, ...]:
        """Show words that no model wrote: nothing stands below them."""
        await self.restart()
        self._text = harmless(text, self._names, self._links)
        return await self._close(())

    async def stop(self, note: str) -> tuple[str, ...]:
        """Leave what was shown as it stands, and say why it ends there."""
        await self._end_writer(quietly=True)
        if not self._resumed:  # ended before that was done: a stream may have been left open
            await self.resume()
        if await self._parts.settled():
            self._go("rewrite")  # what that message shows is not known: all that the model said until now
        else:
            self._text = self.shown
        if not self._text:
            # Nothing of this try is seen; what an earlier process showed stands, but no button that is dead.
            await self._status.clear(settle=self._parts.settle)
            errors = tuple(part.ts for part in self._turn.parts if part.kind == "error")
            return errors + await self._parts.late()
        return await self._close(blocks.footer([note]))

    async def fail(self, error: BobbinError) -> tuple[str, ...]:
        """Say what happened and what to do, below what was shown or in a message of its own."""
        await self._end_writer(quietly=True)
        if error.withdraws:
            await self.restart()
            self._before = self._earlier = ""
        self._text = self.shown
        if await self._parts.settled():
            self._go("rewrite")
        below = blocks.failure(error, self._turn.id)
        if self._parts.made:
            return await self._close(below, fallback=error.said)
        await self._status.settle()
        await self._parts.post(error.said, below, kind="error")
        await self._status.clear(settle=self._parts.settle)
        return await self._parts.late()

    async def halt(self) -> None:
        """Stop writing at once, in the middle of a call."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
        self._left_open |= self._way == "stream"
        self._go("closed")
        await self._status.settle()

    async def leave(self) -> None:
        """After `halt`: leave what was shown readable, and nothing that says it is being worked on."""
        if self._left_open:
            self._left_open = False
            await self._parts.end_stream(self._parts.made[-1])
        await self._status.clear()

    # ------------------------------------------------------------ the writer

    def _go(self, way: Way) -> None:
        """Write in another way from here on; the pacer counts what grows in which way."""
        if self._way == "stream" != way:
            self._pacer.stream_ended()
        self._pacer.rewriting += (way == "rewrite") - (self._way == "rewrite")
        self._way = way

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._ended.is_set():
                return
            try:
                await self._advance()
            except (SlackLimited, SlackUnreachable, SlackRefused) as error:
                # The answer goes on; what cannot be shown as it grows is shown at its end.
                _log.warning("an answer is not shown as it grows", turn=self._turn.id, reason=str(error))
                self._go("whole")
            if self._way == "unopened":
                continue  # all of it is held back yet: the first word is shown as soon as it is whole
            pause = self._pacer.append_interval() if self._way == "stream" else self._pacer.update_interval()
            try:
                async with asyncio.timeout(pause):
                    await self._ended.wait()
            except TimeoutError:
                continue
            return

    async def _end_writer(self, *, quietly: bool = False) -> None:
        """Let the writer finish the call it is in. Raises what it failed with."""
        if self._writer is None:
            return
        self._ended.set()
        self._news.set()
        await asyncio.wait({self._writer})  # cancelling us does not cut off its call
        writer, self._writer = self._writer, None
        try:
            writer.result()
        except SlackError:
            if not quietly:
                raise

    async def _advance(self) -> None:
        if self._way == "unopened":
            await self._open()
        elif self._way == "stream":
            await self._stream_on()
        elif self._way == "rewrite":
            await self._rewrite()

    async def _open(self) -> None:
        """Begin a streamed part with what is not shown yet, or find the way that is open here."""
        text = self._opening + self._growth(self._opening)
        if not text.strip():
            return
        what = f"streams in {self._turn.thread.channel}"
        if not self._abilities.has(what):
            self._go("rewrite")
            await self._rewrite()
            return
        if not self._pacer.take_stream():
            trail.note("not growing", "so many answers at once: Slack's limit of stream starts is used up")
            self._go("whole")
            return
        piece = fit("", text, STREAM_LIMIT)
        try:
            await self._start(piece.here)
        except SlackLimited:
            self._go("whole")
            return
        except SlackTokenRefused:
            raise
        except SlackError as error:
            # Whatever the reason, an ordinary message may still be possible; if not, that says why.
            _log.info("no stream here", channel=self._turn.thread.channel, reason=error.code)
            if isinstance(error, SlackNotAllowed):
                self._abilities.refuse(what)
            self._go("rewrite")
            await self._rewrite()
            return
        self._streamed = Streamed(piece.here)
        self._shown += len(piece.here) - len(self._opening)

    async def _start(self, text: str) -> None:
        """Start the stream that was taken; where that fails, it is given back."""
        try:
            await self._parts.start_stream(text)
        except BaseException:
            self._pacer.stream_ended()
            raise
        self._go("stream")
        self._status.streams()

    async def _stream_on(self) -> None:
        """Append what is new; go over into a new message before this one is full or its life ends."""
        while (more := self._growth(self._streamed.shown)) and self._way == "stream":
            piece = self._streamed.fit(more)
            ts, end = self._parts.made[-1], self._shown + len(more)
            try:
                if not piece.rest:
                    await self._parts.append(ts, more)
                    self._streamed.shown += more
                    self._shown = end
                    return
                await self._parts.stop(ts, piece.here + piece.closing, (), more_follows=True)
            except SlackLimited:
                return
            except (StreamStopped, SlackGone):
                raise
            except SlackError as error:
                await self._fall_back(error)
                return
            self._shown = end - len(piece.rest)
            self._go("unopened")
            self._base, self._opening, self._index = self._shown, piece.opening, len(self._parts.made)
            await self._open()

    def _growth(self, part: str) -> str:
        """What goes on from a part now; once no more comes, all."""
        text = part + self._text[self._shown :]
        return text[len(part) : None if self._ended.is_set() else presentable(text)]

    async def _fall_back(self, error: SlackError) -> None:
        """The stream does not take more: what it shows is uncertain, so its message is rewritten."""
        _log.info("a stream ended early", turn=self._turn.id, reason=str(error))
        self._go("rewrite")
        if not isinstance(error, StreamClosed):
            await self._parts.end_stream(self._parts.made[-1])

    async def _rewrite(
        self, below: Sequence[blocks.Block] = (), *, final: bool = False, fallback: str = ""
    ) -> None:
        """Make the messages from the current part on show the text, splitting it where it is too long."""
        end = len(self._text)
        text = self._opening + self._text[self._base :]
        if not final and (len(self._text) < len(self._before) or not self._pacer.may_rewrite()):
            return
        pieces = split(text, REWRITE_LIMIT) or ([""] if final and self._parts.made[self._index :] else [])
        for number, piece in enumerate(pieces, start=self._index):
            last = number == self._index + len(pieces) - 1
            shown = [*blocks.markdown(piece), *(below if last else ())]
            if number >= len(self._parts.made):
                ts = await self._parts.post(piece or fallback, shown)
            else:
                ts = self._parts.made[number]
                if self._seen.get(ts) != repr(shown):
                    await self._parts.update(ts, piece or fallback, shown)
            self._seen[ts] = repr(shown)
        self._shown = end

    async def _close(self, below: Sequence[blocks.Block], fallback: str = "") -> tuple[str, ...]:
        """Bring the reply to its end: everything shown, nothing streaming, no status left."""
        await self._status.settle()
        surplus: tuple[str, ...] = ()
        try:
            await self._end_writer()
            if self._way == "stream":
                await self._end_stream(below)
            if self._way != "closed":
                await self._rewrite(below, final=True, fallback=fallback)
                pieces = len(split(self._opening + self._text[self._base :], REWRITE_LIMIT)) or 1
                surplus = tuple(self._parts.made[self._index + pieces :])
        except SlackGone:
            if not self._parts.made:
                raise
            # Somebody deleted the reply while it was written: it is not posted again.
            _log.info("the reply was deleted while it was written", turn=self._turn.id)
        await self._status.clear(by_stream=self._way == "closed", settle=self._parts.settle)
        self._go("closed")
        return surplus + await self._parts.late()

    async def _end_stream(self, below: Sequence[blocks.Block]) -> None:
        """Stop the stream with the rest of the text, in as many messages as that takes."""
        while not self._streamed.holds(self._text[self._shown :]):
            before = self._shown
            await self._stream_on()
            if self._way != "stream":
                return
            if self._shown == before:
                await self._pacer.wait_for("chat.stopStream")
        rest = self._streamed.ending(self._text[self._shown :])
        try:
            await self._parts.stop(self._parts.made[-1], rest, below)
        except (SlackUnreachable, SlackGone):
            raise
        except SlackError as error:
            await self._fall_back(error)
            return
        self._shown = len(self._text)
        self._go("closed")
