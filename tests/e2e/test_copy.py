"""Moving house: a Bobbin on SQLite answers, its database is copied, and one on PostgreSQL goes on."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg

from bot.sandbox.bedrock import Bedrock
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import Scene, read, words
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_feedback import judge, thanked
from tests.e2e.test_files import files
from tests.e2e.test_window import ASK, FACT, summaries, thread_of
from tests.postgres import Server

Make = Callable[..., Bobbin]


async def test_what_was_begun_on_sqlite_goes_on_on_postgresql(
    make: Make, bedrock: Bedrock, postgres: Server
) -> None:
    url = postgres.create("moved")
    old = await make(CONTEXT_WINDOW_TOKENS="4000").start()
    scene = Scene(old)
    long = await thread_of(scene, 9)
    filed = await scene.mention("say exactly: read", files=[("plan.txt", b"The plan is a barracuda.")])
    await scene.answered(filed)
    await judge(scene, scene.ben, scene.answers(filed)[-1]["ts"], "up")
    await thanked(scene, scene.ben)
    bedrock.hold()
    open_one = await scene.mention("say exactly: begun on the old one", by=scene.ben)
    await bedrock.wait_for(lambda it: it.open == 1)
    await scene.say("say exactly: and after it", thread=open_one, by=scene.ben)
    await scene.acked()
    code, _, errors = await old.run("copy", "--from", old.environment()["DATABASE_URL"], "--to", url)
    assert (code, "--from: " in errors, "another Bobbin is using it" in errors) == (1, True, True), errors
    await old.kill()
    bedrock.release()
    assert summaries(scene.requests)
    events = [entry.data for entry in scene.slack.log if entry.kind == "delivery"]

    new = make(DATABASE_URL=url, CONTEXT_WINDOW_TOKENS="4000")
    code, said, errors = await new.run("copy", "--from", old.environment()["DATABASE_URL"])
    assert code == 0, errors
    assert errors == ""  # no terminal, no progress
    assert "compared each" in said
    for table in ("message", "turn", "file", "feedback", "call", "summary"):
        assert f"\n  {table} " in said, said
        count = f"SELECT count(*) FROM {table}"
        assert await new.rows(count) == await old.rows(count), table
    spent = await old.rows("SELECT sum(micro_usd) FROM call WHERE state = 'done'")

    await new.start()
    await scene.slack.wait_for(
        lambda: (
            [shown(each) for each in new.finished(scene.channel, open_one)]
            == ["begun on the old one", "and after it"]
        )
    )
    before, asked = scene.slack.messages(scene.channel), len(bedrock.requests)
    await bring_again(scene, events)
    await at_rest(new)
    assert [shown(each) for each in scene.slack.messages(scene.channel)] == [shown(each) for each in before]
    assert len(bedrock.requests) == asked

    await scene.say("say exactly: still read", thread=filed)
    assert (await new.answered(scene.channel, filed, 2))[-1].startswith("still read")
    assert read(bedrock.requests[-1])[-1] == ("Ann Lee", "say exactly: still read")
    assert [data for _, _, data in files(bedrock.requests[-1])] == [b"The plan is a barracuda."]
    await scene.say(ASK, thread=long)
    assert "the vault opens at seven" in (await new.answered(scene.channel, long, 10))[-1]
    newest = bedrock.requests[-1]
    assert FACT not in words(newest)  # it stands in the summary that came along
    assert [said for said in words(newest) if said.startswith("Turn 9: ")]
    roles = "".join(message["role"][0] for message in newest.body["messages"])
    assert roles == "ua" * (len(roles) // 2) + "u"
    assert await new.rows("SELECT good FROM feedback") == [(1,)]
    assert (await new.rows("SELECT sum(micro_usd) FROM call WHERE state = 'done'"))[0] > spent[0]
    assert await new.stop() == 0


async def bring_again(scene: Scene, events: list[dict[str, Any]]) -> None:
    """Deliver every message once more, by the event that brought it and by one that is not known."""
    for data in events:
        event = (data.get("payload") or {}).get("event") or {}
        if event.get("type") in ("message", "app_mention"):
            channel = scene.slack.workspace.channels[event["channel"]]
            scene.slack.deliver_raw(event, channel, data["event_id"])
            scene.slack.deliver_raw(event, channel)
    await scene.acked()


async def killed(bobbin: Bobbin, url: str, table: str, *arguments: str) -> int:
    """Begin a copy and kill it where it waits to write to a table; the rows that were there."""
    async with await psycopg.AsyncConnection.connect(url) as server:
        await server.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        process = await bobbin.begin(*arguments)
        async with asyncio.timeout(90):
            while not await _waits(url):
                assert process.returncode is None, (bobbin.folder / "bobbin.log").read_text()
                await asyncio.sleep(0.02)
        process.kill()
        await process.wait()
        return int((await bobbin.rows(f"SELECT count(*) FROM {table}"))[0][0])


async def _waits(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as server:
        cursor = await server.execute(
            "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE d.datname = current_database() AND NOT granted"
        )
        return await cursor.fetchone() is not None


async def held(bobbin: Bobbin) -> dict[str, list[tuple[Any, ...]]]:
    """What tells of the rows of each table that matters here."""
    ids = dict.fromkeys(("conversation", "turn", "message", "call", "step"), "id")
    ids |= {"file": "sha256", "attachment": "file_id", "inbox": "event_id", "reply_part": "ts"}
    return {table: sorted(await bobbin.rows(f"SELECT {key} FROM {table}")) for table, key in ids.items()}


async def test_a_copy_that_is_killed_again_and_again_comes_to_the_same(make: Make, postgres: Server) -> None:
    url = postgres.create("killed")
    old = await make().start()
    scene = Scene(old)
    thread = await scene.mention("say exactly: one", files=[("plan.txt", b"The plan is a barracuda.")])
    await scene.answered(thread)
    await scene.mention("say exactly: two", thread=thread)
    await scene.answered(thread, 2)
    assert await old.stop() == 0
    new = make(DATABASE_URL=url)
    assert (await new.run("migrate"))[0] == 0
    order = ("copy", "--from", old.environment()["DATABASE_URL"])
    for table in ("conversation", "message", "message", "step"):
        assert await killed(new, url, table, *order) == 0
    rows = await held(old)
    assert await new.rows("SELECT count(*) FROM conversation") == [(len(rows["conversation"]),)]

    code, _, errors = await new.run("serve")
    assert (code, "a copy into this database was begun and is not finished" in errors) == (78, True), errors
    code, _, errors = await new.run("usage")
    assert (code, "is not finished" in errors) == (78, True), errors
    code, said, errors = await new.run(*order, "--to", url)
    assert (code, errors) == (0, "")
    assert said.startswith("Copied ")
    assert "compared each" in said
    assert await held(new) == rows
    assert await new.run(*order) == (0, said, "")  # killed after its last commit, it would be given again
    code, _, errors = await new.run("copy", "--from", url)
    assert (code, "the same database" in errors) == (78, True), errors

    await new.start()
    await scene.say("say exactly: three", thread=thread)
    assert (await new.answered(scene.channel, thread, 3))[1:] == ["two", "three"]
    assert await new.stop() == 0
    code, _, errors = await new.run(*order)
    assert (code, "--to: it is not empty" in errors) == (1, True), errors
