"""The transactions of what stands in Slack: the messages that turns account for, and those that none does."""

from bot.conversation import ThreadKey
from storage.connector import Query, Transaction


def accounted(thread: ThreadKey) -> Transaction[set[str]]:
    """The `ts` of Bobbin's own messages in a thread that are known."""
    where = {"team": thread.team, "channel": thread.channel, "thread": thread.thread_ts}
    found = yield Query("find_conversation", where)
    rows = yield Query(
        "accounted",
        {"conversation": found[0]["id"] if found else 0, "team": thread.team, "channel": thread.channel},
    )
    return {row["ts"] for row in rows}


def orphans(turn: int, team: str) -> Transaction[list[tuple[str, str, str]]]:
    """Workspace, channel and `ts` of what is to be deleted in Slack.

    Of all turns where `turn` is 0, of all workspaces where `team` is empty.
    """
    rows = yield Query("orphans", {"turn": turn, "team": team})
    return [(row["team_id"], row["channel_id"], row["ts"]) for row in rows]
