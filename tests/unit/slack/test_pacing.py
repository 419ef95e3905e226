"""Slack's rate limits, kept by all replies together; the clock is the test's."""

import asyncio
from collections.abc import Callable

import pytest

from bot.ports import Share
from bot.slack.pacing import PER_MINUTE, Pacer


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in(seconds: float, times: list[float]) -> int:
    return max(sum(start <= time < start + seconds - 0.001 for time in times) for start in times)


async def call(pacer: Pacer, method: str, channel: str, made: list[float]) -> None:
    """Call as soon as the pacer lets it."""
    await pacer.wait_for(method, channel)
    pacer.called(method, channel)
    made.append(now())


@pytest.mark.parametrize("method", ["chat.update", "chat.stopStream", "conversations.replies"])
def test_a_burst_is_spread_to_what_slack_takes_in_a_minute(in_no_time, method):
    async def story() -> None:
        pacer, made = Pacer(), list[float]()
        count = 2 * PER_MINUTE[method] + 10
        await asyncio.gather(*(call(pacer, method, "C1", made) for _ in range(count)))
        assert most_in(60, made) == PER_MINUTE[method]
        assert 120 <= made[-1] - made[0] < 121

    in_no_time(story())


def test_posts_keep_to_one_a_second_in_a_channel_and_to_the_workspace_in_all(in_no_time):
    async def story() -> None:
        pacer, one, others = Pacer(), list[float](), list[float]()
        talk = [call(pacer, "chat.postMessage", "C0", one) for _ in range(5)]
        talk += [call(pacer, "chat.postMessage", f"C{n}", others) for n in range(1, 300)]
        await asyncio.gather(*talk)
        assert most_in(1, one) == 1
        assert most_in(60, one + others) == PER_MINUTE["chat.postMessage"]

    in_no_time(story())


def test_what_slack_refused_is_left_alone_for_as_long_as_it_said(in_no_time):
    async def story() -> None:
        for pacer in (Pacer(), Pacer(on=False)):
            began = now()
            pacer.limited("chat.update", 30)
            pacer.limited("chat.update", 3)
            assert [pacer.may("chat.update"), pacer.may("chat.postMessage")] == [False, True]
            assert pacer.update_interval() == pytest.approx(30)
            await pacer.wait_for("chat.update")
            assert now() - began == pytest.approx(30)
            assert pacer.may("chat.update")

    in_no_time(story())


def test_without_pacing_only_slack_itself_slows_a_reply_down(in_no_time):
    async def story() -> None:
        pacer, made = Pacer(on=False), list[float]()
        await asyncio.gather(*(call(pacer, "chat.postMessage", "C1", made) for _ in range(500)))
        assert made[-1] - made[0] < 0.01
        assert all(pacer.take_stream() for _ in range(501))
        assert pacer.append_interval() == pacer.update_interval() < 0.5

    in_no_time(story())


def test_a_stream_is_started_only_with_its_stop(in_no_time):
    async def story() -> None:
        pacer = Pacer()
        for _ in range(15):
            pacer.called("chat.stopStream")
        assert [pacer.take_stream() for _ in range(6)] == [True] * 5 + [False]
        pacer.stream_ended()
        assert pacer.take_stream()
        pacer.stream_ended()
        pacer.limited("chat.stopStream", 5)
        assert not pacer.take_stream()
        await asyncio.sleep(60)
        assert pacer.take_stream()

    in_no_time(story())


def test_replies_that_look_at_the_same_moment_do_not_take_more_streams_than_there_are(in_no_time):
    async def story() -> None:
        pacer = Pacer()
        assert sum(pacer.take_stream() for _ in range(40)) == PER_MINUTE["chat.startStream"]

    in_no_time(story())


