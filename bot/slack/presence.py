"""Whether Bobbin is in a channel: where it is not, nothing that is said there comes."""

from bot.causes import CAUSES, Verdict
from bot.checks import Clock
from bot.errors import SlackTokenRefused
from bot.slack.api import ERRORS
from bot.slack.probe import probing

_INVITE = (
    "/invite @bobbin in the channel: the mention that Slack offers to invite it for is answered then, an "
    "older one must be said again"
)


async def absence(bot_token: str, api_url: str, channel: str) -> Verdict | None:
    """Ask Slack why nothing comes from a channel, and what to do; None where Bobbin is in it.

    A question that Slack does not answer is told as well. Nothing is raised.
    """
    async with probing(api_url, Clock()) as probe:
        answer = await probe.call("conversations.info", bot_token, channel=channel)
    if answer.error == "channel_not_found":
        return f"Slack knows no channel {channel} that Bobbin is in: it is private, or gone.", _INVITE
    if ERRORS.get(answer.error) is SlackTokenRefused:
        return CAUSES["SlackTokenRefused"]
    if answer.error:
        return (
            f"Slack does not say whether Bobbin is in {channel} ({answer.error}).",
            "python -m bot doctor tells what is wrong with Slack",
        )
    found = answer.data.get("channel")
    if isinstance(found, dict) and found.get("is_member") is False and not found.get("is_im"):
        return f"Bobbin is not in the channel {channel}: Slack sends nothing of what is said there.", _INVITE
    return None
