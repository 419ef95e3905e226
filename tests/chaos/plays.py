"""What people do while Bobbin is killed: each play passes points that the others do not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from bot.sandbox.slack import Slack
from bot.slack.blocks import TRY_AGAIN
from tests.chaos.forked import NOT_FOR_YOU, ForkedBobbin
from tests.chaos.stage import over
from tests.e2e.conftest import shown

_NEW = "What is it now?"
_SOON = 90
"""Seconds within which a process that dies and is started again gets so far."""
_FIRST = len("Call 1")
"""So many letters tell one answer of this model from another."""
_TWO_STREAMS, _TWO_POSTS, _LONG = 750, 300, 100
"""Sentences of an answer that one message does not hold, streamed or posted; of one that takes a while."""
_CODE = 201
"""Lines of code that are attached as well."""


async def one_question(bobbin: ForkedBobbin, words: str = "What is the plan?") -> int:
    """Ann asks once in a channel; one turn."""
    await _asked(bobbin, words)
    return 1


async def two_people(bobbin: ForkedBobbin) -> int:
    """Ben asks in the middle of a thread of Ann's, and Ann goes on while he is being answered; two turns."""
    ann, ben = bobbin.slack.add_person("Ann Lee"), bobbin.slack.add_person("Ben Ode")
    channel = bobbin.slack.add_channel("general", members=(ann, ben))
    thread = await bobbin.slack.say(ann, channel, "The plan has three parts.")
    await bobbin.slack.say(ben, channel, f"{bobbin.me} Which is the first?", thread=thread)
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), _SOON)
    await bobbin.slack.say(ann, channel, f"{bobbin.me} And the second?", thread=thread)
    return 2


async def changed_meanwhile(bobbin: ForkedBobbin) -> int:
    """Ann asks, and changes her question once the model was asked; one turn."""
    ann, channel, thread = await _asked(bobbin)
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), _SOON)
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {_NEW}")
    return 1


async def answered_again(bobbin: ForkedBobbin) -> int:
    """Ann asks, changes her answered question, and has it answered again; one turn."""
    return await _answered_again(bobbin, sentences=6)


async def made_shorter(bobbin: ForkedBobbin) -> int:
    """The same where nothing can be streamed; the first answer is two messages, the second is one."""
    bobbin.slack.faults.add("chat.startStream", "unknown_method", times=None)
    return await _answered_again(bobbin, sentences=_TWO_POSTS)


async def two_messages(bobbin: ForkedBobbin) -> int:
    """An answer that one streamed message does not hold; one turn."""
    bobbin.bedrock.pace, bobbin.model.sentences = 0, _TWO_STREAMS
    return await one_question(bobbin)


async def a_file(bobbin: ForkedBobbin) -> int:
    """An answer whose code is attached as well; one turn."""
    bobbin.bedrock.pace, bobbin.model.code = 0, _CODE
    return await one_question(bobbin)


async def fails_first(bobbin: ForkedBobbin) -> int:
    """The model refuses; Ann presses Try again when it does not any more; one turn."""
    bobbin.bedrock.faults.add("no_access", times=None)
    ann, channel, thread = await _asked(bobbin)
    await bobbin.slack.wait_for(lambda: _failed(bobbin, channel, thread), _SOON)
    bobbin.bedrock.faults.clear()
    while ts := _failed(bobbin, channel, thread):
        if bobbin.slack.connected:
            with suppress(LookupError):  # it was answered just now
                await bobbin.slack.press(ann, channel, ts, TRY_AGAIN)
        await asyncio.sleep(0.3)  # as a person does who saw nothing happen
    return 1


async def stopped(bobbin: ForkedBobbin) -> int:
    """Ann presses Stop when she has seen some of the answer; one turn."""
    bobbin.model.sentences = _LONG
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.dm(ann)
    thread = await bobbin.slack.say(ann, channel, "What is the plan?")
    await _half_shown(bobbin, channel, thread)
    while not _answer(bobbin.slack, channel, thread):
        with suppress(LookupError):  # the button is gone: it was answered just now
            await bobbin.slack.stop(ann, channel, thread)
        await asyncio.sleep(0.1)
    return 1


