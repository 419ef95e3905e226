"""At home in Slack's agent view: a greeting, prompts, a title, and Stop; and where the app is no agent."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.slack.agent import PROMPTS
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, running
from tests.e2e.test_crashes import at_rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "We are met on a great battle-field of that war. " * 40
GREETING = "Hello! Write to me here"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("agent"), SLACK_PACING="off") as bobbin:
        yield bobbin
        assert not [line for line in bobbin.log if "turn broke" in line["event"]]


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


def greetings(scene: Scene, dm: str) -> list[str]:
    """How often Bobbin said hello there."""
    return [m["text"] for m in scene.slack.messages(dm) if m["text"].startswith(GREETING)]


# ---------------------------------------------------------------- the messages tab


async def test_who_opens_the_messages_is_greeted_once_and_always_sees_prompts(scene: Scene) -> None:
    dm = await scene.slack.open_messages_tab(scene.ann)
    await scene.slack.wait_for(lambda: greetings(scene, dm))
    assert scene.slack.prompts(scene.ann)["prompts"] == list(PROMPTS)
    await scene.slack.open_messages_tab(scene.ann, looking_at=scene.channel)
    await scene.slack.wait_for(lambda: "#general" in str(scene.slack.prompts(scene.ann)))
    titles = [prompt["title"] for prompt in scene.slack.prompts(scene.ann)["prompts"]]
    assert titles[:2] == ["Write a message for #general", "Explain something said in #general"]
    assert len(titles) == 4
    await scene.heard()
    assert len(greetings(scene, dm)) == 1


async def test_the_home_tab_is_no_greeting(scene: Scene) -> None:
    dm = await scene.slack.open_home(scene.ben)
    await scene.heard()
    assert not scene.slack.prompts(scene.ben)
    assert not greetings(scene, dm)


async def test_where_bobbin_cannot_see_the_channel_the_prompts_are_the_general_ones(scene: Scene) -> None:
    elsewhere = scene.slack.add_channel("secret", private=True, members=(scene.ann,), bot_member=False)
    await scene.slack.open_messages_tab(scene.ann, looking_at=elsewhere)
    await scene.slack.wait_for(lambda: scene.slack.prompts(scene.ann))
    assert scene.slack.prompts(scene.ann)["prompts"] == list(PROMPTS)


# ---------------------------------------------------------------- the title


async def test_a_thread_is_called_by_its_first_question_and_keeps_that(scene: Scene) -> None:
    dm = scene.slack.dm(scene.ann)
    question = (
        f"What's <@{scene.ben}>'s *plan*\nfor <https://example.com/x|the\u2028page> & more " + "x" * 200
    )
    thread = await scene.slack.say(scene.ann, dm, question)
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).title)
    title = scene.slack.status(dm, thread).title
    assert title.startswith("What's @Ben Roe's *plan* for the page")
    assert len(title) <= 80
    assert not set("<>\n\u2028") & set(title)
    scene.slack.workspace.sessions[dm, thread].title = "My own"
    await scene.slack.say(scene.ann, dm, "say exactly: going on", thread=thread)
    await scene.bobbin.answered(dm, thread, 2)
    await scene.heard()
    assert scene.slack.status(dm, thread).title == "My own"


async def test_answering_again_does_not_take_a_title_away(scene: Scene) -> None:
    dm = scene.slack.dm(scene.ann)
    thread = await scene.slack.say(scene.ann, dm, "What's 1+1?")
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).title == "What's 1+1?")
    scene.slack.workspace.sessions[dm, thread].title = "My own"
    await at_rest(scene.bobbin)
    (answer,) = scene.bobbin.answers(dm, thread)
    await scene.slack.shortcut(scene.ann, "answer_again", dm, answer["ts"])
    await at_rest(scene.bobbin)
    assert len(scene.requests) == 2
    assert scene.slack.status(dm, thread).title == "My own"


async def test_a_thread_whose_first_question_fails_at_once_has_its_title_too(scene: Scene) -> None:
    dm = scene.slack.dm(scene.ann)
    thread = await scene.slack.say(scene.ann, dm, "fail no_access")
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).title == "fail no_access")
    assert scene.slack.status(dm, thread).status == "active"
    assert len(scene.bobbin.answers(dm, thread)) == 1


# ---------------------------------------------------------------- stop


async def stopped(scene: Scene, place: str, thread: str, how: str) -> None:
    """Stop by Slack's own button or by word: the model's server sees the call closed before its end."""
    if how == "button":
        await scene.slack.stop(scene.ann, place, thread)
    else:
        await scene.slack.say(scene.ann, place, "stop", thread=thread)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
    assert scene.requests[-1].ended == "client_disconnected"


@pytest.mark.parametrize("how", ["button", "word"])
async def test_stop_while_the_answer_grows(scene: Scene, how: str) -> None:
    dm = scene.slack.dm(scene.ann)
    scene.bedrock.pace = 0.2
    thread = await scene.slack.say(scene.ann, dm, f"say exactly: {LONG}")
    await scene.slack.wait_for(lambda: scene.bobbin.answers(dm, thread))
    await stopped(scene, dm, thread, how)
    scene.bedrock.pace = 0
    (text,) = await scene.bobbin.answered(dm, thread)
    assert text.strip()
    assert LONG.startswith(text.strip())
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.bobbin.answers(dm, thread)))
    await scene.slack.say(scene.ann, dm, "say exactly: going on", thread=thread)
    assert (await scene.bobbin.answered(dm, thread, 2))[1] == "going on"
    assert text.strip() in str(scene.requests[-1].body)


@pytest.mark.parametrize("how", ["button", "word"])
async def test_code_that_is_stopped_in_the_middle_ends_above_the_note(scene: Scene, how: str) -> None:
    dm = scene.slack.dm(scene.ann)
    scene.bedrock.pace = 0.2
    thread = await scene.slack.say(scene.ann, dm, "say exactly: ```python\n" + "print(1)\n" * 300 + "```")
    await scene.slack.wait_for(
        lambda: "print(1)\n" in "".join(shown(each) for each in scene.bobbin.answers(dm, thread))
    )
    await stopped(scene, dm, thread, how)
    scene.bedrock.pace = 0
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.bobbin.answers(dm, thread)))
    (text,) = await scene.bobbin.answered(dm, thread)
    assert text.startswith("```python\nprint(1)\n")
    assert text.endswith("\n```")


@pytest.mark.parametrize("how", ["button", "word"])
async def test_stop_before_the_first_word_leaves_nothing(scene: Scene, how: str) -> None:
    dm = scene.slack.dm(scene.ann)
    thread = await scene.slack.say(scene.ann, dm, "wait 60")
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).status == "processing")
    await stopped(scene, dm, thread, how)
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).status == "active")
    await scene.heard()
    assert not scene.bobbin.answers(dm, thread)
    await scene.slack.say(scene.ann, dm, "say exactly: going on", thread=thread)
    assert await scene.bobbin.answered(dm, thread) == ["going on"]


async def test_a_thread_where_no_status_may_be_shown_leaves_no_other_one_busy(tmp_path: Path) -> None:
    async with running(tmp_path, SLACK_PACING="off") as bobbin:
        scene, slack = Scene(bobbin), bobbin.slack
        here, there = slack.dm(scene.ann), slack.dm(scene.ben)
        slack.faults.add("chat.startStream", "channel_type_not_supported", times=None)  # its end tells it too
        bobbin.bedrock.hold()
        thread = await slack.say(scene.ann, here, "say exactly: done")
        await slack.wait_for(lambda: slack.status(here, thread).status == "processing")
        slack.faults.add("agents.sessions.setStatus", "is_archived")
        refused = await slack.say(scene.ben, there, "say exactly: done too")
        await slack.wait_for(lambda: len(slack.calls("agents.sessions.setStatus")) == 2)
        bobbin.bedrock.release()
        assert await bobbin.answered(here, thread) == ["done"]
        assert await bobbin.answered(there, refused) == ["done too"]


async def test_stop_while_the_model_is_waited_for_ends_the_waiting(scene: Scene) -> None:
    dm = scene.slack.dm(scene.ann)
    thread = await scene.slack.say(scene.ann, dm, "fail throttled")
    await scene.bedrock.wait_for(lambda _: len(scene.requests) == 1)
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).status == "processing")
    await scene.slack.stop(scene.ann, dm, thread)
    await scene.slack.wait_for(lambda: scene.slack.status(dm, thread).status == "active")
    await at_rest(scene.bobbin)  # it would be asked again and again for two minutes
    assert {asked.fault for asked in scene.requests} == {"throttled"}
    assert not scene.bobbin.answers(dm, thread)


async def test_the_button_that_the_answer_itself_brings_leaves_no_thread_busy(scene: Scene) -> None:
    """Nobody called: no status was shown, but a stream shows one."""
    thread = await scene.joined()
    scene.bedrock.pace = 0.2
    await scene.say(f"say exactly: {LONG}", by=scene.ben, thread=thread)
    await scene.slack.wait_for(lambda: len(scene.answers(thread)) == 2)
    await stopped(scene, scene.channel, thread, "button")
    scene.bedrock.pace = 0
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.answers(thread)))
    await scene.slack.wait_for(lambda: scene.slack.status(scene.channel, thread).status == "active")


async def test_stop_of_a_message_that_is_rewritten_as_it_grows(scene: Scene) -> None:
    scene.slack.faults.add("chat.startStream", "channel_type_not_supported")
    scene.bedrock.pace = 0.2
    thread = await scene.mention(f"say exactly: {LONG}")
    await scene.slack.wait_for(lambda: scene.answers(thread))
    await stopped(scene, scene.channel, thread, "word")
    scene.bedrock.pace = 0
    await scene.slack.wait_for(lambda: "Stopped." in str(scene.answers(thread)))
    (answer,) = scene.answers(thread)
    assert LONG.startswith(shown(answer).strip())


# ---------------------------------------------------------------- an app that is no agent


async def test_an_app_that_is_no_agent_greets_and_answers_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, SLACK_PACING="off") as bobbin:
        bobbin.slack.workspace.agent = False
        scene = Scene(bobbin)
        dm = await scene.slack.open_messages_tab(scene.ann)
        await scene.slack.wait_for(lambda: greetings(scene, dm))
        await scene.slack.open_messages_tab(scene.ann)
        thread = await scene.slack.say(scene.ann, dm, "say exactly: hello")
        await scene.slack.wait_for(lambda: bobbin.answers(dm, thread))
        await scene.acked()
        await asyncio.sleep(0)
        assert len(scene.slack.calls("assistant.threads.setSuggestedPrompts")) == 1
        assert len(greetings(scene, dm)) == 1
        assert not scene.slack.calls("agents.sessions.rename")
        assert await bobbin.stop() == 0
