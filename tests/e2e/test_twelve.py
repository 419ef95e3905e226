"""The twelve things of docs/operations.md, each in a running Bobbin, explained by `why` or `doctor` alone.

What the command prints names the cause and the next step: no log is read, and nothing else is asked.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web_response
from multidict import CIMultiDict

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.sandbox.slack.arguments import Method
from bot.slack.api import METHODS
from tests.chaos import test_bedrock_faults
from tests.chaos.test_database_faults import failing, keeping, moved, read_only
from tests.e2e import test_errors
from tests.e2e.books import change, spend
from tests.e2e.conftest import Bobbin
from tests.e2e.doctor import PATIENT, PROFILE, ControlPlane, examined, run
from tests.e2e.scene import Scene
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_process import becomes, ended, logged
from tests.e2e.test_window import thread_of, turn
from tests.ports import free_port

Make = Callable[..., Bobbin]

BOT_METHODS = [method for method in METHODS if method != "apps.connections.open"]

DEAF = """
import sys
import bot.slack.socket
from bot.__main__ import main

bot.slack.socket.PING_SECONDS, bot.slack.socket.PINGS_UNANSWERED = 0.3, 10**6
sys.exit(main())
"""
"""A socket that is deaf stays so: what lasts some seconds each time lasts for the length of the test."""


@pytest.fixture
async def aws() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as aws:
        yield aws


@pytest.fixture
def patient(make: Make, aws: ControlPlane) -> Make:
    """Make a Bobbin that would start, and of which AWS's control plane is asked here."""
    return lambda **settings: make(**(aws.settings | settings))


async def failed(bobbin: Bobbin, channel: str, thread: str) -> None:
    """Wait until a question has ended in an error, and its turn is closed in the database too."""
    await test_errors.failed(bobbin, channel, thread)
    await at_rest(bobbin)


async def why(bobbin: Bobbin, what: str, *, code: int = 0) -> tuple[str, str]:
    """Ask `why` as a process of its own: the cause, and the next step."""
    other = Bobbin(bobbin.slack, bobbin.bedrock, bobbin.folder, **bobbin.settings)
    found, told = await ended(other, "why", what)
    assert found == code, told
    _, _, end = told.partition("\nwhy    ")
    cause, _, todo = end.partition("\nnext   ")
    assert cause, told
    return cause, todo


async def told_of(bobbin: Bobbin, scene: Scene, thread: str, words: str) -> str:
    """Wait until `why` names this cause; the next step."""
    answer = await why(bobbin, f"{scene.channel}/{thread}")
    async with asyncio.timeout(60):
        while words not in answer[0]:
            answer = await why(bobbin, f"{scene.channel}/{thread}")
    return answer[1]


async def doctor(bobbin: Bobbin, name: str, outcome: str = "failed") -> tuple[str, str]:
    """Ask the doctor as a process of its own: what it found of a thing, and the next step."""
    check = (await examined(bobbin))[name]
    assert check["outcome"] == outcome, check
    return check["found"], check["todo"]


async def health(make: Make, **settings: str) -> tuple[Bobbin, int]:
    """A Bobbin, not started, that serves its health, and on which port."""
    port = free_port()
    return make(PORT=str(port), HOST="127.0.0.1", **settings), port


async def test_1_the_token_is_refused(patient: Make, slack: Slack, bedrock: Bedrock) -> None:
    bobbin = await patient().start()
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("Hello")
    await bedrock.wait_for(lambda it: it.open == 1)
    for method in BOT_METHODS:
        slack.faults.add(method, "token_revoked", times=None)
    bedrock.release()
    todo = await told_of(bobbin, scene, thread, "Slack refuses the bot token: it is revoked, expired")
    assert "set the new SLACK_BOT_TOKEN, start Bobbin again" in todo
    found, todo = await doctor(bobbin, "slack bot token")
    assert "Slack refuses it (token_revoked)" in found
    assert "copy the Bot User OAuth Token" in todo


async def test_2_a_scope_is_missing(patient: Make, slack: Slack) -> None:
    bobbin = await patient().start()
    slack.workspace.scopes.discard("files:read")
    found, todo = await doctor(bobbin, "slack scopes", "warning")
    assert "files:read (to read the files" in found
    assert "python -m bot manifest" in todo
    assert "Reinstall" in todo


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
async def test_3_bobbin_is_not_in_the_channel(bobbin: Bobbin, *, private: bool) -> None:
    scene = Scene(bobbin, private=private, bot_member=False)
    thread = await scene.mention("say exactly: thank you")
    await scene.heard()
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}", code=1)
    assert ("is in: it is private" if private else "Bobbin is not in the channel") in cause
    assert todo.startswith("/invite @bobbin")
    await scene.slack.invite_bot(scene.ann, scene.channel)
    assert await scene.answered(thread) == ["thank you"]
    await at_rest(bobbin)
    assert await why(bobbin, f"{scene.channel}/{thread}") == ("Answered.\n", "")


