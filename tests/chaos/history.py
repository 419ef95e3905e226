"""The history checker: what happened in one run, in one order, held against what Bobbin promises.

It reads what Slack and Bedrock saw (events, acks, calls), what the process noted of its commits, and the
database; it knows nothing of how the answer came about. Call it at rest: nothing open, nothing waiting.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.turns import DEATHS_AT_MOST
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import read

_BLANK = re.compile(r"\s+")


@dataclass(frozen=True)
class Question:
    """A message that a person addressed to Bobbin."""

    channel: str
    ts: str
    thread: str
    text: str


@dataclass(frozen=True)
class AnsweredTurn:
    """One turn as the database has it."""

    id: int
    seq: int
    state: str
    channel: str
    thread: str
    answer: str
    error: str
    deaths: int


async def violations(bobbin: Bobbin, *, may_fail: bool = False, may_end: bool = False) -> list[str]:
    """Tell everything that is not as promised; nothing when all is well.

    `may_fail`: an error is a right end, as it always is for a turn whose process died so often that
    it is given up; `may_end`: so is none, where people stop or delete.
    """
    turns = [AnsweredTurn(*row) for row in await bobbin.rows(_TURNS)]
    kept = await bobbin.rows(_KEPT)
    parts = await bobbin.rows(_PARTS)
    found = [
        *_every_question_is_in_a_turn(bobbin, kept),
        *_one_whole_answer(bobbin, turns, parts, may_fail=may_fail, may_end=may_end),
        *_each_text_is_one_calls(bobbin, turns),
        *_nothing_unaccounted(bobbin, parts),
        *_in_order(bobbin, turns, kept, parts),
        *_requests_are_right(bobbin, turns, kept),
        *_kept_before_acked(bobbin),
        *_nothing_left_working(bobbin),
    ]
    checks = _AT_REST if bobbin.on_a_server else {**_SOUND, **_AT_REST}
    for check, wanted in checks.items():
        if (rows := await bobbin.rows(check)) != wanted:
            found.append(f"at rest: {check} gave {rows}")
    return found


_TURNS = """
    SELECT t.id, t.seq, t.state, c.channel_id, c.thread_ts, coalesce(m.text, ''), t.error, t.deaths
    FROM turn t JOIN conversation c ON c.id = t.conversation_id
    LEFT JOIN message m ON m.turn_id = t.id AND m.role = 'assistant' AND m.addressed = 1
    WHERE t.seq > 0 ORDER BY t.conversation_id, t.seq"""
_KEPT = "SELECT channel_id, ts, turn_id, id FROM message WHERE role = 'user' AND addressed = 1"
_PARTS = "SELECT turn_id, channel_id, ts, kind FROM reply_part ORDER BY turn_id, part, ts"
_SOUND: dict[str, list[tuple[Any, ...]]] = {
    "PRAGMA integrity_check": [("ok",)],
    "PRAGMA foreign_key_check": [],
}
_AT_REST: dict[str, list[tuple[Any, ...]]] = {
    "SELECT id FROM turn WHERE state = 'open'": [],
    "SELECT id FROM conversation WHERE lease_owner IS NOT NULL": [],
    "SELECT id FROM conversation WHERE pending_at IS NOT NULL": [],
    "SELECT ts FROM message WHERE addressed = 1 AND turn_id IS NULL AND deleted_at IS NULL": [],
}


def questions(bobbin: Bobbin) -> list[Question]:
    """What people addressed to Bobbin and Slack still shows: a DM, a mention, a reply below a mention."""
    slack = bobbin.slack
    found = []
    for channel in slack.workspace.channels.values():
        called: set[str] = set()
        for ts, message in sorted(channel.messages.items()):
            root = str(message.get("thread_ts", ts))
            if message.get("user") == slack.bot_user_id or message.get("bot_id") or message.get("subtype"):
                continue
            text = str(message.get("text", ""))
            if bobbin.me in text or channel.kind == "im" or root in called:
                called.add(root)
                found.append(Question(channel.id, ts, root, text))
    return found


def _acked(bobbin: Bobbin) -> dict[tuple[str, str], float]:
    """When each message's event was first acked, by (channel, ts)."""
    brought = {
        entry.data["envelope_id"]: entry.data["payload"].get("event", {})
        for entry in bobbin.slack.log
        if entry.kind == "delivery"
    }
    acked: dict[tuple[str, str], float] = {}
    for entry in bobbin.slack.log:
        event = brought.get(entry.data.get("envelope_id"), {}) if entry.kind == "ack" else {}
        if event.get("type") in ("message", "app_mention") and not event.get("subtype"):
            acked.setdefault((event["channel"], event["ts"]), entry.at)
    return acked


