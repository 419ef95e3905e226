"""App Home: what Bobbin is, how to use it, and what concerns the one who looks at it."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog

from bot.errors import SlackError
from bot.insight import Kept, Standing
from bot.ports import Store
from bot.slack import about
from bot.slack.about import About
from bot.slack.api import SlackAPI
from bot.slack.blocks import DISCLAIMER, Block, erase_me

_log = structlog.get_logger(__name__)

REFRESH = "home_refresh"

_WHAT = """\
I answer in your team's threads with a Claude model on Amazon Bedrock. I read the whole thread first: who \
said what and when, and the files in it."""

_HOW = """\
• *In a channel:* mention me, and I answer in a thread. Just go on there; no further mention is needed.
• *In private:* write to me under _Messages_.
• *From a message's menu* (⋮, then _More message shortcuts_): _Catch me up_ and _Ask Bobbin \
privately_ answer here, in a DM. On an answer of mine, _Answer again_ has it written anew, and _What did you \
read?_ tells what it was made of, and what it cost.
• *Words that I obey*, as a whole message: `stop`, `mute` and `wake` in a thread; `@Bobbin help`, `@Bobbin \
usage`, `@Bobbin status` anywhere. Slack's `/bobbin` knows the same."""

_KEPT = """\
I keep the messages of threads that I was called into, and what I read of their files, {kept_for}: deleting \
a message takes its words off my disk too, within seconds. A thread that you had me read from a message's \
menu is kept with your private conversation in the same way. What answers cost is noted down, without a word \
of them. _Forget this thread_ in a message's menu erases a thread, the button below all that is yours."""

_NOTES = (
    DISCLAIMER,
    "Bobbin is an independent project, not affiliated with Anthropic, Slack or AWS.",
    "Their names are trademarks of their owners.",
)


class Home:
    """Publishes the Home of whoever opens it; `messages` takes the openings of the messages beside it."""

    def __init__(
        self,
        api: SlackAPI,
        store: Store,
        team: str,
        facts: About,
        *,
        messages: Callable[[Mapping[str, Any]], Coroutine[Any, Any, None]],
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._api = api
        self._store = store
        self._team = team
        self._facts = facts
        self._messages = messages
        self._later = later
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("event", "app_home_opened"): self._opened,
            ("action", REFRESH): self._refresh,
        }

    # Bolt gives arguments by their names.
    async def _opened(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"tab": "home", "user": str(user)}:
                self._later(self.publish(user))
            case _:
                self._later(self._messages(event))

    async def _refresh(self, ack: Callable[[], Awaitable[None]], body: Mapping[str, Any]) -> None:
        await ack()
        match body:
            case {"user": {"id": str(user)}}:
                self._later(self.publish(user))

    async def publish(self, user: str) -> None:
        """Show somebody how things stand now. What Slack refuses is only logged: they may open it again."""
        standing = await self._store.standing(self._team, user)
        kept = await self._store.kept(self._team, user)
        view = home(self._facts, user, standing, kept)
        try:
            await self._api.call("views.publish", user_id=user, view=view)
        except SlackError as error:
            _log.warning("a Home was not published", reason=str(error))


def home(facts: About, user: str, standing: Standing, kept: Kept) -> dict[str, Any]:
    """Return the view."""
    yours = f"*{kept.messages:,}* of your messages are kept, in *{kept.threads:,}* threads"
    yours += f"; the oldest is of {about.when(kept.oldest)}." if kept.oldest else "."
    blocks: Sequence[Block] = [
        _header("Hello, I am Bobbin"),
        _section(_WHAT),
        _header("How to use me"),
        _section(_HOW),
        _header("Your usage"),
        _section(about.spending(standing, facts.caps)),
        {"type": "actions", "elements": [_button(REFRESH, "Refresh")]},
        _header("Your data"),
        _section(f"{yours}\n{_KEPT.format(kept_for=about.kept_for(facts.retention_days))}"),
        {"type": "actions", "elements": [erase_me()]},
        _header("What holds here"),
        _section("\n".join(f"• {line}" for line in about.settings(facts, user))),
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "plain_text", "text": note} for note in _NOTES]},
    ]
    return {"type": "home", "blocks": blocks}


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _button(action_id: str, text: str) -> Block:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}}
