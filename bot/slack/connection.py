"""Bobbin's connection to one workspace: who it is there, events in, replies out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BadConfiguration, SlackError, SlackLimited, SlackUnreachable
from bot.events import Invited
from bot.slack.api import SlackAPI
from bot.slack.downloads import Downloads, origin_of_files
from bot.slack.history import NOTICE_EVENT, History
from bot.slack.incoming import Me
from bot.slack.intake import Intake
from bot.slack.listeners import Listeners
from bot.slack.pacing import Pacer
from bot.slack.proxies import proxy_for
from bot.slack.rereading import Rereading
from bot.slack.socket_mode import SocketMode
from bot.slack.uploads import Uploads

_log = structlog.get_logger(__name__)

WELCOME = """\
Hello! Mention me in a message and I answer in its thread; then just go on there, without mentioning me. \
You can also write to me in a DM.

• *What I read:* only threads I was called into, and all of such a thread.
• *What I keep:* the messages of those threads and my answers, {kept_for}. Deleting a message erases it \
here too, within seconds; _Forget this thread_ in a message's menu erases a thread.
• *Mute me in a thread:* write `mute` there, or put :no_bell: on its first message. `wake` undoes it. `stop` \
ends an answer.

_I am an AI assistant and can be wrong. I run a Claude model on Amazon Bedrock._"""

_LONGEST_WAIT = 30.0
_TICKET_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Slack:
    """A workspace that has let Bobbin in."""

    api: SlackAPI
    client: AsyncWebClient
    session: aiohttp.ClientSession
    me: Me
    bot_token: str
    app_token: str | None
    """None: events come by requests."""
    socket_url: str
    downloads: Downloads
    uploads: Uploads
    known_at: float
    """monotonic() when `socket_url` was given: its ticket does not keep."""

    def intake(self, listeners: Listeners) -> Intake:
        """Prepare what gives these listeners all that comes."""
        return Intake(listeners.bolt(self.client, self.bot_token), listeners.quarantine)

    def socket_mode(self, intake: Intake) -> SocketMode:
        """Prepare the socket that brings events; not open yet."""
        tickets = [(self.socket_url, self.known_at)]

        async def address() -> str:
            url, known_at = tickets.pop() if tickets else ("", 0.0)
            if url and monotonic() - known_at < _TICKET_SECONDS:
                return url
            opened = await self.api.call("apps.connections.open", app_token=self.app_token)
            return str(opened.get("url", ""))

        return SocketMode(intake, self.session, address)

    def rereading(self, intake: Intake) -> Rereading:
        """Prepare what reads missed talk again, and takes it in by the way of events."""
        return Rereading(History(self.api, self.me), intake.again)

    async def welcome(self, kept_for: str, invited: Invited) -> None:
        """Say once in a channel what Bobbin reads and keeps; never again, even if the answer is lost."""
        try:
            await self.api.call(
                "chat.postMessage",
                channel=invited.channel,
                text=WELCOME.format(kept_for=kept_for),
                unfurl_links=False,
                unfurl_media=False,
                metadata={"event_type": NOTICE_EVENT, "event_payload": {"notice": "welcome"}},
            )
        except SlackError as error:
            _log.warning("no welcome in a channel", channel=invited.channel, error=str(error))

    async def readmitted(self) -> bool:
        """Ask, where Slack refused the token, whether it still does: once it does not, people are served."""
        return self.api.refused and await self.reachable()

    async def reachable(self) -> bool:
        """Whether Slack answers."""
        try:
            await self.api.call("auth.test")
        except SlackError:
            return False
        return True


async def _answered(
    api: SlackAPI, method: str, variable: str, problems: list[str], **more: Any
) -> Mapping[str, Any]:
    """Call until Slack answers; a refusal of the token becomes a problem of its variable."""
    wait = 1.0
    while True:
        try:
            return await api.call(method, **more)
        except (SlackLimited, SlackUnreachable) as error:
            _log.warning("Slack is out of reach: trying again", method=method, error=str(error), seconds=wait)
            await asyncio.sleep(max(wait, getattr(error, "retry_after", 0)))
            wait = min(wait * 2, _LONGEST_WAIT)
        except SlackError as error:
            problems.append(f"{variable}: Slack refuses it ({error.code}); {_REMEDIES[variable]}")
            return {}


_REMEDIES: Mapping[str, str] = {
    "SLACK_BOT_TOKEN": "copy the Bot User OAuth Token (xoxb-…) from the app's page OAuth & Permissions",
    "SLACK_APP_TOKEN": "make an App-Level Token (xapp-…, connections:write) on the page Basic Information",
}


@asynccontextmanager
async def connect(
    *,
    bot_token: str,
    app_token: str | None,
    api_url: str,
    timeout: float,  # noqa: ASYNC109  that of one call
    paced: bool,
) -> AsyncIterator[Slack]:
    """Find out who Bobbin is, waiting for Slack if it is out of reach. `timeout` is one call's, in seconds.

    Without an app token no socket is asked for.

    Raises `BadConfiguration` where Slack refuses a token.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    # The SDK keeps to its own timeout only in sessions of its own, so this one has it.
    limit = aiohttp.ClientTimeout(total=timeout)
    # Each call says its proxy. A session that looks for one in the environment hops through two threads for
    # each call, and reads ~/.netrc: that is not for Slack, and aiohttp refuses it beside a token.
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        client = AsyncWebClient(token=bot_token, base_url=api_url, session=session, retry_handlers=[])
        client.proxy = proxy_for(api_url)  # the SDK knows no NO_PROXY
        api = SlackAPI(client, Pacer(on=paced))
        problems: list[str] = []
        asked = [_answered(api, "auth.test", "SLACK_BOT_TOKEN", problems)]
        if app_token is not None:
            asked.append(
                _answered(api, "apps.connections.open", "SLACK_APP_TOKEN", problems, app_token=app_token)
            )
        facts, *opened = await asyncio.gather(*asked)
        if problems:
            raise BadConfiguration(problems)
        me = Me(
            team=str(facts.get("team_id", "")),
            user=str(facts.get("user_id", "")),
            bot=str(facts.get("bot_id") or ""),
            enterprise=str(facts.get("enterprise_id") or ""),
        )
        _log.info("known to Slack", team=me.team, user=me.user)
        origin = origin_of_files(api_url)
        yield Slack(
            api,
            client,
            session,
            me,
            bot_token,
            app_token,
            str(opened[0].get("url", "")) if opened else "",
            Downloads(api, session, bot_token, origin),
            Uploads(api, session, origin),
            monotonic(),
        )
