"""The manifest is what the code needs, by Slack's rules."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.slack import commands, shortcuts
from bot.slack.api import METHODS
from bot.slack.desk import Desk
from bot.slack.listeners import SUBSCRIPTIONS
from bot.slack.manifest import SCOPES, manifest, request_url

SOURCES = Path(commands.__file__).parent

# slackapi/manifest-schema of 2026-06-30, as far as Bobbin uses it: what an object holds, * what it must; how
# long a text may be, how many a list.
SCHEMA: Mapping[str, Any] = {
    "_metadata": {"major_version": int, "minor_version": int},
    "display_information*": {
        "name*": 35,
        "description": 140,
        "long_description": 4000,
        "background_color": 7,
    },
    "features": {
        "app_home": {
            "home_tab_enabled": bool,
            "messages_tab_enabled": bool,
            "messages_tab_read_only_enabled": bool,
        },
        "bot_user": {"display_name*": 80, "always_online": bool},
        "agent_view": {
            "agent_description*": 300,
            "suggested_prompts": (4, {"title*": 10**4, "message*": 10**4}),
        },
        "shortcuts": (10, {"name*": 24, "type*": 7, "callback_id*": 255, "description*": 150}),
        "slash_commands": (
            50,
            {"command*": 32, "description*": 2000, "usage_hint": 1000, "should_escape": bool, "url": 3000},
        ),
    },
    "oauth_config": {"scopes": {"bot": (255, 10**4)}},
    "settings": {
        "event_subscriptions": {"bot_events": (100, 10**4), "request_url": 3000},
        "interactivity": {"is_enabled*": bool, "request_url": 3000},
        "org_deploy_enabled": bool,
        "socket_mode_enabled": bool,
        "token_rotation_enabled": bool,
    },
}


def faults(value: Any, schema: Any, where: str = "") -> Iterator[str]:
    """What of a manifest Slack would refuse."""
    match schema:
        case type():
            if type(value) is not schema:
                yield f"{where}: {value!r}"
        case int():
            if not isinstance(value, str) or not 0 < len(value) <= schema:
                yield f"{where}: {value!r}"
        case (int(most), inner):
            if not isinstance(value, list) or len(value) > most:
                yield f"{where}: no list of at most {most}"
                return
            for number, each in enumerate(value):
                yield from faults(each, inner, f"{where}[{number}]")
        case _:
            known = {name.rstrip("*"): inner for name, inner in schema.items()}
            needed = {name.rstrip("*") for name in schema if name.endswith("*")}
            yield from (f"{where}: {name} is missing" for name in needed - value.keys())
            yield from (f"{where}: {name} is not known" for name in value.keys() - known.keys())
            for name in value.keys() & known.keys():
                yield from faults(value[name], known[name], f"{where}.{name}")


URL = "https://bobbin.example.com/slack/events"


@pytest.mark.parametrize("url", ["", URL])
def test_slacks_schema_takes_it(url: str):
    assert list(faults(json.loads(json.dumps(manifest(url))), SCHEMA)) == []


def test_in_http_mode_all_requests_go_to_one_address_and_nothing_else_differs():
    made, settings = manifest(URL), manifest(URL)["settings"]
    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"].pop("request_url") == URL
    assert settings["interactivity"].pop("request_url") == URL
    assert [command.pop("url") for command in made["features"]["slash_commands"]] == [URL]
    plain = manifest()
    assert URL not in json.dumps(plain)
    assert (made["features"], made["oauth_config"]) == (plain["features"], plain["oauth_config"])
    assert settings | {"socket_mode_enabled": True} == plain["settings"]


@pytest.mark.parametrize(
    "address",
    [
        "https://bobbin.example.com",
        "bobbin.example.com/",
        "https://bobbin.example.com/slack/events",
        "https://bobbin.example.com/slack/events/",
    ],
)
def test_an_address_is_completed(address: str):
    assert request_url(address) == URL
    assert request_url("https://example.com:8443/bobbin/") == "https://example.com:8443/bobbin/slack/events"


@pytest.mark.parametrize(
    "address", ["http://bobbin.example.com", "https://", "https://localhost", "ftp://x.y", "https://x.y/?a=1"]
)
def test_an_address_that_slack_does_not_take_is_refused(address: str):
    with pytest.raises(ValueError, match=re.escape(address)):
        request_url(address)


@pytest.mark.parametrize(
    "wrong",
    [
        {"display_information": {"name": "x" * 36}},
        {"display_information": {}},
        {"features": {"assistant_view": {}}},
        {"features": {"agent_view": {"agent_description": "x", "suggested_prompts": [{}] * 5}}},
        {"settings": {"interactivity": {"is_enabled": "yes"}}},
    ],
)
def test_this_test_would_notice_what_slack_refuses(wrong):
    assert list(faults(manifest() | wrong, SCHEMA))


def test_the_scopes_are_those_that_the_code_needs_and_no_more():
    by_events = {scope for scopes in SUBSCRIPTIONS.values() for scope in scopes}
    by_methods = {scope for scopes in METHODS.values() for scope in scopes.split()}
    by_features = {"assistant:write", "commands"}
    assert by_events | by_methods | by_features == set(SCOPES)


def test_every_method_that_is_called_is_granted_and_every_granted_one_is_called():
    families = "agents|apps|assistant|auth|chat|conversations|files|reactions|users|views"
    named = re.compile(rf'"((?:{families})\.[a-zA-Z.]+)"')
    sources = [
        path.read_text("utf-8") for path in SOURCES.glob("*.py") if path.name not in ("api.py", "pacing.py")
    ]
    called = {method for source in sources for method in named.findall(source)}
    assert called == set(METHODS)


def test_every_scope_has_a_reason_and_is_asked_for():
    assert all(SCOPES.values())
    assert manifest()["oauth_config"]["scopes"]["bot"] == sorted(SCOPES)


def test_slack_sends_what_the_listeners_listen_to():
    assert manifest()["settings"]["event_subscriptions"]["bot_events"] == sorted(SUBSCRIPTIONS)
    assert {"app_mention", "message.channels", "message.groups", "message.im", "message.mpim"} <= set(
        SUBSCRIPTIONS
    )


def test_every_shortcut_and_command_is_taken_in_and_declared():
    features = manifest()["features"]
    declared = {("shortcut", each["callback_id"]) for each in features["shortcuts"]}
    declared |= {("command", each["command"]) for each in features["slash_commands"]}
    nothing: Any = _Anything()
    handlers = Desk(*[nothing] * 8, wake=nothing, later=nothing).handlers
    assert {each for each in handlers if each[0] in ("shortcut", "command")} == declared
    assert {name for kind, name in handlers if kind == "event"} <= set(SUBSCRIPTIONS)
    assert shortcuts.SHORTCUTS.keys() == {name for kind, name in declared if kind == "shortcut"}


class _Anything:
    """Has whatever is asked for: nothing of it is used."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __format__(self, how: str) -> str:
        return ""


def test_the_app_is_an_agent_on_sockets_with_a_home_and_buttons():
    settings, features = manifest()["settings"], manifest()["features"]
    assert settings["socket_mode_enabled"]
    assert settings["interactivity"]["is_enabled"]
    assert features["app_home"] == {
        "home_tab_enabled": True,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": False,
    }
    assert "assistant_view" not in features  # new apps cannot use it
    assert "app_home_opened" in SUBSCRIPTIONS
    assert "agent_session_stopped" in SUBSCRIPTIONS  # else Slack shows no Stop
