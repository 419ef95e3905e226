"""`python -m bot doctor` as a process: what can be wrong with settings, Slack, the database; what it says."""

import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiosqlite
import pytest
from aiohttp import web, web_response
from multidict import CIMultiDict

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack, socket_mode
from bot.sandbox.slack.arguments import Method
from tests.e2e.conftest import Bobbin, by_requests
from tests.e2e.doctor import PROFILE, ControlPlane, Expected, as_expected, examined, failed, run
from tests.e2e.test_process import becomes

Make = Callable[..., Bobbin]


@pytest.fixture
async def aws() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as aws:
        yield aws


@pytest.fixture
def patient(make: Make, aws: ControlPlane) -> Make:
    """Make a Bobbin that would start, but for these settings."""
    return lambda **settings: make(**(aws.settings | settings))


async def test_all_is_well_where_bobbin_would_start_and_nothing_is_changed_by_asking(
    patient: Make, slack: Slack
) -> None:
    bobbin = patient()
    code, output = await run(bobbin)
    assert code == 0, output
    lines = [line for line in output.splitlines() if line and not line.startswith(" ")]
    assert {line.split()[0] for line in lines[:-1]} <= {"ok", "warning", "skipped"}
    for words in (
        f"bobbin ({slack.bot_user_id}) in Sandbox",
        "arn:aws:iam::123456789012:user/bobbin",
        f"{PROFILE} is a profile of this region",
        "window 1,000,000 tokens",
        "the first start makes it",
    ):
        assert words in output
    assert not (bobbin.folder / "bobbin.db").exists()
    assert slack.connected == 0
    assert {call.name for call in slack.calls() if (call.result or {}).get("ok")} == {
        "auth.test",
        "apps.connections.open",
    }


# ---------------------------------------------------------------- settings


async def test_every_wrong_setting_is_a_failed_check_and_what_needs_them_is_skipped(patient: Make) -> None:
    found = await examined(patient(SLACK_BOT_TOKEN="", LOG_LEVEL="LOUD", DATABASE_URL="mysql://root:x@db/b"))
    assert failed(found) == {"SLACK_BOT_TOKEN", "LOG_LEVEL", "DATABASE_URL"}
    assert "root:x" not in str(found)
    assert {found[name]["outcome"] for name in ("slack", "aws", "database")} == {"skipped"}


async def test_without_usable_tokens_the_rest_is_examined_all_the_same(patient: Make) -> None:
    found = await examined(patient(SLACK_BOT_TOKEN="xapp-changed-over", SLACK_APP_TOKEN="", AWS_REGION=""))
    assert failed(found) == {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "AWS_REGION"}
    assert found["slack"]["outcome"] == "skipped"
    assert found["database"]["outcome"] == "ok"


# ---------------------------------------------------------------- Slack


def answer(slack: Slack, method: str, fields: dict[str, Any]) -> None:
    """Let a method answer so from now on."""
    slack._api._methods[method] = Method(lambda _w, _a: fields)


def of_two_apps(slack: Slack) -> None:
    answer(slack, "bots.info", {"bot": {"app_id": "A0THEIRS"}})
    answer(slack, "apps.connections.open", {"url": f"{slack._sockets.ticket()}&app_id=A0OURS"})


