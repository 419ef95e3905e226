"""No word of people or of the model, and no secret, is in the log of any walk, at DEBUG, in both formats."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack, Upload
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
    bobbin = make(LOG_FORMAT=log_format, SLACK_PACING="off", **SECRETS)
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


FILES = [
    Upload(f"{WORD}.txt", b"x", "text/plain"),
    Upload(f"{WORD}.pdf", b"MZ\x90\x00", "application/pdf"),  # not what its name says
    Upload(f"broken {WORD}.png", b"\x89PNG\r\n\x1a\n", "image/png"),
    Upload(f"{WORD}.zip", b"PK\x03\x04", f"application/{WORD}"),
    Upload(f"far {WORD}.txt", b"x", mode="remote"),
    Upload(f"elsewhere {WORD}.txt", b"x"),
]


async def test_what_people_name_and_set_is_not_in_the_log(
    make: Callable[..., Bobbin], slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of people, channels, files, bots and reactions; orders, commands, and what goes into modals."""
    bobbin = make(SLACK_PACING="off", LEASE_SECONDS="30", CONTEXT_WINDOW_TOKENS="4000")
    bobbin.command = [sys.executable, "-c", LOUD]
    scene = Scene(await bobbin.start())
    make_file = slack.workspace.add_file

    def kept_elsewhere(*given: Any) -> Any:
        file = make_file(*given)
        if "elsewhere" in file.facts["name"]:
            address = f"https://{WORD}.example/{WORD}.txt"
            file.facts |= dict.fromkeys(("url_private", "url_private_download"), address)
        file.facts["title"] = f"the {WORD}"
        return file

    monkeypatch.setattr(slack.workspace, "add_file", kept_elsewhere)
    scene.ann = slack.add_person(f"{WORD}-ann", display=f"Ann {WORD}")
    scene.channel = slack.add_channel(f"the-{WORD}", members=(scene.ann, scene.ben))
    slack.workspace.people[scene.ann].admin = True

    thread = await scene.mention("Look", files=FILES)
    await scene.answered(thread)
    slack.faults.add("files-pri", "http", status=500)
    for fault in ("html", "redirect", "http"):
        slack.faults.add("files-pri", fault, times=3)
        await scene.answered(await scene.mention("Look", files=FILES[:1]))
        slack.faults.clear()
    for order in (
        f"instructions {WORD}",
        f"model {WORD}",
        f"model us.anthropic.{WORD}",
        f"instructions <{WORD}>",
    ):
        await scene.answered(await scene.mention(order))
    for command in (f"instructions {WORD} two", f"model {WORD}", f"{WORD}", f"forget {WORD}"):
        await slack.command(scene.ann, scene.channel, f"/bobbin {command}")
    await scene.say("Hello", as_bot=f"the {WORD}", thread=thread)
    await slack.react(scene.ben, scene.channel, thread, WORD)
    await slack.unreact(scene.ben, scene.channel, thread, WORD)

    answer = scene.answers(thread)[0]["ts"]
    await slack.press(scene.ann, scene.channel, answer, "feedback", "down")
    await slack.wait_for(lambda: slack.modal(scene.ann))
    await slack.submit(scene.ann, slack.modal(scene.ann)["id"], {"feedback_why": f"the {WORD}"})
    await slack.shortcut(scene.ben, "ask_privately", scene.channel, thread)
    await slack.wait_for(lambda: slack.modal(scene.ben))
    await slack.submit(scene.ben, slack.modal(scene.ben)["id"], {"ask_privately": f"what of the {WORD}?"})
    dm = slack.dm(scene.ben)
    await slack.wait_for(lambda: slack.messages(dm))
    await slack.shortcut(scene.ann, "what_did_you_read", scene.channel, answer)
    await slack.wait_for(lambda: WORD in str(slack.ephemerals(scene.ann)))
    for number in range(7):  # until it is condensed, with a summary that holds it
        await scene.mention(f"Remember that {WORD} {number}. {'So it goes on. ' * 60}", thread=thread)
        await scene.answered(thread, number + 2)
    assert WORD in str(await bobbin.rows("SELECT text FROM summary"))
    await slack.open_home(scene.ann)
    await slack.command(scene.ann, scene.channel, "/bobbin forget me")
    await slack.archive(scene.channel)
    await scene.heard(scene.ben)
    assert await bobbin.stop() == 0

    log = (bobbin.folder / "bobbin.log").read_text()
    for told in ("a file is not where Slack keeps files", "a file was not fetched", "condensed", "feedback"):
        assert told in log, told
    assert [line for line in log.splitlines() if WORD in line.lower()] == []
