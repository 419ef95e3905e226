"""The transactions of files: what was read of them lives and goes with the message that brought them."""

from collections.abc import Collection

from bot.ports import Place, Read, Turn
from storage.connector import Query, Transaction


def reads(turn: Turn, places: Collection[Place]) -> Transaction[dict[Place, Read]]:
    """What became of the files at these places, as far as it was tried."""
    found: dict[Place, Read] = {}
    for row in (yield Query("attachments", {"conversation": turn.conversation})):
        if (place := (row["ts"], row["file_id"])) in places:
            found[place] = Read(row["format"], row["reason"], row["size"], row["sha256"] or "", row["name"])
    return found


def keep(turn: Turn, place: Place, read: Read, data: bytes) -> Transaction[bool]:
    """Keep what was read; nothing where its message is gone. Whether the lease is still ours."""
    if not (yield Query("hold", {"conversation": turn.conversation, "fence": turn.fence})):
        return False
    ts, file = place
    where = {"team": turn.thread.team, "channel": turn.thread.channel, "ts": ts}
    found = yield Query("find_message", where)
    if not found or found[0]["deleted_at"] is not None:
        return True
    if read.sha256 and data:
        yield Query("keep_file", {"sha256": read.sha256, "data": data})
    yield Query(
        "attach",
        {
            "message": found[0]["id"],
            "file": file,
            "format": read.format,
            "reason": read.reason,
            "size": read.size,
            "sha256": read.sha256 or None,
            "name": read.name,
        },
    )
    return True


def data(hashes: Collection[str]) -> Transaction[dict[str, bytes]]:
    """The bytes that are kept under these."""
    found: dict[str, bytes] = {}
    for sha256 in hashes:
        for row in (yield Query("file_data", {"sha256": sha256})):
            found[sha256] = row["data"]
    return found


def detach(message: int, left: Collection[str] = ()) -> Transaction[None]:
    """A message has only these files now: what was read of the others goes."""
    for row in (yield Query("attached_to", {"message": message})):
        if row["file_id"] not in left:
            yield Query("detach", {"message": message, "file": row["file_id"]})