@pytest.mark.parametrize("replies", [1, 10, 20])
def test_replies_that_stream_at_once_share_the_appends_of_a_minute(
    in_no_time: Callable[..., None], replies: int
):
    async def story() -> None:
        pacer, made = Pacer(), list[float]()

        async def stream() -> None:
            assert pacer.take_stream()
            for _ in range(20):
                await asyncio.sleep(pacer.append_interval())
                pacer.called("chat.appendStream")
                made.append(now())
            pacer.stream_ended()

        await asyncio.gather(*(stream() for _ in range(replies)))
        assert most_in(60, made) <= PER_MINUTE["chat.appendStream"]

    in_no_time(story())


@pytest.mark.parametrize("replies", [1, 12, 20])
def test_replies_that_rewrite_messages_share_the_updates_and_none_waits_for_its_last(
    in_no_time: Callable[..., None], replies: int
):
    async def story() -> None:
        pacer, made = Pacer(), list[float]()

        async def grow() -> float:
            pacer.rewriting += 1
            began = now()
            while now() - began < 40:
                if pacer.may_rewrite():
                    pacer.called("chat.update")
                    made.append(now())
                await asyncio.sleep(min(pacer.update_interval(), 40 - (now() - began) + 0.01))
            ended = now()
            await call(pacer, "chat.update", "C1", made)
            pacer.rewriting -= 1
            return made[-1] - ended

        late = await asyncio.gather(*(grow() for _ in range(replies)))
        assert max(late) < 1
        assert len(made) > replies
        assert most_in(60, made) <= PER_MINUTE["chat.update"]

    in_no_time(story())


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_together_stay_within_a_tier(in_no_time: Callable[..., None], workers: int):
    async def story() -> None:
        pacers, made = [Pacer() for _ in range(workers)], list[float]()
        for number, pacer in enumerate(pacers):
            pacer.share(Share(number, workers))
        talk = (call(pacer, "chat.update", "C1", made) for pacer in pacers for _ in range(60))
        await asyncio.gather(*talk)
        assert workers * (PER_MINUTE["chat.update"] // workers) == most_in(60, made)
        streams = sum(pacer.take_stream() for pacer in pacers for _ in range(40))
        assert streams <= PER_MINUTE["chat.startStream"]

    in_no_time(story())


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_together_keep_to_what_slack_takes_in_a_channel(
    in_no_time: Callable[..., None], workers: int
):
    async def story() -> None:
        pacers, made = [Pacer() for _ in range(workers)], list[float]()
        for number, pacer in enumerate(pacers):
            pacer.share(Share(number, workers))
        talk = (call(pacer, "chat.postMessage", "C1", made) for pacer in pacers for _ in range(5))
        await asyncio.gather(*talk)
        assert most_in(workers, made) == workers

    in_no_time(story())


def test_where_another_worker_comes_what_was_called_before_still_counts(in_no_time):
    async def story() -> None:
        pacer, made = Pacer(), list[float]()
        await asyncio.gather(*(call(pacer, "chat.update", "C1", made) for _ in range(50)))
        pacer.share(Share(0, 2))
        await call(pacer, "chat.update", "C1", made)
        assert made[-1] - made[0] > 59

    in_no_time(story())


def test_what_has_time_leaves_half_of_each_minute_to_the_replies(in_no_time):
    async def story() -> None:
        pacer, made = Pacer(), list[float]()
        for _ in range(60):
            await pacer.wait_for_spare("conversations.history")
            pacer.called("conversations.history")
            made.append(now())
        assert most_in(60, made) == PER_MINUTE["conversations.history"] // 2
        pacer.limited("conversations.history", 90)
        limited = now()
        await pacer.wait_for_spare("conversations.history")
        assert now() - limited >= 90

    in_no_time(story())


def test_without_pacing_what_has_time_waits_for_slack_alone(in_no_time):
    async def story() -> None:
        pacer, began = Pacer(on=False), now()
        for _ in range(500):
            await pacer.wait_for_spare("conversations.replies")
            pacer.called("conversations.replies")
        assert now() - began < 0.01

    in_no_time(story())
