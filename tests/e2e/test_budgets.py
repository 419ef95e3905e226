"""Budgets, through the process: a warning at four fifths, a private refusal at the end, a new day."""

from collections.abc import Callable
from typing import Any

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.blocks import TRY_AGAIN
from tests.e2e.books import DAY, agree, books, change, spend
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, words
from tests.e2e.test_crashes import at_rest

Make = Callable[..., Bobbin]


def notes(scene: Scene, user: str) -> list[str]:
    """What this person was told privately."""
    return [note["text"] for note in scene.slack.ephemerals(user)]


async def told(scene: Scene, user: str, count: int) -> str:
    """Wait for so many private notes; the last."""
    await scene.slack.wait_for(lambda: len(notes(scene, user)) == count)
    return notes(scene, user)[-1]


async def ended(scene: Scene, state: str) -> None:
    """Wait until the newest turn of this channel has ended so, and nothing of it shows."""
    await at_rest(scene.bobbin)
    assert await scene.end() == state


async def test_a_person_is_warned_at_four_fifths_and_refused_at_the_end_until_tomorrow(
    make: Make,
) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="1").start()
    scene = Scene(bobbin)
    await spend(bobbin, scene.ann, 5, days_ago=1)
    await spend(bobbin, scene.ann, 0.7)
    thread = await scene.joined()
    assert notes(scene, scene.ann) == []

    await spend(bobbin, scene.ann, 0.15)
    await scene.say("And now?", thread=thread)
    await scene.answered(thread, 2)
    warning = await told(scene, scene.ann, 1)
    assert "of your budget for today, $1.00" in warning
    assert "<!date^" in warning
    await scene.say("Again?", thread=thread)
    await scene.answered(thread, 3)
    await scene.heard(scene.ben)
    assert len(notes(scene, scene.ann)) == 1

    await spend(bobbin, scene.ann, 0.2)
    asked = len(scene.requests)
    await scene.mention("One more?", thread=thread)
    refusal = await told(scene, scene.ann, 2)
    assert "Your budget for today, $1.00, is spent" in refusal
    assert "<!date^" in refusal
    await ended(scene, "cancelled")
    assert len(scene.requests) == asked
    assert len(scene.answers(thread)) == 3
    assert scene.slack.status(scene.channel, thread).status == "active"
    await scene.answered(await scene.mention("I may, may I?", by=scene.ben))

    await change(bobbin, "UPDATE call SET started_at = started_at - ?", DAY)  # as the next day sees it
    await scene.mention("And today?", thread=thread)
    await scene.answered(thread, 4)
    assert words(scene.requests[-1])[-2:] == ["One more?", "And today?"]


async def test_who_is_refused_after_a_wait_in_the_line_waits_no_longer_for_all_to_see(make: Make) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="1", MAX_CONCURRENT_ANSWERS="1").start()
    scene = Scene(bobbin)
    scene.bedrock.hold()
    await scene.mention("say exactly: first", by=scene.ben)
    await scene.bedrock.wait_for(lambda bedrock: bedrock.open == 1)
    thread = await scene.mention("And I?")
    await scene.slack.wait_for(lambda: scene.slack.status(scene.channel, thread).text.startswith("queued"))
    await spend(bobbin, scene.ann, 1)
    scene.bedrock.release()
    await told(scene, scene.ann, 1)
    await scene.slack.wait_for(lambda: scene.slack.status(scene.channel, thread).status == "active")
    assert not scene.answers(thread)


async def test_somebody_who_did_not_call_bobbin_is_refused_once_a_day(make: Make) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="1").start()
    scene = Scene(bobbin)
    thread = await scene.joined()
    await spend(bobbin, scene.ben, 1)
    for text in ("one thing", "and another", "and a third"):
        await scene.say(text, by=scene.ben, thread=thread)
        await at_rest(bobbin)
    await told(scene, scene.ben, 1)
    await scene.heard()
    assert len(notes(scene, scene.ben)) == 1
    assert len(scene.answers(thread)) == 1


