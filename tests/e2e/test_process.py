"""The process from outside: how it starts, what it says, how it ends."""

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiosqlite
import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.ports import free_port

LONG = "Four score and seven years ago. " * 12
Make = Callable[..., Bobbin]


async def ended(bobbin: Bobbin, *arguments: str) -> tuple[int, str]:
    """Run it until it ends by itself; its exit code and all it printed."""
    code, output, errors = await bobbin.ran(*arguments)
    return code, output + errors


def unforked(bobbin: Bobbin) -> Bobbin:
    """Let it be started as people start it."""
    bobbin.forked = False
    return bobbin


async def logged(bobbin: Bobbin, words: str) -> None:
    """Wait until its log has these words."""
    async with asyncio.timeout(60):
        while words not in (bobbin.folder / "bobbin.log").read_text():  # noqa: ASYNC110  a file tells nobody
            await asyncio.sleep(0.02)


async def get(port: int, path: str, method: str = "GET") -> tuple[int, Any]:
    """Ask the health port; (0, None) where nothing listens."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{port}{path}") as response,
        ):
            body = await response.read()
            return response.status, json.loads(body) if response.content_type == "application/json" else body
    except aiohttp.ClientConnectionError:
        return 0, None


async def becomes(port: int, path: str, status: int, seconds: float = 60, **said: Any) -> Any:
    """Wait until a path answers with this status, and says this; all that it said."""
    async with asyncio.timeout(seconds):
        while True:
            now, body = await get(port, path)
            if now == status and all(body[name] == value for name, value in said.items()):
                return body
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------- settings

WRONG: dict[str, tuple[dict[str, str], list[str]]] = {
    "no tokens": ({"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": " "}, ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"]),
    "nothing at all": (
        {"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": "", "AWS_REGION": ""},
        ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "AWS_REGION"],
    ),
    "tokens changed over": (
        {"SLACK_BOT_TOKEN": "xapp-secret-1", "SLACK_APP_TOKEN": "xoxb-secret-2"},
        ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"],
    ),
    "an address without api": ({"SLACK_API_URL": "http://127.0.0.1:1/"}, ["SLACK_API_URL"]),
    "a database that is none": ({"DATABASE_URL": "mysql://root:secret@db/bobbin"}, ["DATABASE_URL"]),
    "numbers that are none": (
        {"LEASE_SECONDS": "long", "DRAIN_SECONDS": "-1", "MAX_CONCURRENT_ANSWERS": "0", "PORT": "99999"},
        ["LEASE_SECONDS", "DRAIN_SECONDS", "MAX_CONCURRENT_ANSWERS", "PORT"],
    ),
    "words that are none": (
        {"THREAD_REPLIES": "always", "GUESTS": "maybe", "LOG_LEVEL": "LOUD", "SLACK_PACING": "a bit"},
        ["THREAD_REPLIES", "GUESTS", "LOG_LEVEL", "SLACK_PACING"],
    ),
    "names for ids": (
        {"ALLOWED_CHANNELS": "#general", "ALLOWED_USERS": "ann"},
        ["ALLOWED_CHANNELS", "ALLOWED_USERS"],
    ),
    "a token for the signing secret": (
        {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": "xoxb-secret-3"},
        ["SLACK_SIGNING_SECRET"],
    ),
    "several kinds at once": (
        {"SLACK_BOT_TOKEN": "", "DATABASE_URL": "bobbin.db", "MAX_OUTPUT_TOKENS": "many"},
        ["SLACK_BOT_TOKEN", "DATABASE_URL", "MAX_OUTPUT_TOKENS"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_settings_are_all_named_at_once_and_nothing_is_started(
    make: Make, slack: Slack, case: str
) -> None:
    wrong, named = WRONG[case]
    bobbin = make(**wrong)
    bobbin.forked = case != "nothing at all"
    code, output = await ended(bobbin)
    assert code == 78
    lines = [line.strip() for line in output.splitlines()[1:]]
    assert sorted(line.partition(":")[0] for line in lines) == sorted(named)
    assert all(f"for example {line.partition(':')[0]}=" in line for line in lines)
    assert "secret" not in output
    assert "Traceback" not in output
    assert not (bobbin.folder / "bobbin.db").exists()
    assert slack.calls() == []


@pytest.mark.parametrize(
    "refused",
    [("SLACK_BOT_TOKEN",), ("SLACK_APP_TOKEN",), ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")],
    ids=["bot", "app", "both"],
)
async def test_refused_tokens_are_named_and_nothing_is_started(make: Make, refused: tuple[str, ...]) -> None:
    made_up = {"SLACK_BOT_TOKEN": "xoxb-made-up-secret", "SLACK_APP_TOKEN": "xapp-made-up-secret"}
    bobbin = make(**{name: made_up[name] for name in refused})
    code, output = await ended(bobbin)
    assert code == 78
    for name in made_up:
        assert (f"{name}: Slack refuses it (invalid_auth)" in output) == (name in refused)
    assert "made-up-secret" not in output
    assert "Traceback" not in output
    assert not (bobbin.folder / "bobbin.db").exists()


@pytest.mark.parametrize("kind", ["a text", "another program's database"])
async def test_a_foreign_database_is_refused_and_left_as_it_was(make: Make, kind: str) -> None:
    bobbin = make()
    bobbin.forked = kind != "a text"
    path = bobbin.folder / "bobbin.db"
    if kind == "a text":
        path.write_text("Dear diary, " * 500)
    else:
        async with aiosqlite.connect(path) as foreign:
            await foreign.execute("CREATE TABLE precious(thing)")
            await foreign.commit()
    before = path.read_bytes()
    code, output = await ended(bobbin)
    assert code == 78
    assert "DATABASE_URL: " in output
    assert "Traceback" not in output
    assert path.read_bytes() == before


async def test_a_second_process_on_the_same_file_waits_says_so_and_stops(
    bobbin: Bobbin, make: Make, slack: Slack
) -> None:
    second = unforked(make(DATABASE_URL=f"sqlite:///{bobbin.folder / 'bobbin.db'}"))
    code, output = await ended(second)
    assert code == 1
    assert "another process holds the database: waiting" in output
    assert "another Bobbin is using it: stop that one first" in output
    assert "Traceback" not in output
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann)
    thread = await slack.say(ann, channel, "say exactly: still the first")
    assert await bobbin.answered(channel, thread) == ["still the first"]


# ---------------------------------------------------------------- out of reach


async def test_a_slack_out_of_reach_at_the_start_is_retried_until_it_answers(
    bedrock: Bedrock, tmp_path: Path
) -> None:
    slack = Slack()
    port, health = free_port(), free_port()
    slack.workspace.url = f"http://127.0.0.1:{port}"
    bobbin = Bobbin(slack, bedrock, tmp_path, PORT=str(health), HOST="127.0.0.1")
    try:
        await bobbin.begin()
        await logged(bobbin, "Slack is out of reach: trying again")
        assert (await get(health, "/readyz"))[0] == 503
        assert (await get(health, "/healthz"))[0] == 200
        await slack.start(port=port)
        assert await becomes(health, "/readyz", 200) == {
            "ok": True,
            "checks": {"database": True, "slack": True},
        }
        ann = slack.add_person("Ann Lee")
        thread = await slack.say(ann, slack.dm(ann), "say exactly: here")
        assert await bobbin.answered(slack.dm(ann), thread) == ["here"]
        assert await bobbin.stop() == 0
    finally:
        await bobbin.close()
        await slack.close()


@pytest.mark.parametrize("fault", ["http", "html", "ratelimited", "reset_before", "internal_error"])
async def test_a_slack_that_fails_at_the_start_is_retried(make: Make, slack: Slack, fault: str) -> None:
    slack.faults.add("auth.test", fault)
    slack.faults.add("apps.connections.open", fault)
    bobbin = await make().start()
    assert await bobbin.stop() == 0


async def test_it_can_be_told_to_stop_while_slack_is_out_of_reach(make: Make) -> None:
    bobbin = make(SLACK_API_URL=f"http://127.0.0.1:{free_port()}/api/")
    await bobbin.begin()
    await logged(bobbin, "Slack is out of reach: trying again")
    assert await bobbin.stop() == 0


async def test_a_database_that_cannot_be_written_is_retried_until_it_can(make: Make, slack: Slack) -> None:
    health = free_port()
    bobbin = make(PORT=str(health), HOST="127.0.0.1")
    bobbin.settings["DATABASE_URL"] = f"sqlite:///{bobbin.folder}/in/the/way/bobbin.db"
    (bobbin.folder / "in").write_text("a file where a directory is needed")
    await bobbin.begin()
    await logged(bobbin, "the database is out of reach: trying again")
    assert (await get(health, "/readyz"))[0] == 503
    (bobbin.folder / "in").unlink()
    await becomes(health, "/readyz", 200)
    assert (bobbin.folder / "in" / "the" / "way" / "bobbin.db").stat().st_mode & 0o777 == 0o600
    assert await bobbin.stop() == 0


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_an_idle_process_ends_at_once_when_told(make: Make, number: signal.Signals) -> None:
    bobbin = await unforked(make(DRAIN_SECONDS="300")).start()
    assert await bobbin.stop(number) == 0  # which does not wait for so long
    assert bobbin.log[-1]["event"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_an_answer_under_way_is_finished_first(
    make: Make, slack: Slack, bedrock: Bedrock, number: signal.Signals
) -> None:
    bobbin = await make(DRAIN_SECONDS="30").start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    bedrock.pace = 0.06
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await slack.wait_for(lambda: bobbin.answers(channel, thread))
    assert await bobbin.stop(number) == 0
    assert [shown(message).strip() for message in bobbin.finished(channel, thread)] == [LONG.strip()]
    assert slack.status(channel, thread).status == "active"


@pytest.mark.parametrize("moment", ["thinking", "streaming"])
async def test_an_answer_longer_than_the_drain_goes_on_after_the_next_start(
    make: Make, slack: Slack, bedrock: Bedrock, moment: str
) -> None:
    bobbin = await unforked(make(DRAIN_SECONDS="10")).start()  # in whose last quarter it gives back
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    bedrock.pace = 1
    if moment == "thinking":
        bedrock.hold()
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}")
    await bedrock.wait_for(lambda it: it.open == 1)
    if moment == "streaming":
        await slack.wait_for(lambda: bobbin.answers(channel, thread))
    assert await bobbin.stop() == 0
    half = bobbin.answers(channel, thread)
    assert bobbin.finished(channel, thread) == half
    assert len(half) == (moment == "streaming")
    assert slack.status(channel, thread).status == "active"
    bedrock.pace = 0
    bedrock.release()
    await bobbin.start()
    await slack.wait_for(
        lambda: [shown(m).strip() for m in bobbin.finished(channel, thread)] == [LONG.strip()]
    )
    if half:
        assert [message["ts"] for message in bobbin.answers(channel, thread)] == [half[0]["ts"]]
    assert await bobbin.stop() == 0
    assert await bobbin.rows("SELECT state, deaths FROM turn WHERE seq > 0") == [("answered", 0)]


# ---------------------------------------------------------------- the rest


async def test_the_manifest_is_printed_without_any_setting(make: Make) -> None:
    bobbin = unforked(make(SLACK_BOT_TOKEN="", SLACK_APP_TOKEN="", AWS_REGION=""))
    code, output = await ended(bobbin, "manifest")
    assert code == 0
    assert json.loads(output)["settings"]["socket_mode_enabled"] is True


async def test_health_is_served_where_a_port_is_set_and_nothing_else(make: Make, slack: Slack) -> None:
    health = free_port()
    bobbin = await make(PORT=str(health), HOST="127.0.0.1").start()
    assert (await becomes(health, "/readyz", 200))["ok"] is True
    status, body = await get(health, "/healthz")
    assert status == 200
    assert body["ok"] is True
    assert set(body["checks"]) >= {"dispatch", "socket", "sweep"}
    for path in ("/", "/metrics", "/slack/events", "/health", "/readyz/x", "/favicon.ico", "/../bobbin.db"):
        assert (await get(health, path))[0] == 404, path
    for path in ("/healthz", "/readyz"):
        assert (await get(health, path, "POST"))[0] == 405
    await slack.disconnect(None)
    assert await bobbin.stop() == 0
    assert await get(health, "/healthz") == (0, None)


async def test_readiness_follows_slack(make: Make, slack: Slack) -> None:
    health = free_port()
    bobbin = await make(PORT=str(health), HOST="127.0.0.1").start()
    await becomes(health, "/readyz", 200)
    slack.faults.add("auth.test", "http", status=503, times=None)
    await becomes(health, "/readyz", 503, checks={"database": True, "slack": False})
    assert (await get(health, "/healthz"))[0] == 200
    slack.faults.clear()
    await becomes(health, "/readyz", 200)
    assert await bobbin.stop() == 0


async def test_no_secret_and_no_word_of_people_is_in_the_log(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = make(AWS_SECRET_ACCESS_KEY="aws-very-secret", AWS_SESSION_TOKEN="aws-session-secret")
    await unforked(bobbin).start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    bedrock.faults.add("throttled")
    slack.faults.add("chat.startStream", "internal_error")
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: the password is swordfish")
    await bobbin.answered(channel, thread)
    slack.deliver_raw({"type": "message", "text": "swordfish", "channel": 7})
    await logged(bobbin, "an event could not be read")
    await slack.disconnect("refresh_requested")
    await slack.wait_for(lambda: slack.connected == 1)
    assert await bobbin.stop() == 0
    log = (bobbin.folder / "bobbin.log").read_text()
    for word in (slack.bot_token, slack.app_token, "very-secret", "session-secret", "swordfish", "Ann Lee"):
        assert word not in log, word
