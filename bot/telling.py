"""Says how a turn ended: one line of the log, and one signal."""

from time import monotonic, time
from typing import Any

from bot import signals
from bot.ports import Finish, Turn
from bot.trail import Trail


def tell(log: Any, turn: Turn, end: Finish, path: Trail) -> None:
    """Say it. Durations are from the claim in this process, but for `waited_ms`: from the commit to it."""
    seconds = monotonic() - path.began
    marks = {name: at - path.began for name, at in path.marks.items()}
    log.info(
        "turn ended",
        state=end.state,
        why=end.reason or end.error,
        ms=int(seconds * 1000),
        waited_ms=int(turn.waited * 1000),
        how=turn.how,
        characters=len(end.answer or ""),
        **{f"{name.replace(' ', '_')}_ms": int(at * 1000) for name, at in marks.items()},
    )
    code = end.error.partition(":")[0]
    asked = time() - float(turn.question_ts) if turn.question_ts and turn.how != "again" else None
    signals.tell(signals.Ended(turn.id, end.state, code, seconds, asked, turn.resumed, marks))
