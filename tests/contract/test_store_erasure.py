"""What is forgotten goes, from every table and from the disk, and nothing brings it back."""

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from bot.conversation import ThreadKey
from bot.errors import LeaseLost
from bot.events import File, Person
from bot.insight import Erased
from bot.ports import Call, Caps, Finish, History, Line, Part, Read, Stop, Summary, Usage
from tests.contract.conftest import Talk

TABLES = "conversation turn message reply_part attachment file summary feedback answer_version person note"
DAY = 24 * 3600 * 1000
DATA = b"swordfish in a file"
READ = Read("txt", size=len(DATA), sha256=sha256(DATA).hexdigest())


def bytes_of(directory: Path) -> bytes:
    """What stands in the database's files. Read by another process: closing them here would unlock them."""
    files = sorted(directory.glob("bobbin.db*"))
    return subprocess.run(["cat", *files], capture_output=True, check=True).stdout


@pytest.fixture
def directory(url, tmp_path):
    if not url.startswith("sqlite:"):
        pytest.skip("the files of this database are its server's")
    return tmp_path


async def rows(talk: Talk) -> dict[str, int]:
    """How many rows each table has."""
    return {name: (await talk.sql(f"SELECT count(*) AS n FROM {name}"))[0]["n"] for name in TABLES.split()}


async def words(talk: Talk) -> str:
    """All that any table holds."""
    tables = f"{TABLES} call forgotten inbox tombstone orphan channel_setting heard step"
    return str([await talk.sql(f"SELECT * FROM {name}") for name in tables.split()])


async def lived_in(talk: Talk) -> None:
    """A thread with all there can be: a file, an answer and an earlier one, a summary, feedback, names."""
    await talk.store.learn("T1", [Person("ANN", "Ann Swordfish"), Person("BEN", "Ben Roe")])
    await talk.say(0, "@bobbin swordfish", files=(File("F1", "swordfish.txt", "text/plain"),))
    turn = await talk.claim()
    await talk.store.keep_read(turn, (talk.ts(0), "F1"), READ, DATA)
    await talk.answer(turn, "A swordfish, I see.", 1)
    assert (await talk.store.again(turn.id, "ANN")).wake
    await talk.answer(await talk.claim(), "The swordfish again.", 1)
    await talk.store.rate(turn.id, "BEN", good=False)
    await talk.store.explain(turn.id, "BEN", "no swordfish")
    await talk.say(10, "more swordfish", "BEN")
    turn = await talk.claim()
    history = await talk.store.recall(turn)
    summary = Summary("swordfish", history.lines[0].seq, history.lines[0].ts, ("ANN",), turn.id)
    await talk.store.keep_summary(turn, summary, History(history.lines[:1]))
    await talk.answer(turn, "Yes, swordfish.", 11)
    await talk.store.note_due("T1", "ANN", "muted")


async def test_a_forgotten_thread_leaves_nothing_but_its_place(talk: Talk):
    await lived_in(talk)
    erased = await talk.store.forget_thread(talk.thread())
    assert erased == Erased(messages=2, answers=3, files=1, summaries=1, feedback=1, threads=1)
    assert "swordfish" not in (await words(talk)).replace("Ann Swordfish", "")
    left = await rows(talk)
    husks = left.pop("conversation"), left.pop("turn")
    assert husks == (1, 1)  # their numbers must not be given again
    assert left == dict.fromkeys(left, 0) | {"person": 2, "note": 1}
    assert await talk.store.forget_thread(talk.thread()) == Erased()


async def test_it_is_nowhere_on_the_disk_after_a_scrub(talk: Talk, directory: Path):
    await lived_in(talk)
    await talk.store.scrub()
    assert b"swordfish" in bytes_of(directory)
    await talk.store.forget_thread(talk.thread())
    await talk.store.forget_person("T1", "ANN")
    await talk.store.scrub()
    assert b"wordfish" not in bytes_of(directory)


