"""Every single crash point of a turn that is answered anew: while it runs, and again once it was answered."""

import asyncio
from pathlib import Path

import pytest

from bot.sandbox.slack import Slack
from tests.chaos.forked import ForkedBobbin
from tests.chaos.points import Play, singles
from tests.e2e.conftest import shown

NEW = "What is it now?"
FIRST = len("Call 1")
"""So many letters tell one answer of this model from another."""


async def changed_meanwhile(bobbin: ForkedBobbin) -> int:
    """Ann asks, and changes her question once the model was asked; one turn."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    thread = await bobbin.slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    await bobbin.bedrock.wait_for(lambda bedrock: bool(bedrock.requests), 30)
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {NEW}")
    return 1


async def answered_again(bobbin: ForkedBobbin) -> int:
    """Ann asks, changes her answered question, and has it answered again; one turn."""
    ann = bobbin.slack.add_person("Ann Lee")
    channel = bobbin.slack.add_channel("general", members=(ann,))
    thread = await bobbin.slack.say(ann, channel, f"{bobbin.me} What is the plan?")
    before = await bobbin.slack.wait_for(lambda: _answer(bobbin.slack, channel, thread), 30)
    await bobbin.slack.edit(ann, channel, thread, f"{bobbin.me} {NEW}")
    while _answer(bobbin.slack, channel, thread)[:FIRST] == before[:FIRST]:
        if bobbin.slack.connected:
            ts = bobbin.slack.thread(channel, thread)[1]["ts"]
            await bobbin.slack.shortcut(ann, "answer_again", channel, ts)
        await asyncio.sleep(0.3)  # as a person does who saw nothing happen
    return 1


def _answer(slack: Slack, channel: str, thread: str) -> str:
    """What stands there, once it is whole."""
    return "".join(
        shown(m) for m in slack.thread(channel, thread)[1:] if m.get("streaming_state") != "in_progress"
    )


@pytest.mark.timeout(300)  # on a busy machine
@pytest.mark.parametrize("play", [changed_meanwhile, answered_again])
async def test_a_kill_at_any_point_leaves_one_whole_answer_to_the_question_as_it_is(
    tmp_path: Path, play: Play
) -> None:
    whole, *killed = await singles(tmp_path, play)
    assert whole.wrong == []
    assert {run.kills: run.wrong for run in killed if run.wrong} == {}