async def test_a_workspaces_budget_is_one_for_all_and_its_admins_are_warned_in_a_dm(
    make: Make, slack: Slack
) -> None:
    bobbin = await make(BUDGET_TEAM_MONTHLY_USD="10").start()
    scene = Scene(bobbin)
    boss = slack.add_person("Kim Boss", admin=True)
    slack.workspace.channels[scene.channel].members.append(boss)
    await scene.answered(await scene.mention("Hello", by=boss))  # so that Bobbin has seen them
    await spend(bobbin, "U0", 100, days_ago=40)
    await spend(bobbin, "U0", 8.5)

    def told_in_dm() -> list[dict[str, Any]]:
        return [message for message in slack.messages(slack.dm(boss)) if "user" in message]

    for _ in range(2):
        await scene.answered(await scene.mention("Is there enough?"))
    await slack.wait_for(lambda: len(told_in_dm()) == 1)
    assert "of its budget for this month, $10.00" in told_in_dm()[0]["text"]
    await spend(bobbin, "U0", 1.6)
    for user in (scene.ann, scene.ben):
        await scene.mention("And now?", by=user)
        assert "This workspace's budget for this month, $10.00, is spent" in await told(scene, user, 1)
    await bobbin.slack.wait_for(lambda: len(told_in_dm()) == 1)
    await bobbin.stop()
    assert len(told_in_dm()) == 1


async def test_the_admins_of_the_setting_are_warned_instead(make: Make, slack: Slack) -> None:
    bobbin = make(BUDGET_TEAM_MONTHLY_USD="1")
    scene = Scene(bobbin)
    bobbin.settings["ADMIN_USERS"] = scene.ben
    await bobbin.start()
    await spend(bobbin, "U0", 0.9)
    await scene.joined()
    dm = slack.dm(scene.ben)
    await slack.wait_for(lambda: slack.messages(dm))
    assert "its budget for this month, $1.00" in slack.messages(dm)[-1]["text"]


async def test_off_lifts_a_budget(make: Make) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="off", BUDGET_TEAM_MONTHLY_USD="off").start()
    scene = Scene(bobbin)
    await spend(bobbin, scene.ann, 1_000_000)
    await scene.joined()
    assert notes(scene, scene.ann) == []


async def test_a_turn_whose_process_was_killed_is_not_weighed_twice(make: Make, bedrock: Bedrock) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="0.02").start()  # room for one call that runs, and not for two
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("Hello")
    await bedrock.wait_for(lambda it: it.open == 1)
    await bobbin.kill()
    bedrock.release()
    await bobbin.start()
    await scene.answered(thread)
    assert [row.state for row in await books(bobbin)] == ["lost", "done"]
    assert await agree(bobbin) == (1, 1)
    assert all("is spent" not in note for note in notes(scene, scene.ann))


async def test_try_again_is_weighed_like_a_question_and_stays_good_for_another_day(
    make: Make, bedrock: Bedrock
) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="1").start()
    scene = Scene(bobbin)
    bedrock.faults.add("no_access")
    thread = await scene.mention("What's 1+1?")
    await scene.answered(thread)
    await ended(scene, "failed")
    (error,) = scene.answers(thread)
    await spend(bobbin, scene.ann, 1)
    asked = len(scene.requests)
    await scene.slack.press(scene.ann, scene.channel, error["ts"], TRY_AGAIN)
    assert "Your budget for today, $1.00, is spent" in await told(scene, scene.ann, 1)
    await ended(scene, "failed")
    assert len(scene.requests) == asked
    await change(bobbin, "UPDATE call SET started_at = started_at - ?", DAY)  # as the next day sees it
    await scene.slack.press(scene.ann, scene.channel, error["ts"], TRY_AGAIN)
    await scene.slack.wait_for(lambda: shown(scene.answers(thread)[0]).startswith("2"))