async def test_nothing_that_was_written_before_comes_back_and_what_is_written_after_does(talk: Talk):
    await lived_in(talk)
    mention = talk.message(0, "@bobbin swordfish")
    await talk.store.forget_thread(talk.thread())
    assert (await talk.post(mention)).outcome == "said before it was forgotten"
    late = talk.message(10.5, "@bobbin swordfish", "BEN", late=True)
    assert (await talk.post(late)).outcome == "said before it was forgotten"
    assert (await talk.edit(talk.message(10, "@bobbin swordfish", "BEN"), at=12)).outcome == (
        "said before it was forgotten"
    )
    await talk.delete(10)
    assert (await rows(talk))["message"] == 0

    assert (await talk.say(3e8, "@bobbin anew")).wake  # years later: by the clock of the test, long after
    turn = await talk.claim()
    assert turn.backfill
    again = [Line("user", talk.ts(0), "ANN", "swordfish"), Line("assistant", talk.ts(1), "", "swordfish")]
    after = Line("user", talk.ts(2.9e8), "BEN", "said meanwhile")
    await talk.store.backfill(turn, [*again, after])
    assert await talk.read(turn) == ["said meanwhile", "@bobbin anew"]


async def test_a_thread_that_was_never_kept_stays_forgotten_too(talk: Talk):
    assert await talk.store.forget_thread(talk.thread()) == Erased()
    assert (await talk.say(0, "@bobbin hello", late=True)).outcome == "said before it was forgotten"


