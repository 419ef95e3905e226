"""The history checker: what happened in one run, in one order, held against what Bobbin promises.

It reads a `Record`: what Slack and Bedrock saw (events, acks, calls), what the process noted of its commits,
and the database; it knows nothing of how the answer came about. What was sent to the model, and for which
turn, it tells in `tests/chaos/requests.py`. Call it at rest: nothing open, nothing waiting.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.prompt import SILENT
from bot.remarks import ENDINGS
from bot.slack.blocks import TRY_AGAIN
from bot.turns import DEATHS_AT_MOST
from tests.chaos.record import Json, Place, RanTurn, Record, recorded
from tests.chaos.requests import Requests, bare
from tests.e2e.conftest import Bobbin, shown


async def violations(bobbin: Bobbin, *, may_fail: bool = False) -> list[str]:
    """Tell everything that is not as promised; nothing when all is well.

    `may_fail`: an error is a right end, as it always is for a turn whose process died so often that it is
    given up.
    """
    return judged(await recorded(bobbin), may_fail=may_fail) + await at_rest(bobbin)


async def at_rest(bobbin: Bobbin) -> list[str]:
    """The same, of what the database must be like."""
    checks = AT_REST if bobbin.on_a_server else {**SOUND, **AT_REST}
    return [
        f"at rest: {check} gave {rows}"
        for check, wanted in checks.items()
        if (rows := await bobbin.rows(check)) != wanted
    ]


def judged(record: Record, *, may_fail: bool = False) -> list[str]:
    """The same, of what was recorded."""
    requests = Requests(record)
    return [
        *_everything_is_taken_in(record),
        *_one_whole_answer(record, requests),
        *_right_ends(record, requests, may_fail=may_fail),
        *_nothing_unaccounted(record),
        *_in_order(record),
        *requests.violations(),
        *_kept_before_acked(record),
        *_nothing_left_working(record),
    ]


SOUND: dict[str, list[tuple[Any, ...]]] = {
    "PRAGMA integrity_check": [("ok",)],
    "PRAGMA foreign_key_check": [],
}
AT_REST: dict[str, list[tuple[Any, ...]]] = {
    "SELECT id FROM turn WHERE state = 'open'": [],
    "SELECT id FROM conversation WHERE lease_owner IS NOT NULL": [],
    "SELECT id FROM conversation WHERE pending_at IS NOT NULL": [],
    "SELECT ts FROM message WHERE addressed = 1 AND turn_id IS NULL AND deleted_at IS NULL": [],
}


def _everything_is_taken_in(record: Record) -> Iterator[str]:
    """Each question is in a turn, each change was acked, and the words are kept as Slack shows them."""
    kept = {row.place: row for row in record.kept if row.role == "user"}
    for question in record.questions():
        row = kept.get(question.place)
        if not any(event in record.acked for event in question.events):
            yield f"never acked: {question}"
        elif row is None or row.turn is None or not row.addressed:
            yield f"LOST: acked, and in no turn: {question}"
    for act in record.acts:
        if act.transaction != "post" and act.event not in record.acked:
            yield f"never acked: {act}"
    threads = {(row.channel, row.thread) for row in record.kept}
    for place, said in record.said.items():
        row = kept.get(place)
        now = "" if said.gone else said.now
        if row is not None and row.text != now:
            yield f"LOST: {place} is kept as {row.text!r}, and Slack shows {now!r}"
        if row is None and not said.gone and (place[0], said.thread) in threads:
            yield f"LOST: not kept, though its thread is: {said}"


def _one_whole_answer(record: Record, requests: Requests) -> Iterator[str]:
    """What a turn says is its own stands in its thread, and shows what its end lets it show."""
    where = {turn.id: turn.where for turn in record.turns}
    standing: defaultdict[int, list[Json]] = defaultdict(list)
    for part in record.parts:
        message = record.own.get((part.channel, part.ts))
        if message is None:
            if part.kind != "notice":
                yield f"MISSING: part {part.ts} of turn {part.turn} is not in Slack"
            continue
        if (part.channel, message.get("thread_ts")) != where[part.turn]:
            yield f"ASTRAY: part {part.ts} of turn {part.turn} is not in its thread: {shown(dict(message))!r}"
        if part.kind != "notice":
            standing[part.turn].append(message)
    for turn in record.turns:
        if turn.seq > 0:
            yield from _right_words(turn, standing[turn.id], requests)


def _right_words(turn: RanTurn, standing: list[Json], requests: Requests) -> Iterator[str]:
    """An answer is shown whole, an error with a way on; of what was ended, what stands is the beginning of
    an answer; of silence nothing stands."""
    words = bare("".join(shown(dict(message)) for message in standing))
    match turn.state:
        case "answered" | "failed" if not standing:
            yield f"LOST: turn {turn.id} is {turn.state} and shows nothing"
        case "answered" if words != bare(turn.answer):
            yield f"WRONG: turn {turn.id} shows {words!r}, not {turn.answer!r}"
        case "failed" if not any(TRY_AGAIN in str(message.get("blocks")) for message in standing):
            yield f"NO WAY ON: turn {turn.id} is failed, and shows no button: {words!r}"
        case "cancelled" if standing and not (words and requests.began(turn, words)):
            yield f"WRONG: turn {turn.id} is cancelled, and shows what no call for it said: {words!r}"
        case "silent" if standing:
            yield f"WRONG: turn {turn.id} is silent, and shows {words!r}"


def _right_ends(record: Record, requests: Requests, *, may_fail: bool) -> Iterator[str]:
    """A turn ends answered, unless somebody ended it, the model is silent, or it may fail."""
    asked = record.asked()
    for turn in record.turns:
        ended = _ended_by_people(record, turn, asked.get(turn.id, ()))
        match turn.state:
            case "answered":
                right = turn.reason not in ENDINGS or ended
            case "failed":
                right = may_fail or turn.deaths >= DEATHS_AT_MOST
            case "cancelled":
                right = ended
            case "silent":
                right = any(bare(answer) == bare(SILENT) for answer in requests.answers(turn))
            case _:
                right = False
        if not right:
            yield f"turn {turn.id} ended {turn.state}: {turn.reason} {turn.error}"


def _ended_by_people(record: Record, turn: RanTurn, asked: Sequence[Place]) -> bool:
    """Whether all that it was asked was deleted, or Stop was pressed, while there was something to end.

    A Stop may end it from the press on, which ends a stream, until it is taken in, which may be later: it
    came late, or nobody was there. What is answered again can be ended anew.
    """
    began = turn.reopened or min((_milliseconds(float(ts)) for _, ts in asked), default=turn.started)
    over = turn.finished + 1  # SQLite's clock may lack the last millisecond
    gone = [record.said[place].gone for place in asked]
    if all(each is not None and _milliseconds(each.at) <= over for each in gone):
        return True
    stops = [act for act in record.acts if act.transaction == "stop" and act.place == turn.where]
    return any(
        _milliseconds(stop.at) <= over and began <= record.taken.get(stop.event, _milliseconds(stop.at))
        for stop in stops
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _nothing_unaccounted(record: Record) -> Iterator[str]:
    known = {(part.channel, part.ts) for part in record.parts}
    for place, message in record.own.items():
        notice = (message.get("metadata") or {}).get("event_type") == "bobbin_notice"
        if not notice and place not in known:
            yield f"TWICE: a message of Bobbin that no turn accounts for: {shown(dict(message))!r}"


def _in_order(record: Record) -> Iterator[str]:
    """By turn, the questions of a thread and its answers stand in order."""
    threads: defaultdict[Place, list[RanTurn]] = defaultdict(list)
    for turn in record.turns:
        if turn.seq > 0:
            threads[turn.where].append(turn)
    asked = record.asked()
    told: defaultdict[int, list[str]] = defaultdict(list)
    for part in record.parts:
        told[part.turn].append(part.ts)
    for turns in threads.values():
        yield from _asked_in_order(record, turns, asked)
        yield from _told_in_order(turns, asked, told)


def _asked_in_order(
    record: Record, turns: list[RanTurn], asked: Mapping[int | None, list[Place]]
) -> Iterator[str]:
    """But for a question that came after a newer one. It may be known before: from the thread, as history."""
    number_of = {row.place: row.number for row in record.kept}

    def came_first(one: Place, other: Place) -> bool:
        return number_of[one] < number_of[other] and _came(record, one) < _came(record, other)

    before: list[Place] = []
    for turn in turns:
        for place in asked.get(turn.id, ()):
            for other in before:
                if place < other and came_first(place, other):
                    yield f"ORDER: turn {turn.id} answers {place}, older than {other} of an earlier turn"
        before += asked.get(turn.id, ())


def _told_in_order(
    turns: list[RanTurn], asked: Mapping[int | None, list[Place]], told: Mapping[int, list[str]]
) -> Iterator[str]:
    lowest = ""  # of all answers so far
    for turn in turns:
        if turn.id not in told:
            continue
        first, last = min(told[turn.id]), max(told[turn.id])
        if first < lowest:
            yield f"ORDER: turn {turn.id} was answered above an earlier one"
        if any(ts > first for _, ts in asked.get(turn.id, ())):
            yield f"ORDER: turn {turn.id} answers a question that came after its answer"
        # What is answered again later may need further messages, below what came since.
        lowest = max(lowest, first if turn.reopened else last)


def _came(record: Record, place: Place) -> float:
    said = record.said.get(place)
    return (
        min((record.acked[event] for event in said.events if event in record.acked), default=0) if said else 0
    )


def _kept_before_acked(record: Record) -> Iterator[str]:
    """The commit of what an event brought stands in the record before its ack."""
    if record.committed is None:
        return
    for act in record.acts:
        at = record.committed.get((act.transaction, act.event))
        acked = record.acked.get(act.event)
        if acked is not None and (at is None or at > acked):
            yield f"ACK before commit: {act}"


def _nothing_left_working(record: Record) -> Iterator[str]:
    for place, message in record.own.items():
        if message.get("streaming_state") not in (None, "completed"):
            yield f"STREAMING: {place}"
    for place in record.eyes:
        yield f"WORKING: 👀 still stands on {place}"
    for place, session in record.sessions.items():
        if session.status != "active" or session.text:
            yield f"WORKING: {place} still shows {session.status} {session.text!r}"
