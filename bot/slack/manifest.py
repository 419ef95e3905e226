"""The app's manifest, as Slack's settings take it: what the code listens to and calls, and nothing more."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bot.slack.agent import PROMPTS
from bot.slack.commands import COMMAND, DESCRIPTION, HINT
from bot.slack.listeners import SUBSCRIPTIONS
from bot.slack.shortcuts import SHORTCUTS

EVENTS_PATH = "/slack/events"

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


def manifest(url: str = "") -> dict[str, Any]:
    """Return the manifest; lengths keep to Slack's schema of June 2026.

    With the address of an HTTP mode, up to /slack/events, all requests go there, and Socket Mode is off.
    """
    by_requests = {"request_url": url} if url else {}
    by_url = {"url": url} if url else {}
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
                {
                    "command": COMMAND,
                    "description": DESCRIPTION,
                    "usage_hint": HINT,
                    "should_escape": True,
                    **by_url,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": sorted(SCOPES)}},
        "settings": {
            "event_subscriptions": {"bot_events": sorted(SUBSCRIPTIONS), **by_requests},
            "interactivity": {"is_enabled": True, **by_requests},  # buttons, modals, shortcuts
            "org_deploy_enabled": False,
            "socket_mode_enabled": not url,
            "token_rotation_enabled": False,
        },
    }


def request_url(address: str) -> str:
    """Complete the address that Slack is to send requests to: a host alone stands for all of it.

    Raises `ValueError` where Slack would not take it: it wants https, and a host that it can reach.
    """
    parts = urlsplit(address if "://" in address else f"https://{address}")
    if parts.scheme != "https" or not parts.hostname or "." not in parts.hostname or parts.query:
        raise ValueError(address)
    path = parts.path.rstrip("/")
    return f"https://{parts.netloc}{path if path.endswith(EVENTS_PATH) else path + EVENTS_PATH}"