def _every_question_is_in_a_turn(bobbin: Bobbin, kept: list[tuple[Any, ...]]) -> Iterator[str]:
    acked = _acked(bobbin)
    taken = {(channel, ts) for channel, ts, turn, _ in kept if turn is not None}
    for question in questions(bobbin):
        where = (question.channel, question.ts)
        if where not in acked:
            yield f"never acked: {question}"
        elif where not in taken:
            yield f"LOST: acked, and in no turn: {question}"


def _one_whole_answer(
    bobbin: Bobbin, turns: list[AnsweredTurn], parts: list[tuple[Any, ...]], *, may_fail: bool, may_end: bool
) -> Iterator[str]:
    standing: defaultdict[int, list[str]] = defaultdict(list)
    for turn, channel, ts, kind in parts:
        if kind == "notice":
            continue
        message = bobbin.slack.workspace.channels[channel].messages.get(ts)
        if message is None:
            yield f"MISSING: part {ts} of turn {turn} is not in Slack"
        else:
            standing[turn].append(shown(message))
    for turn in turns:
        if may_end and turn.state in ("silent", "cancelled"):
            continue
        if turn.state != "answered":
            right = may_fail or turn.deaths >= DEATHS_AT_MOST
            if not (right and turn.state == "failed" and standing[turn.id]):
                yield f"turn {turn.id} ended {turn.state}: {turn.error}"
        elif not standing[turn.id]:
            yield f"LOST: turn {turn.id} is answered and shows nothing"
        elif _bare("".join(standing[turn.id])) != _bare(turn.answer):
            yield f"WRONG: turn {turn.id} shows {standing[turn.id]!r}, not {turn.answer!r}"


def _each_text_is_one_calls(bobbin: Bobbin, turns: list[AnsweredTurn]) -> Iterator[str]:
    said = Counter(_bare(asked.answer) for asked in bobbin.bedrock.requests if asked.answer)
    for turn in turns:
        if turn.state == "answered" and not said[_bare(turn.answer)]:
            yield f"WRONG: turn {turn.id} says what no model call said: {turn.answer!r}"
    told = Counter(_bare(turn.answer) for turn in turns if turn.state == "answered")
    yield from (
        f"WRONG: {told[text]} turns, {said[text]} calls say {text!r}"
        for text in told
        if told[text] > said[text]
    )


def _nothing_unaccounted(bobbin: Bobbin, parts: list[tuple[Any, ...]]) -> Iterator[str]:
    known = {(channel, ts) for _, channel, ts, _ in parts}
    for channel in bobbin.slack.workspace.channels.values():
        for ts, message in channel.messages.items():
            own = message.get("user") == bobbin.slack.bot_user_id
            notice = (message.get("metadata") or {}).get("event_type") == "bobbin_notice"
            if own and not notice and (channel.id, ts) not in known:
                yield f"TWICE: a message of Bobbin that no turn accounts for: {shown(message)!r}"


def _in_order(
    bobbin: Bobbin, turns: list[AnsweredTurn], kept: list[tuple[Any, ...]], parts: list[tuple[Any, ...]]
) -> Iterator[str]:
    """By turn, questions and answers stand in order; but for a question that came after a newer one.

    It may be known before it comes: read from the thread, as history.
    """
    number_of: dict[tuple[str, str], int] = {}
    acked = _acked(bobbin)

    def came_first(channel: str, one: str, other: str) -> bool:
        a, b = (channel, one), (channel, other)
        return number_of[a] < number_of[b] and acked.get(a, 0) < acked.get(b, 0)

    asked: defaultdict[int, list[str]] = defaultdict(list)
    told: defaultdict[int, list[str]] = defaultdict(list)
    for channel, ts, turn, number in kept:
        asked[turn].append(ts)
        number_of[channel, ts] = number
    for turn, _, ts, _ in parts:
        told[turn].append(ts)
    before: dict[tuple[str, str], AnsweredTurn] = {}
    for turn in turns:
        last = before.get((turn.channel, turn.thread))
        if last is not None:
            newest, oldest = max(asked[last.id], default=""), min(asked[turn.id], default="~")
            if newest > oldest and came_first(turn.channel, oldest, newest):
                yield f"ORDER: turn {turn.id} has a question older than one of turn {last.id}"
            if max(told[last.id], default="") > min(told[turn.id], default="~"):
                yield f"ORDER: turn {turn.id} was answered above turn {last.id}"
        if max(asked[turn.id], default="") > min(told[turn.id], default="~"):
            yield f"ORDER: turn {turn.id} answers a question that came after its answer"
        before[turn.channel, turn.thread] = turn


