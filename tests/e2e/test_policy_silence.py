"""When Bobbin keeps silent, through the running process: by the model's word, a person's, after a week."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.scripted import Messages, Scripted
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read, running, system, words

LONG = "Four score and seven years ago. " * 20

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("silence"), SLACK_PACING="off") as bobbin:
        yield bobbin


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


# ---------------------------------------------------------------- silence


async def test_words_between_people_may_be_left_unanswered_and_the_next_turn_reads_them(scene: Scene) -> None:
    thread = await scene.joined()
    shows = len(scene.slack.status(scene.channel, thread).history)
    await scene.say("Ann, say exactly: [[silent]]", by=scene.ben, thread=thread)
    await scene.bedrock.wait_for(lambda _: len(scene.requests) == 2)
    await scene.heard()
    assert "[[silent]]" in system(scene.requests[1])
    assert len(scene.answers(thread)) == 1
    assert len(scene.slack.status(scene.channel, thread).history) == shows
    assert await scene.end() == "silent"
    await scene.mention("who said what?", thread=thread)
    assert "[[silent]]" not in (await scene.answered(thread, 2))[1].splitlines()[0]
    assert ("Ben Roe", "Ann, say exactly: [[silent]]") in read(scene.requests[2])
    assert "[[silent]]" not in [said for who, said in read(scene.requests[2]) if not who]


class Stubborn(Scripted):
    """Keeps silent the first time that it is asked "hush", or every time at "hush for ever"."""

    def answer(self, messages: Messages, system: str) -> str:
        newest = str(messages[-1])
        firm = "answer it in words" in system
        silent = "hush for ever" in newest or ("hush" in newest and not firm)
        return "[[silent]]" if silent else super().answer(messages, system)


async def _called(scene: Scene, how: str, text: str) -> str:
    """Say it where silence is no answer; the thread."""
    if how == "dm":
        scene.channel = scene.slack.dm(scene.ann)
        return await scene.say(text)
    if how == "mention":
        thread = await scene.say("Lunch?", by=scene.ben)
        await scene.mention(text, thread=thread)
        return thread
    thread = await scene.joined()
    await scene.say(text, thread=thread)
    return thread


@pytest.mark.parametrize("how", ["mention", "dm", "only person"])
async def test_silence_to_whom_it_was_called_by_is_asked_again(
    scene: Scene, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.bedrock, "model", Stubborn())
    thread = await _called(scene, how, "hush, what's 2+2?")
    count = 1 + (how == "only person")
    assert (await scene.answered(thread, count))[-1].startswith("4")
    assert "[[silent]]" not in system(scene.requests[-1])
    assert len(scene.requests) == count + 1


class Wavering(Scripted):
    """Answers, but the second time that it is asked it keeps silent where that is left to it."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, messages: Messages, system: str) -> str:
        self.asked += 1
        silent = self.asked == 2 and "answer it in words" not in system
        return "[[silent]]" if silent else super().answer(messages, system)


@pytest.mark.parametrize("how", ["the stream breaks", "the question is changed"])
async def test_where_words_stand_already_there_is_no_silence_any_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    thread = await scene.joined()
    monkeypatch.setattr(scene.bedrock, "model", Wavering())
    monkeypatch.setattr(scene.bedrock, "pace", 0.5)
    if how == "the stream breaks":
        scene.bedrock.faults.add("reset", after_events=20)
    asked = await scene.say(f"say exactly: {LONG}", by=scene.ben, thread=thread)
    await scene.slack.wait_for(lambda: len(scene.answers(thread)) == 2)
    if how == "the question is changed":
        await scene.slack.edit(scene.ben, scene.channel, asked, f"Ann, say exactly: {LONG}")
        await scene.bedrock.wait_for(lambda _: len(scene.requests) > 2)
    scene.bedrock.pace = 0
    await scene.slack.wait_for(lambda: shown(scene.answers(thread)[1]).strip() == LONG.strip())
    await scene.heard()
    assert await scene.end() == "answered"
    assert len(scene.requests) == 1 + 3


@pytest.mark.parametrize("how", ["mention", "dm", "only person"])
async def test_silent_twice_is_an_error_and_the_words_are_not_lost(
    scene: Scene, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.bedrock, "model", Stubborn())
    thread = await _called(scene, how, "hush for ever")
    count = 1 + (how == "only person")
    await scene.answered(thread, count)
    assert "Try again" in str(scene.answers(thread)[-1]["blocks"])
    assert await scene.end() == "failed"
    monkeypatch.undo()
    await scene.mention("say exactly: back again", thread=thread)
    assert (await scene.answered(thread, count + 1))[-1] == "back again"
    assert "hush for ever" in words(scene.requests[-1])


# ---------------------------------------------------------------- a thread at rest


