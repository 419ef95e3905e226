"""What is answered, row by row, through the running process; edits and deletions are in test_policy_edits.py,
who may ask in test_policy_admission.py."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, read, running, words

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bobbin]:
    async with running(tmp_path_factory.mktemp("rows"), SLACK_PACING="off") as bobbin:
        yield bobbin


@pytest.fixture
def scene(shared: Bobbin) -> Scene:
    return Scene(shared)


# ---------------------------------------------------------------- what is answered


@pytest.mark.parametrize("private", [False, True], ids=["channel", "private channel"])
async def test_a_mention_is_answered_in_its_thread(shared: Bobbin, *, private: bool) -> None:
    scene = Scene(shared, private=private)
    thread = await scene.mention("say exactly: here I am")
    assert await scene.answered(thread) == ["here I am"]
    assert {answer["thread_ts"] for answer in scene.answers(thread)} == {thread}


async def test_a_mention_in_a_group_dm_is_answered_and_other_talk_there_is_not(scene: Scene) -> None:
    scene.channel = scene.slack.add_group_dm([scene.ann, scene.ben])
    await scene.say("just between us")
    thread = await scene.mention("say exactly: here I am")
    assert await scene.answered(thread) == ["here I am"]
    assert len(scene.requests) == 1


async def test_each_top_level_message_of_a_dm_starts_a_thread_in_which_it_is_answered(scene: Scene) -> None:
    scene.channel = scene.slack.dm(scene.ann)
    first = await scene.say("What's 1+1?")
    assert (await scene.answered(first))[0].startswith("2")
    other = await scene.say("And 3 more added to that?")
    assert (await scene.answered(other))[0].startswith("More than what?")
    await scene.say("And 3 more added to that?", thread=first)
    assert (await scene.answered(first, 2))[1].startswith("5")
    assert not [message for message in scene.slack.messages(scene.channel) if "thread_ts" not in message]


async def test_a_reply_in_a_joined_thread_is_answered_without_a_mention(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.say("say exactly: to Ann", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "to Ann"
    await scene.say("say exactly: to Ben", by=scene.ben, thread=thread)
    assert (await scene.answered(thread, 3))[2] == "to Ben"


async def test_a_mention_without_a_word_is_answered(scene: Scene) -> None:
    thread = await scene.say(scene.me)
    assert (await scene.answered(thread))[0].startswith("I have read 1 message")
    thread = await scene.say("Where is the printer?", by=scene.ben)
    await scene.say(scene.me, thread=thread)
    await scene.answered(thread)
    assert words(scene.requests[1])[0] == "Where is the printer?"


async def test_a_thread_broadcast_is_a_reply(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.say("say exactly: seen by all", thread=thread, broadcast=True)
    assert (await scene.answered(thread, 2))[1] == "seen by all"


async def test_a_file_alone_is_a_message(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.say("", thread=thread, files=[("more.txt", b"hello")])
    await scene.answered(thread, 2)
    assert "more.txt" in words(scene.requests[1])[-1]


# ---------------------------------------------------------------- history only


@pytest.mark.parametrize(
    "text",
    ["Thanks!", "ok", "👍", ":tada:", "thank you so much :pray:", "Danke", "<@{ben}> what do you think?",
     "<@{ci}> deploy", "<!subteam^S0TEAM> please look"],
    ids=["thanks", "ok", "emoji", "its name", "thanks and emoji", "danke", "a person", "a bot", "a group"],
)  # fmt: skip
async def test_pleasantries_and_words_to_others_are_history(scene: Scene, text: str) -> None:
    ci = scene.slack.add_person("ci", bot=True)
    thread = await scene.joined()
    await scene.say(text.format(ben=scene.ben, ci=ci), thread=thread)
    await scene.heard()
    assert len(scene.answers(thread)) == len(scene.requests) == 1
    await scene.say("And now?", thread=thread)
    await scene.answered(thread, 2)
    assert len(words(scene.requests[1])) == 3
    assert words(scene.requests[1])[2] == "And now?"


async def test_a_reply_to_another_person_and_bobbin_is_answered(scene: Scene) -> None:
    thread = await scene.joined()
    await scene.mention(f"and <@{scene.ben}>: say exactly: both", thread=thread)
    assert (await scene.answered(thread, 2))[1] == "both"
    assert words(scene.requests[1])[1] == "and @Ben Roe: say exactly: both"


# ---------------------------------------------------------------- joining late


async def test_a_mention_in_the_middle_of_a_thread_reads_what_was_said_before(scene: Scene) -> None:
    thread = await scene.say("The printer is on fire.", by=scene.ben)
    await scene.say("Which one?", thread=thread)
    await scene.say("build 7 is red", thread=thread, as_bot="ci")
    await scene.mention("how many messages?", thread=thread)
    await scene.answered(thread)
    said = read(scene.requests[0])
    assert [text for _, text in said] == [
        "The printer is on fire.",
        "Which one?",
        "build 7 is red",
        "how many messages?",
    ]
    assert [who for who, _ in said][:2] == ["Ben Roe", "Ann Lee"]
    assert len(scene.requests) == 1


@pytest.mark.parametrize("count", [450, 5010], ids=["all pages", "the newest of very many"])
async def test_a_long_thread_is_read_from_all_its_pages(
    shared: Bobbin, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.bedrock, "window", 10**9)
    scene = Scene(shared, bot_member=False)
    thread = await scene.say("message 0")
    for number in range(1, count):
        await scene.say(f"message {number}", thread=thread)
    await scene.slack.invite_bot(scene.ann, scene.channel)
    await scene.heard(scene.ann)  # who is known now: so much of a stranger, marked as such, is too long
    await scene.mention("say exactly: done", thread=thread)
    await scene.answered(thread)
    *before, newest = words(scene.requests[0])
    assert newest == "say exactly: done"
    kept = min(count, 4999)  # 5,000 in all with the mention
    assert before[-1] == f"message {count - 1}"
    assert before == [f"message {number}" for number in range(count - kept, count)]


# ---------------------------------------------------------------- none of its business


async def test_other_talk_joins_bots_and_unfurls_are_acknowledged_and_ignored(scene: Scene) -> None:
    ci = scene.slack.add_person("ci", bot=True)
    root = await scene.say("Who is for lunch?")
    await scene.say("Me", by=scene.ben, thread=root)
    await scene.mention("build 7 is red", as_bot="ci")
    await scene.mention("build 8 is red", by=ci)
    await scene.slack.join(scene.slack.add_person("Cem"), scene.channel)
    await scene.slack.unfurl(scene.channel, root)
    await scene.slack.react(scene.ben, scene.channel, root, "tada")
    await scene.heard()
    assert not scene.requests
    assert not [
        message
        for message in scene.slack.messages(scene.channel)
        if message.get("user") == scene.bobbin.slack.bot_user_id
    ]
    assert not [entry for entry in scene.slack.log if entry.kind == "undelivered"]
    kept = f"SELECT count(*) FROM message WHERE channel_id = '{scene.channel}'"
    assert await scene.bobbin.rows(kept) == [(0,)]


async def test_in_a_joined_thread_bots_are_history_and_unfurls_and_joins_nothing(scene: Scene) -> None:
    ci = scene.slack.add_person("ci", bot=True)
    thread = await scene.joined()
    await scene.say("build 7 is red", as_bot="ci", thread=thread)
    await scene.mention("build 8 is red", by=ci, thread=thread)
    await scene.slack.unfurl(scene.channel, thread)
    await scene.heard()
    assert len(scene.answers(thread)) == len(scene.requests) == 1
    await scene.say("which builds?", thread=thread)
    await scene.answered(thread, 2)
    assert words(scene.requests[1]) == ["Hello", "build 7 is red", "build 8 is red", "which builds?"]


# ---------------------------------------------------------------- what a message shows besides its text


async def test_alerts_forwarded_messages_and_pasted_tables_are_read(scene: Scene) -> None:
    secret = scene.slack.add_channel("ops", members=(scene.ben,), bot_member=False)
    report = await scene.slack.say(scene.ben, secret, f"{scene.me} the *disk* is full, see <@{scene.ann}>")
    alert = {
        "fallback": "x",
        "title": "db-1",
        "text": "CPU > 90 %",
        "fields": [{"title": "Since", "value": "9"}],
    }
    rows = [
        [{"type": "raw_text", "text": "City"}, {"type": "raw_number", "value": 1}],
        [{"type": "raw_text"}],
    ]
    table = {"id": 1, "blocks": [{"type": "table", "rows": rows}], "fallback": "[no preview available]"}
    root = await scene.say("", as_bot="monitor", attachments=[alert])
    await scene.slack.forward(scene.ben, secret, report, scene.channel, "thanks", thread=root)
    await scene.mention("what's up?", thread=root, attachments=[table])
    await scene.answered(root)
    assert words(scene.requests[0]) == [
        "db-1\nCPU > 90 %\nSince: 9",
        "thanks\nForwarded, from Ben Roe:\n> @Bobbin the *disk* is full, see @Ann Lee",
        "what's up?\n| City | 1 |\n|---|---|\n|  |  |",
    ]
    # In a joined thread it is something to answer, though its own words are not; nobody is called in it.
    await scene.slack.forward(scene.ben, secret, report, scene.channel, "thanks", thread=root)
    await scene.answered(root, 2)
    lonely = await scene.slack.forward(scene.ben, secret, report, scene.channel)
    await scene.heard()
    assert not scene.answers(lonely)


# ---------------------------------------------------------------- the welcome


async def test_a_channel_is_welcomed_once_when_bobbin_is_invited(shared: Bobbin) -> None:
    scene = Scene(shared, bot_member=False)
    await scene.slack.invite_bot(scene.ann, scene.channel)
    await scene.acked()
    (event_id,) = {
        entry.data["event_id"]
        for entry in scene.slack.log
        if entry.kind == "delivery" and entry.data["payload"]["event"].get("channel") == scene.channel
        and entry.name == "member_joined_channel"
    }  # fmt: skip
    scene.slack.deliver_again(event_id)
    await scene.slack.invite_bot(scene.ann, scene.slack.add_channel("other", bot_member=False))
    await scene.heard()

    def own() -> list[str]:
        return [
            message["text"]
            for message in scene.slack.messages(scene.channel)
            if message.get("bot_id") == scene.slack.bot_id and "subtype" not in message
        ]

    (welcome,) = await scene.slack.wait_for(own)
    for said in ("only threads I was called into", "What I keep", "mute", "erases"):
        assert said in welcome
    await scene.slack.join(scene.slack.add_person("Cem"), scene.channel)
    await scene.heard()
    assert own() == [welcome]


async def test_the_mention_that_got_bobbin_invited_is_answered(shared: Bobbin) -> None:
    scene = Scene(shared, bot_member=False)
    thread = await scene.mention("say exactly: at your service")
    await scene.slack.invite_bot(scene.ann, scene.channel)
    assert await scene.answered(thread) == ["at your service"]
