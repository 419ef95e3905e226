"""What the doctor asks besides the sandbox's servers, and how its report is read."""

import asyncio
import json
import sys
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from tests.e2e.conftest import Bobbin

Expected = dict[str, tuple[str, str, str]]
"""By the name of a check: its outcome, words of what was found, words of the next step."""
Found = dict[str, dict[str, str]]

PROFILE = "us.anthropic.claude-sonnet-5-5"
APPLICATION = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"


PATIENT = """
import sys
import bot.bedrock_doctor as aws, bot.doctor, bot.running
import bot.slack.doctor, bot.slack.http_doctor, bot.slack.probe
from bot.__main__ import main

aws._OPEN_SECONDS = aws._CALL_SECONDS = aws._ANSWER_SECONDS = 60
bot.slack.probe.SECONDS = bot.slack.doctor.SECONDS = 15  # what is out for good is waited for in vain
bot.slack.http_doctor.told.__defaults__ = (15,)
bot.running._READY_SECONDS = 15
bot.doctor._SECONDS = 80
sys.exit(main())
"""
"""A doctor to whom a machine that stands still for some seconds is not a server that is out of reach."""


class ControlPlane:
    """As much of STS and of Bedrock's control plane as the doctor asks."""

    def __init__(self) -> None:
        self.profiles = [PROFILE, "us.anthropic.claude-haiku-5-5"]
        self.refuses_bedrock = self.hangs = False
        self.sts_error = ""
        app = web.Application()
        app.router.add_post("/", self._identity)
        app.router.add_get("/inference-profiles", self._list)
        app.router.add_get("/inference-profiles/{id:.+}", self._get)
        self.runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()

    @property
    def settings(self) -> dict[str, str]:
        """What tells a Bobbin of it, and a key that must never be seen."""
        url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        key = "made/up+secret+KEY0123456789abcdefghijkl"
        endpoints = {f"AWS_ENDPOINT_URL_{name}": url for name in ("STS", "BEDROCK")}
        return {**endpoints, "AWS_SECRET_ACCESS_KEY": key}

    async def _identity(self, _: web.Request) -> web.Response:
        await self._hang()
        space = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        if self.sts_error:
            error = f"<Type>Sender</Type><Code>{self.sts_error}</Code><Message>no</Message>"
            text = f"<ErrorResponse {space}><Error>{error}</Error></ErrorResponse>"
            return web.Response(status=403, text=text, content_type="text/xml")
        who = "<Arn>arn:aws:iam::123456789012:user/bobbin</Arn><Account>123456789012</Account>"
        text = f"<GetCallerIdentityResult>{who}</GetCallerIdentityResult>"
        text = f"<GetCallerIdentityResponse {space}>{text}</GetCallerIdentityResponse>"
        return web.Response(text=text, content_type="text/xml")

    async def _list(self, _: web.Request) -> web.Response:
        await self._hang()
        if self.refuses_bedrock:
            return _error(403, "AccessDeniedException")
        arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
        listed = [_profile(name, arn + name, name) for name in self.profiles]
        return web.json_response({"inferenceProfileSummaries": listed})

    async def _get(self, request: web.Request) -> web.Response:
        if unquote(request.match_info["id"]) != APPLICATION:
            return _error(404, "ResourceNotFoundException")
        return web.json_response(_profile("abc123", APPLICATION, "anthropic.claude-haiku-5-5"))

    async def _hang(self) -> None:
        if self.hangs:
            await asyncio.sleep(60)


def _profile(name: str, arn: str, model: str) -> dict[str, Any]:
    models = [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model}"}]
    said = {"inferenceProfileName": name, "status": "ACTIVE", "type": "SYSTEM_DEFINED", "models": models}
    return said | {"inferenceProfileId": name, "inferenceProfileArn": arn}


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"message": "no"}, status=status, headers={"x-amzn-errortype": code})


async def run(bobbin: Bobbin, *arguments: str, patient: bool = True) -> tuple[int, str]:
    """Run the doctor; its exit code and all it printed, in which there is no secret."""
    usual = bobbin.command
    if patient:
        bobbin.command = [sys.executable, "-c", PATIENT]
    code, output, errors = await bobbin.ran("doctor", *arguments)
    bobbin.command = usual
    text = output + errors
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        secret = bobbin.environment().get(name)
        assert not secret or secret not in text
    assert "ticket=" not in text
    assert "Traceback" not in text
    return code, text


async def examined(bobbin: Bobbin, *, patient: bool = True) -> Found:
    """What the doctor finds, by name; its exit code says whether anything failed."""
    code, output = await run(bobbin, "--json", patient=patient)
    report = json.loads(output)
    found = {check["name"]: check for check in report["checks"]}
    failed = any(check["outcome"] == "failed" for check in found.values())
    assert (code, report["ok"]) == ((1, False) if failed else (0, True))
    assert all(check["todo"] for check in found.values() if check["outcome"] in ("failed", "warning"))
    assert len(found) == len(report["checks"])
    return found


def failed(found: Found) -> set[str]:
    return {name for name, check in found.items() if check["outcome"] == "failed"}


def as_expected(found: Found, expected: dict[str, tuple[str, str, str]]) -> None:
    for name, (outcome, words, todo) in expected.items():
        assert found[name]["outcome"] == outcome, found[name]
        assert words in found[name]["found"]
        assert todo in found[name]["todo"]
    assert failed(found) == {name for name, (outcome, *_) in expected.items() if outcome == "failed"}
