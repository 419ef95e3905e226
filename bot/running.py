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


async def examine(url: str, host: str, port: int | None) -> Check:
    """Ask it where it listens on a port; else look when it was last heard."""
    checks = {} if port is None else (await told(host, port, "/readyz", _READY_SECONDS)).get("checks")
    if isinstance(checks, dict) and checks:
        return _says(checks)
    try:
        runs, silent = await quiet(url)
    except (BadConfiguration, StoreError) as error:
        return Check(NAME, "skipped", str(error))
    return _heard(silent) if runs else Check(NAME, "skipped", "none runs on this database")


def _says(checks: Mapping[str, bool]) -> Check:
    """Judge by what it says of itself."""
    wrong = [_READY[name] for name, well in checks.items() if not well and name in _READY]
    if not wrong:
        return Check(NAME, "ok", "it is ready")
    return Check(NAME, "failed", "; ".join(found for found, _ in wrong), "; ".join(todo for _, todo in wrong))


def _heard(silent: float) -> Check:
    """Judge by the seconds since events could last come in to it."""
    if silent < DEAF_SECONDS:
        return Check(NAME, "ok", f"events could come in {silent:.0f} seconds ago")
    since = "yet" if silent == inf else f"for {silent / 60:.0f} minutes"
    found = f"no event could come in {since}: its socket is not open or deaf, or its database takes no write"
    todo = (
        "mend what the other checks name; else let it open WebSockets to Slack (wss, port 443, proxy), and "
        "start it again"
    )
    return Check(NAME, "failed", found, todo)
