"""Whatever is done to a store, in whatever order: its tables hold what a model without a database holds."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bot.errors import LeaseLost
from bot.events import Deleted, Edited, Posted
from bot.policy import Rules, decide
from bot.ports import Finish, Line, Part, Stop, Turn, Usage
from storage import open_store
from tests.contract.store_model import Memory, Place, kept, message_of, tables, turn_of

ROOTS = (1, 2, 3)
HOUR = 3600.0
"""A lease, and a delay: they end when a rule says so."""

WHO = st.sampled_from(["ANN", "BEN"])
WHERE = st.sampled_from(ROOTS)
KIND = st.sampled_from(["@bobbin", "@bobbin", "talk", "talk", "aside", "thanks"])
WHICH = st.integers(0, 4)
"""Which of those there are, counted from the newest."""


class StoreMachine(RuleBasedStateMachine):
    """People talk, processes work and die, and those that lost their lease go on trying."""

    def __init__(self, url: str, talk_with: Callable[..., Any]) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.resources = AsyncExitStack()
        self.talk = talk_with(None)
        self.memory = Memory()
        self.now = max(ROOTS)
        self.spoken: list[tuple[int, int]] = []  # root and moment of every message that was heard of
        self.arrived: list[Posted | Edited | Deleted] = []
        self.claimed: list[Turn] = []
        self.turns_before: dict[str, Any] = {}

    @initialize()
    def begin(self) -> None:
        self.open()
        for table in ("conversation", "inbox", "tombstone", "orphan"):
            self.sql(f"DELETE FROM {table}")
        self.say(root=2, kinds=["@bobbin"], who="BEN", top=False)
        self.claim(limit=10)
        self.answer(which=0, failed=False, deleted=False, again=False)
        self.say(root=2, kinds=["talk", "talk"], who="BEN", top=False)
        self.say(root=1, kinds=["@bobbin"], who="ANN", top=True)
        self.claim(limit=10)

    def teardown(self) -> None:
        self.run(self.resources.aclose())
        self.runner.close()

    def open(self) -> None:
        opening = open_store(self.url, lease=HOUR, lock_seconds=0)
        self.store = self.run(self.resources.enter_async_context(opening))
        self.talk = replace(self.talk, store=self.store)

    def run(self, story: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(story)

    def sql(self, statement: str, **params: Any) -> Any:
        return self.run(self.talk.sql(statement, **params))

    def tick(self) -> int:
        self.now += 1
        return self.now

    # ------------------------------------------------------------ people

    def message(self, root: int, at: int, who: str, kind: str) -> Posted:
        if (root, at) not in self.spoken:
            self.spoken.append((root, at))
        flags = {"mentions_others": kind == "aside", "pleasantry": kind == "thanks"}
        posted: Posted = self.talk.message(at, f"{kind} {self.tick()}", who, root, **flags)
        return posted

    async def arrive(self, event: Posted | Edited | Deleted) -> None:
        match event:
            case Posted():
                await self.store.post(event, partial(decide, event, rules=Rules()))
            case Edited():
                await self.store.edit(event, partial(decide, event.message, rules=Rules()))
            case Deleted():
                await self.store.delete(event)

    def expect(self, event: Posted | Edited | Deleted) -> None:
        match event:
            case Posted():
                self.memory.post(event.ts, event.thread.thread_ts, kept(event), event.event_id)
            case Edited(posted, edited_ts):
                said = kept(posted, edited_ts)
                self.memory.edit(posted.ts, posted.thread.thread_ts, said, posted.event_id)
            case Deleted():
                self.memory.delete(event.ts, event.event_id)

    def tell(self, *events: Posted | Edited | Deleted) -> None:
        """All at once where the store takes them in their order."""

        async def all_at_once() -> None:
            if self.url.startswith("sqlite:"):
                await asyncio.gather(*map(self.arrive, events))
                return
            for event in events:
                await self.arrive(event)

        self.arrived += events
        self.run(all_at_once())
        for event in events:
            self.expect(event)

    @rule(root=WHERE, kinds=st.lists(KIND, min_size=1, max_size=3), who=WHO, top=st.booleans())
    def say(self, *, root: int, kinds: list[str], who: str, top: bool) -> None:
        moments = [root if top and not nth else self.tick() for nth, _ in enumerate(kinds)]
        self.tell(*[self.message(root, at, who, kind) for at, kind in zip(moments, kinds, strict=True)])

    @rule(which=WHICH, kind=KIND, who=WHO)
    def say_by_another_event(self, which: int, kind: str, who: str) -> None:
        """A twin, or the late original of what was edited or deleted before it came."""
        root, at = nth(self.spoken, which)
        self.tell(self.message(root, at, who, kind))

    @rule(which=WHICH, kind=KIND, who=WHO, unknown=st.booleans(), late=st.booleans())
    def edit(self, *, which: int, kind: str, who: str, unknown: bool, late: bool) -> None:
        root, at = nth(self.spoken, which)
        at = self.tick() if unknown else at
        moment = at + 0.5 if late else self.tick()
        self.tell(Edited(self.message(root, at, who, kind), self.talk.ts(moment)))

    @rule(root=WHERE, which=WHICH)
    def call_while_it_is_answered_with_silence(self, root: int, which: int) -> None:
        place = self.memory.open_turn(self.talk.ts(root))
        asked = [
            at for where, at in self.spoken if place and self.talk.ts(at) in dict(self.memory.asked(place))
        ]
        if asked:
            message = self.message(root, nth(asked, which), "ANN", "@bobbin")
            self.tell(Edited(message, self.talk.ts(self.tick())))
        if place:
            turn = next(turn for turn in reversed(self.claimed) if place_of(turn) == place)
            self.end(turn, "silent")

    @rule(root=WHERE, kind=KIND)
    def come_after_its_deletion(self, root: int, kind: str) -> None:
        message = self.message(root, self.tick(), "ANN", kind)
        self.tell(Deleted(self.talk.event(), self.talk.team, self.talk.channel, message.ts), message)

    @rule(root=WHERE, kind=KIND)
    def say_and_regret(self, root: int, kind: str) -> None:
        self.tell(self.message(root, self.tick(), "ANN", kind))
        self.delete(which=0, what="message")

    @rule(which=WHICH)
    def undo_an_edit(self, which: int) -> None:
        """Back to the words that are there: an edit that changes none."""
        root, at = nth(self.spoken, which)
        said = self.memory.messages.get(self.talk.ts(at))
        if said and said.who:
            message = replace(self.message(root, at, said.who, "talk"), text=said.text)
            self.tell(Edited(message, self.talk.ts(self.tick())))

    @rule(which=WHICH, what=st.sampled_from(["message", "waiting", "part"]))
    def delete(self, which: int, what: str) -> None:
        _, at = nth(self.spoken, which)
        waiting = [ts for ts, said in sorted(self.memory.messages.items()) if said.turn is None]
        of = {"waiting": waiting, "part": sorted(self.memory.parts)}.get(what)
        ts = nth(of, which) if of else self.talk.ts(at)
        self.tell(Deleted(self.talk.event(), self.talk.team, self.talk.channel, ts))

    @rule(which=st.integers(0, 9))
    def deliver_again(self, which: int) -> None:
        self.tell(nth(self.arrived, which))

    @rule(root=WHERE)
    def stop(self, root: int) -> None:
        place = self.memory.open_turn(self.talk.ts(root))
        ingested = self.run(self.talk.stop(root))
        assert bool(ingested.stop) == bool(place)
        self.memory.stop(self.talk.ts(root))

    @rule(root=WHERE, muted=st.booleans())
    def mute(self, *, root: int, muted: bool) -> None:
        self.run(self.talk.mute(muted=muted, at=root))
        if here := self.memory.conversations.get(self.talk.ts(root)):
            here.muted = muted

    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        self.try_again(self.worker(which))

    def try_again(self, turn: Turn) -> None:
        ingested = self.run(self.store.retry(turn.id))
        self.memory.retry(place_of(turn))
        assert ingested.wake == (self.memory.turns[place_of(turn)].state == "failed")

    # ------------------------------------------------------------ processes

    @rule(limit=st.sampled_from([10, 10, 1]))
    def claim(self, limit: int) -> None:
        free, one_of = self.memory.claimable()
        turns: list[Turn] = self.run(self.store.claim("worker", limit))
        got = [turn.thread.thread_ts for turn in turns]
        assert len(got) == len(set(got)) == min(limit, len(free) + bool(one_of))
        assert set(got) <= free | one_of
        assert len(one_of.intersection(got)) <= 1
        for turn in turns:
            place, resumed = self.memory.claim(turn.thread.thread_ts)
            here, kept_turn = self.memory.conversations[place[0]], self.memory.turns[place]
            asked = self.memory.asked(place)
            assert (place_of(turn), turn.resumed, turn.fence) == (place, resumed, here.fence)
            assert (turn.deaths, turn.stopping, turn.answer) == (
                kept_turn.deaths,
                kept_turn.stop,
                kept_turn.answer,
            )
            assert turn.backfill == here.backfill
            assert turn.earlier == (kept_turn.versions[-1] if resumed and kept_turn.versions else "")
            assert turn.summoned == (any(one.summons for _, one in asked) or bool(turn.earlier))
            assert set(turn.askers) == {one.who for _, one in asked}
            assert (turn.question_ts, turn.asker) == ((asked[-1][0], asked[-1][1].who) if asked else ("", ""))
            assert {part.ts for part in turn.parts} == self.memory.parts_of(place).keys()
            assert [line.text for line in self.run(self.store.recall(turn)).lines] == self.memory.history(
                place
            )
        self.claimed += turns

    @rule()
    def claim_all(self) -> None:
        self.claim(limit=10)

    def worker(self, which: int) -> Turn:
        """Those who own a conversation come first, then those who lost it."""
        turn: Turn = nth(sorted(self.claimed, key=self.memory.holds), which)
        return turn

    def fenced(self, turn: Turn, act: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
        """Do what only the owner may: whether it was, and the result."""
        if self.memory.holds(turn):
            return True, self.run(act)
        with pytest.raises(LeaseLost):
            self.run(act)
        return False, None

    @rule(which=WHICH)
    def heartbeat(self, which: int) -> None:
        turn = self.worker(which)
        held, why = self.fenced(turn, self.store.extend(turn))
        if held:
            self.memory.conversations[turn.thread.thread_ts].lapsed = False
            kept_turn = self.memory.turns[place_of(turn)]
            assert why == (kept_turn.stop or ("edited" if kept_turn.anew else None))

    @rule(which=WHICH)
    def restart(self, which: int) -> None:
        turn = self.worker(which)
        held, anew = self.fenced(turn, self.store.restart(turn))
        if held:
            self.memory.restart(place_of(turn))
            assert (anew.answer, anew.earlier) == (None, turn.earlier)
            assert set(anew.askers) == {one.who for _, one in self.memory.asked(place_of(turn))}

    @rule(which=WHICH, who=WHO)
    def again(self, which: int, who: str) -> None:
        turn = self.worker(which)
        ingested = self.run(self.store.again(turn.id, who))
        assert ingested.wake == self.memory.again(place_of(turn), who)
        assert ingested.wake != bool(ingested.note)

    @rule(which=WHICH, at=WHICH, who=WHO)
    def backfill(self, which: int, at: int, who: str) -> None:
        """One that is there already, one that is not, and one that was deleted before it came."""
        turn, (_, moment) = self.worker(which), nth(self.spoken, at)
        buried = sorted(ts for ts in self.memory.tombstones if ts <= turn.called_ts)
        moments = [self.talk.ts(moment), self.talk.ts(moment + 0.25), *buried[-1:]]
        lines = [Line("user", ts, who, f"before {self.tick()}") for ts in dict.fromkeys(moments)]
        held, _ = self.fenced(turn, self.store.backfill(turn, lines))
        if held:
            self.memory.backfill(turn, lines)

    @rule(which=WHICH, who=WHO)
    def dismiss(self, which: int, who: str) -> None:
        turn = self.worker(which)
        held, _ = self.fenced(turn, self.store.dismiss(turn, [who], "guest"))
        if held:
            self.memory.dismiss(place_of(turn), who)

    @rule(which=WHICH, kind=st.sampled_from(["answer", "answer", "error", "notice"]))
    def record_part(self, which: int, kind: Any) -> None:
        turn = self.worker(which)
        part = Part(self.talk.ts(self.tick()), kind, len(self.memory.parts_of(place_of(turn))))
        held, _ = self.fenced(turn, self.store.record_part(turn, part))
        if held:
            self.memory.parts[part.ts] = place_of(turn), part
        else:
            self.memory.orphans[part.ts] = place_of(turn)

    @rule(which=WHICH)
    def record_answer(self, which: int) -> None:
        turn, answer = self.worker(which), f"answer {self.tick()}"
        held, _ = self.fenced(turn, self.store.record_answer(turn, answer, Stop("end_turn", Usage(1, 1))))
        if held:
            self.memory.turns[place_of(turn)].answer = answer

    @rule(which=WHICH, failed=st.booleans(), deleted=st.booleans(), again=st.booleans())
    def answer(self, *, which: int, failed: bool, deleted: bool, again: bool) -> None:
        turn = self.worker(which)
        self.record_part(which=which, kind="answer")
        if deleted:
            self.delete(which=0, what="part")
        self.end(turn, "failed" if failed else "answered", f"answer {self.tick()}")
        if again:
            self.try_again(turn)

    @rule(
        which=WHICH,
        state=st.sampled_from(["answered", "silent", "failed", "cancelled"]),
        shown=st.booleans(),
        less=st.booleans(),
    )
    def finish(self, *, which: int, state: Any, shown: bool, less: bool) -> None:
        turn = self.worker(which)
        answer = f"answer {self.tick()}" if shown and state != "silent" else None
        self.end(turn, state, answer, tuple(sorted(self.memory.parts_of(place_of(turn))))[1:] if less else ())

    def end(self, turn: Turn, state: Any, answer: str | None = None, surplus: tuple[str, ...] = ()) -> None:
        held, more = self.fenced(turn, self.store.finish(turn, Finish(state, answer, surplus=surplus)))
        if held:
            self.memory.finish(turn, state, answer, surplus)
            assert more == self.memory.pending(turn.thread.thread_ts)

    @rule(which=WHICH, delay=st.sampled_from([0, HOUR]))
    def release(self, which: int, delay: float) -> None:
        turn = self.worker(which)
        self.run(self.store.release(turn, delay))
        if self.memory.holds(turn):
            self.memory.release(turn, delayed=delay > 0)
        self.run(self.store.release(turn, HOUR - delay))  # there is nothing to give back any more

    # ------------------------------------------------------------ time and trouble

    @rule(root=WHERE)
    def time_passes(self, root: int) -> None:
        """The lease of one thread ends, and every delay."""
        where = self.talk.ts(root)
        self.sql("UPDATE conversation SET not_before = 0")
        self.sql(
            "UPDATE conversation SET lease_until = 1 WHERE lease_until > 1 AND thread_ts = :at", at=where
        )
        for thread, here in self.memory.conversations.items():
            here.delayed = False
            here.lapsed |= here.owned and thread == where

    @rule(settle=st.sampled_from([0, HOUR]))
    def crash(self, settle: float) -> None:
        self.run(self.resources.aclose())
        self.open()
        owned = sum(here.owned for here in self.memory.conversations.values())
        if self.url.startswith("sqlite:"):
            assert self.run(self.store.recover(settle)) == owned
            self.memory.recover(settle=settle > 0)
            return
        assert self.run(self.store.recover(settle)) == 0  # another process may live: the leases run out
        for root in ROOTS:
            self.time_passes(root)

    @rule(times=st.integers(1, 3))
    def crash_again_and_again(self, times: int) -> None:
        for _ in range(times):
            self.crash(0)
            self.claim(limit=10)

    @rule()
    def sweep(self) -> None:
        self.run(self.store.sweep())
        for team, channel, ts in self.run(self.store.orphans()):
            self.run(self.store.forget_orphan(team, channel, ts))
        closed = [ts for ts, place in self.memory.orphans.items() if self.memory.turns[place].state != "open"]
        for ts in closed:
            del self.memory.orphans[ts]

    # ------------------------------------------------------------ what must hold after every step

    @invariant()
    def tables_hold_what_is_expected(self) -> None:
        """One row a message, one open turn a thread; what waits is marked; no stale owner changed a thing."""
        messages, turns, made, buried, conversations, due, *accounted = self.run(tables(self.talk, ROOTS))
        assert len(messages) == len(self.memory.messages)
        assert {row["ts"]: message_of(row) for row in messages} == self.memory.messages
        assert {(row["thread_ts"], row["seq"]): turn_of(row) for row in turns} == self.memory.turns
        still_open = [row["thread_ts"] for row in turns if row["state"] == "open"]
        assert len(still_open) == len(set(still_open))
        assert sorted(row["ts"] for row in made) == sorted([*self.memory.parts, *self.memory.orphans])
        assert {row["ts"] for row in buried} == self.memory.tombstones
        assert {tuple(row.values()) for row in conversations} == {
            (root, here.backfill, here.muted, here.fence, here.owned, self.memory.pending(root))
            for root, here in self.memory.conversations.items()
        }
        timed = any(here.leased or here.delayed for here in self.memory.conversations.values())
        assert (due is not None) == timed
        assert accounted == [self.memory.accounted(self.talk.ts(root)) for root in ROOTS]

    @invariant()
    def a_message_changes_its_turn_only_by_a_call(self) -> None:
        now = {ts: said.turn for ts, said in self.memory.messages.items()}
        for ts, before in self.turns_before.items():
            if before is not None and ts in now and now[ts] != before:
                assert self.memory.messages[ts].summons
        self.turns_before = now


def place_of(turn: Turn) -> Place:
    return turn.thread.thread_ts, turn.seq


def nth(choices: Any, which: int) -> Any:
    return choices[-1 - which % len(choices)]


@pytest.mark.timeout(1800)  # nightly, and where a failure is made small
def test_the_store_keeps_what_a_model_without_a_database_keeps(
    url: str, talk_with: Callable[..., Any]
) -> None:
    machine: Any = partial(StoreMachine, url, talk_with)
    nightly = settings.get_current_profile_name() == "nightly"
    everyday = 30 if url.startswith("sqlite:") else 5  # each query goes to a server and back
    size = settings(max_examples=500 if nightly else everyday, stateful_step_count=50 if nightly else 40)
    run_state_machine_as_test(machine, settings=size)
