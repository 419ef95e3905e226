"""No word of people or of the model, and no secret, is in the log of any walk, at DEBUG, in both formats."""

import json
import sys
from collections.abc import Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_process import logged

WORD = "swordfish"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "not-like-a-key-of-aws",
    "AWS_SESSION_TOKEN": "session-token-in-words",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hidden-header",
}

LOUD = """
import asyncio, logging, sys
import slack_sdk.web.async_client
from bot.__main__ import main
import bot.telemetry

configure = bot.telemetry.configure_logging

def loud(*given, **named):
    configure(*given, **named)
    for name in ("slack_bolt", "slack_sdk", "botocore", "aiobotocore", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)

import bot.__main__
bot.__main__.configure_logging = loud

from bot.slack.workspace import SlackWorkspace
tell = SlackWorkspace.words

def words(self, lines, people):
    for line in lines:
        if "break here" in line.text:
            raise ValueError(f"invalid literal: {line.text!r}")
    return tell(self, lines, people)

SlackWorkspace.words = words
sys.exit(main())
"""
"""Every library talks as much as it can; a turn with `break here` in it breaks, and the error quotes it."""


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_neither_words_nor_secrets_are_in_the_log(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, log_format: str
) -> None:
    bobbin = make(
        LOG_FORMAT=log_format, SLACK_PACING="off", BEDROCK_IDLE_SECONDS="1", LEASE_SECONDS="2", **SECRETS
    )
    bobbin.command = [sys.executable, "-c", LOUD]
    scene = Scene(await bobbin.start())
    ann = scene.slack.workspace.people[scene.ann]
    slack.faults.add("chat.startStream", "lunch_break")
    slack.faults.add("chat.update", "malformed")
    bedrock.faults.add("throttled")
    thread = await scene.mention(f"say exactly: {WORD} one")
    await scene.answered(thread)
    await scene.say(f"and {WORD} two, a link https://{WORD}.example.com/?q={WORD}", thread=thread)
    await scene.answered(thread, 2)
    await slack.edit(scene.ann, scene.channel, thread, f"{scene.me} say exactly: {WORD} three")
    await slack.delete(scene.ann, scene.channel, thread)
    for fault in ("validation", "strange", "bad_crc", "guardrail_intervened"):
        bedrock.faults.add(fault, times=None)
        failed = await scene.mention(f"{WORD} {fault}")
        await slack.wait_for(lambda: scene.answers(failed))  # noqa: B023
        bedrock.faults.clear()
    await scene.mention(f"{WORD} break here")
    await logged(bobbin, "a turn broke")
    for rubbish in ({"type": "message", "text": WORD, "channel": 7}, {"type": WORD}, {"text": WORD}):
        slack.deliver_raw(rubbish)
    await logged(bobbin, "an event could not be read")
    for socket in slack._sockets.open:
        await socket.send_str(f'{{"{WORD}": "{WORD}')
    await logged(bobbin, "a frame that cannot be read")
    assert await bobbin.stop() == 0
    log = (bobbin.folder / "bobbin.log").read_text()
    assert len(log.splitlines()) > 60
    assert "slack call" in log
    assert "ValueError" in log
    lowered = log.lower()
    found = [word for word in (WORD, ann.name.lower(), "invalid literal") if word in lowered]
    secrets = [slack.bot_token, slack.app_token, *list(SECRETS.values())[:2], "hidden-header", "ticket="]
    found += [secret for secret in secrets if secret in log.replace("ticket=[secret]", "")]
    assert not found
    if log_format == "json":
        assert all(json.loads(line) for line in log.splitlines())
