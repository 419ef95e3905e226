"""Several workers in HTTP mode on one PostgreSQL: a request may reach any of them, and each is restarted."""

import asyncio
from collections.abc import Callable

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.balancer import balancing
from tests.e2e.conftest import Bobbin, by_requests
from tests.e2e.test_crashes import at_rest

Make = Callable[..., Bobbin]


async def test_a_stop_and_an_edit_that_come_in_at_another_worker_reach_the_one_that_answers(
    make: Make, emptied: Callable[[], str], slack: Slack, bedrock: Bedrock
) -> None:
    """Heartbeats come in minutes: it is not by them that a worker learns of anything."""
    url = emptied()
    workers = [
        make(**by_requests(slack), DATABASE_URL=url, LEASE_SECONDS="3000", SLACK_PACING="off")
        for _ in range(2)
    ]
    for worker in workers:
        await worker.start()
    me = workers[0].me
    ann = slack.add_person("Ann Lee")
    channel = slack.add_channel("general", members=(ann,))

    bedrock.hold()
    thread = await slack.say(ann, channel, f"{me} say exactly: first")
    await bedrock.wait_for(lambda it: it.open == 1)
    slack.requests.url = (await _beside_the_one_that_answers(workers)).request_url
    await slack.edit(ann, channel, thread, f"{me} say exactly: second")
    await bedrock.wait_for(lambda it: "second" in str(it.requests[-1].body))
    bedrock.release()
    assert await workers[0].answered(channel, thread) == ["second"]
    await at_rest(workers[0])

    bedrock.hold()
    asked = len(bedrock.requests)
    await slack.say(ann, channel, f"{me} say exactly: third", thread=thread)
    await bedrock.wait_for(lambda it: len(it.requests) > asked)
    slack.requests.url = (await _beside_the_one_that_answers(workers)).request_url
    await slack.say(ann, channel, "stop", thread=thread)
    await at_rest(workers[0])
    bedrock.release()
    states = await workers[0].rows("SELECT state FROM turn WHERE seq > 0 ORDER BY seq")
    assert states == [("answered",), ("cancelled",)]
    assert len(bedrock.requests) == asked + 1


async def _beside_the_one_that_answers(workers: list[Bobbin]) -> Bobbin:
    ((owner,),) = await workers[0].rows("SELECT lease_owner FROM conversation WHERE lease_owner IS NOT NULL")
    (beside,) = (
        worker for worker in workers if worker.process and not owner.endswith(f":{worker.process.pid}")
    )
    return beside


async def test_behind_a_load_balancer_a_restart_of_each_worker_in_turn_refuses_nothing(
    make: Make, emptied: Callable[[], str], slack: Slack
) -> None:
    url = emptied()
    workers = [
        make(
            **by_requests(slack), DATABASE_URL=url, LEASE_SECONDS="60", DRAIN_SECONDS="30", SLACK_PACING="off"
        )
        for _ in range(2)
    ]
    ports = [int(worker.settings["PORT"]) for worker in workers]
    people = [slack.add_person(f"Person {number}") for number in range(3)]
    channel = slack.add_channel("general", members=people)
    threads: list[str] = []

    async def ask() -> None:
        number = len(threads)
        words = f"{workers[0].me} say exactly: answer {number}"
        threads.append(await slack.say(people[number % len(people)], channel, words))

    async with balancing(ports) as balancer:
        for worker in workers:
            await worker.begin()
        await balancer.all_ready()
        await slack.requests.verify(balancer.url)
        for worker in workers:
            await at_rest(worker)  # nothing runs that would keep it open
            assert worker.process is not None
            ending = asyncio.create_task(worker.stop())
            while not ending.done():
                await ask()
                await asyncio.wait([ending], timeout=0.3)
            assert await ending == 0
            await worker.begin()
            await balancer.all_ready()
        for number, thread in enumerate(threads):
            assert await workers[0].answered(channel, thread) == [f"answer {number}"]
        await at_rest(workers[0])
        # Without a status nobody refused it: the machine stood still for longer than Slack waits.
        assert [e for e in slack.log if e.kind == "refused" and e.data["status"]] == []
        assert set(balancer.passed_on) == set(ports)
        for event in ("event", "turn ended"):
            assert all(any(line["event"] == event for line in worker.log) for worker in workers), event
