"""The floor: the least that a bot on Bolt and aioboto3 must do, and Bobbin's yardstick.

It acks at once, asks, and streams every delta back. It keeps nothing, knows no order, holds nothing back, and
survives nothing. Its pools are as large as Bobbin's.
"""

import asyncio
import os
from typing import Any

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

MODEL = "us.anthropic.claude-sonnet-5-5"


async def main() -> None:
    """Answer every mention, until the process is ended."""
    told = os.environ  # noqa: TID251  it is no part of Bobbin
    pool = AioConfig(max_pool_connections=int(told["MAX_CONCURRENT_ANSWERS"]))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        aioboto3.Session(region_name=told["AWS_REGION"]).client("bedrock-runtime", config=pool) as bedrock,
    ):
        api: dict[str, Any] = {"base_url": told["SLACK_API_URL"], "session": session}
        app = AsyncApp(client=AsyncWebClient(told["SLACK_BOT_TOKEN"], **api))

        @app.event("app_mention")
        async def answer(event: dict[str, Any], context: dict[str, Any], client: AsyncWebClient) -> None:
            words = [{"role": "user", "content": [{"text": event["text"]}]}]
            answered = await bedrock.converse_stream(
                modelId=MODEL, messages=words, inferenceConfig={"maxTokens": 8192}
            )
            where = {"channel": event["channel"], "thread_ts": event.get("thread_ts", event["ts"])}
            reader = {"recipient_team_id": context["team_id"], "recipient_user_id": event["user"]}
            reply = await client.chat_stream(buffer_size=1, **where, **reader)
            async for part in answered["stream"]:
                if text := part.get("contentBlockDelta", {}).get("delta", {}).get("text"):
                    await reply.append(markdown_text=text)
            await reply.stop()

        @app.event("message")
        async def ignore() -> None:
            """A mention comes as a message too."""

        token = told["SLACK_APP_TOKEN"]
        handler: Any = AsyncSocketModeHandler(app, token, web_client=AsyncWebClient(token, **api))
        await handler.start_async()


if __name__ == "__main__":
    asyncio.run(main())
