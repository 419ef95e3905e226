"""Who may ask, and where: each refused with one private note, then silence; their words are history."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.policy import NOTES
from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, words
from tests.e2e.test_crashes import at_rest

Make = Callable[..., Bobbin]


async def _refused_once(scene: Scene, user: str, witness: str = "") -> None:
    """This person asks three times, is told once, and is answered never."""
    before = len(scene.requests)
    for text in ("may I?", "and now?"):
        thread = await scene.mention(text, by=user)
        await scene.heard(witness)
        assert not scene.answers(thread)
    await scene.slack.say(user, scene.slack.dm(user), "in a DM?")
    await scene.heard(witness)
    assert len(scene.requests) == before
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(user))
    (note,) = scene.slack.ephemerals(user)
    assert note["text"].startswith("I ")


async def _joined_and_read(scene: Scene, user: str, witness: str = "") -> None:
    """In Ann's thread what this person says is not answered, but read with what Ann asks next."""
    thread = await scene.joined()
    await scene.say("an aside", by=user, thread=thread)
    await scene.mention("a question", by=user, thread=thread)
    await scene.heard(witness)
    assert len(scene.answers(thread)) == len(scene.requests) == 1
    await scene.say("Anything else?", thread=thread)
    await scene.answered(thread, 2)
    assert words(scene.requests[1]) == ["Hello", "an aside", "a question", "Anything else?"]


async def test_only_allowed_users_are_answered(slack: Slack, make: Make) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    bobbin.settings["ALLOWED_USERS"] = f"{scene.ann},U0SOMEBODY"
    await bobbin.start()
    await _joined_and_read(scene, scene.ben, scene.ann)
    await _refused_once(scene, scene.ben, scene.ann)


async def test_a_refused_person_may_stop_mute_and_wake_a_thread(make: Make) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    bobbin.settings["ALLOWED_USERS"] = scene.ann
    await bobbin.start()
    thread = await scene.mention("wait 60")
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    await scene.say("stop", by=scene.ben, thread=thread)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 0)
    await scene.say("mute", by=scene.ben, thread=thread)
    await scene.acked()
    await scene.say("nobody hears me", thread=thread)
    await scene.heard(scene.ann)
    assert len(scene.requests) == 1
    await scene.say("wake", by=scene.ben, thread=thread)
    await scene.acked()
    await scene.say("say exactly: I do", thread=thread)
    assert await scene.answered(thread) == ["I do"]


async def test_only_allowed_channels_are_served_and_dms_are(make: Make) -> None:
    bobbin = make()
    scene, elsewhere = Scene(bobbin), Scene(bobbin)
    bobbin.settings["ALLOWED_CHANNELS"] = scene.channel
    await bobbin.start()
    await scene.joined()
    for text in ("may I?", "and now?"):
        await elsewhere.mention(text)
        await elsewhere.heard()
    await elsewhere.slack.wait_for(lambda: elsewhere.slack.ephemerals(elsewhere.ann))
    assert len(elsewhere.slack.ephemerals(elsewhere.ann)) == 1
    elsewhere.channel = elsewhere.slack.dm(elsewhere.ann)
    thread = await elsewhere.say("say exactly: here yes")
    assert await elsewhere.answered(thread) == ["here yes"]


