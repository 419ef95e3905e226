"""App Home, through the process: what Bobbin is, how somebody stands, what holds here."""

from collections.abc import Callable
from typing import Any

from bot.sandbox.slack import Slack
from tests.e2e.books import spend
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene

Make = Callable[..., Bobbin]


def texts(view: dict[str, Any]) -> str:
    """Everything that a Home says."""
    said: list[str] = []
    for block in view["blocks"]:
        for node in (block, *block.get("elements", [])):
            text = node.get("text")
            said.append(text["text"] if isinstance(text, dict) else text or "")
    return "\n".join(said)


async def home(scene: Scene, user: str) -> str:
    """Open it; what it says."""
    before = len(scene.slack.calls("views.publish"))
    await scene.slack.open_home(user)
    await scene.slack.wait_for(
        lambda: [
            call
            for call in scene.slack.calls("views.publish")[before:]
            if call.arguments["user_id"] == user and call.result
        ]
    )
    return texts(scene.slack.home(user))


async def test_it_says_what_bobbin_is_and_how_somebody_stands(make: Make) -> None:
    bobbin = await make(BUDGET_USER_DAILY_USD="1", BUDGET_TEAM_MONTHLY_USD="10").start()
    scene = Scene(bobbin)
    await spend(bobbin, scene.ann, 0.25)
    await spend(bobbin, scene.ann, 0.5, days_ago=60)
    await spend(bobbin, scene.ben, 2.25)
    said = await home(scene, scene.ann)
    assert "*Today:* $0.25 of $1.00; renewed <!date^" in said
    assert "*This month:* $0.25\n" in said
    assert "25 % of $10.00" in said
    assert "*0* of your messages are kept, in *0* threads." in said
    assert "independent project, not affiliated with Anthropic, Slack or AWS" in said
    assert "written by Claude, an AI, and can be wrong" in said
    assert len(scene.slack.home(scene.ann)["blocks"]) <= 100
    assert "*Today:* $2.25 of $1.00" in await home(scene, scene.ben)


async def test_it_counts_what_is_kept_of_somebodys_words_and_follows_their_deletion(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    more = await scene.say("And more", thread=thread)
    await scene.answered(thread, 2)
    said = await home(scene, scene.ann)
    assert "*2* of your messages are kept, in *1* threads; the oldest is of <!date^" in said
    await scene.slack.delete(scene.ann, scene.channel, more)
    await scene.heard(scene.ben)
    before = scene.slack.home(scene.ann)["hash"]
    await scene.slack.press_view(scene.ann, scene.slack.home(scene.ann)["id"], "home_refresh")
    await scene.slack.wait_for(lambda: scene.slack.home(scene.ann)["hash"] != before)
    assert "*1* of your messages are kept" in texts(scene.slack.home(scene.ann))


async def test_it_says_which_settings_hold_and_why(make: Make, slack: Slack) -> None:
    bobbin = make(
        BEDROCK_MODEL_ID="eu.anthropic.claude-sonnet-5-5",
        THREAD_REPLIES="mention",
        EXTERNAL_USERS="allow",
        GUESTS="refuse",
        BUDGET_TEAM_MONTHLY_USD="off",
    )
    scene = Scene(bobbin)
    bobbin.settings["ALLOWED_CHANNELS"] = scene.channel
    bobbin.settings["ALLOWED_USERS"] = scene.ann
    await bobbin.start()
    said = await home(scene, scene.ann)
    assert "I answer only messages that mention me, and direct messages (`THREAD_REPLIES`)" in said
    assert "*Guests of this workspace:* I do not answer them (`GUESTS`)" in said
    assert "*People of other organisations:* I answer them (`EXTERNAL_USERS`)" in said
    assert f"I answer only in <#{scene.channel}> (`ALLOWED_CHANNELS`)" in said
    assert "I answer only some, and you are one of them" in said
    assert "you are not among them" in await home(scene, scene.ben)
    assert "`eu.anthropic.claude-sonnet-5-5`. Asked in AWS region `us-east-1`." in said
    assert "keeps it in AWS regions of the European Union" in said
    assert "No budget is set." in said


async def test_a_refused_home_is_only_logged(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    scene.slack.faults.add("views.publish", "not_enabled")
    await scene.slack.open_home(scene.ann)
    await scene.slack.wait_for(lambda: scene.slack.calls("views.publish"))
    assert "Hello" in await home(scene, scene.ann)
