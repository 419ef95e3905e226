"""The kill loop: SIGKILL, and SIGSTOP past the lease, at random moments while people ask and think again.

Everything random comes from one seed, which is told, so that a round can be played again. Each round has
two generators of its own, of who kills and of who speaks, so that no draw hangs on what happened before. The
machine's own timing stays what it is: a seed gives the same people, words, faults and moments, not the same
interleaving.
"""

import asyncio
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, time
from typing import Any

from tests.chaos.forked import ForkedBobbin
from tests.chaos.history import violations
from tests.chaos.record import recorded
from tests.chaos.stage import all_quiet, stage
from tests.e2e.conftest import by_requests

LEASE = 1.5
ROUNDS_ON_ONE_STAGE = 25
"""Then everything is checked, and a new stage begins."""

# What befalls a call now and then. Effects that come late come before the settle time is over.
FAULTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("chat.startStream", "reset_after", {}),
    ("chat.startStream", "reset_before", {}),
    ("chat.startStream", "late", {"seconds": 0.2}),
    ("chat.startStream", "ratelimited", {}),
    ("chat.startStream", "http", {"status": 503}),
    ("chat.postMessage", "reset_after", {}),
    ("chat.appendStream", "reset_after", {}),
    ("chat.appendStream", "message_not_in_streaming_state", {}),
    ("chat.stopStream", "reset_after", {}),
    ("chat.stopStream", "http", {"status": 500}),
    ("chat.update", "http", {"status": 502}),
    ("conversations.replies", "http", {"status": 500}),
)
FAULTY = 0.3
"""In so many of the rounds."""
FROZEN = 0.2
CHANGES = 0.25
"""After so many of the questions somebody edits, deletes, stops, or wants another answer."""
STOP_WITHIN = 0.5
"""Seconds for which somebody looks for the button."""


class NeverAtRest(Exception):
    """Something still waits, or was never acked, long after the last fault."""