BAD_SLACK: dict[str, tuple[dict[str, str], Callable[[Slack], Any], Expected]] = {
    "both tokens made up": (
        {"SLACK_BOT_TOKEN": "xoxb-made-up", "SLACK_APP_TOKEN": "xapp-made-up"},
        lambda _: None,
        {
            "slack bot token": ("failed", "invalid_auth", "OAuth & Permissions"),
            "slack app token": ("failed", "invalid_auth", "Basic Information"),
            "slack scopes": ("skipped", "first", ""),
            "slack socket": ("skipped", "first", ""),
        },
    ),
    "the app was removed; the app token lacks its scope": (
        {},
        lambda slack: (
            slack.faults.add("auth.test", "account_inactive"),
            slack.faults.add("apps.connections.open", "missing_scope"),
        ),
        {
            "slack bot token": ("failed", "account_inactive", "install it again"),
            "slack app token": ("failed", "missing_scope", "connections:write"),
        },
    ),
    "Slack fails": (
        {},
        lambda slack: (
            slack.faults.add("auth.test", "html"),
            slack.faults.add("apps.connections.open", "internal_error"),
        ),
        {
            "slack bot token": ("failed", "no answer", "slack-status.com"),
            "slack app token": ("failed", "internal_error", "slack-status.com"),
        },
    ),
    "Slack limits": (
        {},
        lambda slack: (
            slack.faults.add("auth.test", "ratelimited"),
            slack.faults.add("apps.connections.open", "reset_before"),
        ),
        {
            "slack bot token": ("warning", "limits", "a minute"),
            "slack app token": ("failed", "no answer", "network"),
        },
    ),
    "Slack is out of reach": (
        {"SLACK_API_URL": "http://127.0.0.1:1/api/"},
        lambda _: None,
        {
            "slack bot token": ("failed", "ClientConnectorError", "network"),
            "slack app token": ("failed", "ClientConnectorError", "network"),
        },
    ),
    "a scope that all depends on is missing": (
        {},
        lambda slack: slack.workspace.scopes.discard("app_mentions:read"),
        {
            "slack scopes": ("failed", "app_mentions:read", "Reinstall"),
            "slack events": ("failed", "app_mention", "Reinstall"),
        },
    ),
    "scopes of features are missing": (
        {},
        lambda slack: slack.workspace.scopes.difference_update(
            {"files:read", "im:history", "assistant:write"}
        ),
        {
            "slack scopes": ("warning", "files:read (to read the files", "manifest"),
            "slack events": ("warning", "message.im", "manifest"),
            "slack agent": ("warning", "missing_scope", "manifest"),
            "slack app token": ("ok", "", ""),
        },
    ),
    "the app is no agent": (
        {},
        lambda slack: setattr(slack.workspace, "agent", False),
        {"slack agent": ("warning", "not_agent_app", "manifest")},
    ),
    "the plan has no agents": (
        {},
        lambda slack: slack.faults.add("assistant.threads.setSuggestedPrompts", "feature_disabled"),
        {"slack agent": ("warning", "plan", "answers come")},
    ),
    "the socket does not open": (
        {},
        lambda slack: answer(slack, "apps.connections.open", {"url": "ws://127.0.0.1:1/link/?ticket=used"}),
        {"slack socket": ("failed", "does not open", "WebSockets")},
    ),
    "the tokens are of two apps": (
        {},
        of_two_apps,
        {"slack app": ("failed", "A0THEIRS", "one app")},
    ),
    "a person's token": (
        {},
        lambda slack: answer(slack, "auth.test", {"user": "ann", "user_id": "U0ANN"}),
        {"slack bot token": ("failed", "a person's", "Bot User OAuth Token")},
    ),
}


@pytest.mark.parametrize("case", BAD_SLACK)
async def test_what_is_wrong_with_slack_is_named_with_its_remedy(
    patient: Make, slack: Slack, case: str
) -> None:
    settings, spoil, expected = BAD_SLACK[case]
    spoil(slack)
    as_expected(await examined(patient(**settings)), expected)


@pytest.mark.parametrize(
    ("reason", "todo"),
    [
        ("too_many_websockets", "stop what else"),
        ("link_disabled", "Socket Mode"),
        ("refresh_requested", "WebSockets"),
    ],
)
async def test_a_socket_that_slack_closes_says_why(
    patient: Make, monkeypatch: pytest.MonkeyPatch, reason: str, todo: str
) -> None:
    monkeypatch.setattr(socket_mode, "MAX_SOCKETS", 0)
    monkeypatch.setattr(socket_mode, "_farewell", lambda _: {"type": "disconnect", "reason": reason})
    as_expected(await examined(patient()), {"slack socket": ("failed", "", todo)})


async def test_others_who_listen_with_the_same_token_are_noticed(patient: Make, slack: Slack) -> None:
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(slack._sockets.ticket()) for _ in range(2)]
        await slack.wait_for(lambda: slack.connected == len(sockets))
        as_expected(
            await examined(patient()), {"slack socket": ("warning", "2 more", "stop what else uses this app")}
        )


@pytest.mark.parametrize(("ahead", "outcome"), [(120, "warning"), (3600, "failed")])
async def test_a_wrong_clock_is_noticed_by_the_servers_answers(
    patient: Make, monkeypatch: pytest.MonkeyPatch, ahead: float, outcome: str
) -> None:
    prepare = web_response.StreamResponse._prepare_headers

    async def dated(response: web.StreamResponse) -> None:
        headers: CIMultiDict[str] = response.headers
        headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - ahead))
        await prepare(response)

    monkeypatch.setattr(web_response.StreamResponse, "_prepare_headers", dated)
    as_expected(await examined(patient()), {"clock": (outcome, "seconds fast", "NTP")})


async def test_where_everything_hangs_the_doctor_still_ends(
    patient: Make, slack: Slack, bedrock: Bedrock, aws: ControlPlane
) -> None:
    for method in ("auth.test", "apps.connections.open"):
        slack.faults.add(method, "hang", seconds=60)
    bedrock.faults.add("stall", seconds=60)
    aws.hangs = True
    found = await examined(patient(), patient=False)
    assert failed(found) >= {"slack bot token", "slack app token"}
    # On a slow machine AWS's checks are given up as one.
    assert failed(found) & {"model answers", "aws"}
    assert all("no answer within" in found[name]["found"] for name in failed(found))
    assert {found[name]["outcome"] for name in ("database", "settings")} == {"ok"}
    assert found["clock"]["outcome"] == "skipped"


# ---------------------------------------------------------------- database, budget


async def spoiled(folder: Path, *statements: str) -> None:
    async with aiosqlite.connect(folder / "bobbin.db", isolation_level=None) as database:
        for statement in statements:
            await database.execute(statement)


