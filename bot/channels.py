"""What admins set for a channel, by word to Bobbin: its instructions, its model. All in its thread see it.

Such a message is a turn like any other, and its confirmation is that turn's answer: so it is carried out and
confirmed once, whatever is delivered twice or cut off by a crash.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.events import Person
from bot.policy import Order, order_of
from bot.ports import ChannelSetting, Line, SettingName, Store, Turn, Workspace

LONGEST = 4000
"""Characters of instructions."""

_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:[a-z-]+/\S+")
_NONE = {
    "instructions": "This channel has no instructions of its own.",
    "model": "This channel has no model of its own.",
}
_TITLE = {"instructions": "The instructions of this channel", "model": "The model of this channel"}


@dataclass(frozen=True, slots=True)
class Obeyed:
    """What a turn's orders came to: what to say to all, and whether nothing else is left to answer."""

    said: str
    all: bool


class Channels:
    """Carries out orders. `known` says whether a model's id names one that can be asked."""

    def __init__(self, store: Store, workspace: Workspace, known: Callable[[str], bool]) -> None:
        self._store = store
        self._workspace = workspace
        self._known = known

    async def obey(self, turn: Turn, lines: Sequence[Line], people: Mapping[str, Person]) -> Obeyed | None:
        """Carry out the orders of a turn, in their order; None where there are none.

        Raises `SlackError` where it cannot be found out now who may give them.
        """
        asked = [line for line in lines if line.turn == turn.id and line.role == "user" and line.addressed]
        called = [line for line in asked if self._workspace.called(line)]
        words = self._workspace.words(called, people)
        orders = [(line, order) for line in called if (order := order_of(words[line.ts])) is not None]
        if not orders:
            return None
        said = [await self._carry_out(turn, line, order) for line, order in orders]
        return Obeyed("\n\n".join(filter(None, said)), all=len(orders) == len(asked))

    async def _carry_out(self, turn: Turn, line: Line, order: Order) -> str:
        """Do it; what to say of it to all, or nothing where its author was refused privately."""
        where = turn.thread.team, turn.thread.channel
        if order.value is None:
            return await self.show(*where, order.name)
        if not await self._workspace.is_admin(line.author):
            await self._workspace.tell(turn.thread, line.ts, line.author, "not_admin")
            return ""
        setting = ChannelSetting(order.name, order.value, line.author, line.ts)
        return self.refusal(setting) or await self.set(*where, setting)

    async def show(self, team: str, channel: str, name: SettingName) -> str:
        """Return what is set for a channel, and by whom."""
        setting = (await self._store.channel_settings(team, channel)).get(name)
        if setting is None or not setting.value:
            return _NONE[name]
        by = await self._name(team, setting.by)
        return f"{_TITLE[name]}, set by {by}:\n\n{_shown(name, setting.value)}"

    def refusal(self, setting: ChannelSetting) -> str:
        """Say why this cannot be set; empty where it can."""
        if setting.name == "instructions" and len(setting.value) > LONGEST:
            size = len(setting.value)
            return f"These instructions have {size:,} characters of {LONGEST:,}: nothing was changed."
        if setting.name == "model" and not self._may_be(setting.value):
            return (
                f"I know no model `{setting.value}`: nothing was changed. Give me the id of a Claude model "
                "or inference profile on Amazon Bedrock, its ARN, or `default`."
            )
        return ""

    async def set(self, team: str, channel: str, setting: ChannelSetting) -> str:
        """Set it; what to say of it to all in the channel."""
        if not await self._store.set_channel(team, channel, setting):
            return "Something newer was set for this channel meanwhile: nothing was changed."
        who, title = await self._name(team, setting.by), _TITLE[setting.name].lower()
        if not setting.value:
            return f"{who} has taken away {title}. {_NONE[setting.name]}"
        return f"{who} has set {title}:\n\n{_shown(setting.name, setting.value)}"

    async def _name(self, team: str, user: str) -> str:
        known = await self._store.people(team, [user])
        return known[user].name if user in known else user

    def _may_be(self, model: str) -> bool:
        return not model or bool(_ARN.fullmatch(model)) or self._known(model)


def _shown(name: str, value: str) -> str:
    return f"`{value}`" if name == "model" else "\n".join(f"> {row}" for row in value.splitlines())