async def test_who_is_answering_a_forgotten_thread_writes_nothing_more(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    turn = await talk.claim()
    await talk.store.record_part(turn, Part(talk.ts(1)))
    await talk.say(2, "and swordfish")
    erased = await talk.store.forget_thread(talk.thread())
    assert erased.ends == ((turn.id, "forgotten"),)
    assert await talk.store.extend(turn) == "forgotten"
    for write in (
        talk.store.record_answer(turn, "swordfish", Stop("end_turn", Usage(1, 1))),
        talk.store.record_part(turn, Part(talk.ts(3))),
        talk.store.backfill(turn, [Line("user", talk.ts(-1), "ANN", "swordfish")]),
        talk.store.keep_read(turn, (talk.ts(0), "F1"), READ, DATA),
        talk.store.finish(turn, Finish("answered", "swordfish")),
    ):
        with pytest.raises(LeaseLost):
            await write
    await talk.store.release(turn)
    assert await talk.store.claim("worker", 10) == []
    assert "swordfish" not in await words(talk)
    assert await talk.store.orphans() == [("T1", "C1", talk.ts(3))]


async def test_no_number_is_given_twice(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    stale = await talk.claim()
    await talk.store.forget_thread(talk.thread())
    other = talk.elsewhere("C2")
    await other.say(0, "@bobbin hello")
    turn = await talk.claim()
    assert turn.id > stale.id
    assert turn.conversation > stale.conversation
    assert await talk.store.asked_to_end() == [(stale.id, "forgotten")]
    await talk.sql("UPDATE turn SET finished_at = 1 WHERE id = :id", id=stale.id)
    await talk.store.sweep()  # with newer numbers the husks go
    assert await talk.sql("SELECT id FROM turn") == [{"id": turn.id}]
    assert await talk.sql("SELECT id FROM conversation") == [{"id": turn.conversation}]
    with pytest.raises(LeaseLost):
        await talk.store.finish(stale, Finish("answered", "swordfish"))


async def test_the_private_conversations_about_a_thread_go_with_it(talk: Talk):
    await talk.ask(0, "@bobbin swordfish", "noted")
    dm = talk.elsewhere("D1", direct=True)
    await dm.say(100, "Catch me up", mentions_me=True, about=talk.thread())
    turn = await talk.claim()
    assert turn.about == talk.thread()
    await talk.store.backfill(turn, [Line("user", talk.ts(0), "ANN", "swordfish")])
    await dm.answer(turn, "It is about swordfish.", 101)
    erased = await talk.store.forget_thread(talk.thread())
    assert (erased.threads, erased.messages, erased.answers) == (2, 3, 2)
    assert "swordfish" not in await words(talk)


async def test_a_forgotten_person_leaves_others_words_and_answers_in_shared_threads(talk: Talk):
    await lived_in(talk)
    erased = await talk.store.forget_person("T1", "ANN")
    assert erased == Erased(messages=1, answers=1, files=1, summaries=1, names=1, threads=1)
    kept = await talk.sql("SELECT text FROM message WHERE text <> '' ORDER BY ts")
    assert [row["text"] for row in kept] == ["The swordfish again.", "more swordfish", "Yes, swordfish."]
    left = await rows(talk)
    assert (left["attachment"], left["file"], left["answer_version"], left["note"]) == (0, 0, 0, 0)
    assert (left["feedback"], left["person"]) == (1, 1)
    assert "ANN" not in (await words(talk)).replace("'user_id': 'ANN', 'channel_id': ''", "")
    await talk.store.forget_person("T1", "BEN")
    assert (await rows(talk))["feedback"] == 0


async def test_what_a_forgotten_person_wrote_is_not_read_again_anywhere(talk: Talk):
    await talk.ask(0, "@bobbin swordfish", "noted")
    await talk.store.forget_person("T1", "ANN")
    assert (await talk.post(talk.message(0, "@bobbin swordfish"))).outcome == "duplicate"
    other = talk.elsewhere("C2")
    await other.say(3e8, "@bobbin hello", "BEN")
    turn = await talk.claim()
    lines = [Line("user", talk.ts(-5), "ANN", "swordfish"), Line("user", talk.ts(-4), "BEN", "kept")]
    await talk.store.backfill(turn, lines)
    assert await talk.read(turn) == ["kept", "@bobbin hello"]
    assert (await talk.say(3e8, "@bobbin me again")).wake


async def test_their_dms_go_whole_and_what_quotes_them_in_others_dms(talk: Talk):
    dm = talk.elsewhere("D1", direct=True)
    await dm.say(0, "swordfish", mentions_me=True)
    await dm.answer(await talk.claim(), "A swordfish.", 1)
    bens = talk.elsewhere("D2", direct=True)
    await bens.say(100, "Catch me up", "BEN", mentions_me=True, about=talk.thread())
    turn = await talk.claim()
    await talk.store.backfill(turn, [Line("user", talk.ts(0), "ANN", "swordfish")])
    await bens.answer(turn, "It is about fish.", 101)
    erased = await talk.store.forget_person("T1", "ANN")
    assert (erased.messages, erased.answers, erased.threads) == (2, 1, 2)
    assert "wordfish" not in await words(talk)
    assert [row["text"] for row in await talk.sql("SELECT text FROM message WHERE text <> ''")] == [
        "Catch me up",
        "It is about fish.",
    ]


async def test_a_turn_on_a_forgotten_persons_words_ends_or_goes_on_with_the_others(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    await talk.say(1, "@bobbin and mine?", "BEN")
    turn = await talk.claim()
    erased = await talk.store.forget_person("T1", "ANN")
    assert erased.ends == ((turn.id, "edited"),)
    assert await talk.store.extend(turn) == "edited"
    anew = await talk.store.restart(turn)
    assert (anew.askers, await talk.read(anew)) == (("BEN",), ["@bobbin and mine?"])
    erased = await talk.store.forget_person("T1", "BEN")
    assert erased.ends == ((turn.id, "deleted"),)


async def test_what_a_forgotten_person_waits_for_is_not_answered(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    await talk.store.forget_person("T1", "ANN")
    assert await talk.store.claim("worker", 10) == []


async def test_the_ledger_keeps_numbers_without_a_person_once_no_budget_needs_to_know(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    turn = await talk.claim()
    for number in (1, 2):
        call = Call(number, turn.id, "T1", "C1", "ANN", "claude", "answer", Usage(1, 1), 1000)
        await talk.store.begin_call(call, Caps())
    await talk.sql(f"UPDATE call SET started_at = started_at - {2 * DAY} WHERE id = 1")
    await talk.store.forget_person("T1", "ANN")
    calls = "SELECT user_id, micro_usd FROM call ORDER BY id"
    assert await talk.sql(calls) == [
        {"user_id": "", "micro_usd": 1000},
        {"user_id": "ANN", "micro_usd": 1000},
    ]
    assert (await talk.store.standing("T1", "ANN")).today == 1000
    await talk.store.sweep()
    assert (await talk.sql(calls))[1]["user_id"] == "ANN"
    await talk.sql(f"UPDATE call SET started_at = started_at - {DAY}")  # tomorrow
    await talk.sql(f"UPDATE forgotten SET forgotten_at = forgotten_at - {DAY}")
    await talk.store.sweep()
    assert await talk.sql(calls) == [{"user_id": "", "micro_usd": 1000}] * 2


async def test_a_workspace_goes_whole_and_another_with_the_same_ids_stays(talk: Talk):
    await lived_in(talk)
    other = talk.elsewhere("C1", team="T2")
    await other.say(0, "@bobbin hello")
    await talk.store.learn("T2", [Person("ANN", "Ann of T2")])
    before = await other.sql("SELECT * FROM message WHERE team_id = 'T2'")
    erased = await talk.store.forget_team("T1")
    assert (erased.messages, erased.answers, erased.names) == (2, 3, 2)
    assert "swordfish" not in (await words(talk)).lower()
    assert await other.sql("SELECT * FROM message WHERE team_id = 'T2'") == before
    assert (await talk.store.people("T2", ["ANN"]))["ANN"].name == "Ann of T2"
    assert (await talk.say(0, "@bobbin swordfish")).outcome == "said before it was forgotten"
    await talk.store.forget_person("T1", "ANN")
    assert (await talk.store.people("T2", ["ANN"]))["ANN"].name == "Ann of T2"


async def test_what_is_old_goes_and_may_be_read_again(talk: Talk):
    await lived_in(talk)
    await talk.sql("UPDATE conversation SET created_at = 0")
    other = talk.elsewhere("C2")
    await other.say(3e8, "@bobbin this is not old")
    await talk.sql("UPDATE person SET learned_at = 1")
    erased = await talk.store.forget_old(1, 10)
    assert (erased.threads, erased.messages, erased.names) == (1, 2, 1)
    kept = await talk.sql("SELECT text FROM message")
    assert [row["text"] for row in kept] == ["@bobbin this is not old"]
    assert await talk.store.forget_old(1, 10) == Erased()
    assert (await talk.say(20, "@bobbin back?", late=True)).wake
    turn = next(turn for turn in await talk.store.claim("worker", 10) if turn.thread == talk.thread())
    await talk.store.backfill(turn, [Line("user", talk.ts(0), "ANN", "read again")])
    assert await talk.read(turn) == ["read again", "@bobbin back?"]


async def test_whose_old_calls_were_is_forgotten_in_every_workspace(talk: Talk):
    turn = await talk.ask(0, "@bobbin swordfish", "noted")
    for number, team in enumerate(("T1", "T2", "T1")):
        call = Call(number, turn.id, team, "C1", "ANN", "claude", "answer", Usage(1, 1), 1000)
        await talk.store.begin_call(call, Caps())
    await talk.sql("UPDATE call SET started_at = 1 WHERE id < 2")
    await talk.store.forget_old(1, 10)
    calls = await talk.sql("SELECT user_id FROM call ORDER BY id")
    assert [row["user_id"] for row in calls] == ["", "", "ANN"]


async def test_what_is_being_answered_is_not_old(talk: Talk):
    await talk.say(0, "@bobbin swordfish")
    await talk.sql("UPDATE conversation SET created_at = 0")
    assert await talk.store.forget_old(1, 10) == Erased()
    await talk.claim()
    assert await talk.store.forget_old(1, 10) == Erased()


async def test_who_started_a_thread_is_known_until_they_are_forgotten(talk: Talk):
    await talk.ask(0, "@bobbin hello", "Hello!")
    assert await talk.store.starter(talk.thread()) == "ANN"
    assert await talk.store.starter(ThreadKey("T1", "C1", talk.ts(7))) == ""
    await talk.store.forget_person("T1", "ANN")
    assert await talk.store.starter(talk.thread()) == ""
