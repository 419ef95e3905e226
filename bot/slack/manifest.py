"""The app's manifest, as Slack's settings take it: what the code listens to and calls, and nothing more."""

from collections.abc import Mapping
from typing import Any

from bot.slack.agent import PROMPTS
from bot.slack.commands import COMMAND, DESCRIPTION, HINT
from bot.slack.listeners import SUBSCRIPTIONS
from bot.slack.shortcuts import SHORTCUTS

SCOPES: Mapping[str, str] = {
    "app_mentions:read": "to hear when Bobbin is mentioned",
    "assistant:write": "every app that is an agent has it",
    "channels:history": "to follow joined threads in public channels, and to read what was said before",
    "channels:read": "to hear of being invited to a public channel",
    "chat:write": "to answer, to stream, to show a status, to hear Slack's Stop",
    "commands": "to take /bobbin, and what is chosen from a message's menu",
    "files:read": "to read the files of those threads",
    "files:write": "to attach a table or code that is too large for a message",
    "groups:history": "the same in private channels",
    "groups:read": "to hear of being invited to a private channel",
    "im:history": "the same in direct messages",
    "mpim:history": "the same in group direct messages",
    "reactions:read": "to hear 🔕, which mutes a thread",
    "reactions:write": "to show 👀 where no status can be shown",
    "users:read": "to know people's names, and who is a guest",
}
"""Each scope that is asked for, and what for."""


def manifest() -> dict[str, Any]:
    """Return the manifest; lengths keep to Slack's schema of June 2026."""
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "Bobbin",
            "description": "Answers in your threads with Claude on Amazon Bedrock",
            "background_color": "#3b2f4a",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "bobbin", "always_online": True},
            "agent_view": {
                "agent_description": "Ask here, or mention me in a channel: I read the thread first.",
                "suggested_prompts": [dict(prompt) for prompt in PROMPTS],
            },
            "shortcuts": [
                {"name": name, "type": "message", "callback_id": callback_id, "description": description}
                for callback_id, (name, description) in SHORTCUTS.items()
            ],
            "slash_commands": [
                {"command": COMMAND, "description": DESCRIPTION, "usage_hint": HINT, "should_escape": True}
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": sorted(SUBSCRIPTIONS)},
            "interactivity": {"is_enabled": True},  # buttons, modals, shortcuts
            "org_deploy_enabled": False,
            "socket_mode_enabled": True,
            "token_rotation_enabled": False,
        },
    }
