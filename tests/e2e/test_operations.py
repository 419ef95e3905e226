"""What whoever runs Bobbin sees when something is wrong, as docs/operations.md says it."""

import asyncio
from collections.abc import Callable

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_errors import failed, visible
from tests.e2e.test_process import LONG, becomes, get, logged
from tests.ports import free_port

Make = Callable[..., Bobbin]


def told(bobbin: Bobbin, event: str) -> list[dict[str, object]]:
    return [line for line in bobbin.log if line["event"] == event]


async def test_a_token_that_is_revoked_in_mid_answer_is_told_and_with_a_new_one_all_is_answered(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    health = free_port()
    bobbin = await make(PORT=str(health), HOST="127.0.0.1").start()
    await becomes(health, "/readyz", 200)
    scene = Scene(bobbin)
    bedrock.pace = 0.5
    thread = await scene.mention(f"say exactly: {LONG}")
    await slack.wait_for(lambda: scene.answers(thread))
    [half] = scene.answers(thread)
    slack._api.bot_token = "xoxb-renewed"  # the one that Bobbin has is good no more
    assert (await becomes(health, "/readyz", 503))["checks"] == {"database": True, "slack": False}
    assert (await get(health, "/healthz"))[0] == 200
    await logged(bobbin, "turn put off")
    assert told(bobbin, "Slack refuses the token: set a valid one and start me again")
    other = await scene.mention("say exactly: after all")  # it is still heard, and kept
    await scene.acked()
    asked, calls, began = len(scene.requests), len(slack.calls()), asyncio.get_running_loop().time()
    await asyncio.sleep(3)  # the measure is calls a second
    elapsed = asyncio.get_running_loop().time() - began
    assert len(slack.calls()) - calls < 5 * elapsed
    assert len(scene.requests) == asked  # nobody pays for what cannot be shown
    assert not told(bobbin, "turn failed")
    assert not scene.answers(other)

    assert await bobbin.stop() == 0
    slack.bot_token = slack._api.bot_token
    bedrock.pace = 0
    await bobbin.start()
    await scene.shows(thread, [LONG.strip()])
    assert [message["ts"] for message in scene.answers(thread)] == [half["ts"]]
    assert await scene.answered(other) == ["after all"]
    await at_rest(bobbin)
    assert await bobbin.rows("SELECT DISTINCT state, deaths FROM turn") == [("answered", 0)]
    await becomes(health, "/readyz", 200)


async def test_a_missing_scope_a_refused_signature_and_a_channel_without_it_are_told(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    scene.slack.workspace.scopes.discard("users:read")
    await scene.answered(await scene.mention("Hello"))
    (line,) = told(bobbin, "a scope is missing: add it, install the app again")[:1]
    assert (line["method"], line["scope"]) == ("users.info", "users:read")
    scene.slack.workspace.scopes.add("users:read")

    thread = await scene.mention("fail bad_signature")
    seen = visible(await failed(bobbin, scene.channel, thread))
    assert "My AWS credentials are missing or have expired" in seen
    (line,) = told(bobbin, "turn failed")
    assert line["kind"] == "BadCredentials"
    assert "InvalidSignatureException" in str(line["error"])

    scene.channel = scene.slack.add_channel("closed", members=(scene.ann,), bot_member=False)
    events = len(told(bobbin, "event"))
    thread = await scene.mention("say exactly: thank you")
    await scene.heard()
    assert scene.answers(thread) == []
    assert len(told(bobbin, "event")) > events  # that of the witness
    await scene.slack.invite_bot(scene.ann, scene.channel)
    assert await scene.answered(thread) == ["thank you"]
