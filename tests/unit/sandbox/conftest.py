"""A workspace to act in: Ann, #general, and the app's Web API client."""

import logging
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack import Slack


@pytest.fixture
async def slack():
    slack = Slack(ack_seconds=60)
    slack.workspace.trigger_seconds = 60
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
async def client(slack: Slack):
    async with aiohttp.ClientSession() as session:
        yield AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session)


@pytest.fixture
def ann(slack: Slack) -> str:
    return slack.add_person("ann", display="Ann Lee")


@pytest.fixture
def general(slack: Slack, ann: str) -> str:
    return slack.add_channel("general", members=[ann])


@pytest.fixture
async def root(slack: Slack, ann: str, general: str) -> str:
    return await slack.say(ann, general, "root")


@pytest.fixture
def refused():
    """The error code with which a call is refused."""

    async def code(call: Any) -> str:
        with pytest.raises(SlackApiError) as error:
            await call
        return str(error.value.response["error"])

    return code


@pytest.fixture
async def bolt(slack: Slack):
    """A real Bolt app over the SDK's own socket client."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session)
        app = AsyncApp(client=client, logger=logging.getLogger("bolt"))
        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]  # Bolt has no types here
        await slack.wait_for(lambda: slack.connected)
        yield app
        await handler.close_async()  # type: ignore[no-untyped-call]  # nor here
        await slack.wait_for(lambda: not slack.connected)
        await handler.client.aiohttp_client_session.close()