async def test_4_the_model_is_closed_or_there_is_none(patient: Make, bedrock: Bedrock) -> None:
    bobbin = await patient(BEDROCK_MODEL_ID="us.anthropic.claude-sonet-5-5").start()
    scene = Scene(bobbin)
    thread = await scene.mention("Hello")
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert "no such model or profile in this region" in cause
    assert "BEDROCK_MODEL_ID" in todo
    found, todo = await doctor(bobbin, "model offered")
    assert "no profile of this region" in found
    assert f"nearest to it: {PROFILE}" in todo

    assert await bobbin.stop() == 0
    bobbin.settings["BEDROCK_MODEL_ID"] = PROFILE
    await bobbin.start()
    thread = await scene.mention("fail no_access")
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert "may not use the model" in cause
    assert "open the model once in the Bedrock console" in todo
    bedrock.faults.add("no_access", times=None)
    found, todo = await doctor(bobbin, "model answers")
    assert "AccessDeniedException" in found
    assert "open the model to the account" in todo


async def test_5_bedrock_throttles_for_long(patient: Make, bedrock: Bedrock) -> None:
    bobbin = patient()
    bobbin.command = [sys.executable, "-c", test_bedrock_faults.START]
    await bobbin.start()
    scene = Scene(bobbin)
    bedrock.faults.add("throttled", times=None)
    thread = await scene.mention("Hello")
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert cause.startswith("Bedrock throttled the model for longer than Bobbin asks again")
    assert "raise this account's quotas" in todo
    bobbin.command = [sys.executable, "-m", "bot"]
    found, todo = await doctor(bobbin, "model answers", "warning")
    assert "ThrottlingException" in found
    assert "Service Quotas" in todo


async def test_6_a_budget_is_spent(patient: Make) -> None:
    bobbin = await patient(BUDGET_TEAM_MONTHLY_USD="1").start()
    scene = Scene(bobbin)
    await spend(bobbin, scene.ben, 2)
    thread = await scene.mention("Hello")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ann))
    await logged(bobbin, "turn ended")
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert "The workspace's budget for the month is spent" in cause
    assert "raise BUDGET_TEAM_MONTHLY_USD" in todo
    found, todo = await doctor(bobbin, "budget")
    assert "2.00 of 1.00 USD spent this month: nobody is answered" in found
    assert "raise BUDGET_TEAM_MONTHLY_USD" in todo


@pytest.mark.parametrize("how", ["full", "read-only", "gone"])
async def test_7_the_disk_is_full_read_only_or_gone(tmp_path: Path, how: str) -> None:
    (folder := tmp_path / "data").mkdir()
    put_in = {"full": failing, "read-only": read_only, "gone": moved}[how]
    async with ControlPlane() as aws, keeping(folder) as (bobbin, port):
        bobbin.settings |= aws.settings
        await bobbin.start()
        await becomes(port, "/readyz", 200)
        other = Bobbin(bobbin.slack, bobbin.bedrock, folder, **bobbin.settings)
        async with put_in(bobbin):
            await becomes(port, "/readyz", 503)
            folder.mkdir(exist_ok=True)
            # A full disk is full for the doctor too.
            limit = 'ulimit -f 0; exec "$@"' if how == "full" else 'exec "$@"'
            other.command = ["bash", "-c", limit, "bobbin", sys.executable, "-c", PATIENT]
            code, told, errors = await other.run("doctor", "--json")
            assert code == 1, errors
            found = {check["name"]: check for check in json.loads(told)["checks"]}
            assert found["running bobbin"]["outcome"] == "failed"
            assert found["running bobbin"]["found"] == "its database takes no write"
            assert "free its disk, put its files back, let its user" in found["running bobbin"]["todo"]
            if how == "full":
                assert f"nothing can be written to {folder}" in found["disk space"]["found"]
                assert "free some space" in found["disk space"]["todo"]
            for file in folder.glob("*") if how == "gone" else ():
                file.unlink()
            if how == "gone":
                folder.rmdir()


async def test_8_a_second_process_on_the_same_file(patient: Make) -> None:
    bobbin = await patient().start()
    assert "second process" not in await examined(bobbin)
    second = patient(DATABASE_URL=f"sqlite:///{bobbin.folder / 'bobbin.db'}")
    await second.begin()
    await logged(second, "another process holds the database: waiting")
    assert bobbin.process is not None
    assert second.process is not None
    machine = os.uname().nodename
    found, todo = await doctor(bobbin, "second process", "warning")
    assert found.startswith(f"{machine}:{second.process.pid} wanted {bobbin.folder / 'bobbin.db'} too, at ")
    assert found.endswith(f"while {machine}:{bobbin.process.pid} has it")
    assert todo.startswith("stop one of the two")
    await bobbin.stop()
    await logged(second, "ready")
    assert "second process" not in await examined(second)


