"""What one run left behind: what people said and did, what Slack and Bedrock saw, what the database holds.

Plain values, read once at rest, so that the checker can be tried on a run that was tampered with.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.bedrock import Asked
from bot.sandbox.slack import Slack
from bot.sandbox.slack.workspace import Session
from tests.e2e.conftest import Bobbin

Json = Mapping[str, Any]
Place = tuple[str, str]
"""A channel, and a ts in it."""


@dataclass(frozen=True)
class Words:
    """One form of a message, as it was said or as an edit left it: when, and the event that told of it."""

    text: str
    at: float
    event: str = ""


@dataclass
class Said:
    """A message of a person in every form that it had; `gone` is its deletion."""

    place: Place
    thread: str
    forms: list[Words]
    gone: Words | None = None
    events: list[str] = field(default_factory=list)
    """All that told of it: a mention comes as two."""

    @property
    def now(self) -> str:
        """Its text, as Slack shows it."""
        return self.forms[-1].text


@dataclass(frozen=True)
class Act:
    """An event that must be on the disk before its ack: the transaction that puts it there, of what, and when
    it happened in Slack."""

    event: str
    transaction: str
    place: Place
    at: float


@dataclass
class Kept:
    """A message as the database has it."""

    channel: str
    ts: str
    thread: str
    turn: int | None
    number: int
    role: str
    text: str
    addressed: int
    deleted: int | None
    created: int

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.channel, self.ts


@dataclass
class RanTurn:
    """A turn as the database has it; 0 by `seq` is what was said before Bobbin came. Times in ms."""

    id: int
    seq: int
    state: str
    channel: str
    thread: str
    answer: str
    error: str
    reason: str
    deaths: int
    started: int
    reopened: int
    finished: int

    @property
    def where(self) -> Place:
        """Its thread."""
        return self.channel, self.thread


@dataclass
class PartRow:
    """A Slack message that a turn says is its own."""

    turn: int
    channel: str
    ts: str
    kind: str


@dataclass
class Record:
    """A run. `acked`: when each event was, first; `taken`: when it was in the database for certain, in ms."""

    said: dict[Place, Said]
    acts: list[Act]
    acked: dict[str, float]
    committed: dict[tuple[str, str], float] | None
    """When, by transaction and event, as the process noted it; None where it notes none."""
    taken: dict[str, int]
    own: dict[Place, Json]
    """Bobbin's messages that Slack shows."""
    sessions: dict[Place, Session]
    eyes: list[Place]
    """Messages on which its 👀 stands."""
    requests: list[Asked]
    turns: list[RanTurn]
    kept: list[Kept]
    parts: list[PartRow]
    me: str

    def questions(self) -> list[Said]:
        """What people addressed to Bobbin and Slack still shows: a DM, a mention, a reply below a mention."""
        called: set[Place] = set()
        found = []
        for place, said in sorted(self.said.items()):
            thread = place[0], said.thread
            if said.gone is None and (place[0].startswith("D") or thread in called or self.me in said.now):
                called.add(thread)
                found.append(said)
        return found

    def asked(self) -> dict[int | None, list[Place]]:
        """By turn, what was addressed to Bobbin."""
        asked: dict[int | None, list[Place]] = {}
        for row in self.kept:
            if row.addressed:
                asked.setdefault(row.turn, []).append(row.place)
        return asked


async def recorded(bobbin: Bobbin) -> Record:
    """Read what a run left behind. Call it at rest."""
    slack = bobbin.slack
    said, acts = _told(slack)
    passed = getattr(bobbin, "passed", None)
    committed: dict[tuple[str, str], float] | None = None if passed is None else {}
    for at, _, name, _, key in passed() if passed is not None else ():
        when, _, transaction = name.partition(" ")
        if committed is not None and when == "after" and key:
            committed.setdefault((transaction, key), at)
    acked = _acked(slack)
    if bobbin.on_a_server:  # others may not see yet what a transaction writes whose clock stands earlier
        taken = {event: int(at * 1000) for event, at in acked.items()}
    else:
        taken = dict(await bobbin.rows("SELECT event_id, received_at FROM inbox"))
    return Record(
        said=said,
        acts=acts,
        acked=acked,
        committed=committed,
        taken=taken,
        own={
            (channel.id, ts): deepcopy(message)
            for channel in slack.workspace.channels.values()
            for ts, message in channel.messages.items()
            if message.get("user") == slack.bot_user_id
        },
        sessions={
            (channel, thread): deepcopy(session)
            for (channel, thread), session in slack.workspace.sessions.items()
            if thread in slack.workspace.channels[channel].messages  # else nobody sees it
        },
        eyes=[*_eyes(slack)],
        requests=[*bobbin.bedrock.requests],
        turns=[RanTurn(*row) for row in await bobbin.rows(_TURNS)],
        kept=[Kept(*row) for row in await bobbin.rows(_KEPT)],
        parts=[PartRow(*row) for row in await bobbin.rows(_PARTS)],
        me=bobbin.me,
    )


