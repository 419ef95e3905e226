"""The transactions by which the workers on one database know of each other."""

from storage.connector import Query, Transaction


def asked_to_end() -> Transaction[list[tuple[int, str]]]:
    """Open turns that must end, whoever works on them, and why."""
    return [(row["id"], row["why"]) for row in (yield Query("asked_to_end"))]


def tell() -> Transaction[None]:
    """Tell the other workers that there is something to look at."""
    yield Query("tell")


def workers() -> Transaction[int]:
    """How many there are. One that does not listen yet counts itself."""
    return max(1, (yield from listening()))


def listening() -> Transaction[int]:
    """How many there are, by those that listen."""
    return int((yield Query("workers"))[0]["workers"])