@dataclass
class Tally:
    """What so many rounds came to; `recoveries`: seconds from the start after a kill that cut
    an answer off to the end of all that waited."""

    seed: int
    kills: int = 0
    freezes: int = 0
    questions: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add what another stage came to."""
        self.kills += other.kills
        self.freezes += other.freezes
        self.questions += other.questions
        self.changes += other.changes
        self.turns += other.turns
        self.wrong += other.wrong
        self.recoveries += other.recoveries

    def lines(self) -> list[str]:
        """For people."""
        quick = sorted(self.recoveries)
        middle, late = (quick[int(len(quick) * part)] if quick else 0.0 for part in (0.5, 0.95))
        return [
            f"seed {self.seed}: {self.kills} kills or restarts, {self.freezes} freezes past the lease",
            f"{self.questions} questions, changes {dict(self.changes)}, turns {dict(self.turns)}",
            *(
                f"recovery after a kill: median {middle:.2f} s, p95 {late:.2f} s, longest {longest:.2f} s"
                for longest in quick[-1:]  # of several workers it is not measured
            ),
            f"violations: {len(self.wrong)}",
            *self.wrong[:20],
        ]


async def kill_loop(
    folder: Path, *, rounds: int, seed: int, on_one_stage: int = ROUNDS_ON_ONE_STAGE, at_once: int = 5
) -> Tally:
    """Play so many rounds, on several stages at once, every other one of them in HTTP mode."""
    tally = Tally(seed)
    slots = asyncio.Semaphore(at_once)

    async def one(number: int, count: int) -> None:
        async with slots:
            place, by_http = folder / str(number), bool(number % 2)
            tally.add(await _on_one_stage(place, count, f"{seed}/{number}", by_http=by_http))

    full, rest = divmod(rounds, on_one_stage)
    counts = [on_one_stage] * full + [rest] * bool(rest)
    await asyncio.gather(*(one(number, count) for number, count in enumerate(counts)))
    return tally


async def _on_one_stage(folder: Path, rounds: int, seed: str, *, by_http: bool) -> Tally:
    tally = Tally(0)
    async with stage(folder, LEASE_SECONDS=str(LEASE), SLACK_PACING="off") as bobbin:
        bobbin.bedrock.pace, bobbin.bedrock.delay = 0.01, 0.05
        if by_http:
            bobbin.settings |= by_requests(bobbin.slack)
        crowd = Crowd(bobbin, seed)
        await bobbin.start()
        try:
            for number in range(rounds):
                await _round(bobbin, crowd, random.Random(f"{seed}/{number}"), tally)
        except NeverAtRest:
            tally.wrong = await crowd.waiting()
        else:
            await crowd.judged(tally)
    return tally


async def _round(bobbin: ForkedBobbin, crowd: "Crowd", chance: random.Random, tally: Tally) -> None:
    befall(bobbin, chance)
    await crowd.speak()
    await asyncio.sleep(chance.uniform(0, 0.8))
    assert bobbin.process is not None
    if chance.random() < FROZEN:
        bobbin.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE * 1.2)
        bobbin.process.send_signal(signal.SIGCONT)
        tally.freezes += 1
        return
    bobbin.process.kill()
    await bobbin.process.wait()
    tally.kills += 1
    cut_off = bool(await bobbin.rows("SELECT id FROM turn WHERE state = 'open'"))
    began = monotonic()
    await bobbin.start()
    if chance.random() < 1 / 2:
        await crowd.answered()
        tally.recoveries += [monotonic() - began] * cut_off


def befall(bobbin: ForkedBobbin, chance: random.Random) -> None:
    """Put a fault in now and then."""
    if chance.random() < FAULTY:
        method, kind, more = chance.choice(FAULTS)
        bobbin.slack.faults.add(method, kind, **more)


_WAITING = """
    SELECT c.id, c.pending_at, c.not_before, c.lease_owner, c.lease_until, c.fence,
        t.id, t.state, t.claims, t.deaths
    FROM conversation c LEFT JOIN turn t ON t.conversation_id = c.id AND t.state = 'open'
    WHERE c.pending_at IS NOT NULL"""


class Crowd:
    """Three people who ask in two channels and a DM, in new threads and old ones, and change their minds.

    They edit and delete what they asked, press Stop, and have answers given again.
    """

    def __init__(self, bobbin: ForkedBobbin, seed: str) -> None:
        slack = bobbin.slack
        self._bobbin, self._seed = bobbin, seed
        self._chance, self._spoken = random.Random(seed), 0
        self._people = [slack.add_person(name) for name in ("Ann Lee", "Ben Ode", "Cem Kar")]
        self._channels = [slack.add_channel(name, members=self._people) for name in ("general", "random")]
        self._threads: list[tuple[str, str]] = []
        self._asked: list[tuple[str, str, str]] = []
        self._said = 0
        self._clicks: set[asyncio.Task[Any]] = set()
        self._changes: Counter[str] = Counter()

    async def speak(self) -> None:
        """Say one to three things; now and then an event comes twice, late, or out of order."""
        self._spoken += 1
        chance, slack = random.Random(f"{self._seed}/said {self._spoken}"), self._bobbin.slack
        self._chance = chance
        slack.deliver_twice(on=chance.random() < 0.15)
        slack.shuffle(chance.randrange(10**6) if chance.random() < 0.2 else None)
        for _ in range(chance.randint(1, 3)):
            await self._ask()
            if chance.random() < CHANGES:
                await chance.choice((self._edit, self._edit, self._delete, self._stop, self._again))()

    async def answered(self) -> None:
        """Wait until nothing waits any more. Raises `NeverAtRest`."""
        await asyncio.gather(*self._clicks)
        try:
            await all_quiet(self._bobbin, 0)  # a question that is deleted at once has no turn
        except TimeoutError as error:
            raise NeverAtRest from error

    async def waiting(self) -> list[str]:
        """The violation that a stage never comes to rest, and what waits there."""
        rows = await self._bobbin.rows(_WAITING)
        return [f"stage {self._seed}: NEVER AT REST at {time():.3f}: {rows}"]

    async def judged(self, tally: Tally) -> None:
        """Let it come to rest without further faults, and enter what came of it all."""
        bobbin = self._bobbin
        bobbin.slack.faults.clear()
        try:
            await self.answered()
        except NeverAtRest:
            tally.wrong = await self.waiting()
            return
        tally.wrong = [f"stage {self._seed}: {wrong}" for wrong in await violations(bobbin)]
        tally.questions = len((await recorded(bobbin)).questions())
        tally.changes = self._changes
        tally.turns = Counter(
            dict(await bobbin.rows("SELECT state, count(*) FROM turn WHERE seq > 0 GROUP BY state"))
        )

    async def _ask(self) -> None:
        chance, slack = self._chance, self._bobbin.slack
        self._said += 1
        person = chance.choice(self._people)
        words = f"{self._bobbin.me} question {self._said}?"
        threads = [(channel, ts) for channel, ts in self._threads if self._stands(channel, ts)]
        if threads and chance.random() < 0.5:
            channel, thread = chance.choice(threads)
            self._asked.append((person, channel, await slack.say(person, channel, words, thread=thread)))
            return
        channel = slack.dm(person) if chance.random() < 0.3 else chance.choice(self._channels)
        ts = await slack.say(person, channel, words)
        self._threads.append((channel, ts))
        self._asked.append((person, channel, ts))

    def _stands(self, channel: str, ts: str) -> bool:
        return ts in self._bobbin.slack.workspace.channels[channel].messages

    def _one(self) -> tuple[str, str, str]:
        """Of the newest questions one: it waits, or it is being answered, or it was just now."""
        return self._chance.choice(self._asked[-4:])

    async def _edit(self) -> None:
        person, channel, ts = self._one()
        if self._shown(channel, ts):
            self._said += 1
            self._changes["edits"] += 1
            words = f"{self._bobbin.me} rather tell me about matter {self._said}"
            await self._bobbin.slack.edit(person, channel, ts, words)

    async def _delete(self) -> None:
        person, channel, ts = self._one()
        if self._shown(channel, ts):
            self._changes["deletions"] += 1
            await self._bobbin.slack.delete(person, channel, ts)

    def _shown(self, channel: str, ts: str) -> bool:
        messages = self._bobbin.slack.workspace.channels[channel].messages
        return messages.get(ts, {}).get("subtype") is None and ts in messages

    async def _stop(self) -> None:
        """Press Stop where the button is, should it show soon."""
        slack = self._bobbin.slack
        with suppress(TimeoutError):
            channel, thread = await slack.wait_for(self._stoppable, STOP_WITHIN)
            await slack.stop(self._people[0], channel, thread)
            self._changes["stops"] += 1

    def _stoppable(self) -> tuple[str, str] | None:
        for channel, thread in reversed(self._threads):
            session = self._bobbin.slack.status(channel, thread)
            if session.status == "processing" and not session.text and self._stands(channel, thread):
                return channel, thread
        return None

    async def _again(self) -> None:
        """Choose the newest answer of a thread, who asked there last; nobody waits for what comes of it."""
        person, channel, ts = self._one()
        if not self._shown(channel, ts):
            return
        slack = self._bobbin.slack
        thread = slack.message(channel, ts).get("thread_ts", ts)
        if answers := self._bobbin.answers(channel, thread):
            click = asyncio.ensure_future(slack.shortcut(person, "answer_again", channel, answers[-1]["ts"]))
            self._clicks.add(click)
            self._changes["again"] += 1
            click.add_done_callback(self._clicks.discard)