async def taken_back(bobbin: ForkedBobbin) -> int:
    """Ann deletes her question once the model was asked; one turn."""
    ann, channel, thread = await _asked(bobbin)
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), _SOON)
    await bobbin.slack.delete(ann, channel, thread)
    return 1


async def taken_back_late(bobbin: ForkedBobbin) -> int:
    """Ann deletes her question when she has seen some of the answer; one turn."""
    bobbin.model.sentences = _LONG
    ann, channel, thread = await _asked(bobbin)
    await _half_shown(bobbin, channel, thread)
    await bobbin.slack.delete(ann, channel, thread)
    return 1


async def not_asked(bobbin: ForkedBobbin) -> int:
    """Ben says something to Ann below an answer, of which the model says that it is not for it; two turns."""
    _, channel, thread = await _asked(bobbin)
    await over(bobbin, 1)
    ben = bobbin.slack.add_person("Ben Ode")
    await bobbin.slack.say(ben, channel, f"Ann, {NOT_FOR_YOU}", thread=thread)
    return 2


@dataclass(frozen=True)
class Play:
    """`own`: the points for which it is played; `by_requests`: in HTTP mode."""

    act: Callable[[ForkedBobbin], Awaitable[int]]
    own: frozenset[str] = frozenset()
    by_requests: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return self.act.__name__ + "_by_requests" * self.by_requests


def _around(*names: str) -> frozenset[str]:
    return frozenset(f"{when} {name}" for when in ("before", "after") for name in names)


QUESTION, PEOPLE, CHANGED, AGAIN = map(Play, (one_question, two_people, changed_meanwhile, answered_again))
OTHERS = (
    Play(made_shorter, _around("chat.postMessage", "chat.update", "chat.delete", "again")),
    Play(two_messages, _around("chat.startStream", "chat.stopStream")),
    Play(a_file, _around("files.getUploadURLExternal", "files.completeUploadExternal")),
    Play(fails_first, _around("chat.postMessage", "retry")),
    Play(stopped, _around("stop", "finish")),
    Play(taken_back, _around("delete", "chat.startStream")),
    Play(taken_back_late, _around("delete", "finish")),
    Play(not_asked, _around("finish")),
    Play(one_question, frozenset({"before ack", "after post"}), by_requests=True),
)
PLAYS = (QUESTION, PEOPLE, CHANGED, AGAIN, *OTHERS)


async def _asked(bobbin: ForkedBobbin, words: str = "What is the plan?") -> tuple[str, str, str]:
    """Ann asks in a channel: who she is, where, in which thread."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    return ann, channel, await bobbin.slack.say(ann, channel, f"{bobbin.me} {words}")


async def _answered_again(bobbin: ForkedBobbin, *, sentences: int) -> int:
    """The first answer has so many sentences, the second as many as any."""
    usual, bobbin.model.sentences = bobbin.model.sentences, sentences
    bobbin.bedrock.pace = bobbin.bedrock.pace if sentences == usual else 0
    ann, channel, thread = await _asked(bobbin)
    await over(bobbin, 1)
    before = _answer(bobbin.slack, channel, thread)
    bobbin.model.sentences = usual
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {_NEW}")
    while _answer(bobbin.slack, channel, thread)[:_FIRST] == before[:_FIRST]:
        if bobbin.slack.connected:
            ts = bobbin.slack.thread(channel, thread)[1]["ts"]
            await bobbin.slack.shortcut(ann, "answer_again", channel, ts)
        await asyncio.sleep(0.3)  # as a person does who saw nothing happen
    return 1


async def _half_shown(bobbin: ForkedBobbin, channel: str, thread: str) -> None:
    await bobbin.slack.wait_for(
        lambda: any(len(shown(message)) > 2 * _FIRST for message in bobbin.answers(channel, thread)), _SOON
    )


def _answer(slack: Slack, channel: str, thread: str) -> str:
    """What stands there, once it is whole."""
    return "".join(
        shown(m) for m in slack.thread(channel, thread)[1:] if m.get("streaming_state") != "in_progress"
    )


def _failed(bobbin: ForkedBobbin, channel: str, thread: str) -> str:
    """The message with the button, if there is one; its turn may be tried again already."""
    messages = bobbin.answers(channel, thread)
    return next((str(each["ts"]) for each in messages if TRY_AGAIN in str(each.get("blocks"))), "")
