"""A place of its own for each test of what is answered: two people, a channel, one running Bobbin."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.sandbox.bedrock import Asked, Bedrock
from tests.e2e.conftest import Bobbin, patient_slack, shown

_WORDS = re.compile(r'<message from="(?P<who>[^"]*)"[^>]*>(?P<words>.*?)</message>', re.DOTALL)
_WITNESS = "say exactly: heard"


@asynccontextmanager
async def running(
    folder: Path, command: Sequence[str] | None = None, **settings: str
) -> AsyncIterator[Bobbin]:
    """A Bobbin between servers of its own; `command` is what it is started by."""
    slack = patient_slack()
    await slack.start()
    try:
        async with Bedrock() as bedrock:
            bobbin = Bobbin(slack, bedrock, folder, **settings)
            bobbin.command = list(command or bobbin.command)
            try:
                yield await bobbin.start()
            finally:
                await bobbin.close()
    finally:
        await slack.close()


class Scene:
    """Ann and Ben in a channel with Bobbin; `requests` are the model calls since they came there."""

    def __init__(self, bobbin: Bobbin, *, private: bool = False, **channel: Any) -> None:
        self.bobbin, self.slack, self.bedrock, self.me = bobbin, bobbin.slack, bobbin.bedrock, bobbin.me
        self.ann, self.ben = self.slack.add_person("Ann Lee"), self.slack.add_person("Ben Roe")
        self.channel = self.slack.add_channel(
            "general", private=private, members=(self.ann, self.ben), **channel
        )
        self._before = len(self.bedrock.requests)

    @property
    def requests(self) -> list[Asked]:
        """Without those of `heard`."""
        since = self.bedrock.requests[self._before :]
        return [asked for asked in since if _WITNESS not in str(asked.body["messages"])]

    async def say(self, text: str, *, by: str = "", thread: str | None = None, **more: Any) -> str:
        """Say it, as Ann unless told otherwise."""
        return await self.slack.say(by or self.ann, self.channel, text, thread=thread, **more)

    async def mention(self, text: str, *, by: str = "", thread: str | None = None, **more: Any) -> str:
        """Say it to Bobbin."""
        return await self.say(f"{self.me} {text}", by=by, thread=thread, **more)

    async def joined(self, text: str = "Hello") -> str:
        """A thread of Ann's with one answer in it."""
        thread = await self.mention(text)
        await self.answered(thread)
        return thread

    async def answered(self, thread: str, count: int = 1) -> list[str]:
        """Wait for so many answers."""
        return await self.bobbin.answered(self.channel, thread, count)

    async def shows(self, thread: str, texts: list[str]) -> None:
        """Wait until these are Bobbin's messages in a thread: where it cannot stream, they grow."""
        await self.slack.wait_for(lambda: [shown(message) for message in self.answers(thread)] == texts)

    def answers(self, thread: str) -> list[dict[str, Any]]:
        """Bobbin's messages in a thread."""
        return self.bobbin.answers(self.channel, thread)

    async def acked(self) -> None:
        """Wait until Bobbin has acknowledged everything that happened so far.

        What went down with a socket before its ack is brought again, and acknowledged in another envelope.
        """
        await asyncio.sleep(0)  # a delivery begins in the next round of the loop
        await self.slack.wait_for(lambda: not self._unacked())

    def _unacked(self) -> set[str]:
        events: dict[str, str] = {}  # the event each envelope brings, or the envelope itself
        waiting: dict[str, list[str]] = {}
        for entry in self.slack.log:
            envelope = str(entry.data.get("envelope_id"))
            if entry.kind == "delivery":
                events[envelope] = entry.data["event_id"] or envelope
                waiting.setdefault(events[envelope], []).append(envelope)
            elif entry.kind == "ack" and envelope in waiting.get(events.get(envelope, ""), []):
                brought = waiting[events[envelope]]
                del brought[: brought.index(envelope) + 1]
        return {event for event, envelopes in waiting.items() if envelopes}

    async def heard(self, witness: str = "") -> None:
        """Wait until what happened so far has had its effect: a question that comes later is answered."""
        await self.acked()
        dm = self.slack.dm(witness or self.slack.add_person("Witness"))
        thread = await self.slack.say(witness or self.slack.workspace.channels[dm].members[0], dm, _WITNESS)
        await self.bobbin.answered(dm, thread)
        await self.bedrock.wait_for(lambda bedrock: bedrock.open == 0)

    async def asked(self, count: int = 1) -> None:
        """Wait until the model is at the so-many-th request since they came there, and at no other."""
        await self.bedrock.wait_for(lambda bedrock: len(self.requests) == count and bedrock.open == 1)

    async def end(self) -> str:
        """Wait until no turn of this channel is open; how the newest ended, which the log tells later."""
        await self.acked()
        here = f"channel_id = '{self.channel}'"
        async with asyncio.timeout(60):
            while await self.bobbin.rows(  # noqa: ASYNC110  a file
                f"SELECT 1 FROM conversation WHERE {here} AND pending_at IS NOT NULL"
            ):
                await asyncio.sleep(0.02)
        ((state,),) = await self.bobbin.rows(
            "SELECT t.state FROM turn t JOIN conversation c ON c.id = t.conversation_id"
            f" WHERE c.{here} AND t.seq > 0 ORDER BY t.id DESC LIMIT 1"
        )
        return str(state)


def read(asked: Asked) -> list[tuple[str, str]]:
    """What the model was sent, message by message: who, and their words; an own answer is by ''."""
    said: list[tuple[str, str]] = []
    for message in asked.body["messages"]:
        for text in (block["text"] for block in message["content"] if "text" in block):
            framed = _WORDS.search(text)
            said.append((framed["who"], framed["words"]) if framed else ("", text))
    return said


def words(asked: Asked) -> list[str]:
    """The words alone of what people said."""
    return [said for who, said in read(asked) if who]


def system(asked: Asked) -> str:
    """The system prompt that was sent."""
    return "\n".join(block["text"] for block in asked.body.get("system") or [] if "text" in block)
