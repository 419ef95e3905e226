"""Several workers by way of PgBouncer: they know of each other, and share what Slack takes."""

import asyncio
from collections import Counter
from collections.abc import Callable

import psycopg

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.pacing import PER_MINUTE
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.test_crashes import at_rest
from tests.pgbouncer import pooled
from tests.postgres import Server

SHARING = "sharing Slack's limits"
SLOTS, WAITING = 12, 6
LONG = ("Four score and seven years ago. " * 8).strip()


async def test_two_workers_together_write_to_slack_as_much_as_one(
    make: Callable[..., Bobbin], emptied: Callable[[], str], postgres: Server, slack: Slack, bedrock: Bedrock
) -> None:
    with pooled(postgres, emptied().rpartition("/")[2]) as by_way:
        settings = {"DATABASE_URL": by_way, "MAX_CONCURRENT_ANSWERS": str(SLOTS), "LEASE_SECONDS": "60"}
        first = await make(**settings).start()
        second = make(**settings)
        async with await psycopg.AsyncConnection.connect(by_way) as server:
            await server.execute("LOCK TABLE worker IN SHARE MODE")
            starting = asyncio.ensure_future(second.start())
            await logged(second, "a transaction is tried again")
            assert slack.connected == 1  # nothing can be asked of it before it knows how many they are
        await starting
        await logged(second, SHARING, workers=2)
        await logged(first, SHARING, workers=2)

        people = [slack.add_person(f"Person {number}") for number in range(2 * SLOTS + WAITING)]
        places = [slack.dm(person) for person in people]
        bedrock.hold()
        asked = []
        for number, (person, place) in enumerate(zip(people, places, strict=True)):
            asked.append((place, await slack.say(person, place, f"say exactly: {number}. {LONG}")))
            if number == 2 * SLOTS - 1:
                await bedrock.wait_for(lambda it: it.open == 2 * SLOTS)
        late = asked[-WAITING:]
        await slack.wait_for(lambda: all(slack.status(*each).text.startswith("queued") for each in late))
        begun = PER_MINUTE["chat.startStream"]
        bedrock.pace = 1
        bedrock.release()
        await slack.wait_for(lambda: len(slack.calls("chat.startStream")) == begun)
        bedrock.pace = 0.02
        for number, (place, thread) in enumerate(asked):
            await first.answered(place, thread)
            assert [shown(each).strip() for each in first.answers(place, thread)] == [f"{number}. {LONG}"]
        assert len(slack.calls("chat.startStream")) == begun
        queued = Counter(
            (call.arguments["channel_id"], call.arguments["status"])
            for call in slack.calls("assistant.threads.setStatus")
            if call.arguments["status"].startswith("queued")
        )
        assert set(queued.values()) == {1}

        await at_rest(first)
        assert await second.stop() == 0
        assert await first.rows("SELECT count(*) FROM worker WHERE seen_at > 0") == [(1,)]


async def logged(bobbin: Bobbin, event: str, **more: int) -> None:
    """Wait for a line of its log."""
    async with asyncio.timeout(60):
        while not any({**line, **more, "event": event} == line for line in bobbin.log):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.05)
