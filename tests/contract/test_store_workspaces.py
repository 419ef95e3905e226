"""Two workspaces that share every other id: each sees, changes and pays for what is its own."""

import re
from itertools import count
from typing import Any

import pytest

from bot.conversation import ThreadKey
from bot.events import File, Person
from bot.ports import Call, Caps, ChannelSetting, Finish, Part, Read, Turn, Usage
from storage.queries import load
from tests.contract.conftest import Talk

KEY = re.compile(r":(channel|ts|thread|user|event|author|file)\b")
BY_NUMBER = re.compile(r":(conversation|turn|message)\b")


@pytest.fixture
def ours(talk: Talk) -> Talk:
    return talk


@pytest.fixture
def theirs(talk: Talk) -> Talk:
    """Their events have the same ids as ours."""
    return talk.elsewhere(talk.channel, team="T2", _events=count())


async def told(talk: Talk, words: str) -> Turn:
    """A thread with an answer, a file, a setting, a person, a cost: everything but the words is the same."""
    await talk.say(0, f"@bobbin {words}", files=(File("F1", "a.txt"),))
    [turn] = [each for each in await talk.store.claim("worker", 9) if each.thread.team == talk.team]
    await talk.store.keep_read(turn, (talk.ts(0), "F1"), Read("txt", "", 3, words, words), words.encode())
    await talk.store.begin_call(
        Call(turn.id, turn.id, talk.team, "C1", "ANN", "m", "answer", Usage(1, 1), len(words)), Caps()
    )
    await talk.answer(turn, f"answer to {words}", 1)
    await talk.store.learn(talk.team, [Person("ANN", words, admin=words == "ours")])
    await talk.store.set_channel(talk.team, "C1", ChannelSetting("instructions", words, "ANN", talk.ts(0)))
    return turn


async def test_what_is_asked_of_one_is_told_of_that_one(ours: Talk, theirs: Talk) -> None:
    turns = [await told(ours, "ours"), await told(theirs, "theirs's")]
    for talk, turn, words in zip((ours, theirs), turns, ("ours", "theirs's"), strict=True):
        store, team = talk.store, talk.team
        assert await store.turn_shown(team, "C1", talk.ts(1)) == turn.id
        receipt = await store.receipt(team, "C1", talk.ts(1))
        assert receipt is not None
        assert (receipt.turn, receipt.micro_usd, receipt.files) == (turn.id, len(words), ((words, ""),))
        assert (await store.people(team, ["ANN"]))["ANN"].name == words
        assert (await store.channel_settings(team, "C1"))["instructions"].value == words
        assert (await store.kept(team, "ANN")).messages == 1
        assert (await store.standing(team, "ANN")).month == len(words)
        assert await store.accounted(talk.thread()) == {talk.ts(1)}
        assert await store.channels(team, 9) == ["C1"]
        assert await store.lively(team, "", 9) == [ThreadKey(team, "C1", talk.ts(0))]
        await talk.say(2, "@bobbin more")
        [more] = await store.claim("worker", 9)
        assert more.thread.team == team
        assert (more.instructions, await talk.read(more)) == (
            words,
            [f"@bobbin {words}", f"answer to {words}", "@bobbin more"],
        )
    assert [await ours.store.admins("T1"), await ours.store.admins("T2")] == [["ANN"], []]


async def test_what_is_done_to_one_leaves_the_other_as_it_is(ours: Talk, theirs: Talk) -> None:
    await told(ours, "ours")
    kept = await told(theirs, "theirs")
    await theirs.say(2, "@bobbin more")
    running = await theirs.claim()
    before = [await theirs.sql(f"SELECT * FROM {table} WHERE team_id = 'T2'") for table in _TABLES]
    await ours.edit(ours.message(0, "@bobbin ours now"), 3)
    await ours.stop()
    await ours.mute()
    await ours.delete(0)
    await ours.delete(1)
    await ours.delete(2)  # not known there
    await ours.store.set_channel("T1", "C1", ChannelSetting("instructions", "new", "BEN", ours.ts(9)))
    await ours.store.forget_orphan("T1", "C1", ours.ts(1))
    assert await ours.store.note_due("T1", "ANN", "muted")
    assert await ours.store.note_due("T2", "ANN", "muted")
    assert await ours.store.asked_to_end() == []
    assert [await theirs.sql(f"SELECT * FROM {table} WHERE team_id = 'T2'") for table in _TABLES] == before
    assert await theirs.store.file_data(["ours", "theirs"]) == {"theirs": b"theirs"}
    await theirs.store.record_part(running, Part(theirs.ts(3)))
    await theirs.store.finish(running, Finish("answered", "more of theirs"))
    assert await theirs.store.turn_shown("T2", "C1", theirs.ts(1)) == kept.id
    assert await ours.store.turn_shown("T1", "C1", ours.ts(3)) is None


_TABLES = ("conversation", "message", "reply_part", "tombstone", "person", "channel_setting", "call")


async def test_a_worker_of_one_takes_waits_and_deletes_for_it_alone(ours: Talk, theirs: Talk) -> None:
    store = ours.store
    surplus = []
    for talk in (theirs, ours):
        await talk.say(0, "@bobbin hello")
        [turn] = await store.claim("worker", 9, talk.team)
        assert turn.thread.team == talk.team
        await store.record_part(turn, Part(talk.ts(1)))
        await store.finish(turn, Finish("cancelled", surplus=(talk.ts(1),)))
        surplus.append((talk.team, "C1", talk.ts(1)))
    assert sorted(await store.orphans()) == sorted(surplus)
    assert await store.orphans(team="T1") == surplus[1:]
    for talk in (theirs, ours):
        await talk.say(2, "@bobbin more")
    assert [each.thread.team for each in await store.in_line("T1")] == ["T1"]
    assert await store.claim("worker", 9, "T3") == []
    assert [turn.thread.team for turn in await store.claim("worker", 9, "T1")] == ["T1"]
    assert [turn.thread.team for turn in await store.claim("worker", 9)] == ["T2"]


async def test_a_budget_is_of_one_workspace(ours: Talk, theirs: Talk) -> None:
    for number, talk in enumerate((ours, theirs)):
        await talk.say(0, "@bobbin hello")
        turn = await talk.claim()
        call = Call(number, turn.id, talk.team, "C1", "ANN", "m", "answer", Usage(1, 1), 900)
        assert (await talk.store.begin_call(call, Caps(user=1000, team=1000))).refused is None
        await talk.store.finish(turn, Finish("cancelled"))


async def test_a_gap_is_of_one_workspace(ours: Talk, theirs: Talk) -> None:
    for talk in (ours, theirs):
        assert await talk.store.heard(talk.team, 60) is None
    await ours.sql("UPDATE heard SET heard_at = heard_at - 90000 WHERE team_id = 'T1'")
    assert await theirs.store.heard("T2", 60) is None
    assert await ours.store.heard("T1", 60) is not None


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_no_query_looks_for_slacks_ids_without_the_workspaces(dialect: Any) -> None:
    """They are unique in a workspace only; what has a number of ours is found by that."""
    queries = load(dialect)
    colon = {name: re.sub(r"%\((\w+)\)s", r":\1", sql) for name, sql in queries.items()}
    loose = {
        name
        for name, sql in colon.items()
        if KEY.search(sql) and ":team" not in sql and not BY_NUMBER.search(sql)
    }
    assert loose == set()
