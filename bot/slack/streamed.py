"""A streamed message while it grows: what it shows, how much more goes into it, and when its life ends."""

from time import monotonic

from bot.slack.text import Fit, code_end, fit

STREAM_LIMIT = 11_500
"""Characters of one streamed message; Slack takes 12,000."""
STREAM_SECONDS = 240.0
"""From here on the next paragraph goes into a new message: Slack ends a stream after about 300 s."""
STREAM_SECONDS_AT_MOST = 270.0
_ROOM = 26
_LEAST = 200


class Streamed:
    """It begins with `shown`, now."""

    def __init__(self, shown: str = "") -> None:
        self.shown = shown
        self._opened_at = monotonic()

    def fit(self, more: str) -> Fit:
        """Say how much of `more` still goes into it."""
        return fit(self.shown, more, self._limit(more))

    def holds(self, rest: str) -> bool:
        """Whether it may end with all of this."""
        return not fit(self.shown, rest, STREAM_LIMIT).rest

    def ending(self, rest: str) -> str:
        """Return the rest of an answer; what is stopped within code must not swallow what stands below it."""
        return rest + code_end(self.shown + rest)

    def _limit(self, more: str) -> int:
        age = monotonic() - self._opened_at
        if age < STREAM_SECONDS:
            return STREAM_LIMIT
        paragraph = more.find("\n\n")
        if paragraph < 0 and age < STREAM_SECONDS_AT_MOST:
            return STREAM_LIMIT
        return max(_LEAST, min(STREAM_LIMIT, len(self.shown) + max(paragraph, 0) + _ROOM))
