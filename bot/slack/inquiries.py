"""`help`, `usage`, `status`, `forget`: answered at once, privately, without the model."""

from bot.ports import Store
from bot.slack import about
from bot.slack.about import About

_HELP = """\
*In a channel* mention me, and I answer in a thread; just go on there. *In a DM* just write.
• `/bobbin usage`: what you have spent
• `/bobbin status`: how I am, and which model answers
• `/bobbin forget`: what I keep, and how it goes; `/bobbin forget me` erases what is yours
• `/bobbin instructions …`, `/bobbin model …`: what holds for a channel; admins set it
In a thread, where Slack takes no commands, mention me with the same words: `@Bobbin usage`. There `stop` \
ends an answer, `mute` has me answer only when mentioned, and `wake` undoes it."""

_FORGET = """\
I keep the messages of threads that I was called into, {kept_for}. Delete a message, and its words are off \
my disk within seconds, with what I read of its files. Who started a thread, or an admin, can have me forget \
it: _Forget this thread_ in a message's menu, or `@Bobbin forget` in the thread. And you can have erased all \
that is yours: `/bobbin forget me`. I ask before I do either."""


FORGET = ("forget", "forget me")
"""Answered with buttons."""


class Inquiries:
    """Answers people's questions about Bobbin itself."""

    def __init__(self, store: Store, team: str, facts: About) -> None:
        self._store = store
        self._team = team
        self._facts = facts

    async def answer(self, word: str, user: str, channel: str) -> str:
        """Return what to say to an `Inquiry`, in Slack's markup. Raises `StoreError`."""
        match word:
            case "usage":
                return about.spending(await self._store.standing(self._team, user), self._facts.caps)
            case "status":
                return await self._status(user, channel)
            case "forget" | "forget me":
                return _FORGET.format(kept_for=about.kept_for(self._facts.retention_days))
        return _HELP

    async def _status(self, user: str, channel: str) -> str:
        standing = await self._store.standing(self._team, user)
        chosen = (await self._store.channel_settings(self._team, channel)).get("model")
        writing, waiting = (
            about.counted(standing.running, "answer"),
            about.counted(standing.waiting, "thread"),
        )
        busy = f"being written: {writing}; waiting: {waiting}"
        ready = "ready" if await self._store.writable() else "my database takes no writes just now"
        lines = [
            f"*Bobbin {self._facts.version}:* {ready}; {busy}.",
            f"*Model:* {about.model(self._facts, chosen.value if chosen else '')}",
            about.spending(standing, self._facts.caps),
        ]
        return "\n".join(lines)
