"""The sandbox's requests, as a bare server meets them; the SDK's verifier judges the signatures."""

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from bot.sandbox.slack import Slack


class App:
    """Answers with these statuses and headers in turn, then with 200."""

    def __init__(self, slack: Slack) -> None:
        self.verifier = SignatureVerifier(slack.signing_secret)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.body: str | dict[str, str] = ""
        self.came: list[tuple[str, str, str]] = []
        """Of each request the number and reason of its retry, and its body."""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert self.verifier.is_valid_request(body, dict(request.headers))
        if b"url_verification" in body:
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        retry = [request.headers.get(f"X-Slack-Retry-{each}", "") for each in ("Num", "Reason")]
        self.came.append((retry[0], retry[1], body.decode()))
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if isinstance(self.body, dict):
            return web.json_response(self.body)
        return web.Response(status=status, headers=headers, text=self.body)


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    slack = Slack(ack_seconds=60, redelivery=(0, 0.05, 0.1))
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
async def app(slack: Slack) -> AsyncIterator[App]:
    app = App(slack)
    server = web.Application()
    server.router.add_post("/slack/events", app.handle)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await slack.requests.verify(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    yield app
    await runner.cleanup()


async def ended(slack: Slack, kind: str) -> None:
    await slack.wait_for(lambda: any(entry.kind == kind for entry in slack.log))


async def test_an_event_that_fails_comes_again_and_says_why(slack: Slack, app: App, ann: str):
    app.answers = [(500, {}), (302, {"Location": "/slack/events"}), (503, {})]
    await slack.say(ann, slack.dm(ann), "hi")
    await ended(slack, "ack")
    assert [(number, reason) for number, reason, _ in app.came if number] == [
        ("1", "http_error"),
        ("2", "http_error"),
        ("3", "http_error"),
    ]
    assert len({json.loads(body)["event_id"] for *_, body in app.came if body}) == 1
    assert slack.connected == 1


async def test_what_is_never_taken_is_given_up_and_at_once_where_the_app_says_so(
    slack: Slack, app: App, ann: str
):
    app.answers = [(500, {})] * 4
    await slack.say(ann, slack.dm(ann), "hi")
    await ended(slack, "undelivered")
    assert [number for number, *_ in app.came] == ["", "1", "2", "3"]
    app.answers = [(500, {"X-Slack-No-Retry": "1"})]
    before = len(slack.log)
    await slack.say(ann, slack.dm(ann), "hi")
    await slack.wait_for(lambda: any(e.kind == "undelivered" for e in slack.log[before:]))
    assert len(app.came) == 5


async def test_without_a_server_the_reason_is_the_connection(slack: Slack, ann: str):
    slack.requests.url = "http://127.0.0.1:9/slack/events"
    await slack.say(ann, slack.dm(ann), "hi")
    await ended(slack, "undelivered")
    refused = [entry.data["reason"] for entry in slack.log if entry.kind == "refused"]
    assert refused == ["connection_failed"] * 4


async def test_clicks_and_commands_come_as_forms_and_take_the_answer(slack: Slack, app: App, ann: str):
    app.body = {"text": "help"}
    assert await slack.command(ann, slack.dm(ann), "/bobbin help me") == {"text": "help"}
    form = parse_qs(app.came[-1][2])
    assert (form["command"], form["text"], form["user_id"]) == (["/bobbin"], ["help me"], [ann])
    app.body = ""
    ts = await slack.say(ann, slack.dm(ann), "hi")
    assert await slack.shortcut(ann, "any", slack.dm(ann), ts) == {}
    payload = json.loads(parse_qs(app.came[-1][2])["payload"][0])
    assert (payload["type"], payload["message_ts"]) == ("message_action", ts)
    assert await slack.requests.check_ssl()
    assert parse_qs(app.came[-1][2])["ssl_check"] == ["1"]


async def test_an_address_that_does_not_echo_the_challenge_is_not_taken(slack: Slack):
    with pytest.raises(TimeoutError):
        await slack.requests.verify("http://127.0.0.1:9/slack/events", 0.1)
    assert slack.connected == 0