async def test_a_database_that_another_bobbin_has_open_is_read_and_its_budget_told(patient: Make) -> None:
    bobbin = await patient(BUDGET_TEAM_MONTHLY_USD="off").start()
    ann = bobbin.slack.add_person("Ann Lee")
    dm = bobbin.slack.dm(ann)
    await bobbin.answered(dm, await bobbin.slack.say(ann, dm, "Hello"))
    found = await examined(bobbin)
    assert bobbin.process is not None
    assert (
        f"in use by a running Bobbin ({os.uname().nodename}:{bobbin.process.pid})"
        in found["database"]["found"]
    )
    assert found["running bobbin"]["outcome"] == "ok"
    assert "second process" not in found
    assert "a running Bobbin" in found["slack socket"]["found"]
    assert found["budget"]["outcome"] == "ok"
    assert "no cap" in found["budget"]["found"]
    assert failed(found) == set()
    assert await bobbin.stop() == 0
    await spoiled(bobbin.folder, "UPDATE call SET micro_usd = 9000000")
    for cap, outcome in (("100", "ok"), ("10", "warning"), ("9", "failed")):
        bobbin.settings["BUDGET_TEAM_MONTHLY_USD"] = cap
        found = await examined(bobbin)
        assert found["budget"]["outcome"] == outcome
        assert f"9.00 of {cap}.00 USD" in found["budget"]["found"]
    assert "writable" in found["database"]["found"]


@pytest.mark.parametrize(
    "case", ["no database", "another program's", "newer", "damaged", "a folder", "no folder", "no address"]
)
async def test_a_database_that_will_not_carry_bobbin_is_named(patient: Make, case: str) -> None:
    bobbin = patient()
    path = bobbin.folder / "bobbin.db"
    match case:
        case "no database":
            path.write_text("Dear diary, " * 100)
        case "another program's":
            await spoiled(bobbin.folder, "CREATE TABLE theirs(x)")
        case "newer":
            await bobbin.start()
            await bobbin.stop()
            await spoiled(bobbin.folder, "PRAGMA user_version = 999")
        case "damaged":
            await bobbin.start()
            await bobbin.stop()
            pages = bytearray(path.read_bytes())
            pages[4096 : 4096 * 6] = b"\xff" * (4096 * 5)
            path.write_bytes(pages)
        case "a folder":
            path.mkdir()
        case "no folder":
            bobbin.settings["DATABASE_URL"] = "sqlite:////dev/null/bobbin.db"
        case "no address":
            bobbin.settings["DATABASE_URL"] = "postgresql://bobbin:%zz@db.example.com/bobbin"
    found = await examined(bobbin)
    assert failed(found) == {"database"}
    assert "fault of Bobbin" not in found["database"]["todo"]


async def test_a_database_that_others_can_read_is_closed_and_said(patient: Make) -> None:
    bobbin = patient()
    await bobbin.start()
    await bobbin.stop()
    path = bobbin.folder / "bobbin.db"
    path.chmod(0o644)
    as_expected(await examined(bobbin), {"database file": ("warning", "until now", "umask")})
    assert path.stat().st_mode & 0o777 == 0o600
    await bobbin.start()
    path.chmod(0o644)
    as_expected(await examined(bobbin), {"database file": ("warning", "can read it", f"chmod 600 {path}")})


# ---------------------------------------------------------------- HTTP mode


async def test_in_http_mode_the_secret_and_the_port_are_looked_at_and_no_socket(
    patient: Make, slack: Slack
) -> None:
    settings = by_requests(slack)
    found = await examined(patient(**settings))
    assert failed(found) == set()
    assert {name for name in found if "socket" in name or "app token" in name} == set()
    expected: Expected = {
        "slack signing secret": ("ok", "form", ""),
        "slack http port": ("ok", "is free", ""),
        "slack http": ("skipped", "cannot be seen from here", "Event Subscriptions"),
    }
    as_expected(found, expected)
    assert not slack.calls("apps.connections.open")

    bobbin = patient(**settings)
    await bobbin.start()
    as_expected(await examined(bobbin), {"slack http port": ("ok", "a running Bobbin listens", "")})
    slack.faults.add("auth.test", "http", times=None, status=503)
    await becomes(int(settings["PORT"]), "/readyz", 503)
    told = (await examined(bobbin))["running bobbin"]
    assert (told["outcome"], "Slack does not answer it" in told["found"]) == ("failed", True)
    assert not {"socket", "WebSockets"} & set(f"{told['found']} {told['todo']}".split())
    slack.faults.clear()
    await bobbin.stop()

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        found = await examined(patient(**settings | {"PORT": taken, "SLACK_SIGNING_SECRET": "short"}))
    expected = {
        "slack signing secret": ("warning", "form", "Basic Information"),
        "slack http port": ("failed", "cannot be had", "PORT"),
    }
    as_expected(found, expected)
