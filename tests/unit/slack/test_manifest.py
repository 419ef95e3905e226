"""The manifest is what the code needs, by Slack's rules."""

from bot.slack.api import METHODS
from bot.slack.listeners import SUBSCRIPTIONS
from bot.slack.manifest import SCOPES, manifest


def test_the_scopes_are_those_that_the_code_needs_and_no_more():
    by_events = {scope for scopes in SUBSCRIPTIONS.values() for scope in scopes}
    by_methods = {scope for scopes in METHODS.values() for scope in scopes.split()}
    by_being_an_agent = {"assistant:write"}
    assert by_events | by_methods | by_being_an_agent == set(SCOPES)


def test_every_scope_has_a_reason_and_is_asked_for():
    assert all(SCOPES.values())
    assert manifest()["oauth_config"]["scopes"]["bot"] == sorted(SCOPES)


def test_slack_sends_what_the_listeners_listen_to():
    assert manifest()["settings"]["event_subscriptions"]["bot_events"] == sorted(SUBSCRIPTIONS)
    assert {"app_mention", "message.channels", "message.groups", "message.im", "message.mpim"} <= set(
        SUBSCRIPTIONS
    )


def test_the_app_is_an_agent_on_sockets_with_buttons():
    settings, features = manifest()["settings"], manifest()["features"]
    assert settings["socket_mode_enabled"]
    assert settings["interactivity"]["is_enabled"]
    assert features["app_home"]["messages_tab_enabled"]
    assert "assistant_view" not in features  # new apps cannot use it


def test_the_texts_keep_to_the_lengths_of_slacks_schema():
    display, features = manifest()["display_information"], manifest()["features"]
    assert len(display["name"]) <= 35
    assert len(display["description"]) <= 140
    assert len(features["bot_user"]["display_name"]) <= 80
    assert len(features["agent_view"]["agent_description"]) <= 300
    assert len(features["agent_view"]["suggested_prompts"]) <= 4
