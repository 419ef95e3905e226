"""What a conversation about another thread has taken from there follows what becomes of it at its source."""

from bot.conversation import ThreadKey
from storage.connector import Query, Row, Transaction
from storage.files import detach


def ts_of(ts: str, conversation: ThreadKey) -> str:
    """Where a message stands in the conversation that quotes it: sorts as its source, and unique there.

    >>> ts_of("1782770400.000100", ThreadKey("T1", "D1", "1782770500.000200"))
    '1782770400.0001001782770500000200'
    """
    return ts + conversation.thread_ts.replace(".", "")


def gone(team: str, channel: str, ts: str, now: int) -> Transaction[None]:
    """It was deleted: so are the words wherever they were taken to."""
    for row in (yield from _quoted(team, channel, ts)):
        yield Query("blank_message", {"message": row["id"], "now": now})
        yield from detach(row["id"])
        yield Query("spoil_summary", {"message": row["id"]})


def changed(where: ThreadKey, ts: str, text: str, files: str, edit_ts: str) -> Transaction[None]:
    """It was edited: so are they. `files` is as its column holds them."""
    for row in (yield from _quoted(where.team, where.channel, ts)):
        if row["edit_ts"] < edit_ts and row["deleted_at"] is None:
            new = {"message": row["id"], "text": text, "files": files, "edit_ts": edit_ts}
            yield Query("rewrite_message", new)
            yield Query("spoil_summary", {"message": row["id"]})


def _quoted(team: str, channel: str, ts: str) -> Transaction[list[Row]]:
    # No digit sorts after a colon: between the two is every ts that begins with this one.
    where = {"team": team, "channel": channel, "ts": ts, "end": f"{ts}:"}
    if not (yield Query("quoted", where)):
        return []
    yield Query("hold_quoting", where)
    return (yield Query("quoted", where))