_TURNS = """
    SELECT t.id, t.seq, t.state, c.channel_id, c.thread_ts, coalesce(m.text, ''), t.error, t.stop_reason,
        t.deaths, t.started_at, t.reopened_at, coalesce(t.finished_at, 0)
    FROM turn t JOIN conversation c ON c.id = t.conversation_id
    LEFT JOIN message m ON m.turn_id = t.id AND m.role = 'assistant' AND m.addressed = 1
    ORDER BY t.conversation_id, t.seq"""
_KEPT = """
    SELECT m.channel_id, m.ts, c.thread_ts, m.turn_id, m.id, m.role, m.text, m.addressed, m.deleted_at,
        m.created_at
    FROM message m JOIN conversation c ON c.id = m.conversation_id
    WHERE NOT (m.role = 'assistant' AND m.addressed = 1) ORDER BY m.ts"""
_PARTS = "SELECT turn_id, channel_id, ts, kind FROM reply_part ORDER BY turn_id, part, ts"


def _told(slack: Slack) -> tuple[dict[Place, Said], list[Act]]:
    """What people said and did, from the events in the order in which Slack made them."""
    said: dict[Place, Said] = {}
    acts: list[Act] = []
    for event_id, payload in slack._sockets._events.items():
        event = payload["event"]
        channel, subtype = event.get("channel"), event.get("subtype")
        inner = event.get("message") or event
        at = float(event["event_ts"])
        place = (channel, str(event.get("deleted_ts") or inner.get("ts")))
        if event.get("type") == "agent_session_stopped":
            acts.append(Act(event_id, "stop", (channel, event["thread_ts"]), at))
        elif event.get("type") not in ("message", "app_mention"):
            continue
        elif subtype == "message_deleted" or inner.get("subtype") == "tombstone":
            acts.append(Act(event_id, "delete", place, at))
            if place in said and said[place].gone is None:
                said[place].gone = Words("", at, event_id)
        elif inner.get("user") == slack.bot_user_id or inner.get("subtype") not in (None, "file_share"):
            continue
        elif subtype == "message_changed":
            if inner["text"] != event["previous_message"]["text"]:
                acts.append(Act(event_id, "edit", place, at))
                said[place].forms.append(Words(inner["text"], at, event_id))
                said[place].events.append(event_id)
        else:
            acts.append(Act(event_id, "post", place, at))
            words = Words(inner["text"], float(place[1]), event_id)
            thread = str(inner.get("thread_ts") or place[1])
            said.setdefault(place, Said(place, thread, [words])).events.append(event_id)
    return said, acts


def _acked(slack: Slack) -> dict[str, float]:
    """When each event was first acked, in whichever envelope."""
    brought = {
        entry.data["envelope_id"]: entry.data["event_id"] for entry in slack.log if entry.kind == "delivery"
    }
    acked: dict[str, float] = {}
    for entry in slack.log:
        if entry.kind == "ack" and (event := brought.get(entry.data.get("envelope_id"))):
            acked.setdefault(event, entry.at)
    return acked


def _eyes(slack: Slack) -> Iterator[Place]:
    for channel in slack.workspace.channels.values():
        for ts, message in channel.messages.items():
            for reaction in message.get("reactions") or []:
                if reaction["name"] == "eyes" and slack.bot_user_id in reaction["users"]:
                    yield channel.id, ts
