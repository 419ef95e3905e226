"""The store in the small: what its tables must hold, in a few dictionaries and without a database.

Conversations are named by their root's ts, turns by root and number. Whatever asks the model changes nothing
but the model.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bot.events import Posted
from bot.policy import same_words
from bot.ports import Line, Part, Turn

Place = tuple[str, int]
"""The root of a turn's thread, and the turn's number in it."""


@dataclass
class KeptMessage:
    """A row of `message`."""

    root: str
    who: str
    """Empty: Bobbin."""
    text: str
    addressed: bool
    summons: bool = False
    turn: Place | None = None
    edit_ts: str = ""
    deleted: bool = False


@dataclass
class KeptTurn:
    """A row of `turn`."""

    state: str = "open"
    stop: str | None = None
    retry: bool = False
    deaths: int = 0
    answer: str | None = None
    anew: bool = False
    """Its question was changed meanwhile."""
    versions: list[str] = field(default_factory=list)
    """What it was answered before."""


@dataclass
class KeptConversation:
    """A row of `conversation`."""

    backfill: bool
    muted: bool = False
    fence: int = 0
    owned: bool = False
    lapsed: bool = False
    """Its owner was not heard of for longer than the lease."""
    delayed: bool = False

    @property
    def leased(self) -> bool:
        return self.owned and not self.lapsed


def kept(message: Posted, edit_ts: str = "") -> KeptMessage:
    """As it is, should it be kept; whether it is answered depends on its thread too."""
    wants_answer = not (message.mentions_others or message.pleasantry)
    return KeptMessage(
        message.thread.thread_ts,
        message.author,
        message.text,
        wants_answer,
        message.mentions_me,
        edit_ts=edit_ts,
    )


def message_of(row: dict[str, Any]) -> KeptMessage:
    """As a row of `message` tells."""
    return KeptMessage(
        row["thread_ts"],
        row["user_id"],
        row["text"],
        bool(row["addressed"]),
        bool(row["summons"]),
        None if row["seq"] is None else (row["thread_ts"], row["seq"]),
        row["edit_ts"],
        row["deleted_at"] is not None,
    )


def turn_of(row: dict[str, Any]) -> KeptTurn:
    """As a row of `turn` tells."""
    return KeptTurn(
        row["state"],
        row["stop_asked"],
        bool(row["retry_asked"]),
        row["deaths"],
        row["answer"],
        bool(row["anew"]),
        json.loads(row["versions"]),
    )


async def tables(talk: Any, roots: Iterable[int]) -> list[Any]:
    """The rows of messages, turns, parts with orphans, tombstones, conversations.

    Then when the next is due, and for each root what is accounted for in its thread.
    """
    postgres = talk.store._connector.dialect == "postgres"
    array = "CAST(coalesce(json_agg(text), '[]') AS text)" if postgres else "json_group_array(text)"
    return await asyncio.gather(
        talk.sql(
            "SELECT m.ts, thread_ts, user_id, text, addressed, summons, seq, edit_ts, deleted_at "
            "FROM message m JOIN conversation c ON c.id = m.conversation_id "
            "LEFT JOIN turn t ON t.id = m.turn_id"
        ),
        talk.sql(
            "SELECT thread_ts, seq, state, stop_asked, retry_asked, deaths, answer, anew, "
            f"(SELECT {array} FROM answer_version v WHERE v.turn_id = t.id) AS versions "
            "FROM turn t JOIN conversation c ON c.id = t.conversation_id"
        ),
        talk.sql("SELECT ts FROM reply_part UNION ALL SELECT ts FROM orphan"),
        talk.sql("SELECT ts FROM tombstone"),
        talk.sql(
            "SELECT thread_ts, backfill, muted, fence, lease_owner IS NOT NULL AS owned, "
            "pending_at IS NOT NULL AS pending "
            "FROM conversation"
        ),
        talk.store.next_due(),
        *(talk.store.accounted(talk.thread(root)) for root in roots),
    )


@dataclass
class Memory:
    """All of it. Methods of the store's names do what the store must do."""

    conversations: dict[str, KeptConversation] = field(default_factory=dict)
    messages: dict[str, KeptMessage] = field(default_factory=dict)
    turns: dict[Place, KeptTurn] = field(default_factory=dict)
    parts: dict[str, tuple[Place, Part]] = field(default_factory=dict)
    orphans: dict[str, Place] = field(default_factory=dict)
    tombstones: set[str] = field(default_factory=set)
    handled: set[str] = field(default_factory=set)

    # ------------------------------------------------------------ what can be asked

    def of(self, place: Place) -> Iterator[tuple[str, KeptMessage]]:
        """What people said in a turn."""
        return ((ts, said) for ts, said in sorted(self.messages.items()) if said.turn == place and said.who)

    def asked(self, place: Place) -> list[tuple[str, KeptMessage]]:
        return [(ts, said) for ts, said in self.of(place) if said.addressed and not said.deleted]

    def waits(self, root: str) -> bool:
        return any(
            said.root == root and said.turn is None and said.addressed and not said.deleted
            for said in self.messages.values()
        )

    def open_turn(self, root: str) -> Place | None:
        return next((p for p, turn in self.turns.items() if p[0] == root and turn.state == "open"), None)

    def wanted(self, root: str) -> list[Place]:
        return [p for p, turn in sorted(self.turns.items()) if p[0] == root and turn.retry]

    def pending(self, root: str) -> bool:
        return bool(self.open_turn(root) or self.wanted(root) or self.waits(root))

    def holds(self, turn: Turn) -> bool:
        conversation = self.conversations[turn.thread.thread_ts]
        return conversation.owned and conversation.fence == turn.fence

    def risky(self, root: str) -> bool:
        """Its turn may have killed its process twice."""
        place, here = self.open_turn(root), self.conversations[root]
        deaths = self.turns[place].deaths if place else 0
        return deaths > 0 and deaths + (here.owned and here.lapsed) >= 2

    def claimable(self) -> tuple[set[str], set[str]]:
        """Which can be claimed together, and of which only one can besides."""
        ready = {
            root
            for root, here in self.conversations.items()
            if self.pending(root) and not here.leased and not here.delayed
        }
        risky = {root for root in self.conversations if self.risky(root)}
        running = any(self.conversations[root].leased for root in risky)
        return ready - risky, set() if running else ready & risky

    def history(self, place: Place) -> list[str]:
        """What the model reads."""
        lines = [
            (said.turn[1], said.turn[1] > 0 and not said.who, ts, said.text)
            for ts, said in self.messages.items()
            if said.turn is not None and said.root == place[0] and said.turn <= place and not said.deleted
            if said.who or said.turn != place
        ]
        return [text for *_, text in sorted(lines)]

    def parts_of(self, place: Place) -> dict[str, Part]:
        return {ts: part for ts, (where, part) in self.parts.items() if where == place}

    def accounted(self, root: str) -> set[str]:
        answers = {ts for ts, said in self.messages.items() if said.root == root and not said.who}
        return answers | self.orphans.keys() | {ts for ts, (p, _) in self.parts.items() if p[0] == root}

    # ------------------------------------------------------------ what arrives

    def post(self, ts: str, root: str, said: KeptMessage, event_id: str) -> None:
        """`said.summons`: it calls. `said.addressed`: it wants an answer also where it does not call."""
        if event_id in self.handled:
            return
        if known := self.messages.get(ts):
            self._call(known, calls=said.summons)
            return
        here = self.conversations.get(root)
        if ts in self.tombstones or (here is None and not said.summons):
            return
        if here is not None and here.backfill and not said.summons and not self._called_before(root, ts):
            return  # it comes when the thread is read
        if here is None:
            backfill = ts != root or said.edit_ts != ""
            here = self.conversations[root] = KeptConversation(backfill)
        said.addressed = said.summons or (said.addressed and not here.muted)
        self.messages[ts] = said
        self.handled.add(event_id)

    def edit(self, ts: str, root: str, said: KeptMessage, event_id: str) -> None:
        if event_id in self.handled:
            return
        known = self.messages.get(ts)
        if known is None:
            self.post(ts, root, said, event_id)
        elif known.deleted or not known.who:
            return
        elif known.edit_ts >= said.edit_ts:
            self._call(known, calls=said.summons)
        else:
            before, known.text, known.edit_ts = known.text, said.text, said.edit_ts
            if before == said.text:
                return
            self.handled.add(event_id)
            waits = self._call(known, calls=said.summons)
            turn = self.turns[known.turn] if known.turn and known.addressed and not waits else KeptTurn("")
            if turn.state == "open" and turn.stop is None and not same_words(before, said.text):
                turn.anew = True

    def _called_before(self, root: str, ts: str) -> bool:
        return any(said.root == root and said.summons and at < ts for at, said in self.messages.items())

    def _call(self, known: KeptMessage, *, calls: bool) -> bool:
        """Whether it waits now."""
        if not calls or known.summons or known.deleted:
            return False
        being_answered = known.addressed and known.turn and self.turns[known.turn].state == "open"
        known.summons = known.addressed = True
        if not being_answered:
            known.turn = None
        return not being_answered

    def delete(self, ts: str, event_id: str) -> None:
        if event_id in self.handled:
            return
        self.handled.add(event_id)
        if known := self.messages.get(ts):
            known.text, known.deleted = "", True
            if known.turn and not known.who:
                self.turns[known.turn].versions = []
            if known.turn and self.turns[known.turn].state == "open" and not self.asked(known.turn):
                self._end(known.turn, "deleted")
            return
        self.tombstones.add(ts)
        if ts in self.parts:
            place, part = self.parts[ts]
            if part.kind == "answer" or (part.kind == "error" and self.turns[place].state != "failed"):
                self.turns[place].versions = []
                for said in self.messages.values():
                    if said.turn == place and not said.who:
                        said.text, said.deleted = "", True

    def stop(self, root: str) -> None:
        if place := self.open_turn(root):
            self._end(place, "stopped")

    def _end(self, place: Place, why: str) -> None:
        self.turns[place].stop = self.turns[place].stop or why

    # ------------------------------------------------------------ what turns do

    def claim(self, root: str) -> tuple[Place, bool]:
        """The turn that must be worked on now, and whether it was before."""
        here = self.conversations[root]
        died, here.owned, here.lapsed, here.fence = here.owned, True, False, here.fence + 1
        if place := self.open_turn(root):
            turn = self.turns[place]
            turn.deaths += died
            turn.answer, turn.anew = None if turn.anew else turn.answer, False
            return place, True
        if wanted := self.wanted(root):
            self._reopen(wanted[0])
            return wanted[0], True
        place = root, 1 + max((number for where, number in self.turns if where == root), default=0)
        self.turns[place] = KeptTurn()
        for said in self.messages.values():
            if said.root == root and said.turn is None:
                said.turn = place
        return place, False

    def _reopen(self, place: Place) -> None:
        before = self.turns[place]
        self.turns[place] = KeptTurn(versions=before.versions)
        for ts in [ts for ts, said in self.messages.items() if said.turn == place and not said.who]:
            said = self.messages.pop(ts)
            before.versions += [said.text] if before.state == "answered" and not said.deleted else []
        attached = [ts for ts, part in self.parts_of(place).items() if part.kind == "notice"]
        for ts in attached if before.state == "answered" else []:
            del self.parts[ts]
            self.orphans[ts] = place

    def restart(self, place: Place) -> None:
        turn = self.turns[place]
        turn.answer, turn.anew = None, False

    def again(self, place: Place, who: str) -> bool:
        """Whether there is something to do now."""
        turn, answers = self.turns[place], [said for said in self.messages.values() if not said.who]
        later = [t for (root, number), t in self.turns.items() if root == place[0] and number > place[1]]
        if who not in {said.who for _, said in self.asked(place)} or turn.state not in ("answered", "failed"):
            return False
        if any(other.state in ("open", "answered", "failed") for other in later):
            return False
        if turn.state == "answered" and not any(a.turn == place and not a.deleted for a in answers):
            return False
        turn.retry = True
        return True

    def backfill(self, turn: Turn, lines: list[Line]) -> None:
        root = turn.thread.thread_ts
        self.conversations[root].backfill = False
        self.turns[root, 0] = KeptTurn("answered")
        for line in lines:
            if line.ts <= turn.called_ts and line.ts not in self.tombstones | self.messages.keys():
                self.messages[line.ts] = KeptMessage(
                    root, line.author, line.text, addressed=False, turn=(root, 0)
                )

    def dismiss(self, place: Place, who: str) -> None:
        for _, said in self.of(place):
            said.addressed = said.addressed and said.who != who

    def finish(self, turn: Turn, state: str, answer: str | None, surplus: tuple[str, ...]) -> None:
        place = turn.thread.thread_ts, turn.seq
        for ts in surplus:
            del self.parts[ts]
            self.orphans.setdefault(ts, place)
        closed = self.turns[place]
        ended = state
        if state == "cancelled" and not answer and turn.earlier:
            state, answer = "answered", turn.earlier
            closed.versions = closed.versions[:-1]
        anew = closed.anew and state != "cancelled" and (state == "failed" or closed.stop is None)
        closed.state, closed.answer, closed.anew = state, None, False
        closed.retry = (closed.retry and state == "failed") or anew
        if ended == "silent" and not turn.summoned:
            for _, said in self.of(place):
                if said.summons and not said.deleted:
                    said.turn = None
        parts = self.parts_of(place)
        shown = sorted((part.part, ts) for ts, part in parts.items() if part.kind != "notice")
        if answer and shown and not self.tombstones & parts.keys():
            self.messages[shown[0][1]] = KeptMessage(place[0], "", answer, addressed=True, turn=place)
        self.release(turn, delayed=False)

    def release(self, turn: Turn, *, delayed: bool) -> None:
        here = self.conversations[turn.thread.thread_ts]
        here.owned, here.lapsed, here.delayed = False, False, delayed

    def retry(self, place: Place) -> None:
        turn = self.turns[place]
        turn.retry = turn.retry or turn.state in ("open", "failed")

    def recover(self, *, settle: bool) -> None:
        for here in self.conversations.values():
            if here.owned:
                here.fence, here.lapsed, here.delayed = here.fence + 1, True, settle
