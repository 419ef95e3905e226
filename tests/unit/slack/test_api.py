"""Slack's Web API: one try a call, and every refusal by a name of ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import (
    SlackError,
    SlackGone,
    SlackLimited,
    SlackNotAllowed,
    SlackRefused,
    SlackTokenRefused,
    SlackUnreachable,
    StreamClosed,
    StreamStopped,
)
from bot.slack.api import ERRORS, METHODS, SlackAPI
from bot.slack.connection import connect
from bot.slack.pacing import Pacer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """Answers every call as it is told to, and counts them."""

    url: str = ""
    calls: int = 0
    script: list[Handler] = field(default_factory=list)
    """How to answer; the last one stays."""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        return await (self.script.pop(0) if len(self.script) > 1 else self.script[0])(request)

    async def hangs(self, _: web.Request) -> web.StreamResponse:
        await self.over.wait()
        return web.Response()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/api/{method}", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
    yield server
    server.over.set()
    await runner.cleanup()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[SlackAPI]:
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token="xoxb-1", base_url=server.url, session=session, timeout=5, retry_handlers=[]
        )
        yield SlackAPI(client, Pacer())


def answers(status: int = 200, headers: dict[str, str] | None = None, **facts: object) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(facts, status=status, headers=headers)

    return answer


def writes(text: str, status: int = 200, kind: str = "application/json") -> Handler:
    async def write(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type=kind)

    return write


async def cuts(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def refusal(api: SlackAPI, method: str = "chat.postMessage") -> SlackError:
    with pytest.raises(SlackError) as error:
        await api.call(method, channel="C1", text="x")
    return error.value


def test_the_sdk_knows_every_method_that_is_called():
    assert [name for name in METHODS if not hasattr(AsyncWebClient, name.replace(".", "_"))] == []


async def test_gives_the_fields_of_the_answer(api, server):
    server.script = [answers(ok=True, ts="1.2")]
    assert await api.call("chat.postMessage", channel="C1", text="x") == {"ok": True, "ts": "1.2"}


# Every code that Slack documents for the methods in use, or that was met with them.
MEANINGS: dict[type[SlackError], str] = {
    SlackTokenRefused: """
        account_inactive invalid_auth not_allowed_token_type not_authed token_expired token_revoked
    """,
    SlackNotAllowed: """
        access_denied cant_delete_message cant_update_message channel_is_limited_access
        channel_not_found channel_type_not_supported edit_window_closed ekm_access_denied
        feature_disabled is_archived is_inactive messages_tab_disabled missing_scope no_permission
        not_agent_app not_authorized not_in_channel org_login_required restricted_action
        restricted_action_non_threadable_channel restricted_action_read_only_channel
        restricted_action_thread_locked restricted_action_thread_only_channel team_access_not_granted
        thread_locked unknown_method user_not_in_channel
    """,
    SlackGone: "cannot_reply_to_message invalid_thread_ts message_not_found thread_not_found",
    SlackUnreachable: "fatal_error internal_error request_timeout service_unavailable team_added_to_org",
    StreamClosed: "message_not_in_streaming_state",
    StreamStopped: "stopped_by_user",
    SlackLimited: "message_limit_exceeded rate_limited ratelimited",
    SlackRefused: """
        already_reacted block_mismatch deprecated_endpoint forbidden_team insecure_request
        invalid_arguments invalid_blocks invalid_blocks_format invalid_chunks invalid_cursor
        invalid_json invalid_metadata_format invalid_name invalid_post_type invalid_status
        json_not_object markdown_text_conflict message_not_owned_by_app metadata_must_be_sent_from_app
        metadata_too_large method_not_supported_for_channel_type missing_args missing_post_type
        missing_recipient_team_id missing_recipient_user_id msg_blocks_too_long msg_blocks_too_many
        msg_too_long no_reaction no_text reserved_username streaming_mode_mismatch
        streaming_state_conflict thread_ts_not_allowed thread_ts_required too_many_reactions
        user_not_found user_not_visible
    """,
}


@pytest.mark.parametrize(
    ("code", "kind"), [(code, kind) for kind, codes in MEANINGS.items() for code in codes.split()]
)
async def test_every_code_of_slack_has_a_meaning(api, server, code, kind):
    server.script = [answers(ok=False, error=code)]
    error = await refusal(api)
    assert (type(error), error.code) == (kind, "ratelimited" if kind is SlackLimited else code)
    assert "chat.postMessage" in str(error)


async def test_a_refused_bot_token_is_known_until_slack_takes_it_again(api, server):
    refused = answers(ok=False, error="token_revoked")
    server.script = [refused, refused, answers(ok=True)]
    with pytest.raises(SlackTokenRefused):
        await api.call("apps.connections.open", app_token="xapp-1")
    assert not api.refused  # that was the other token
    with pytest.raises(SlackTokenRefused):
        await api.call("auth.test")
    assert api.refused
    await api.call("apps.connections.open", app_token="xapp-1")
    assert api.refused
    await api.call("auth.test")
    assert not api.refused


def test_no_meaning_is_given_to_a_code_that_is_not_known():
    assert ERRORS.keys() <= set(" ".join(MEANINGS.values()).split())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"Retry-After": "7"}, 7, id="said"),
        pytest.param({}, 5, id="unsaid"),
        pytest.param({"Retry-After": "soon"}, 5, id="nonsense"),
        pytest.param({"Retry-After": "-1"}, 1, id="negative"),
        pytest.param({"Retry-After": "0"}, 1, id="at once, which would be a loop"),
    ],
)
async def test_a_limit_says_how_long_to_wait(api, server, headers, seconds):
    server.script = [answers(429, headers, ok=False, error="ratelimited")]
    error = await refusal(api)
    assert isinstance(error, SlackLimited)
    assert error.retry_after == seconds


async def test_a_limit_of_a_gateway_is_one_too_and_holds_everybody_back(api, server):
    server.script = [writes("slow down", 429, "text/html")]
    assert isinstance(await refusal(api), SlackLimited)
    assert [api.pacer.may("chat.postMessage"), api.pacer.may("chat.update")] == [False, True]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answers(500, ok=False, error="internal_error"), id="500"),
        pytest.param(answers(503, ok=False, error="channel_not_found"), id="503 with a code"),
        pytest.param(writes("<html>Bad gateway</html>", 502, "text/html"), id="502 in HTML"),
        pytest.param(writes("Bad gateway", 502, "text/plain"), id="502 in plain text"),
        pytest.param(writes("<html>Sign in</html>", 200, "text/html"), id="HTML"),
        pytest.param(writes("ok", 200, "text/plain"), id="plain text"),
        pytest.param(writes("{", 200), id="broken JSON"),
        pytest.param(writes("[1]", 200), id="a JSON list"),
        pytest.param(writes("null", 200), id="JSON of nothing"),
        pytest.param(writes("{}", 200), id="an empty object"),
        pytest.param(cuts, id="reset"),
    ],
)
async def test_without_a_readable_answer_it_is_not_known_whether_the_call_was_carried_out(
    api, server, script
):
    server.script = [script]
    assert type(await refusal(api)) is SlackUnreachable
    assert server.calls == 1


async def test_a_call_that_hangs_is_given_up(server):
    server.script = [answers(ok=True, team_id="T1", user_id="UBOT")] * 2 + [server.hangs]
    at = {"bot_token": "xoxb-1", "app_token": "xapp-1", "api_url": server.url}
    async with connect(**at, timeout=2, paced=True) as slack:
        assert type(await refusal(slack.api)) is SlackUnreachable
    assert server.calls == 3


async def test_where_nobody_listens_slack_is_out_of_reach():
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token="xoxb-1", base_url="http://127.0.0.1:1/api/", session=session, retry_handlers=[]
        )
        assert type(await refusal(SlackAPI(client, Pacer()))) is SlackUnreachable


async def test_repeats_what_a_limit_or_a_lost_answer_stopped(api, server, monkeypatch):
    monkeypatch.setattr(api.pacer, "jitter", lambda: 0.0)
    limited = answers(429, {"Retry-After": "0"}, ok=False, error="ratelimited")
    server.script = [limited, cuts, answers(503), answers(ok=True)]
    assert await api.repeat("chat.update", channel="C1", ts="1.2", text="x") == {"ok": True}
    assert server.calls == 4


async def test_repeats_no_refusal_and_nothing_for_ever(api, server, monkeypatch):
    monkeypatch.setattr(api.pacer, "jitter", lambda: 0.0)
    server.script = [answers(ok=False, error="message_not_found")]
    with pytest.raises(SlackGone):
        await api.repeat("chat.update", channel="C1", ts="1.2", text="x")
    assert server.calls == 1
    server.script = [cuts]
    with pytest.raises(SlackUnreachable):
        await api.repeat("chat.update", channel="C1", ts="1.2", text="x", tries=3)
    assert server.calls == 4
