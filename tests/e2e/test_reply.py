"""How an answer is shown: status, native stream, its fallbacks, long answers, Stop."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.scripted import Messages, Scripted
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown

FOOTER = "Answers are written by Claude, an AI, and can be wrong."


class Says(Scripted):
    """Says what it is told to, whatever it is asked."""

    def __init__(self, words: str) -> None:
        self.words = words

    def answer(self, messages: Messages, system: str) -> str:
        return self.words


async def ask(bobbin: Bobbin, slack: Slack, words: str) -> tuple[str, str]:
    """Ann asks in a channel; the channel and the thread."""
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    return channel, await slack.say(ann, channel, f"{bobbin.me} {words}")


def written(slack: Slack) -> list[str]:
    """The names of the calls that write messages, in order."""
    return [entry.name for entry in slack.calls() if entry.name.startswith("chat.")]


def below(message: dict[str, Any]) -> list[str]:
    """What stands in small print below an answer."""
    return [
        element["text"]
        for block in message.get("blocks", [])
        if block["type"] == "context"
        for element in block["elements"]
    ]


async def whole(bobbin: Bobbin, channel: str, thread: str, count: int = 1) -> list[str]:
    """Wait until the last of so many messages is closed by its small print; their texts."""
    await bobbin.slack.wait_for(
        lambda: len(found := bobbin.answers(channel, thread)) >= count and below(found[-1]), 60
    )
    return await bobbin.answered(channel, thread, count)


async def eyes(slack: Slack, channel: str, ts: str, expected: list[str]) -> None:
    """Wait until these reactions are on a message, and no others."""
    await slack.wait_for(
        lambda: [each["name"] for each in slack.message(channel, ts).get("reactions", [])] == expected
    )


async def slowly(bedrock: Bedrock, event: Awaitable[Any], pace: float = 0) -> None:
    """Let the model speak so slowly until this happens that it has not said everything before."""
    bedrock.pace = 0.3
    await event
    bedrock.pace = pace


def words_of(texts: list[str]) -> list[str]:
    return " ".join(texts).split()


# ---------------------------------------------------------------- status


async def test_in_a_dm_the_session_works_until_the_answer_is_there(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann)
    bedrock.hold()
    thread = await slack.say(ann, channel, "What's 1+1?")
    await slack.wait_for(lambda: slack.status(channel, thread).status == "processing")
    await bedrock.wait_for(lambda it: it.open == 1)
    assert written(slack) == []
    bedrock.release()
    assert (await bobbin.answered(channel, thread))[0].startswith("2")
    statuses = [status for _, status, _ in slack.status(channel, thread).history]
    assert statuses[0] == "processing"
    assert statuses[-1] == "active"
    assert not slack.calls("assistant.threads.setStatus")


async def test_in_a_channel_the_status_has_words_and_goes(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    bedrock.hold()
    channel, thread = await ask(bobbin, slack, "What's 1+1?")
    await slack.wait_for(lambda: slack.status(channel, thread).text)
    assert written(slack) == []
    bedrock.release()
    await bobbin.answered(channel, thread)
    assert slack.status(channel, thread).text == ""
    assert not slack.calls("agents.sessions.setStatus")
    assert not slack.calls("reactions.add")


async def test_the_status_tells_how_much_is_read_and_what_is_done_with_it(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(CONTEXT_WINDOW_TOKENS="12000", MAX_OUTPUT_TOKENS="1000", SLACK_PACING="off").start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))

    async def asked(words: int) -> str:
        root = await slack.say(ann, channel, "word " * 10 * words)
        for _ in range(24):
            await slack.say(ann, channel, "word " * words, thread=root)
        await slack.say(ann, channel, f"{bobbin.me} What's 1+1?", thread=root)
        return root

    for words, status in ((1, "is reading 2"), (300, "is condensing the thread…")):
        bedrock.hold()
        root = await asked(words)
        await slack.wait_for(lambda: slack.status(channel, root).text.startswith(status))  # noqa: B023  awaited here
        bedrock.release()
        await bobbin.answered(channel, root)
        assert slack.status(channel, root).text == ""


@pytest.mark.parametrize("where", ["a dm", "a channel"])
async def test_where_no_status_is_shown_eyes_are_on_the_question_until_it_is_answered(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, where: str
) -> None:
    slack.workspace.agent = False
    slack.faults.add("assistant.threads.setStatus", "missing_scope", times=None)
    slack.faults.add("chat.startStream", "channel_type_not_supported", times=None)  # whose end takes it away
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann) if where == "a dm" else slack.add_channel("general", members=(ann,))
    method = "agents.sessions.setStatus" if where == "a dm" else "assistant.threads.setStatus"
    for question in ("What's 1+1?", "What's 2+2?"):
        bedrock.hold()
        thread = await slack.say(ann, channel, f"{bobbin.me} {question}")
        await eyes(slack, channel, thread, ["eyes"])
        bedrock.release()
        await whole(bobbin, channel, thread)
        await eyes(slack, channel, thread, [])
    refused = slack.calls(method)
    assert len(refused) == 1


async def test_eyes_go_when_the_answer_fails(bobbin: Bobbin, slack: Slack, bedrock: Bedrock) -> None:
    slack.workspace.agent = False
    slack.faults.add("assistant.threads.setStatus", "missing_scope", times=None)
    bedrock.hold()
    channel, thread = await ask(bobbin, slack, "fail content_filtered")
    await eyes(slack, channel, thread, ["eyes"])
    bedrock.release()
    await bobbin.answered(channel, thread)
    await eyes(slack, channel, thread, [])


# ---------------------------------------------------------------- the stream and its fallbacks


async def test_a_native_stream_is_opened_by_the_first_text(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "400 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.appendStream")))
    ann = slack.message(channel, thread)["user"]
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith("1. the loom goes on")
    calls = written(slack)
    assert calls[0] == "chat.startStream"
    assert calls[-1] == "chat.stopStream"
    assert set(calls[1:-1]) == {"chat.appendStream"}
    start = slack.calls("chat.startStream")[0].arguments
    assert start["recipient_user_id"] == ann
    assert start["recipient_team_id"] == slack.team_id
    assert start["thread_ts"] == thread
    assert start["markdown_text"].strip()
    assert not [call for call in slack.calls() if call.result and not call.result["ok"]]
    assert below(bobbin.answers(channel, thread)[0]) == [FOOTER]


@pytest.mark.parametrize("code", ["unknown_method", "channel_type_not_supported", "missing_scope"])
async def test_where_streams_are_refused_a_message_grows_instead(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, code: str
) -> None:
    slack.faults.add("chat.startStream", code, times=None)
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "400 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.update")))
    (answer,) = await whole(bobbin, channel, thread)
    assert words_of([answer]) == words_of([bedrock.requests[0].answer])
    assert written(slack)[:3] == ["chat.startStream", "chat.postMessage", "chat.update"]
    post = slack.calls("chat.postMessage")[0].arguments
    assert post["unfurl_links"] is False
    assert post["unfurl_media"] is False
    assert below(bobbin.answers(channel, thread)[0]) == [FOOTER]
    await slack.say(slack.message(channel, thread)["user"], channel, "What's 1+1?", thread=thread)
    await whole(bobbin, channel, thread, 2)
    assert len(slack.calls("chat.startStream")) == 1
    assert len(slack.calls("chat.postMessage")) == 2


async def test_a_limited_start_of_a_stream_gives_the_whole_answer_at_its_end(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    slack.faults.add("chat.startStream", "ratelimited", retry_after=30)
    channel, thread = await ask(bobbin, slack, "400 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.startStream")))
    (answer,) = await whole(bobbin, channel, thread)
    assert words_of([answer]) == words_of([bedrock.requests[0].answer])
    assert written(slack) == ["chat.startStream", "chat.postMessage"]


async def test_a_stream_that_expires_in_mid_answer_is_shown_whole_and_once(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    slack.workspace.stream_seconds = 0.7
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "500 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.update")))
    (answer,) = await whole(bobbin, channel, thread)
    assert words_of([answer]) == words_of([bedrock.requests[0].answer])
    assert len(slack.calls("chat.startStream")) == 1
    assert not slack.calls("chat.postMessage")
    assert below(bobbin.answers(channel, thread)[0]) == [FOOTER]


# ---------------------------------------------------------------- long answers


def long_answer() -> tuple[str, list[str]]:
    """30,000 characters of prose, a long table and long code; and its marks, each in it once."""
    prose = [f"Paragraph p{n:03} " + "of the loom that goes on and on. " * 9 for n in range(40)]
    rows = [f"| row r{n:03} | {'tea ' * 13}|" for n in range(150)]
    code = [f"call_c{n:03}()  # {'stitch ' * 8}" for n in range(110)]
    text = "\n\n".join(
        [
            *prose[:20],
            "\n".join(["| Name | Drink |", "|---|---|", *rows]),
            *prose[20:],
            "\n".join(["```python", *code, "```"]),
            "The end e000.",
        ]
    )
    marks = [f"p{n:03}" for n in range(20)] + [f"r{n:03}" for n in range(150)]
    marks += [f"p{n:03}" for n in range(20, 40)] + [f"c{n:03}" for n in range(110)]
    return text, [*marks, "e000"]


@pytest.mark.parametrize("way", ["stream", "updates"])
async def test_a_long_answer_goes_on_in_further_messages_and_nothing_is_lost_or_doubled(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, way: str
) -> None:
    text, marks = long_answer()
    assert len(text) > 29_000
    bedrock.model = Says(text)
    if way == "updates":
        slack.faults.add("chat.startStream", "unknown_method", times=None)
    bobbin = await make(SLACK_PACING="off").start()
    channel, thread = await ask(bobbin, slack, "Tell me everything.")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.startStream")), 0.002)
    await whole(bobbin, channel, thread)
    answers = [message for message in bobbin.answers(channel, thread) if not message.get("files")]
    parts = list(map(shown, answers))
    assert all(len(part) <= (12_000 if way == "stream" else 4_000) for part in parts)
    assert len(parts) == (3 if way == "stream" else len(parts))
    assert re.findall(r"\b(?:call_)?([prce]\d{3})\b", "\n".join(parts)) == marks
    for part in parts:
        assert part.count("```") % 2 == 0
        if "| row" in part:
            first = next(line for line in part.splitlines() if line.startswith("|"))
            assert first == "| Name | Drink |"
        if "call_c" in part:
            assert "```python" in part
    assert [below(message) for message in answers[:-1]] == [[]] * (len(parts) - 1)
    if way == "stream":
        assert not slack.calls("chat.update")
        stops = [call.arguments.get("session_status") for call in slack.calls("chat.stopStream")]
        assert stops == ["processing", "processing", "active"]


async def test_an_answer_cut_off_by_its_limit_says_so(bobbin: Bobbin, slack: Slack) -> None:
    channel, thread = await ask(bobbin, slack, "fail max_tokens")
    await whole(bobbin, channel, thread)
    (answer,) = bobbin.answers(channel, thread)
    note, footer = below(answer)
    assert "length limit" in note
    assert footer == FOOTER


# ---------------------------------------------------------------- stop


async def half_shown(bobbin: Bobbin, slack: Slack, channel: str, thread: str) -> str:
    """Wait until some of an answer stands there; its text."""
    return str(
        await slack.wait_for(
            lambda: next(
                (text for message in bobbin.answers(channel, thread) if len(text := shown(message)) > 60), ""
            )
        )
    )


async def test_slacks_stop_ends_the_answer_where_it_stands(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann)
    bedrock.pace = 0.5
    thread = await slack.say(ann, channel, "1000 words please")
    text = await half_shown(bobbin, slack, channel, thread)
    await slack.stop(ann, channel, thread)
    await bedrock.wait_for(lambda it: it.open == 0)
    assert bedrock.requests[0].ended == "client_disconnected"
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith(text.rstrip())
    assert len(answer) < 2000
    assert below(bobbin.answers(channel, thread)[0]) == ["Stopped.", FOOTER]
    bedrock.pace = 0
    await slack.say(ann, channel, "What's 1+1?", thread=thread)
    assert (await whole(bobbin, channel, thread, 2))[1].startswith("2")
    spoken = bedrock.requests[-1].body["messages"]
    assert [message["role"] for message in spoken] == ["user", "assistant", "user"]
    assert spoken[1]["content"][0]["text"].strip() == answer.strip()


@pytest.mark.parametrize("way", ["stream", "updates"])
async def test_the_word_stop_ends_the_answer_in_a_channel(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock, way: str
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.5
    if way == "updates":
        slack.faults.add("chat.startStream", "unknown_method", times=None)
    channel, thread = await ask(bobbin, slack, "1000 words please")
    text = await half_shown(bobbin, slack, channel, thread)
    await slack.say(slack.message(channel, thread)["user"], channel, "stop", thread=thread)
    await bedrock.wait_for(lambda it: it.open == 0)
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.startswith(text.rstrip())
    assert len(answer) < 2000
    assert below(bobbin.answers(channel, thread)[0]) == ["Stopped.", FOOTER]


async def test_stop_before_the_first_word_leaves_nothing_behind(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.dm(ann)
    bedrock.hold()
    thread = await slack.say(ann, channel, "What's 1+1?")
    await bedrock.wait_for(lambda it: it.open == 1)
    await slack.wait_for(lambda: slack.status(channel, thread).status == "processing")
    await slack.stop(ann, channel, thread)
    await bedrock.wait_for(lambda it: it.open == 0)
    await slack.wait_for(lambda: slack.status(channel, thread).status == "active")
    bedrock.release()
    assert written(slack) == []
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    assert (await whole(bobbin, channel, thread))[0].startswith("2, then 5")


async def test_a_stop_that_only_a_refused_append_tells_of_ends_the_answer(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.pace = 0.3
    slack.faults.add("chat.appendStream", "stopped_by_user", times=None)
    channel, thread = await ask(bobbin, slack, "300 words please")
    (answer,) = await whole(bobbin, channel, thread)
    assert len(answer) < len(bedrock.requests[0].answer)
    assert below(bobbin.answers(channel, thread)[0]) == ["Stopped.", FOOTER]


async def test_a_stop_while_a_broken_answer_is_asked_for_again_leaves_what_was_shown(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(SLACK_PACING="off").start()
    bedrock.faults.add("cut", after_events=50)
    channel, thread = await ask(bobbin, slack, "300 words please")
    await slowly(bedrock, slack.wait_for(lambda: slack.calls("chat.startStream")), 0.01)
    bedrock.hold()  # what is asked for again says nothing yet
    await slack.wait_for(lambda: slack.calls("chat.stopStream"))
    text = await half_shown(bobbin, slack, channel, thread)
    await slack.say(slack.message(channel, thread)["user"], channel, "stop", thread=thread)
    (answer,) = await whole(bobbin, channel, thread)
    assert answer.strip() == text.strip()
    assert below(bobbin.answers(channel, thread)[0]) == ["Stopped.", FOOTER]
    assert not any(asked.sent for asked in bedrock.requests[1:])
