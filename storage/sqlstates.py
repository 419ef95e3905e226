"""PostgreSQL's errors in Bobbin's words: one table, by SQLSTATE."""

from collections.abc import Iterable, Mapping

from bot.errors import StoreError, StoreForeign, StoreUnavailable

OLDEST = 13
"""The oldest version that can be asked what became of a transaction."""

BROKEN, TOO_OLD, TAKEN = "08006", "0A000", "42P07"
CUT_OFF = ("08", "57P")
"""The connection broke, whatever was under way on it."""

# By SQLSTATE, the longest beginning that fits (https://www.postgresql.org/docs/current/errcodes-appendix.html).
# What is not here is a bug of ours.
_RENAMED: Mapping[str, tuple[type[StoreError], str]] = {
    "08": (StoreUnavailable, "the connection broke"),
    "0A000": (StoreForeign, f"the server cannot do what Bobbin needs: use PostgreSQL {OLDEST} or newer"),
    "25006": (StoreUnavailable, "it is read-only: connect to the primary server"),
    "25P03": (StoreUnavailable, "the server ended a transaction in which nothing happened for too long"),
    "25P04": (StoreUnavailable, "the server ended a transaction that took too long"),
    "28": (StoreUnavailable, "the server refuses this user: look at DATABASE_URL"),
    "3D000": (StoreUnavailable, "there is no such database: look at DATABASE_URL"),
    "40": (StoreUnavailable, "other transactions were in the way"),
    "42501": (StoreUnavailable, "this user has too few rights: let it own the database's tables"),
    "42P07": (StoreForeign, "another program's tables are there: set DATABASE_URL to a database of its own"),
    "53": (StoreUnavailable, "the server is out of disk, memory or connections"),
    "55P03": (StoreUnavailable, "another transaction holds a lock for too long"),
    "57014": (StoreUnavailable, "the server cancelled the query: it took too long"),
    "57P": (StoreUnavailable, "the server is shutting down or starting"),
    "58": (StoreUnavailable, "the server's disk fails to read or write: look at its log"),
    "XX": (StoreUnavailable, "the server found its data damaged, or a fault of its own: look at its log"),
}
AGAIN = ("08", "25P03", "25P04", "40", "53300", "55P03", "57P")
"""After these the transaction is as if it had never been, and may well go through the next time."""


def renamed(state: str, said: str = "", where: Iterable[str] = ()) -> StoreError:
    """Give the error for a SQLSTATE; `said` is the server's own first line, `where` the query."""
    kind, words = next(
        (_RENAMED[state[:length]] for length in (5, 3, 2) if state[:length] in _RENAMED),
        (StoreError, "a query failed"),
    )
    quotes = state.startswith("22")  # of a value that does not fit, it quotes the value
    told = " ".join([state, *(f"in {query}" for query in where), "" if quotes else said]).strip()
    return kind(f"PostgreSQL: {words} ({told})")
