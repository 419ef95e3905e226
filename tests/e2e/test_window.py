"""A thread that outgrows the model's window goes on, and nobody sees an error of it."""

import pytest

from bot.sandbox.bedrock import Asked
from tests.e2e.scene import Scene, read, words

CONDENSED = "I have condensed the older part of this thread to go on reading it."
NOW = "Summarise everything above"
FACT = "Remember that the vault opens at seven."
ASK = "What should you remember?"


def summaries(asked: list[Asked]) -> list[Asked]:
    """The calls that condensed something."""
    return [one for one in asked if NOW in str(one.body["messages"][-1])]


def footers(scene: Scene, thread: str) -> str:
    return "\n".join(str(message.get("blocks")) for message in scene.answers(thread))


async def turn(scene: Scene, thread: str, text: str, count: int) -> str:
    await scene.say(text, thread=thread)
    return (await scene.bobbin.answered(scene.channel, thread, count))[-1]


async def thread_of(scene: Scene, turns: int, size: int = 1000) -> str:
    """A thread that begins with the fact, then so many turns."""
    thread = await scene.joined(FACT)
    for number in range(2, turns + 1):
        await turn(scene, thread, f"Turn {number}: {'so it goes on ' * (size // 14)}", number)
    return thread


async def test_a_thread_that_outgrows_its_window_goes_on_and_knows_its_first_fact(make):
    bobbin = await make(CONTEXT_WINDOW_TOKENS="12000").start()
    bobbin.bedrock.window = 12_000
    scene = Scene(bobbin)
    thread = await thread_of(scene, 50)
    assert "the vault opens at seven" in await turn(scene, thread, ASK, 51)
    condensed = summaries(scene.requests)
    assert len(condensed) >= 2
    assert {asked.ended for asked in scene.requests} == {"completed"}
    assert "Turn 49" in words(scene.requests[-1])[-3]  # the newest part is still word for word
    assert footers(scene, thread).count(CONDENSED) == 1
    assert await bobbin.rows("SELECT id FROM turn WHERE state NOT IN ('answered', 'open')") == []
    # Extended, not repeated: no message was sent to be condensed twice.
    sent = [word for asked in condensed for word in words(asked)]
    assert len(sent) == len(set(sent))


async def test_a_window_that_is_smaller_than_was_thought_is_never_seen(bobbin):
    scene = Scene(bobbin)
    thread = await thread_of(scene, 6)
    bobbin.bedrock.window = 1_500
    assert "the vault opens at seven" in await turn(scene, thread, ASK, 7)
    assert [asked.ended for asked in scene.requests[-3:]] == ["refused", "completed", "completed"]
    assert CONDENSED in footers(scene, thread)


async def test_one_message_that_is_too_long_gets_the_one_error_and_the_thread_goes_on(make):
    scene = Scene(await make(CONTEXT_WINDOW_TOKENS="4000").start())
    thread = await scene.joined(FACT)
    error = await turn(scene, thread, "A very long message " * 700, 2)
    assert "more than I can read at once" in error
    assert "the vault opens at seven" in await turn(scene, thread, ASK, 3)
    [condensed] = summaries(scene.requests)[-1:]
    assert "[… the rest of this message is too long to be read]</message>" in str(condensed.body["messages"])


@pytest.mark.parametrize("change", ["edit", "delete"])
async def test_words_that_were_condensed_and_then_changed_are_condensed_anew(make, change):
    bobbin = await make(CONTEXT_WINDOW_TOKENS="4000").start()
    scene = Scene(bobbin)
    thread = await thread_of(scene, 9)
    assert len(summaries(scene.requests)) >= 1
    if change == "edit":
        await scene.slack.edit(
            scene.ann, scene.channel, thread, f"{scene.me} Remember that the vault opens at nine."
        )
    else:
        await scene.slack.delete(scene.ann, scene.channel, thread)
    await scene.acked()
    answer = await turn(scene, thread, ASK, 10)
    assert "seven" not in answer
    assert ("the vault opens at nine" in answer) == (change == "edit")
    assert footers(scene, thread).count(CONDENSED) == 1
    assert "seven" not in str(await bobbin.rows("SELECT text FROM summary"))


async def test_a_crash_while_a_thread_is_condensed_loses_nothing(make):
    bobbin = await make(CONTEXT_WINDOW_TOKENS="4000").start()
    scene = Scene(bobbin)
    thread = await scene.joined(FACT)
    count = 1
    while not summaries(scene.requests):
        count += 1
        bobbin.bedrock.hold()
        await scene.say(f"Turn {count}: {'so it goes on ' * 70}", thread=thread)
        await bobbin.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
        if summaries(scene.requests):
            await bobbin.kill()
            await bobbin.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
        bobbin.bedrock.release()
        if summaries(scene.requests):
            await bobbin.start()
        await bobbin.answered(scene.channel, thread, count)
    cut_off, again = summaries(scene.requests)[:2]
    assert (cut_off.ended, again.ended) == ("client_disconnected", "completed")
    assert cut_off.body == again.body
    assert "the vault opens at seven" in await turn(scene, thread, ASK, count + 1)


async def test_who_spoke_in_the_condensed_part_is_still_told_apart_and_still_counts(make):
    scene = Scene(await make(CONTEXT_WINDOW_TOKENS="4000").start())
    other = scene.slack.add_person("ann2", display="Ann Lee")
    scene.slack.workspace.channels[scene.channel].members.append(other)
    thread, count = await scene.joined("I am the first of two"), 1
    while not summaries(scene.requests):
        count += 1
        await scene.say(f"Turn {count}: {'so it goes on ' * 70}", by=other, thread=thread)
        await scene.bobbin.answered(scene.channel, thread, count)
    await scene.say("one more", by=other, thread=thread)
    await scene.answered(thread, count + 1)
    # Only her namesake is left of those who spoke: nothing of what was sent before may read another way.
    before, after = ([block for block in read(asked) if block[0]] for asked in scene.requests[-2:])
    assert after[: len(before)] == before
    assert {who for who, _ in after} == {"Ann Lee (2)"}
    # And it is still a thread of two, in which not all is for Bobbin.
    await scene.say("Ann, say exactly: [[silent]]", by=other, thread=thread)
    assert await scene.end() == "silent"
    assert len(scene.answers(thread)) == count + 1


async def test_where_one_call_cannot_condense_all_each_message_is_still_sent_for_it_once(make):
    bobbin = await make(CONTEXT_WINDOW_TOKENS="12000").start()
    scene = Scene(bobbin)
    thread, count = await scene.joined(FACT), 1
    while not summaries(scene.requests[:-4]):  # and some more turns, of which each fills a call
        count += 1
        await turn(scene, thread, f"Turn {count}: {'so it goes on ' * 200}", count)
    await bobbin.stop()
    bobbin.settings["CONTEXT_WINDOW_TOKENS"] = "4000"
    await bobbin.start()
    before = len(summaries(scene.requests))
    assert "the vault opens at seven" in await turn(scene, thread, ASK, count + 1)
    condensed = summaries(scene.requests)[before:]
    assert len(condensed) > 1
    sent = [word for asked in condensed for word in words(asked)]
    assert len(sent) == len(set(sent))
