"""Tables and code that Slack does not show well come as files too: once each, whatever happens."""

from collections.abc import Callable
from itertools import product

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin
from tests.e2e.test_crashes import at_rest, nothing_is_left
from tests.e2e.test_reply import Says, ask, whole

HEAD = "| " + " | ".join(f"c{n}" for n in range(25)) + " |"
TABLE = "\n".join([HEAD, "|" + "---|" * 25, "| " + " | ".join(map(str, range(25))) + " |"])
CODE = "\n".join(f"x_{n} = '<!channel>'" for n in range(250))
ANSWER = f"The table:\n\n{TABLE}\n\nThe code:\n\n```python\n{CODE}\n```\n\nThat is all."


def uploaded(slack: Slack, bobbin: Bobbin, channel: str, thread: str) -> dict[str, str]:
    """Bobbin's files in a thread, by the ending of their names; each stands there once."""
    found: dict[str, str] = {}
    for message in bobbin.answers(channel, thread):
        for file in message.get("files") or ():
            ending = file["name"].rpartition(".")[2]
            assert ending not in found
            content = slack.workspace.files[file["id"]].content
            assert content is not None
            found[ending] = content.decode("utf-8-sig")
    return found


async def both(slack: Slack, bobbin: Bobbin, channel: str, thread: str) -> dict[str, str]:
    await slack.wait_for(lambda: len(uploaded(slack, bobbin, channel, thread)) == 2)
    await at_rest(bobbin)
    return uploaded(slack, bobbin, channel, thread)


async def test_a_wide_table_and_long_code_are_attached_below_the_answer(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.model = Says(ANSWER)
    channel, thread = await ask(bobbin, slack, "Both, please")
    files = await both(slack, bobbin, channel, thread)
    assert files["csv"].splitlines()[1] == ",".join(map(str, range(25)))
    assert files["py"] == CODE + "\n"
    texts = [message for message in bobbin.answers(channel, thread) if not message.get("files")]
    assert "That is all." in str(texts)
    kinds = await bobbin.rows("SELECT kind FROM reply_part ORDER BY ts")
    assert kinds == [("answer",)] * len(texts) + [("notice",)] * 2
    bedrock.model = Says("And on.")
    await slack.say(slack.message(channel, thread)["user"], channel, "More?", thread=thread)
    await slack.wait_for(lambda: "And on." in str(bobbin.finished(channel, thread)))
    await nothing_is_left(bobbin, slack)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        *product(
            ["files.getUploadURLExternal", "files.completeUploadExternal"],
            ["reset_after", "http_after", "reset_before", "ratelimited", "hang"],
        ),
        *product(["upload"], ["reset_after", "reset_before", "http", "hang"]),
    ],
)
async def test_a_step_that_fails_doubles_and_loses_nothing(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, step: str, fault: str
) -> None:
    bedrock.model = Says(ANSWER)
    slack.faults.add(step, fault, seconds=0.1)
    channel, thread = await ask(bobbin, slack, "Both, please")
    await both(slack, bobbin, channel, thread)
    await nothing_is_left(bobbin, slack)


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_kill_between_the_steps_doubles_and_loses_nothing(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, step: str
) -> None:
    bedrock.model = Says(ANSWER)
    slack.faults.add(step, "hang", seconds=0.3)
    channel, thread = await ask(bobbin, slack, "Both, please")
    await slack.wait_for(lambda: slack.calls(step))
    await bobbin.kill()
    await bobbin.start()
    await both(slack, bobbin, channel, thread)
    assert (
        str(bobbin.answers(channel, thread)).count("That is all.") == 2
    )  # in a message's text and its block
    assert len(bedrock.requests) == 1
    await nothing_is_left(bobbin, slack)


async def test_a_process_told_to_stop_while_a_file_is_on_its_way_leaves_it_to_come_once(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(RECOVERY_SETTLE_SECONDS="5", DRAIN_SECONDS="0.5").start()
    bedrock.model = Says(ANSWER)
    slack.faults.add("files.completeUploadExternal", "late", seconds=4)
    channel, thread = await ask(bobbin, slack, "Both, please")
    await slack.wait_for(lambda: slack.calls("files.completeUploadExternal"))
    late = str(slack.calls("files.completeUploadExternal")[0].data["files"])
    assert await bobbin.stop() == 0
    await bobbin.start()

    def come() -> bool:
        files = [file for each in bobbin.answers(channel, thread) for file in each.get("files") or ()]
        return any(file["id"] in late for file in files)

    await slack.wait_for(come)
    await both(slack, bobbin, channel, thread)
    await nothing_is_left(bobbin, slack)


async def test_without_the_scope_the_answer_stands_alone(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    slack.workspace.scopes -= {"files:write"}
    bedrock.model = Says(ANSWER)
    channel, thread = await ask(bobbin, slack, "Both, please")
    await whole(bobbin, channel, thread)
    await at_rest(bobbin)
    assert uploaded(slack, bobbin, channel, thread) == {}
    assert await bobbin.rows("SELECT state FROM turn") == [("answered",)]
