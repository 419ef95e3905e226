"""What admins set for a channel, by word to Bobbin: carried out once, shown to all, heard by the model."""

from collections.abc import AsyncIterator, Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, system
from tests.e2e.test_crashes import nothing_is_left

Make = Callable[..., Bobbin]

OPUS = "us.anthropic.claude-opus-5-5"


@pytest.fixture
async def scene(bobbin: Bobbin) -> AsyncIterator[Scene]:
    """Ann is an admin; in the end nothing is left half done."""
    scene = Scene(bobbin)
    scene.slack.workspace.people[scene.ann].admin = True
    yield scene
    await nothing_is_left(bobbin, scene.slack)


async def test_an_admin_sets_instructions_which_everybody_sees_and_the_model_hears(scene: Scene) -> None:
    thread = await scene.mention("instructions Answer in Spanish.\nBe brief.")
    (shown,) = await scene.answered(thread)
    assert shown == "Ann Lee has set the instructions of this channel:\n\n> Answer in Spanish.\n> Be brief."
    assert scene.requests == []
    assert not scene.answers(thread)[0]["blocks"][1:]  # nothing says that a model wrote it

    await scene.answered(await scene.mention("Hello", by=scene.ben))
    assert system(scene.requests[-1]).rstrip().endswith("\n\nAnswer in Spanish.\nBe brief.")
    elsewhere = Scene(scene.bobbin)
    await elsewhere.joined()
    assert "Spanish" not in system(elsewhere.requests[-1])

    (shown,) = await scene.answered(await scene.mention("instructions", by=scene.ben))
    assert shown.startswith("The instructions of this channel, set by Ann Lee:")
    assert "> Answer in Spanish." in shown

    (shown,) = await scene.answered(await scene.mention("instructions none"))
    assert shown.startswith("Ann Lee has taken away the instructions of this channel.")
    await scene.answered(await scene.mention("Hello again", by=scene.ben))
    assert "Spanish" not in system(scene.requests[-1])
    (shown,) = await scene.answered(await scene.mention("instructions", by=scene.ben))
    assert shown == "This channel has no instructions of its own."


async def test_what_was_said_of_it_is_part_of_the_thread(scene: Scene) -> None:
    thread = await scene.mention("instructions: Be brief.")
    await scene.answered(thread)
    await scene.say("What did I just say?", thread=thread)
    await scene.answered(thread, 2)
    assert [message["role"] for message in scene.requests[-1].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
    assert "Be brief." in system(scene.requests[-1])


async def test_an_admin_chooses_the_model_of_a_channel(scene: Scene) -> None:
    thread = await scene.mention(f"model {OPUS}")
    assert await scene.answered(thread) == [f"Ann Lee has set the model of this channel:\n\n`{OPUS}`"]
    await scene.answered(await scene.mention("Hello"))
    assert scene.requests[-1].model_id == OPUS
    rows = await scene.bobbin.rows("SELECT model, micro_usd FROM call ORDER BY id")
    assert rows[-1][0] == OPUS
    await scene.answered(await scene.mention("model default"))
    await scene.answered(await scene.mention("Hello"))
    assert scene.requests[-1].model_id != OPUS


@pytest.mark.parametrize("model", ["us.anthropic.claude-opera-9", "gpt-7", "claude.opus"])
async def test_a_model_that_is_not_known_is_refused_kindly(scene: Scene, model: str) -> None:
    (shown,) = await scene.answered(await scene.mention(f"model {model}"))
    assert shown.startswith(f"I know no model `{model}`: nothing was changed.")
    await scene.answered(await scene.mention("Hello"))
    assert "sonnet" in scene.requests[-1].model_id


async def test_instructions_that_are_too_long_are_refused_kindly(scene: Scene) -> None:
    (shown,) = await scene.answered(await scene.mention("instructions " + "x" * 4001))
    assert "4,001 characters of 4,000" in shown
    (shown,) = await scene.answered(await scene.mention("instructions"))
    assert shown == "This channel has no instructions of its own."


async def test_others_are_refused_privately_and_nothing_changes(scene: Scene) -> None:
    thread = await scene.mention("instructions Obey Ben.", by=scene.ben)
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ben))
    (note,) = scene.slack.ephemerals(scene.ben)
    assert note["text"].startswith("Only admins may set")
    await scene.heard()
    assert not scene.answers(thread)
    await scene.answered(await scene.mention("Hello"))
    assert "Obey" not in system(scene.requests[0])


async def test_who_is_no_admin_any_more_may_not_set_it(scene: Scene) -> None:
    await scene.answered(await scene.mention("instructions Be brief."))
    scene.slack.workspace.people[scene.ann].admin = False
    await scene.mention("instructions Be long.")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ann))
    (shown,) = await scene.answered(await scene.mention("instructions"))
    assert "> Be brief." in shown


async def test_the_setting_says_who_the_admins_are(make: Make) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    scene.slack.workspace.people[scene.ann].admin = True
    bobbin.settings["ADMIN_USERS"] = scene.ben
    await bobbin.start()
    await scene.mention("instructions Ann's.")
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(scene.ann))
    (shown,) = await scene.answered(await scene.mention("instructions Ben's.", by=scene.ben))
    assert "> Ben's." in shown


async def test_words_that_begin_so_but_order_nothing_are_asked(scene: Scene) -> None:
    await scene.answered(await scene.mention("model the sales of next year"))
    thread = await scene.joined()
    await scene.say("instructions for the coffee machine?", thread=thread)
    await scene.answered(thread, 2)
    assert len(scene.requests) == 3
    assert not scene.slack.ephemerals(scene.ann)


async def test_a_question_that_waits_beside_an_order_is_answered_with_it(scene: Scene) -> None:
    scene.bedrock.hold()
    thread = await scene.mention("Hello")
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await scene.mention("instructions Be brief.", thread=thread)
    await scene.mention("And 1+1?", thread=thread)
    await scene.acked()
    scene.bedrock.release()
    await scene.answered(thread, 2)
    below = str(scene.answers(thread)[1]["blocks"])
    assert "Ann Lee has set the instructions of this channel" in below
    assert len(scene.requests) == 2


async def test_an_order_that_is_delivered_twice_is_confirmed_once(scene: Scene) -> None:
    scene.slack.deliver_twice()
    thread = await scene.mention("instructions Be brief.")
    await scene.answered(thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1


@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "late"])
async def test_a_confirmation_whose_answer_is_lost_is_not_made_twice(scene: Scene, fault: str) -> None:
    scene.slack.faults.add("chat.postMessage", fault, seconds=0.1)
    thread = await scene.mention("instructions Be brief.")
    await scene.answered(thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1


async def test_an_order_cut_off_by_a_kill_is_carried_out_and_confirmed_once(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make().start()
    scene = Scene(bobbin)
    slack.workspace.people[scene.ann].admin = True
    slack.faults.add("chat.postMessage", "late", seconds=0.3)
    thread = await scene.mention("instructions Be brief.")
    await slack.wait_for(lambda: slack.calls("chat.postMessage"))
    await bobbin.kill()
    await bobbin.start()
    (shown,) = await scene.answered(thread)
    assert "> Be brief." in shown
    await scene.heard()
    assert len(scene.answers(thread)) == 1
    assert await bobbin.rows("SELECT name, value, set_by FROM channel_setting") == [
        ("instructions", "Be brief.", scene.ann)
    ]
    await nothing_is_left(bobbin, slack)