def _requests_are_right(
    bobbin: Bobbin, turns: list[AnsweredTurn], kept: list[tuple[Any, ...]]
) -> Iterator[str]:
    """Roles alternate; and who is asked is sent all that was said: turn by turn its questions, its answer."""
    texts = {(each.channel, each.ts): _plain(bobbin, each) for each in questions(bobbin)}
    every = Counter(texts.values())
    asked_in: defaultdict[int, list[str]] = defaultdict(list)
    turn_of: dict[str, AnsweredTurn] = {}
    known = {turn.id: turn for turn in turns}
    for channel, ts, turn, _ in sorted(kept, key=lambda row: str(row[1])):
        if turn in known and every[text := texts.get((channel, ts), "")] == 1:
            asked_in[turn].append(text)
            turn_of[text] = known[turn]
    for number, asked in enumerate(bobbin.bedrock.requests):
        roles = [message["role"] for message in asked.body["messages"]]
        if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
            yield f"ROLES: request {number} has {roles}"
        said = read(asked)
        this = turn_of.get(said[-1][1]) if said else None
        if this is None:
            continue
        wanted: list[str] = []
        for turn in turns:
            if (turn.channel, turn.thread) == (this.channel, this.thread) and turn.seq <= this.seq:
                wanted += asked_in[turn.id]
                wanted += [turn.answer] * (turn.seq < this.seq and turn.state == "answered")
        # A question whose event comes late may stand there already, read from the thread as history.
        found = [
            _bare(words)
            for who, words in said
            if not who or (words in turn_of and turn_of[words].seq <= this.seq)
        ]
        if found != [_bare(words) for words in wanted]:
            yield f"FORGOT: request {number} was sent {found}, not {wanted}"


def _plain(bobbin: Bobbin, question: Question) -> str:
    return question.text.replace(bobbin.me, "").strip()


def _kept_before_acked(bobbin: Bobbin) -> Iterator[str]:
    """The commit of what an event brought stands in the record before its ack."""
    passed = getattr(bobbin, "passed", None)
    if passed is None:
        return
    committed: dict[str, float] = {}
    for at, _, name, _, key in passed():
        if name in ("after post", "after edit", "after delete") and key:
            committed.setdefault(key, at)
    events = {
        entry.data["envelope_id"]: entry.data["payload"]["event_id"]
        for entry in bobbin.slack.log
        if entry.kind == "delivery" and _is_said(bobbin, entry.data["payload"].get("event", {}))
    }
    for entry in bobbin.slack.log:
        if entry.kind == "ack" and (event_id := events.get(str(entry.data.get("envelope_id")))):
            at = committed.get(event_id)
            if at is None or at > entry.at:
                yield f"ACK before commit: {event_id}"


def _is_said(bobbin: Bobbin, event: dict[str, Any]) -> bool:
    """Whether an event brings what a person said."""
    said = event.get("type") in ("message", "app_mention") and not event.get("subtype")
    return said and event.get("user") != bobbin.slack.bot_user_id


def _nothing_left_working(bobbin: Bobbin) -> Iterator[str]:
    for channel in bobbin.slack.workspace.channels.values():
        for ts, message in channel.messages.items():
            if message.get("streaming_state") not in (None, "completed"):
                yield f"STREAMING: {channel.id} {ts}"
            for reaction in message.get("reactions") or []:
                if reaction["name"] == "eyes" and bobbin.slack.bot_user_id in reaction["users"]:
                    yield f"WORKING: 👀 still stands on {channel.id} {ts}"
    for where, session in bobbin.slack.workspace.sessions.items():
        if session.status != "active" or session.text:
            yield f"WORKING: {where} still shows {session.status} {session.text!r}"


def _bare(text: str) -> str:
    return _BLANK.sub("", text)
