"""The transactions of what stands for the oldest part of a long thread: recalled, and put in its place."""

import json

from bot.ports import History, Summary, Turn
from storage.connector import Query, Row, Transaction
from storage.lines import line


def recall(turn: Turn) -> Transaction[History]:
    """What the model reads for a turn. One that is tried again reads no summary of what came after it."""
    here = {"conversation": turn.conversation, "turn": turn.id, "seq": turn.seq}
    found = yield Query("find_summary", here)
    summary = _summary(found[0]) if found else None
    rows = yield Query("history", here | _after(summary))
    if found and summary is None:
        return History([line(row) for row in rows])
    sizes = yield Query("newest_size", here | {"made_in": found[0]["turn_id"] if found else 0})
    measured = (sizes[0]["seq"], sizes[0]["size"]) if sizes else None
    return History([line(row) for row in rows], summary, measured)


def keep(turn: Turn, summary: Summary, made_of: History) -> Transaction[tuple[bool, bool]]:
    """Put a summary in its place: whether the lease is still ours, and whether it was kept.

    It is not where what it was made of has changed meanwhile. A thread's first turn with one stays known.
    """
    here = {"conversation": turn.conversation, "turn": turn.id, "seq": turn.seq}
    if not (yield Query("hold", {"conversation": turn.conversation, "fence": turn.fence})):
        return False, False
    found = yield Query("find_summary", here)
    before = _summary(found[0]) if found else None
    rows = yield Query("history", here | _after(before))
    words = [(row["ts"], row["text"]) for row in rows[: len(made_of.lines)]]
    if before != made_of.summary or words != [(said.ts, said.text) for said in made_of.lines]:
        return True, False
    yield Query(
        "keep_summary",
        {
            "conversation": turn.conversation,
            "turn": turn.id,
            "text": summary.text,
            "until_seq": summary.seq,
            "until_ts": summary.ts,
            "authors": json.dumps(summary.authors),
        },
    )
    return True, True


def _after(summary: Summary | None) -> dict[str, int | str]:
    return {"after": summary.seq, "after_ts": summary.ts} if summary else {"after": -1, "after_ts": ""}


def _summary(row: Row) -> Summary | None:
    if row["text"] is None:
        return None
    authors = tuple(json.loads(row["authors"]))
    return Summary(row["text"], row["until_seq"], row["until_ts"], authors, row["first_turn"])
