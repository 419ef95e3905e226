"""Whether Slack is set up as Bobbin needs it: tokens, scopes, events, agent, socket. It changes nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from bot.checks import Check, Clock, Outcome
from bot.errors import SlackUnreachable
from bot.slack.api import ERRORS
from bot.slack.listeners import SUBSCRIPTIONS
from bot.slack.manifest import SCOPES
from bot.slack.probe import SECONDS, Answer, Probe, probing
from bot.slack.proxies import proxy_for

_ESSENTIAL = ("app_mentions:read", "channels:history", "chat:write", "users:read")
"""Without one of these nobody is answered as they should be; without another, a feature is missing."""

_INSTALL = (
    "paste `python -m bot manifest` into the app's page App Manifest, then press Reinstall on Install App"
)
_BOT_TOKEN = "copy the Bot User OAuth Token (xoxb-…) from the app's page OAuth & Permissions"  # noqa: S105  says where it is
_APP_TOKEN = "make an App-Level Token (xapp-…) with connections:write on the page Basic Information"  # noqa: S105  likewise
_NETWORK = "let this machine reach Slack (network, proxy, SLACK_API_URL); also see https://slack-status.com"
_STEPS: Mapping[str, str] = {
    "account_inactive": "the app was removed from the workspace: install it again, and take its new token",
    "team_access_not_granted": "an admin of the organisation must approve the app for this workspace",
    "org_login_required": "the workspace moves to an organisation: try again later",
    "ratelimited": "too many calls just now: try again in a minute",
}


async def examine(*, bot_token: str, app_token: str | None, api_url: str, clock: Clock) -> list[Check]:
    """Ask Slack. A socket is opened and closed at once: an event that comes just then comes again.

    Without an app token none is opened: HTTP mode.
    """
    async with probing(api_url, clock) as probe:
        if app_token is None:
            return (await _bot(probe, bot_token))[0]
        (checks, theirs), (more, ours) = await asyncio.gather(
            _bot(probe, bot_token), _socket(probe, app_token)
        )
    checks += more
    if theirs and ours:
        checks.append(_same_app(theirs, ours))
    return checks


async def _bot(probe: Probe, token: str) -> tuple[list[Check], str]:
    """Return what the bot token shows, and the id of its app where Slack tells."""
    me = await probe.call("auth.test", token)
    if me.error:
        later = [
            Check(f"slack {what}", "skipped", "the bot token comes first")
            for what in ("scopes", "events", "agent")
        ]
        return [_refused("slack bot token", me, _BOT_TOKEN), *later], ""
    data = me.data
    where = f"{data.get('user')} ({data.get('user_id')}) in {data.get('team')} ({data.get('team_id')})"
    if not data.get("bot_id"):
        return [Check("slack bot token", "failed", f"it is a person's: {where}", _BOT_TOKEN)], ""
    agent, bot = await asyncio.gather(
        # There is no such DM: nothing can come of it but the reason why not.
        probe.call("assistant.threads.setSuggestedPrompts", token, channel_id="D0", prompts="[]"),
        probe.call("bots.info", token, bot=str(data["bot_id"])),
    )
    granted = None if me.scopes is None else {scope.strip() for scope in me.scopes.split(",")}
    facts = bot.data.get("bot")
    app = str(facts.get("app_id", "")) if isinstance(facts, dict) else ""
    checks = [Check("slack bot token", "ok", where), _scopes(granted), _events(granted), _agent(agent)]
    return checks, app


def _scopes(granted: set[str] | None) -> Check:
    if granted is None:
        return Check("slack scopes", "skipped", "Slack did not say which there are")
    missing = sorted(set(SCOPES) - granted)
    if not missing:
        return Check("slack scopes", "ok", f"all {len(SCOPES)} that Bobbin uses")
    outcome: Outcome = "failed" if set(missing) & set(_ESSENTIAL) else "warning"
    found = "missing: " + "; ".join(f"{scope} ({SCOPES[scope]})" for scope in missing)
    return Check("slack scopes", outcome, found, _INSTALL)


def _events(granted: set[str] | None) -> Check:
    """Slack tells no app its subscriptions; what it is not allowed to subscribe to, it does not hear."""
    unheard = [
        event
        for event, scopes in SUBSCRIPTIONS.items()
        if granted is not None and not granted.issuperset(scopes)
    ]
    if unheard:
        outcome: Outcome = "failed" if "app_mention" in unheard else "warning"
        return Check("slack events", outcome, f"cannot be heard: {', '.join(unheard)}", _INSTALL)
    return Check(
        "slack events",
        "skipped",
        "Slack does not tell which are subscribed",
        f"the app's page Event Subscriptions should list: {', '.join(SUBSCRIPTIONS)}",
    )


def _agent(answer: Answer) -> Check:
    if answer.lost or answer.error == "ratelimited":
        return Check("slack agent", "skipped", answer.error)
    if answer.error in ("missing_scope", "not_agent_app", "not_authorized", "unknown_method"):
        found = f"the app is no agent ({answer.error}): no Stop, no titles, no suggested prompts"
        return Check("slack agent", "warning", found, _INSTALL)
    if answer.error == "feature_disabled":
        found = "this workspace's plan has no agents: no Stop, no titles, no suggested prompts"
        return Check("slack agent", "warning", found, "nothing to set: answers come all the same")
    return Check("slack agent", "ok", "the app is an agent")


async def _socket(probe: Probe, token: str) -> tuple[list[Check], str]:
    """Return what the app token shows, and the id of its app where Slack tells."""
    opened = await probe.call("apps.connections.open", token)
    if opened.error:
        checks = [
            _refused("slack app token", opened, _APP_TOKEN),
            Check("slack socket", "skipped", "the app token comes first"),
        ]
        return checks, ""
    url = str(opened.data.get("url"))
    hello: Mapping[str, Any] = {}
    reason = "nothing was said"
    try:
        async with (
            asyncio.timeout(SECONDS),
            probe.session.ws_connect(
                url, proxy=proxy_for(url), timeout=aiohttp.ClientWSTimeout(ws_close=0.5)
            ) as websocket,
        ):
            hello = await websocket.receive_json()
    except TimeoutError:
        reason = f"no hello within {SECONDS:g} seconds"
    except (aiohttp.ClientError, OSError, ValueError, TypeError) as error:
        reason = f"it does not open ({type(error).__name__})"
    app = parse_qs(urlsplit(url).query).get("app_id", [""])[0]
    info = hello.get("connection_info")
    app = str(info.get("app_id") or app) if isinstance(info, dict) else app
    return [Check("slack app token", "ok", f"app {app}" if app else "valid"), _greeted(hello, reason)], app


def _greeted(hello: Mapping[str, Any], reason: str) -> Check:
    name = "slack socket"
    match hello:
        case {"type": "hello"}:
            others = int(hello.get("num_connections") or 1) - 1
            if others <= 1:
                beside = "; one more is open: a running Bobbin" if others else ""
                return Check(name, "ok", f"it opens{beside}")
            todo = "stop what else uses this app token: events go to any one of the sockets"
            return Check(name, "warning", f"{others} more are open", todo)
        case {"type": "disconnect", "reason": "too_many_websockets"}:
            return Check(name, "failed", "10 are open already", "stop what else uses this app token")
        case {"type": "disconnect", "reason": "link_disabled"}:
            return Check(name, "failed", "Socket Mode is off", "turn it on, on the app's page Socket Mode")
        case {"type": "disconnect", "reason": why}:
            reason = f"Slack closes it ({why})"
    return Check(name, "failed", reason, "let this machine open WebSockets to Slack (wss, port 443, proxy)")


def _same_app(theirs: str, ours: str) -> Check:
    if theirs == ours:
        return Check("slack app", "ok", f"both tokens are of app {ours}")
    found = f"the bot token is of app {theirs}, the app token of app {ours}: no event would come"
    return Check("slack app", "failed", found, "take both tokens from the pages of one app")


def _refused(name: str, answer: Answer, todo: str) -> Check:
    if answer.lost or ERRORS.get(answer.error) is SlackUnreachable:
        return Check(name, "failed", answer.error, _NETWORK)
    if answer.error == "ratelimited":
        return Check(name, "warning", "Slack limits the calls", _STEPS["ratelimited"])
    return Check(name, "failed", f"Slack refuses it ({answer.error})", _STEPS.get(answer.error, todo))
