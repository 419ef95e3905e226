"""What whoever runs Bobbin sees when something is wrong, as docs/operations.md says it."""

from collections.abc import Callable

from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene
from tests.e2e.test_errors import failed, visible
from tests.e2e.test_process import becomes, free_port, get

Make = Callable[..., Bobbin]


def told(bobbin: Bobbin, event: str) -> list[dict[str, object]]:
    return [line for line in bobbin.log if line["event"] == event]


async def test_a_token_that_is_revoked_while_it_runs_is_told_and_a_new_one_goes_on(
    make: Make, slack: Slack
) -> None:
    health = free_port()
    bobbin = await make(PORT=str(health), HOST="127.0.0.1").start()
    await becomes(health, "/readyz", 200)
    scene = Scene(bobbin)
    methods = ("auth.test", "chat.startStream", "chat.postMessage", "assistant.threads.setStatus")
    for method in methods:
        slack.faults.add(method, "token_revoked", times=None)
    thread = await scene.mention("say exactly: after all")
    await scene.acked()
    assert (await becomes(health, "/readyz", 503))["checks"] == {"database": True, "slack": False}
    assert (await get(health, "/healthz"))[0] == 200
    assert told(bobbin, "Slack refuses the token: set a valid one and start me again")
    await slack.wait_for(lambda: told(bobbin, "turn ended"))
    (line,) = told(bobbin, "turn failed")
    assert line["kind"] == "SlackTokenRefused"
    assert scene.answers(thread) == []
    slack.faults.clear()
    await bobbin.stop()
    await bobbin.start()
    await becomes(health, "/readyz", 200)
    await scene.mention("say exactly: here I am", thread=thread)
    assert await scene.answered(thread) == ["here I am"]


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
