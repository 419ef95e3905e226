"""Whether the Bobbin that runs on this database serves people: by its own word, or by its traces."""

from collections.abc import Mapping
from math import inf

from bot.checks import Check
from bot.diagnosis import DEAF_SECONDS
from bot.errors import BadConfiguration, StoreError
from bot.slack.http_doctor import told
from storage import quiet

NAME = "running bobbin"
_READY_SECONDS = 4.0
"""It says so when Slack has answered it."""

_READY = {
    "database": (
        "its database takes no write",
        "free its disk, put its files back, let its user write to them: it goes on by itself",
    ),
    "slack": (
        "no event comes in, or Slack does not answer it",
        (
            "mend what the checks of Slack name; where they are ok its socket is deaf: it opens another "
            "within 20 seconds, and a proxy or firewall that cuts WebSockets (wss, port 443) may be why"
        ),
    ),
    "started": ("it has not started yet", "wait for Slack and the database: its log says which"),
}
"""What `/readyz` tells, in words, and the next step."""
_READY_BY_REQUESTS = _READY | {
    "slack": (
        "Slack does not answer it, or it is about to end",
        (
            "mend what the checks of Slack name; where they are ok look at its own way out (DNS, proxy, "
            "firewall). Whether Slack reaches it is told on the app's page Event Subscriptions only"
        ),
    ),
}
"""The same in HTTP mode, which has no socket."""


async def examine(url: str, host: str, port: int | None, *, by_requests: bool) -> Check:
    """Ask it where it listens on a port; else look when it was last heard. `by_requests`: HTTP mode."""
    checks = {} if port is None else (await told(host, port, "/readyz", _READY_SECONDS)).get("checks")
    if isinstance(checks, dict) and checks:
        return _says(checks, _READY_BY_REQUESTS if by_requests else _READY)
    try:
        runs, silent = await quiet(url)
    except (BadConfiguration, StoreError) as error:
        return Check(NAME, "skipped", str(error))
    if not runs:
        return Check(NAME, "skipped", "none runs on this database")
    return _heard(silent, by_requests=by_requests)


def _says(checks: Mapping[str, bool], words: Mapping[str, tuple[str, str]]) -> Check:
    """Judge by what it says of itself."""
    wrong = [words[name] for name, well in checks.items() if not well and name in words]
    if not wrong:
        return Check(NAME, "ok", "it is ready")
    return Check(NAME, "failed", "; ".join(found for found, _ in wrong), "; ".join(todo for _, todo in wrong))


def _heard(silent: float, *, by_requests: bool) -> Check:
    """Judge by the seconds since events could last come in to it."""
    if silent < DEAF_SECONDS:
        return Check(NAME, "ok", f"events could come in {silent:.0f} seconds ago")
    since = "yet" if silent == inf else f"for {silent / 60:.0f} minutes"
    if by_requests:
        found = f"no event could come in {since}: it hangs, or its database takes no write"
        return Check(NAME, "failed", found, "mend what the other checks name; else start it again")
    found = f"no event could come in {since}: its socket is not open or deaf, or its database takes no write"
    todo = (
        "mend what the other checks name; else let it open WebSockets to Slack (wss, port 443, proxy), and "
        "start it again"
    )
    return Check(NAME, "failed", found, todo)
