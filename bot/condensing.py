"""Makes a turn's request fit the model's window: what is too old to fit is condensed, by the model itself.

Nothing is lost on the way: the messages stay in the store, each step is kept as soon as it is made, and what
was made of words that have changed meanwhile is made again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from bot import trail
from bot.attachments import Attachments
from bot.conversation import Message, alternate
from bot.errors import EmptyAnswer, Refused, TooLong
from bot.events import Person
from bot.models import Claude
from bot.ports import History, Line, Request, Store, Summary, Turn, Workspace
from bot.prompt import CONDENSE, LEFT_OUT, condense_now, noted, shortened, spoken
from bot.window import PIECES, Window, cut, gaps, held, pieces, points, size_of, tokens_of

_log = structlog.get_logger(__name__)

_SHORTEST = 1000
"""What is refused as too long with so few tokens is not refused for its length."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a turn's requests have in common."""

    system: str
    claude: Claude
    window: Window
    model: str = ""


class Condenser:
    """The requests of one turn. `ask` gives the model's whole answer; `history` is what they are made of."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        turn: Turn,
        history: History,
        people: Mapping[str, Person],
        files: Attachments,
        frame: Frame,
        ask: Callable[[Request], Awaitable[str]],
    ) -> None:
        self.history = history
        self._store = store
        self._workspace = workspace
        self._turn = turn
        self._people = people
        self._files = files
        self._frame = frame
        self._ask = ask

    def request(self) -> tuple[Request, int]:
        """The next request as it stands, and its size as far as it can be told."""
        frame, history = self._frame, self.history
        said = self._spoken()
        messages = alternate([*self._notes(), *said])
        cached = 0
        if history.measured is None:
            size = tokens_of(frame.system) + sum(size_of(message) for message in messages)
        else:
            seq, size = history.measured
            size += sum(size_of(said[at]) for at, line in enumerate(history.lines) if line.seq > seq)
            cached = held(history.measured, history.lines, frame.claude)
        cache = points(messages, frame.system, size, gaps(history.lines), frame.claude) if messages else None
        return Request(messages, frame.system, frame.window.output, cache, frame.model, size, cached), size

    async def fitting(self) -> Request:
        """The next request, once it fits. Raises `TooLong` where one message alone does not."""
        while True:
            request, size = self.request()
            alone = len(self.history.lines) <= 1
            if alone and self._files.sent:
                return request  # how long a file is, only Bedrock can tell
            if size <= (self._frame.window.room if alone else self._frame.window.full):
                return request
            await self.condense()

    async def condense(self) -> None:
        """Put a summary in the place of the oldest part. Raises `TooLong` where there is but one message."""
        history, window = self.history, self._frame.window
        said = self._spoken()
        sizes = [size_of(message) for message in said]
        free = window.full - window.summary - tokens_of(self._frame.system)
        count = cut(history.lines, sizes, min(free, sum(sizes)))
        if not count and await self._files.refuse():
            return
        if not count:
            raise TooLong("one message alone does not fit the window")
        room = window.piece - tokens_of(CONDENSE)
        for run in list(pieces(sizes[:count], room))[-PIECES:]:
            before = self.history
            text = before.summary.text if before.summary else LEFT_OUT if run.start else ""
            text = await self._condensed(text, said[run], room)
            covered = before.lines[: len(before.lines) - len(history.lines) + run.stop]
            summary = self._summary(text, covered, before.summary)
            if not await self._store.keep_summary(self._turn, summary, History(covered, before.summary)):
                _log.info("what was condensed has changed meanwhile", turn=self._turn.id)
                break
            self.history = History(history.lines[run.stop :], summary)
        self.history = await self._store.recall(self._turn)
        _log.info("condensed", turn=self._turn.id, messages=count)
        trail.note("condensed", f"{count} messages")

    def _summary(self, text: str, lines: Sequence[Line], before: Summary | None) -> Summary:
        newest = lines[-1].seq
        authors = dict.fromkeys(before.authors if before else ())
        authors |= dict.fromkeys(line.author for line in lines if line.role == "user")
        until = max(line.ts for line in lines if line.seq == newest)
        return Summary(text, newest, until, tuple(authors), before.first_turn if before else self._turn.id)

    async def _condensed(self, text: str, said: Sequence[Message], room: int) -> str:
        """The notes so far and what was said next, as new notes; halved where the model finds it too long."""
        size = sum(size_of(message) for message in said)
        if len(said) == 1 and size > room:
            said, size = [shortened(said[0], room / size)], room
        window = self._frame.window
        messages = alternate([*self._notes(text), *said, condense_now(window.summary // 2)])
        request = Request(messages, CONDENSE, 2 * window.summary, model=self._frame.model)
        try:
            answer = (await self._ask(request)).strip()
        except TooLong:
            if len(said) > 1:
                text = await self._condensed(text, said[: len(said) // 2], room)
                return await self._condensed(text, said[len(said) // 2 :], room)
            if size > _SHORTEST:
                return await self._condensed(text, said, size // 2)
            answer = ""
        except (EmptyAnswer, Refused) as error:
            _log.warning("a part of a thread could not be condensed", turn=self._turn.id, error=str(error))
            answer = ""
        return answer[: 3 * window.summary] or f"{text}\n\n{LEFT_OUT}".strip()

    def _notes(self, text: str | None = None) -> list[Message]:
        """The summary as the model reads it; of another text, with the same date."""
        summary = self.history.summary
        if text is None:
            return [noted(summary)] if summary else []
        until = summary.ts if summary else self._turn.thread.thread_ts
        return [noted(Summary(text, 0, until))] if text else []

    def _spoken(self) -> list[Message]:
        history = self.history
        words = self._workspace.words(history.lines, self._people)
        before = history.summary.authors if history.summary else ()
        return spoken(history.lines, self._people, words, before, self._files.stored)