async def test_9_the_clock_is_wrong(patient: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    bobbin = await patient().start()
    scene = Scene(bobbin)
    thread = await scene.mention("fail bad_signature")
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert "InvalidSignatureException" in cause
    assert "the clock is wrong" in todo
    assert "python -m bot doctor" in todo

    prepare = web_response.StreamResponse._prepare_headers

    async def dated(response: web_response.StreamResponse) -> None:
        headers: CIMultiDict[str] = response.headers
        headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 400))
        await prepare(response)

    monkeypatch.setattr(web_response.StreamResponse, "_prepare_headers", dated)
    found, todo = await doctor(bobbin, "clock")
    assert "seconds fast" in found
    assert "timedatectl set-ntp true" in todo


async def test_10_the_socket_is_deaf(patient: Make, slack: Slack) -> None:
    bobbin, port = await health(patient)
    bobbin.command = [sys.executable, "-c", DEAF]
    await bobbin.start()
    bobbin.command = [sys.executable, "-m", "bot"]
    await becomes(port, "/readyz", 200)
    slack.half_open()
    await becomes(port, "/readyz", 503)
    found = await examined(bobbin)
    assert found["slack bot token"]["outcome"] == found["slack socket"]["outcome"] == "ok"
    assert found["running bobbin"]["outcome"] == "failed"
    assert "no event comes in" in found["running bobbin"]["found"]
    assert "its socket is deaf" in found["running bobbin"]["todo"]


async def test_10_a_proxy_stands_in_the_way_of_the_socket(patient: Make, slack: Slack) -> None:
    bobbin = await patient().start()
    scene = Scene(bobbin)
    await scene.joined()
    nowhere = {"url": "ws://127.0.0.1:1/link/?ticket=used"}
    slack._api._methods["apps.connections.open"] = Method(lambda _w, _a: nowhere)
    await slack.disconnect(None)
    await logged(bobbin, "no new socket: trying again")
    found, todo = await doctor(bobbin, "slack socket")
    assert "it does not open" in found
    assert "WebSockets to Slack (wss, port 443, proxy)" in todo

    thread = await scene.mention("say exactly: heard")
    ten_minutes_ago = int((time.time() - 600) * 1000)
    await change(bobbin, "UPDATE heard SET heard_at = ?", ten_minutes_ago)
    found, todo = await doctor(bobbin, "running bobbin")
    assert "no event could come in for 10 minutes" in found
    assert "WebSockets" in todo
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}", code=1)
    assert "No running Bobbin has heard this workspace for 10 min" in cause
    assert "the socket to Slack is not open" in todo


async def test_11_a_thread_or_a_message_is_too_long(bobbin: Bobbin, bedrock: Bedrock) -> None:
    scene = Scene(bobbin)
    thread = await thread_of(scene, 6)
    bedrock.window = 1_500
    await turn(scene, thread, "And now?", 7)
    await at_rest(bobbin)
    newest = scene.slack.thread(scene.channel, thread)[-1]["ts"]
    _, told = await ended(bobbin, "why", f"{scene.channel}/{newest}")
    assert "the oldest part was condensed" in told
    assert "why    Answered." in told

    bedrock.window = 50
    thread = await scene.mention("What's 1+1?")
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert cause.startswith("One message alone, with its files, is more than the model reads")
    assert todo.startswith("send less of it")


async def test_11_a_message_kills_the_process(make: Make, bedrock: Bedrock) -> None:
    bobbin = await make(LEASE_SECONDS="3", RECOVERY_SETTLE_SECONDS="1").start()
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("Hello")
    for death in range(5):
        await bedrock.wait_for(lambda it: it.open == 1)
        await bobbin.kill()
        await bedrock.wait_for(lambda it: it.open == 0)
        if death == 0:
            todo = await told_of(bobbin, scene, thread, "gives no sign of life: it died or was frozen")
            assert "if none does, none runs" in todo
        await bobbin.start()
    await failed(bobbin, scene.channel, thread)
    cause, todo = await why(bobbin, f"{scene.channel}/{thread}")
    assert cause.startswith("The process died five times while it worked on this turn.")
    assert "memory (kernel log, OOM)" in todo


async def test_12_slack_is_out(patient: Make, slack: Slack, bedrock: Bedrock) -> None:
    bobbin = await patient().start()
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("say exactly: after all")
    await bedrock.wait_for(lambda it: it.open == 1)
    faults = [slack.faults.add(method, "http", status=503, times=None) for method in BOT_METHODS]
    bedrock.release()
    await logged(bobbin, "turn put off")
    await told_of(bobbin, scene, thread, "Slack was out of reach or limits us")
    assert await bobbin.rows("SELECT deaths FROM turn") == [(0,)]  # it was given back, while it was leased
    found, todo = await doctor(bobbin, "slack bot token")
    assert "no answer" in found
    assert "https://slack-status.com" in todo
    for fault in faults:
        fault.times = 0
    await scene.shows(thread, ["after all"])


async def test_none_of_the_twelve_is_found_where_all_is_well(patient: Make) -> None:
    bobbin, port = await health(patient)
    await bobbin.start()
    await becomes(port, "/readyz", 200)
    code, told = await run(bobbin)
    assert code == 0, told
    assert "running bobbin" in told
    assert "it is ready" in told
    assert await bobbin.stop() == 0
    assert "none runs on this database" in (await run(bobbin))[1]
