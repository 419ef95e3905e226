"""Whether a request is Slack's: its signature over the bytes that came, and its age.

The scheme is `v0` (docs.slack.dev/authentication/verifying-requests-from-slack): HMAC-SHA256 of
`v0:TIMESTAMP:BODY` under the app's signing secret.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

SIGNATURE, TIMESTAMP = "X-Slack-Signature", "X-Slack-Request-Timestamp"
OLDEST_SECONDS = 300
"""A request that is older, or as far ahead, may be one that somebody has kept."""

_SIGNATURE = re.compile("v0=[0-9a-f]{64}")
_TIMESTAMP = re.compile("[0-9]{1,12}")


def plausible(headers: Mapping[str, str], now: float) -> bool:
    """Whether it is worth reading the body: there is a signature, of about now (Unix seconds)."""
    timestamp = headers.get(TIMESTAMP, "")
    if not _SIGNATURE.fullmatch(headers.get(SIGNATURE, "")) or not _TIMESTAMP.fullmatch(timestamp):
        return False
    return abs(now - int(timestamp)) <= OLDEST_SECONDS


def genuine(secret: str, headers: Mapping[str, str], body: bytes | bytearray, now: float) -> bool:
    """Whether this body was signed with the secret, about now. Takes as long for any wrong signature."""
    if not plausible(headers, now):
        return False
    signed = b"v0:" + headers[TIMESTAMP].encode() + b":" + body
    right = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right, headers[SIGNATURE])
