"""Which conversation next: slots, wake-ups, the drain."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from bot.errors import SlackError, StoreError
from bot.lease import Lease, uptime
from bot.ports import Store, Turn
from bot.turns import Turns

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
"""The net below the wake-ups."""
_AT_ONCE = 16
"""Conversations in one claim: of several processes none takes all, none waits long for another's."""
_AFTER_ERROR_SECONDS = 1.0


class Dispatcher:
    """Gives every free slot to the conversation whose turn it is.

    `team`: the workspace it works for; `slots`: answers at once;
    `claimed` is told of each conversation before its turn begins; `may` says whether any may begin now.
    """

    def __init__(
        self,
        store: Store,
        turns: Turns,
        *,
        team: str,
        owner: str,
        slots: int,
        beat: Callable[[], None] = lambda: None,
        claimed: Callable[[int], None] = lambda _: None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._turns = turns
        self._team = team
        self._owner = owner
        self._slots = slots
        self._beat = beat
        self._claimed = claimed
        self._may = may
        # By task: after a freeze the same turn may be claimed again while its stale run still ends.
        self._running: dict[asyncio.Task[None], tuple[int, Lease]] = {}
        self._news = asyncio.Event()
        self._called = False
        self._claiming = asyncio.Lock()
        self._draining = False

    @property
    def running(self) -> int:
        """How many turns are being worked on."""
        return len(self._running)

    @property
    def full(self) -> bool:
        """Whether every slot is taken."""
        return len(self._running) >= self._slots

    def wake(self) -> None:
        """Something may be there to do, or to end."""
        self._called = True
        self._news.set()

    def expect(self) -> bool:
        """What is asked to be written just now may be there to do: it is claimed in the same commit.

        False where only a call of `wake` after that commit does it: transactions do not wait for each other.
        """
        if self._store.exclusive:
            self._news.set()
        return self._store.exclusive

    async def listen(self) -> None:
        """Heed what other processes tell, until cancelled."""
        while True:
            await self._store.news()
            self._news.set()

    async def run(self) -> None:
        """Claim and start turns until cancelled."""
        while not self._draining:
            self._beat()
            self._news.clear()
            try:
                try:
                    await self._fill()
                finally:
                    await self._end()  # also where nothing can be claimed
                await self._pass_on()
                wait = await self._store.next_due()
            except StoreError as error:
                _log.error("nothing can be claimed", error=str(error))
                wait = _AFTER_ERROR_SECONDS
            try:
                async with asyncio.timeout(
                    min(_POLL_SECONDS, _POLL_SECONDS if wait is None else wait + 0.01)
                ):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def drain(self, seconds: float) -> None:
        """Claim nothing more; let what runs end within the time; give the rest back, still open."""
        self._draining = True
        self._news.set()
        async with self._claiming:  # what is being claimed just now is started, hence drained too
            tasks = list(self._running)
        if not tasks:
            return
        _log.info("finishing the running answers", count=len(tasks), seconds=seconds)
        giving_back = min(_GIVE_BACK_SECONDS, seconds / 4)
        _, late = await asyncio.wait(tasks, timeout=seconds - giving_back)
        for task, (_, lease) in list(self._running.items()):
            if task in late:
                lease.end("drained")
        if late:
            _log.info("answers given back unfinished", count=len(late))
            await asyncio.wait(late, timeout=max(giving_back, _GIVE_BACK_AT_LEAST))

    async def _end(self) -> None:
        """End the turns of this process that people have stopped or changed, whichever process heard them."""
        if not self._running:
            return
        asked = dict(await self._store.asked_to_end())
        for turn, lease in list(self._running.values()):
            if turn in asked:
                lease.end(asked[turn])

    async def _fill(self) -> None:
        while (free := self._slots - len(self._running)) > 0 and not self._draining and self._may():
            wanted = min(free, _AT_ONCE)
            async with self._claiming:
                began = uptime()
                claimed = await self._store.claim(self._owner, wanted, self._team)
                for turn in claimed:
                    self._start(turn, began)
            await asyncio.sleep(0)  # what they read goes before what is read here
            # Where there are fewer than wanted, another process may have held one for a moment.
            if not claimed or (len(claimed) < wanted and self._store.exclusive):
                return

    async def _pass_on(self) -> None:
        """Where no slot is free for what was heard here, other processes may have one."""
        called, self._called = self._called, False
        if called and len(self._running) >= self._slots:
            await self._store.tell()

    def _start(self, turn: Turn, claimed: float) -> None:
        self._claimed(turn.conversation)
        for same, stale in self._running.values():
            if same == turn.id:  # its lease ran out, by the store's clock, under a run that goes on
                stale.end("lost")
        lease = self._turns.lease(turn, claimed)
        task = asyncio.create_task(self._turns.run(turn, lease), name=f"turn {turn.id}")
        self._running[task] = (turn.id, lease)
        task.add_done_callback(lambda done: self._ended(turn.id, done))

    def _ended(self, turn: int, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a turn broke: it is taken up when its lease has run out", turn=turn, exc_info=error)
        self._news.set()


_GIVE_BACK_SECONDS = 2.5
_GIVE_BACK_AT_LEAST = 1.0
"""What is not given back in time counts as a death of the turn, which it was not."""


class Background:
    """Small things to do after an ack: kept referenced, their failures logged, ended with the process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it soon."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self, seconds: float) -> None:
        """Wait for what is under way."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("something after an ack failed", exc_info=error)


async def every(
    seconds: float,
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Do it again and again until cancelled, with a beat each time.

    A failure of the store or Slack waits for the next time.
    """
    while True:
        beat()
        try:
            await work()
        except (StoreError, SlackError) as error:
            _log.warning("a chore failed: it is tried again", chore=name, error=str(error))
        except Exception:  # noqa: BLE001  whatever it is, the next time may go well
            _log.exception("a chore failed: it is tried again", chore=name)
        await asyncio.sleep(seconds)
