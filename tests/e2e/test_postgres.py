"""Bobbin on PostgreSQL: one worker, killed in between; then two on one database. By PgBouncer as well."""

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_crashes import at_rest
from tests.e2e.test_order import let_past, words
from tests.pgbouncer import pooled
from tests.postgres import Server

LONG = "Four score and seven years ago. " * 12


@pytest.fixture(params=["the server", "PgBouncer"])
def database(request: Any, emptied: Callable[[], str], postgres: Server) -> Iterator[str]:
    """The URL of an empty database, straight on or where transactions share few connections."""
    url = emptied()
    if request.param == "the server":
        yield url
        return
    with pooled(postgres, url.rpartition("/")[2]) as by_way:
        yield by_way


async def test_a_dialogue_goes_on_after_a_kill_in_the_middle_of_an_answer(
    make: Callable[..., Bobbin], database: str, slack: Slack, bedrock: Bedrock
) -> None:
    bobbin = await make(DATABASE_URL=database, LEASE_SECONDS="6").start()
    slack.deliver_twice()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    thread = await slack.say(ann, channel, f"{bobbin.me} What's 1+1?")
    assert (await bobbin.answered(channel, thread))[0].startswith("2")
    bedrock.pace = 0.5
    before = len(slack.calls("chat.appendStream"))
    await slack.say(ann, channel, f"{bobbin.me} say exactly: {LONG}", thread=thread)
    await slack.wait_for(lambda: len(slack.calls("chat.appendStream")) > before)
    half = bobbin.answers(channel, thread)[-1]
    await bobbin.kill()
    bedrock.pace = 0
    await bobbin.start()
    await slack.wait_for(
        lambda: [shown(each).strip() for each in bobbin.finished(channel, thread)][1:] == [LONG.strip()]
    )
    assert bobbin.answers(channel, thread)[-1]["ts"] == half["ts"]
    slack.deliver_twice(on=False)
    await slack.say(ann, channel, "And 3 more added to 1+1?", thread=thread)
    await bobbin.answered(channel, thread, 3)
    assert [message["role"] for message in bedrock.requests[-1].body["messages"]] == [
        "user",
        "assistant",
    ] * 2 + ["user"]
    assert await bobbin.stop() == 0
    assert await bobbin.rows("SELECT id FROM conversation WHERE lease_owner IS NOT NULL") == []


async def test_two_workers_share_the_threads_and_a_stop_reaches_the_one_that_answers(
    make: Callable[..., Bobbin], database: str, slack: Slack, bedrock: Bedrock
) -> None:
    """Heartbeats come in minutes: it is not by them that a worker learns of a stop."""
    # Both start at once, and both want to make the tables.
    workers = [
        make(DATABASE_URL=database, LEASE_SECONDS="3000", MAX_CONCURRENT_ANSWERS="6") for _ in range(2)
    ]
    await asyncio.gather(*(worker.start() for worker in workers))
    await slack.wait_for(lambda: slack.connected == 2)
    people = [slack.add_person(f"Person {number}") for number in range(10)]
    channel = slack.add_channel("general", members=people)
    bedrock.pace = 10
    threads = [await slack.say(person, channel, f"{workers[0].me} say exactly: {LONG}") for person in people]
    await slack.wait_for(lambda: all(workers[0].answers(channel, thread) for thread in threads))
    for person, thread in zip(people, threads, strict=True):
        await slack.say(person, channel, "stop", thread=thread)
    for thread in threads:
        (words,) = await workers[0].answered(channel, thread)
        assert LONG.strip() not in words
    bedrock.pace = 0
    await at_rest(workers[0])
    await workers[0].kill()
    again = await slack.say(people[0], channel, f"{workers[0].me} What's 1+1?")
    assert (await workers[1].answered(channel, again))[0].startswith("2")
    await at_rest(workers[1])
    assert await workers[1].rows("SELECT count(*) FROM turn WHERE state = 'answered'") == [(11,)]
    ended = [{line["turn"] for line in worker.log if line["event"] == "turn ended"} for worker in workers]
    assert all(ended)
    assert not ended[0] & ended[1]


async def test_a_reply_that_another_worker_had_before_the_mention_is_answered_with_it(
    make: Callable[..., Bobbin], emptied: Callable[[], str], slack: Slack, bedrock: Bedrock
) -> None:
    url = emptied()
    before = await make(DATABASE_URL=url).start()
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))
    slack.hold()
    thread = await slack.say(ann, channel, f"{before.me} What's 1+1?")
    await slack.say(ann, channel, "And 3 more added to that?", thread=thread)
    let_past(slack, "3 more")
    await slack.wait_for(lambda: any(entry.kind == "ack" for entry in slack.log))
    await before.kill()
    bobbin = await make(DATABASE_URL=url).start()
    await asyncio.sleep(max(0.0, float(thread) + 1 - time.time()))  # what is so fresh has no reply
    slack.release()
    await bedrock.wait_for(lambda it: bool(it.requests) and "3 more" in words(it.requests[-1].body))
    await bobbin.answered(channel, thread, len(bedrock.requests))


async def test_backup_and_restore_name_the_servers_own_tools_and_these_do_it(
    make: Callable[..., Bobbin], emptied: Callable[[], str], slack: Slack
) -> None:
    bobbin = await make(DATABASE_URL=emptied()).start()
    ann = slack.add_person("Ann Lee")
    dm = slack.dm(ann)
    await bobbin.answered(dm, await slack.say(ann, dm, "say exactly: swordfish"))
    await at_rest(bobbin)
    _by_the_servers_tool(await _told(bobbin, "backup"), "pg_dump", bobbin)
    assert await bobbin.stop() == 0
    emptied()
    _by_the_servers_tool(await _told(bobbin, "restore"), "pg_restore", bobbin)
    assert await bobbin.rows("SELECT text FROM message WHERE role = 'assistant'") == [("swordfish",)]


async def _told(bobbin: Bobbin, command: str) -> str:
    """What a command says that refuses a server, and leaves nothing."""
    code, output, errors = await bobbin.ran(command, "copy")
    assert (code, output) == (78, "")
    assert "Bobbin cannot do this with these settings" in errors
    assert bobbin.settings["DATABASE_URL"] not in errors
    return errors


def _by_the_servers_tool(told: str, tool: str, bobbin: Bobbin) -> None:
    """Do what is named, as it is named."""
    found = re.search(rf"{tool} .*\$DATABASE_URL\S*( PATH)?", told)
    assert found, told
    binaries = ":".join(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
    environment = {"PATH": f"/usr/bin:/bin:{binaries}", "DATABASE_URL": bobbin.settings["DATABASE_URL"]}
    command = found[0].replace("PATH", str(bobbin.folder / "copy"))
    subprocess.run(["bash", "-c", command], env=environment, check=True, timeout=60)
