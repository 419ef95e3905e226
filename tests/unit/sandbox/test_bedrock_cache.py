from typing import Any

import pytest

from bot.sandbox.bedrock_cache import LOOKBACK, Cache, Read
from bot.sandbox.bedrock_rules import Claude, prompt_tokens

MODEL = "us.anthropic.claude-sonnet-5-5"
FIVE, HOUR = ({"cachePoint": {"type": "default", **ttl}} for ttl in ({}, {"ttl": "1h"}))
MINUTE = 60.0


class Talk:
    """A thread that is asked again and again, at times that the test decides."""

    def __init__(self, model: str = MODEL, shortest: int = 100) -> None:
        self.cache = Cache()
        self.now = 0.0
        self.model = model
        self.claude = Claude(cache=shortest)
        self.fields: dict[str, Any] = {}

    def ask(self, *blocks: Any, system: tuple[Any, ...] = ()) -> Read:
        """Ask with blocks of one user message; a number stands for a text of so many tokens."""
        made = [[text(n) if isinstance(n, int) else n for n in each] for each in (system, blocks)]
        body = {"system": made[0], "messages": [{"role": "user", "content": made[1]}]} | self.fields
        read = self.cache.read(self.model, body, self.claude, self.now)
        assert read.new + read.cached + sum(read.written.values()) == prompt_tokens(body)
        return read


def text(tokens: int) -> dict[str, str]:
    return {"text": f"{tokens:4}" * tokens}


def numbers(read: Read) -> tuple[int, int, dict[str, int]]:
    return read.cached, read.new, read.written


def test_a_growing_thread_is_read_from_the_cache_and_written_once():
    talk = Talk()
    assert numbers(talk.ask(200, FIVE)) == (0, 0, {"5m": 200})
    assert numbers(talk.ask(200, 50, FIVE)) == (200, 0, {"5m": 50})
    assert numbers(talk.ask(200, 50, 10, FIVE, 7)) == (250, 7, {"5m": 10})


def test_without_a_point_nothing_is_read_or_written():
    talk = Talk()
    talk.ask(200, FIVE)
    assert numbers(talk.ask(200, 50)) == (0, 250, {})


def test_the_same_request_again_is_all_read():
    talk = Talk()
    talk.ask(200, FIVE)
    assert numbers(talk.ask(200, FIVE)) == (200, 0, {})


def test_a_point_below_the_models_minimum_is_passed_over():
    talk = Talk(shortest=201)
    assert numbers(talk.ask(200, FIVE)) == (0, 200, {})
    assert numbers(talk.ask(200, FIVE, 1, FIVE)) == (0, 0, {"5m": 201})


@pytest.mark.parametrize(("added", "cached"), [(LOOKBACK, 200), (LOOKBACK + 1, 0)])
def test_a_point_looks_back_for_21_blocks(added: int, cached: int):
    talk = Talk()
    talk.ask(200, FIVE)
    assert talk.ask(200, *[1] * added, FIVE).cached == cached


def test_a_second_point_finds_what_the_last_one_is_too_far_from():
    talk = Talk()
    talk.ask(200, FIVE)
    assert numbers(talk.ask(200, FIVE, *[1] * 30, FIVE)) == (200, 0, {"5m": 30})


@pytest.mark.parametrize(("point", "minutes"), [(FIVE, 5), (HOUR, 60)])
def test_a_prefix_is_kept_for_its_time_since_it_was_last_read(point: Any, minutes: int):
    talk = Talk()
    talk.ask(200, point)
    for _ in range(3):
        talk.now += minutes * MINUTE
        assert talk.ask(200, point).cached == 200
    talk.now += minutes * MINUTE + 1
    assert talk.ask(200, point).cached == 0


def test_a_hit_does_not_keep_what_it_did_not_read():
    talk = Talk()
    talk.ask(200, 50, FIVE)
    talk.ask(200, FIVE)
    talk.now += 4 * MINUTE
    talk.ask(200, FIVE)
    talk.now += 4 * MINUTE
    assert talk.ask(200, 50, FIVE).cached == 200


def test_each_ttl_is_written_up_to_its_own_point():
    talk = Talk()
    read = talk.ask(30, FIVE, 5, system=(150, HOUR))
    assert numbers(read) == (0, 5, {"1h": 150, "5m": 30})
    talk.now += 10 * MINUTE
    assert numbers(talk.ask(30, FIVE, system=(150, HOUR))) == (150, 0, {"5m": 30})


def test_a_system_prompt_is_shared_between_threads():
    talk = Talk()
    talk.ask(30, FIVE, system=(150, FIVE))
    assert talk.ask(31, FIVE, system=(150, FIVE)).cached == 150


def test_another_model_effort_or_word_misses():
    talk = Talk()
    talk.ask(200, 50, FIVE)
    assert talk.ask(201, 50, FIVE).cached == 0
    talk.fields = {"additionalModelRequestFields": {"output_config": {"effort": "low"}}}
    assert talk.ask(200, 50, FIVE).cached == 0
    talk.fields = {"inferenceConfig": {"maxTokens": 5}}
    assert talk.ask(200, 50, FIVE).cached == 250
    talk.model = "eu.anthropic.claude-sonnet-5-5"
    assert talk.ask(200, 50, FIVE).cached == 0


def test_usage_adds_up_and_names_the_hour_first():
    read = Read(3, 1712, {"5m": 200, "1h": 36}, asked=True)
    assert read.usage(121, always=False) == {
        "inputTokens": 3,
        "outputTokens": 121,
        "totalTokens": 2072,
        "cacheReadInputTokens": 1712,
        "cacheWriteInputTokens": 236,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 36}, {"ttl": "5m", "inputTokens": 200}],
    }


def test_a_stream_without_cache_points_does_not_mention_the_cache():
    assert Read(3).usage(1, always=False) == {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}
    assert Read(3).usage(1, always=True)["cacheDetails"] == []