async def test_people_of_other_organisations_are_refused(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    stranger = scene.slack.add_person("Eve", external_team="T0OTHER")
    await _joined_and_read(scene, stranger)
    await _refused_once(scene, stranger)


async def test_in_a_shared_channel_a_team_left_unsaid_is_looked_up(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    eve, guest = (scene.slack.add_person(name, external_team="T0OTHER") for name in ("Eve", "Flo"))
    await scene.say("hello all", by=guest)
    threads = {}
    for person in (scene.ann, eve):
        facts = scene.slack.workspace.people[person]
        team, external, facts.team, facts.external = facts.team, facts.external, "", False
        threads[person] = await scene.mention("say exactly: you may", by=person)
        facts.team, facts.external = team, external
    await scene.heard()
    assert await scene.answered(threads[scene.ann]) == ["you may"]
    assert not scene.answers(threads[eve])
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(eve))
    assert [len(scene.slack.ephemerals(person)) for person in (scene.ann, eve)] == [0, 1]


async def test_people_of_other_organisations_and_guests_may_be_allowed(make: Make) -> None:
    scene = Scene(await make(EXTERNAL_USERS="allow").start())
    for person in (
        scene.slack.add_person("Eve", external_team="T0OTHER"),
        scene.slack.add_person("Gus", guest=True),
    ):
        thread = await scene.mention("say exactly: welcome", by=person)
        assert await scene.answered(thread) == ["welcome"]


async def test_guests_may_be_refused(make: Make) -> None:
    scene = Scene(await make(GUESTS="refuse").start())
    guest = scene.slack.add_person("Gus", guest=True)
    await _joined_and_read(scene, guest)
    await _refused_once(scene, guest)


async def test_who_has_become_a_guest_is_one(make: Make) -> None:
    bobbin = await make(GUESTS="refuse").start()
    scene = Scene(bobbin)
    await scene.joined()
    scene.slack.workspace.people[scene.ann].guest = True
    await bobbin.stop()
    await bobbin.start()  # within the hour Slack is not asked again by one process
    await _refused_once(scene, scene.ann, scene.ben)


async def test_a_person_is_told_once_whatever_they_are_refused_for(make: Make) -> None:
    bobbin = make(GUESTS="refuse")
    scene, elsewhere = Scene(bobbin), Scene(bobbin)
    bobbin.settings["ALLOWED_CHANNELS"] = scene.channel
    await bobbin.start()
    guest = scene.slack.add_person("Gus", guest=True)
    for place in (elsewhere, scene):
        await place.mention("may I?", by=guest)
        await place.heard(scene.ann)
    await scene.slack.wait_for(lambda: scene.slack.ephemerals(guest))
    assert [note["text"] for note in scene.slack.ephemerals(guest)] == [NOTES["channel"]]
    assert len(scene.requests) == 0


async def test_a_guest_and_a_member_who_ask_together_are_told_apart(make: Make) -> None:
    scene = Scene(await make(GUESTS="refuse").start())
    guest = scene.slack.add_person("Gus", guest=True)
    scene.bedrock.hold()
    thread = await scene.mention("Hello")
    await scene.asked()
    await scene.say("say exactly: for Ann", thread=thread)
    await scene.mention("and me?", by=guest, thread=thread)
    await scene.acked()
    scene.bedrock.release()
    assert len(await scene.answered(thread, 2)) == 2
    assert words(scene.requests[1])[1:] == ["say exactly: for Ann", "and me?"]
    assert len(scene.slack.ephemerals(guest)) == 1


@pytest.mark.parametrize("by", ["bot id", "user id", "classic"])
async def test_an_allowed_bot_is_answered_when_it_mentions_bobbin(make: Make, by: str) -> None:
    bobbin = make()
    scene = Scene(bobbin)
    ci = scene.slack.add_person("ci", bot=True)
    other = scene.slack.add_person("other", bot=True)
    ids = {"bot id": scene.slack.workspace.people[ci].bot_id, "user id": ci, "classic": "B0CLASSIC"}
    bobbin.settings["ALLOWED_BOTS"] = ids[by]
    await bobbin.start()
    as_bot = {"as_bot": "ci"} if by == "classic" else {}
    thread = await scene.mention("say exactly: at once", by=ci, **as_bot)
    await scene.shows(thread, ["at once"])
    await scene.say("an aside", by=ci, thread=thread, **as_bot)
    await scene.mention("say exactly: never", by=other, thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == len(scene.requests) == 1


async def test_an_allowed_bot_is_neither_a_guest_nor_a_stranger(make: Make) -> None:
    scene = Scene(await make(GUESTS="refuse", ALLOWED_BOTS="B0CLASSIC").start())
    await scene.say("hello all", by=scene.slack.add_person("Eve", external_team="T0OTHER"))
    thread = await scene.mention("say exactly: at once", as_bot="ci")
    await scene.shows(thread, ["at once"])


async def test_replies_may_be_answered_by_mention_only(make: Make) -> None:
    scene = Scene(await make(THREAD_REPLIES="mention").start())
    thread = await scene.joined()
    await scene.say("not to Bobbin", thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == 1
    await scene.mention("say exactly: now to Bobbin", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "now to Bobbin"
    assert "not to Bobbin" in words(scene.requests[1])
    scene.channel = scene.slack.dm(scene.ann)
    thread = await scene.say("Hello")
    await scene.answered(thread)
    await scene.say("say exactly: in a DM always", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "in a DM always"


async def test_where_dms_are_no_threads_each_person_is_told_once_to_reply_in_the_thread(
    make: Make, slack: Slack
) -> None:
    slack.workspace.agent = False
    scene = Scene(await make().start())
    for person in (scene.ann, scene.ben):
        scene.channel = scene.slack.dm(person)
        scene.bedrock.hold()
        threads = [await scene.say(text, by=person) for text in ("Hello", "Hello again")]
        # What cannot be shown there tells Bobbin that DMs are no threads: then it looks at the questions.
        await slack.wait_for(
            lambda: all("reactions" in slack.message(scene.channel, thread) for thread in threads)  # noqa: B023
        )
        scene.bedrock.release()
        for thread in threads:
            await scene.answered(thread)
        await at_rest(scene.bobbin)  # without a stream, an answer grows
        told = ["Reply in this thread" in str(scene.answers(thread)) for thread in threads]
        assert sorted(told) == [False, True]


async def test_bobbins_own_earlier_answers_are_read_as_its_own(
    make: Make, slack: Slack, bedrock: Bedrock, tmp_path: Path
) -> None:
    forgetful = await make().start()
    scene = Scene(forgetful)
    thread = await scene.mention("What's 1+1?")
    (two,) = await scene.answered(thread)
    await scene.say("What's 2+2?", thread=thread)
    (_, four) = await scene.answered(thread, 2)
    await forgetful.stop()
    scene.bobbin = await make().start()
    await scene.mention("And 3 more added to that?", thread=thread)
    assert (await scene.answered(thread, 3))[2].startswith("7")
    assert [(m["role"], m["content"][0]["text"]) for m in bedrock.requests[-1].body["messages"]][1::2] == [
        ("assistant", two),
        ("assistant", four),
    ]
