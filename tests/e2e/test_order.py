"""Events late, twice, out of order, unreadable; people who write faster than they are answered."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_crashes import at_rest


def words(body: dict[str, Any]) -> str:
    """All that a request says, in its order."""
    return "\n".join(
        block["text"] for message in body["messages"] for block in message["content"] if "text" in block
    )


def in_order(text: str, *pieces: str) -> bool:
    """Whether each piece stands there once, one after the other."""
    places = [text.find(piece) for piece in pieces]
    return -1 not in places and places == sorted(places) and all(text.count(piece) == 1 for piece in pieces)


async def settled(slack: Slack) -> None:
    """Wait until every event that was sent so far has its ack."""
    ids = {entry.data["envelope_id"] for entry in slack.log if entry.kind == "delivery"}
    await slack.wait_for(
        lambda: ids <= {entry.data.get("envelope_id") for entry in slack.log if entry.kind == "ack"}
    )


# ---------------------------------------------------------------- people who write meanwhile


async def test_six_messages_of_two_people_during_one_answer_are_read_in_order(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Ode")
    channel = slack.add_channel("general", members=(ann, ben))
    bedrock.hold()
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: first")
    await bedrock.wait_for(lambda it: it.open == 1)
    said = [f"note number {number}" for number in range(6)]
    for number, text in enumerate(said):
        await slack.say((ann, ben)[number % 2], channel, text, thread=thread)
    await slack.wait_for(lambda: len({line["id"] for line in bobbin.log if line["event"] == "event"}) == 8)
    bedrock.release()
    texts = await bobbin.answered(channel, thread, 2)

    assert len(texts) == 2
    assert len(bedrock.requests) == 2
    assert bedrock.most_open == 1
    assert {asked.ended for asked in bedrock.requests} == {"completed"}
    body = bedrock.requests[-1].body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert sum("text" in block for block in body["messages"][-1]["content"]) == 6
    assert in_order(words(body), "say exactly: first", *said)
    assert words(body).count('from="Ann Lee"') == 4
    assert words(body).count('from="Ben Ode"') == 3


async def test_a_busy_thread_is_answered_turn_by_turn_and_nothing_is_lost(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Ode")
    channel = slack.add_channel("general", members=(ann, ben))
    thread = await slack.say(ann, channel, f"{bobbin.me} remark 0.")
    await slack.wait_for(lambda: bobbin.answers(channel, thread))
    said = ["remark 0."]
    for number in range(1, 13):
        said.append(f"remark {number}.")
        await slack.say((ann, ben)[number % 2], channel, said[-1], thread=thread)
        if number % 3 == 0:
            before = len(bedrock.requests)
            await bedrock.wait_for(lambda it, before=before: len(it.requests) > before)  # type: ignore[misc]
    await settled(slack)
    await bedrock.wait_for(
        lambda it: it.open == 0 and said[-1] in words(it.requests[-1].body) and it.requests[-1].ended != ""
    )
    turns = await bobbin.answered(channel, thread, len(bedrock.requests))

    assert len(turns) == len(bedrock.requests)
    assert bedrock.most_open == 1
    assert {asked.ended for asked in bedrock.requests} == {"completed"}
    framed = [piece for piece in words(bedrock.requests[-1].body).split("\n") if piece.startswith("<message")]
    assert in_order("\n".join(framed), *(f">{text}</message>" for text in said))
    for asked in bedrock.requests:
        roles = [message["role"] for message in asked.body["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


# ---------------------------------------------------------------- redelivery


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_events_twice_shuffled_and_again_later_give_one_answer_and_one_model_call_a_turn(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, seed: int
) -> None:
    ann = slack.add_person("Ann Lee")
    channels = [slack.add_channel(f"room{number}", members=(ann,)) for number in range(3)]
    slack.deliver_twice()
    slack.shuffle(seed)
    threads = [
        (channel, await slack.say(ann, channel, f"{bobbin.me} say exactly: one")) for channel in channels
    ]
    for channel, thread in threads:
        await bobbin.answered(channel, thread)
    for channel, thread in threads:
        await slack.say(ann, channel, "say exactly: two", thread=thread)
    for channel, thread in threads:
        await bobbin.answered(channel, thread, 2)
    events = list(dict.fromkeys(entry.data["event_id"] for entry in slack.log if entry.kind == "delivery"))
    random.Random(seed).shuffle(events)
    for event_id in events:
        slack.deliver_again(event_id)
    await slack.wait_for(lambda: sum(entry.kind == "delivery" for entry in slack.log) >= 4 * len(events))
    await settled(slack)
    last = await slack.say(ann, channels[0], f"{bobbin.me} say exactly: three")
    assert await bobbin.answered(channels[0], last) == ["three"]

    for channel, thread in threads:
        assert [shown(message) for message in bobbin.answers(channel, thread)] == ["one", "two"]
    assert len(bedrock.requests) == 7
    assert await bobbin.rows("SELECT count(*) FROM turn WHERE seq > 0") == [(7,)]


@pytest.mark.parametrize("seed", range(4))
async def test_a_question_and_its_additions_in_any_order_are_all_read(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, seed: int
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.shuffle(seed, 0.5)
    thread = await slack.say(ann, channel, f"{bobbin.me} remark 0.")
    said = ["remark 0.", *(f"remark {number}." for number in range(1, 5))]
    for text in said[1:]:
        await slack.say(ann, channel, text, thread=thread)
    await bedrock.wait_for(
        lambda it: bool(it.requests) and all(text in words(it.requests[-1].body) for text in said)
    )
    await bobbin.answered(channel, thread, len(bedrock.requests))
    assert len(bobbin.answers(channel, thread)) == len(bedrock.requests)
    assert {asked.ended for asked in bedrock.requests} == {"completed"}
    asked = await bobbin.rows("SELECT text FROM message WHERE role = 'user' AND addressed = 1 ORDER BY ts")
    assert [text for (text,) in asked] == [f"{bobbin.me} remark 0.", *said[1:]]


def let_past(slack: Slack, text: str) -> None:
    """Of the events that are held, deliver those with such words."""
    sockets = slack._sockets
    for event_id in list(sockets._held or ()):
        if text in str(sockets._events[event_id]["event"].get("text")):
            sockets._held.remove(event_id)  # type: ignore[union-attr]
            slack.deliver_again(event_id)


@pytest.mark.parametrize("acked", [True, False], ids=["long before", "just before"])
async def test_a_reply_that_overtakes_the_mention_before_it_is_answered(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock, *, acked: bool
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.hold()
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    let_past(slack, "3 more")
    if acked:
        await slack.wait_for(lambda: any(entry.kind == "ack" for entry in slack.log))
    slack.release()
    await bedrock.wait_for(lambda it: bool(it.requests) and "3 more" in words(it.requests[-1].body))
    texts = await bobbin.answered(channel, thread, len(bedrock.requests))
    assert any("5" in text for text in texts)
    assert in_order(words(bedrock.requests[-1].body), "What's 1+1?", "And 3 more added to that?")


async def test_talk_before_the_mention_whose_event_comes_while_the_thread_is_read_asks_nothing(
    bobbin: Bobbin, slack: Slack, bedrock: Bedrock
) -> None:
    ann, ben = slack.add_person("Ann Lee"), slack.add_person("Ben Roe")
    channel = slack.add_channel("general", members=(ann, ben))
    slack.hold()
    thread = await slack.say(ben, channel, "The plan has three parts.")
    await slack.say(ben, channel, "Or four.", thread=thread)
    await slack.say(ann, channel, f"{bobbin.me} say exactly: five", thread=thread)
    slack.faults.add("conversations.replies", "hang", seconds=1)
    let_past(slack, "say exactly")
    await slack.wait_for(lambda: slack.calls("conversations.replies"))
    slack.release()
    assert await bobbin.answered(channel, thread) == ["five"]
    await at_rest(bobbin)
    assert len(bobbin.answers(channel, thread)) == len(bedrock.requests) == 1
    assert in_order(words(bedrock.requests[0].body), "The plan has three parts.", "Or four.", "five")


async def test_events_that_come_only_by_redelivery_are_answered(
    make: Callable[..., Bobbin], slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = make()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: late")
    direct = slack.dm(ann)
    in_dm = await slack.say(ann, direct, "say exactly: late too")
    await bobbin.start()
    assert await bobbin.answered(channel, thread) == ["late"]
    assert await bobbin.answered(direct, in_dm) == ["late too"]
    first = [entry for entry in slack.log if entry.kind == "delivery" and not entry.data["attempt"]]
    assert all(entry.data["payload"]["event"].get("user") != ann for entry in first)
    assert len(bedrock.requests) == 2


async def test_what_is_said_while_bobbin_is_down_is_answered_after_its_start(
    bobbin: Bobbin, slack: Slack
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    await bobbin.answered(channel, thread)
    assert await bobbin.stop() == 0
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    await bobbin.start()
    assert (await bobbin.answered(channel, thread, 2))[1].startswith("5")


async def test_an_event_that_was_not_acked_before_a_crash_is_answered_after_it(
    bobbin: Bobbin, slack: Slack
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.half_open()
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: still here")
    await bobbin.kill()
    await bobbin.start()
    assert await bobbin.answered(channel, thread) == ["still here"]


# ---------------------------------------------------------------- events that cannot be read

SAID = {"type": "message", "user": "U1", "channel": "C1", "ts": "1700000000.000100", "text": "hello"}
MENTION = SAID | {"type": "app_mention", "text": "<@U0SBX000001> hello"}
EDITED = {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1700000001.000100"}

UNREADABLE: dict[str, dict[str, Any]] = {
    "no type": {"user": "U1", "channel": "C1"},
    "nothing at all": {},
    "the type is a number": SAID | {"type": 7},
    "the type is null": SAID | {"type": None},
    "the type is a list": SAID | {"type": ["message"]},
    "the channel is a number": SAID | {"channel": 7},
    "the channel is an object": SAID | {"channel": {"id": "C1"}},
    "the channel is a list": SAID | {"channel": ["C1"]},
    "no channel": {name: value for name, value in SAID.items() if name != "channel"},
    "the channel is null": SAID | {"channel": None},
    "no ts": {name: value for name, value in SAID.items() if name != "ts"},
    "the ts is a number": SAID | {"ts": 1700000000.0001},
    "the ts is no time": SAID | {"ts": "yesterday"},
    "the ts is empty": SAID | {"ts": ""},
    "the ts is endless": SAID | {"ts": "1" * 5000 + ".000100"},
    "the thread_ts is a number": SAID | {"thread_ts": 1700000000.0001},
    "the thread_ts is no time": SAID | {"thread_ts": "root"},
    "the user is a number": SAID | {"user": 7},
    "the user is an object": SAID | {"user": {"id": "U1"}},
    "nobody said it": {name: value for name, value in SAID.items() if name != "user"},
    "the text is a number": SAID | {"text": 7},
    "the text is a list": SAID | {"text": ["hello"]},
    "the text is an object": MENTION | {"text": {"type": "plain_text"}},
    "the subtype is a number": SAID | {"subtype": 7},
    "the bot_id is an object": SAID | {"bot_id": {}},
    "the files are a text": SAID | {"files": "a.pdf"},
    "the files are a number": SAID | {"files": 7},
    "a file is a text": SAID | {"files": ["a.pdf"]},
    "a file's id is a number": SAID | {"files": [{"id": 7}]},
    "a file's name is a list": SAID | {"files": [{"id": "F1", "name": ["a.pdf"]}]},
    "the channel_type is a number": SAID | {"channel_type": 7},
    "an edit without its message": EDITED,
    "an edit of a text": EDITED | {"message": "hello"},
    "an edit of a list": EDITED | {"message": [SAID]},
    "an edit without a ts": EDITED
    | {"message": {"type": "message", "user": "U1", "text": "x", "edited": {}}},
    "an edit whose time is a number": EDITED | {"message": SAID | {"edited": {"user": "U1", "ts": 7}}},
    "an edit whose edited is a text": EDITED | {"message": SAID | {"edited": "yes"}},
    "an edit whose before is a text": EDITED | {"message": SAID, "previous_message": "x"},
    "a deletion of nothing": EDITED | {"subtype": "message_deleted"},
    "a deletion of a number": EDITED | {"subtype": "message_deleted", "deleted_ts": 7},
    "a mention without anything": {"type": "app_mention"},
    "a reaction to nothing": {"type": "reaction_added", "user": "U1", "reaction": "no_bell"},
    "a reaction to a text": {"type": "reaction_added", "user": "U1", "reaction": "no_bell", "item": "x"},
    "a reaction that is a number": {"type": "reaction_added", "user": "U1", "reaction": 7, "item": {}},
    "a stop of no thread": {"type": "agent_session_stopped", "channel": "C1", "user": "U1"},
    "an arrival of nobody": {"type": "member_joined_channel", "channel": "C1"},
    "an arrival nowhere": {"type": "member_joined_channel", "user": "U0SBX000001"},
}

STRANGE: dict[str, dict[str, Any]] = {
    "an unknown type": {"type": "lunch_is_ready", "menu": ["soup"]},
    "an unknown subtype": SAID | {"subtype": "message_sung"},
    "a NUL in the text": MENTION | {"text": "<@U0SBX000001> a\x00b"},
    "half a surrogate pair": MENTION | {"text": "<@U0SBX000001> \ud83d", "ts": "1700000002.000100"},
    "half a surrogate pair in a name": MENTION
    | {"ts": "1700000003.000100", "files": [{"id": "F", "name": "\udc00"}]},
    "half a surrogate pair in an id": SAID | {"user": "U\ud83d"},
    "half a surrogate pair in a channel": MENTION | {"channel": "C\ud83d", "ts": "1700000004.000100"},
    "a NUL in a user": MENTION | {"user": "U\x00", "ts": "1700000005.000100"},
    "a NUL in a type": SAID | {"type": "mess\x00age"},
    "a huge text": MENTION | {"text": "<@U0SBX000001> " + "word " * 200_000, "ts": "1700000006.000100"},
    "a deep one": {"type": "message", "blocks": eval("[" * 90 + "]" * 90)},
    "many keys": {"type": "message", **{f"key{number}": number for number in range(5000)}},
    "an edit of an edit": EDITED | {"message": EDITED},
}


@pytest.mark.parametrize("table", [UNREADABLE, STRANGE], ids=["unreadable", "strange"])
async def test_events_that_cannot_be_read_are_acked_and_the_next_good_one_works(
    bobbin: Bobbin, slack: Slack, table: dict[str, dict[str, Any]]
) -> None:
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack._sockets._ack_seconds = 120  # how soon is not what is tested
    ids = {slack.deliver_raw(event): name for name, event in table.items()}
    await slack.wait_for(
        lambda: {entry.data["event_id"] for entry in slack.log if entry.kind == "delivery"} >= set(ids)
    )
    await settled(slack)
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: unimpressed")
    assert await bobbin.answered(channel, thread) == ["unimpressed"]

    again = [entry for entry in slack.log if entry.kind == "delivery" and entry.data["attempt"]]
    assert [ids.get(entry.data["event_id"]) for entry in again] == []
    kept = await bobbin.rows("SELECT event_id, shape FROM inbox WHERE outcome = 'quarantined'")
    if table is UNREADABLE:
        assert {ids[event_id] for event_id, _ in kept} == set(table.keys())
    assert "hello" not in str(kept)


BODIES: dict[str, Any] = {
    "no event": {},
    "the event is null": {"event": None},
    "the event is a list": {"event": []},
    "the event is a text": {"event": "hello"},
    "the team is a number": {"event": SAID, "team_id": 7},
    "the event id is a number": {"event": SAID, "event_id": 7},
    "no event id": {"event": MENTION},
    "the authorizations are a number": {"event": MENTION, "event_id": "Ev1", "authorizations": 7},
    "an authorization is a text": {"event": MENTION, "event_id": "Ev2", "authorizations": ["x"]},
    "the enterprise is a list": {"event": MENTION, "event_id": "Ev3", "enterprise_id": []},
    "shared is a text": {"event": MENTION, "event_id": "Ev4", "is_ext_shared_channel": "maybe"},
}


async def test_envelopes_that_cannot_be_read_are_acked_too(bobbin: Bobbin, slack: Slack) -> None:
    slack._sockets._ack_seconds = 120  # how soon is not what is tested
    assert await slack._sockets.ask("events_api", {"event": SAID}) is not None
    whole = {"type": "event_callback", "team_id": slack.team_id}
    for name, body in BODIES.items():
        assert await slack._sockets.ask("events_api", whole | body) is not None, name
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} say exactly: unimpressed")
    assert await bobbin.answered(channel, thread) == ["unimpressed"]