async def _long_ago(scene: Scene, text: str) -> str:
    """A thread with one answer, begun eight days ago."""
    ts = f"{int(scene.slack.workspace.new_ts().split('.')[0]) - 8 * 24 * 3600}.000100"
    place = scene.slack.workspace.channels[scene.channel]
    place.messages[ts] = {"type": "message", "user": scene.ann, "text": text, "ts": ts}
    facts = {"channel": scene.channel, "channel_type": place.kind, "event_ts": ts}
    scene.slack.deliver_raw(place.messages[ts] | facts)
    await scene.answered(ts)
    return ts


async def test_a_thread_silent_for_a_week_is_answered_only_by_mention(scene: Scene) -> None:
    thread = await _long_ago(scene, f"{scene.me} hello")
    await scene.say("Is anybody there?", thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1
    await scene.mention("and now?", thread=thread)
    await scene.answered(thread, 2)
    assert words(scene.requests[1]) == ["hello", "Is anybody there?", "and now?"]
    await scene.say("say exactly: awake again", thread=thread)
    assert (await scene.answered(thread, 3))[2] == "awake again"


async def test_a_dm_is_answered_however_long_it_was_silent(scene: Scene) -> None:
    scene.channel = scene.slack.dm(scene.ann)
    thread = await _long_ago(scene, "Hello")
    await scene.say("say exactly: of course", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "of course"


async def _muted_by_word(scene: Scene, thread: str, *, off: bool) -> None:
    await scene.say("Wake!" if off else "mute", by=scene.ben, thread=thread)


async def _muted_by_mention(scene: Scene, thread: str, *, off: bool) -> None:
    await scene.mention("wake" if off else "mute", by=scene.ben, thread=thread)


async def _muted_by_reaction(scene: Scene, thread: str, *, off: bool) -> None:
    act = scene.slack.unreact if off else scene.slack.react
    await act(scene.ben, scene.channel, thread, "no_bell")


@pytest.mark.parametrize("mute", [_muted_by_word, _muted_by_mention, _muted_by_reaction])
async def test_a_muted_thread_is_answered_only_by_mention_until_it_is_woken(scene: Scene, mute: Any) -> None:
    thread = await scene.joined()
    await mute(scene, thread, off=False)
    await scene.acked()
    await scene.say("are you there?", thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1
    await scene.mention("say exactly: yes", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "yes"
    assert "are you there?" in words(scene.requests[1])
    await scene.say("still muted?", thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 2
    await mute(scene, thread, off=True)
    await scene.acked()
    await scene.say("say exactly: listening", thread=thread)
    assert (await scene.answered(thread, 3))[2] == "listening"
    assert not {"mute", "Wake!", "wake"} & set(words(scene.requests[-1]))
    notes = [] if mute is _muted_by_reaction else ["Muted:", "I"]
    await scene.slack.wait_for(lambda: len(scene.slack.ephemerals(scene.ben)) >= len(notes))
    assert [note["text"].split()[0] for note in scene.slack.ephemerals(scene.ben)] == notes


async def test_a_muted_dm_thread_is_left_alone_and_a_new_one_is_not(scene: Scene) -> None:
    scene.channel = scene.slack.dm(scene.ann)
    thread = await scene.say("Hello")
    await scene.answered(thread)
    await scene.say("mute", thread=thread)
    await scene.acked()
    await scene.say("note to myself", thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1
    await scene.answered(await scene.say("say exactly: a new thread"))
    await scene.mention("say exactly: called", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "called"


async def test_the_bell_on_another_message_mutes_nothing(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.slack.react(scene.ben, scene.channel, str(scene.answers(thread)[0]["ts"]), "no_bell")
    await scene.slack.react(scene.ben, scene.channel, thread, "bell")
    await scene.acked()
    await scene.say("say exactly: listening", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "listening"


async def test_a_word_is_a_command_only_as_the_whole_message(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.say("say exactly: mute what?", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "mute what?"
    await scene.say("say exactly: not muted", thread=thread)
    assert (await scene.answered(thread, 3))[2] == "not muted"


# ---------------------------------------------------------------- stop by word


async def test_anyone_in_the_thread_stops_an_answer_by_the_word(scene: Scene) -> None:
    thread = await scene.mention("wait 60")
    await scene.asked()
    await scene.say("stop", by=scene.ben, thread=thread)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
    await scene.say("say exactly: going on", thread=thread)
    assert (await scene.answered(thread))[-1] == "going on"
    assert words(scene.requests[1]) == ["wait 60", "say exactly: going on"]


async def test_stop_with_nothing_to_stop_is_no_question(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.mention("stop", thread=thread)
    await scene.heard()
    assert len(scene.requests) == 1
    await scene.say("say exactly: next", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "next"
    assert words(scene.requests[1]) == ["Hello", "say exactly: next"]
