"""What every `Model` keeps to. Another model is one more parameter of `world`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
import structlog

from bot.bedrock import Guardrail, open_model
from bot.conversation import Document, Image, Message, Messages, Text, add_assistant_message, add_user_message
from bot.errors import (
    BadCredentials,
    BadRequest,
    Blocked,
    BrokenStream,
    EmptyAnswer,
    ModelBusy,
    ModelError,
    ModelUnavailable,
    NoAccess,
    QuotaSpent,
    Refused,
    TooLong,
    UnknownModel,
)
from bot.models import Effort
from bot.ports import CachePoints, Model, Request, Stop, StreamEvent, TextDelta, Usage
from bot.sandbox.bedrock import Bedrock

MODEL_ID = "us.anthropic.claude-sonnet-5-5"


@dataclass
class World:
    """A model and the server that it asks."""

    model: Model
    bedrock: Bedrock


def set_aws(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url)


@pytest.fixture(params=["bedrock"])
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        async with open_model(MODEL_ID, region="us-east-1", idle_seconds=120) as model:
            yield World(model, bedrock)


def said(words: str, who: str = "Ann Lee") -> str:
    return f'<message from="{who}" at="2026-11-24 14:02 UTC">{words}</message>'


def asking(words: str, max_tokens: int = 1000) -> Request:
    return Request(add_user_message((), said(words)), system="You are Bobbin.", max_tokens=max_tokens)


async def events_of(model: Model, request: Request) -> list[StreamEvent]:
    async with aclosing(model.stream(request)) as stream:
        return [event async for event in stream]


async def test_a_stream_is_text_and_then_stop(world: World):
    *texts, stop = await events_of(world.model, asking("say exactly: Grüße, 世界!"))
    assert "".join(event.text for event in texts if isinstance(event, TextDelta)) == "Grüße, 世界!"
    assert all(isinstance(event, TextDelta) and event.text for event in texts)
    assert isinstance(stop, Stop)
    assert stop.reason == "end_turn"
    assert stop.usage.input > 0
    assert stop.usage.output > 0
    assert stop.request_id


async def test_a_chat_is_the_whole_answer(world: World):
    answer = await world.model.chat(asking("What's 1+1?"))
    assert answer.text.startswith("2\n")
    assert answer.reason == "end_turn"
    assert answer.usage.output > 0
    assert answer.request_id == world.bedrock.requests[0].request_id


async def test_the_model_goes_on_from_what_was_said_before(world: World):
    talk = add_user_message((), said("What's 1+1?"))
    talk = add_assistant_message(talk, (await world.model.chat(Request(talk))).text)
    talk = add_user_message(talk, said("And 3 more added to that?"))
    assert (await world.model.chat(Request(talk))).text == "5"


async def test_only_the_last_message_does_not_let_it_go_on(world: World):
    assert "5" not in (await world.model.chat(asking("And 3 more added to that?"))).text


async def test_what_is_asked_reaches_the_server_as_it_is(world: World):
    content = (Text("Look"), Image("png", b"\x89PNG"), Document("plan", "pdf", b"%PDF"))
    await world.model.chat(Request((Message("user", content),), system="Be brief.", max_tokens=77))
    asked = world.bedrock.requests[0]
    assert asked.model_id == MODEL_ID
    assert asked.body == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "Look"},
                    {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}},
                    {"document": {"name": "plan", "format": "pdf", "source": {"bytes": "JVBERg=="}}},
                ],
            }
        ],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 77},
        "additionalModelRequestFields": {
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low"},
        },
    }


async def test_no_more_tokens_are_asked_for_than_the_model_can_write(world: World):
    assert (await world.model.chat(asking("Hello", max_tokens=10_000_000))).text
    assert world.bedrock.requests[0].body["inferenceConfig"] == {"maxTokens": 128_000}


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_stream_that_is_left_closes_its_connection_at_once(world: World, how: str):
    world.bedrock.pace = 0.01
    started = asyncio.Event()

    async def read(*, until_first: bool) -> None:
        async with aclosing(world.model.stream(asking("write 3000 words"))) as stream:
            async for _ in stream:
                started.set()
                if until_first:
                    return

    reading = asyncio.create_task(read(until_first=how == "closed"))
    await started.wait()
    if how == "cancelled":
        reading.cancel()
    await asyncio.wait([reading])
    await world.bedrock.wait_for(lambda it: it.requests[0].ended == "client_disconnected")
    assert world.bedrock.open == 0


async def test_a_request_that_is_cancelled_before_its_answer_begins_closes_its_connection(world: World):
    world.bedrock.faults.add("stall", seconds=60)
    asking_now = asyncio.create_task(world.model.chat(asking("Hello")))
    await world.bedrock.wait_for(lambda it: len(it.requests) == 1)
    asking_now.cancel()
    await asyncio.wait([asking_now])
    await world.bedrock.wait_for(lambda it: bool(it.requests[0].finished_at))


async def test_two_hundred_streams_run_together(world: World):
    world.bedrock.hold()
    answers = [asyncio.create_task(world.model.chat(asking(f"What's {n}+1?"))) for n in range(200)]
    await world.bedrock.wait_for(lambda it: it.open == 200, 100)
    world.bedrock.release()
    texts = [answer.text.split("\n")[0] for answer in await asyncio.gather(*answers)]
    assert texts == [str(n + 1) for n in range(200)]
    assert world.bedrock.most_open == 200
    assert {asked.ended for asked in world.bedrock.requests} == {"completed"}


async def test_connections_are_used_again(world: World):
    for _ in range(3):
        await world.model.chat(asking("Hello"))
    assert len({asked.peer for asked in world.bedrock.requests}) == 1


async def test_a_pooled_connection_that_was_closed_meanwhile_is_no_error(world: World):
    await world.model.chat(asking("Hello"))
    world.bedrock.faults.add("cut")
    assert (await world.model.chat(asking("What's 2*3?"))).text.startswith("6")


BEFORE = [
    ("throttled", ModelBusy),
    ("throttled_tokens", ModelBusy),
    ("throttled_daily", QuotaSpent),
    ("not_ready", ModelBusy),
    ("quota", QuotaSpent),
    ("model_timeout", ModelUnavailable),
    ("model_error", ModelUnavailable),
    ("model_stream_error", BrokenStream),
    ("internal", ModelUnavailable),
    ("unavailable", ModelUnavailable),
    ("no_access", NoAccess),
    ("not_authorized", NoAccess),
    ("marketplace", NoAccess),
    ("agreement", NoAccess),
    ("use_case_form", NoAccess),
    ("expired_token", BadCredentials),
    ("unrecognized_client", BadCredentials),
    ("bad_signature", BadCredentials),
    ("unknown_model", UnknownModel),
    ("validation", BadRequest),
    ("too_long", TooLong),
    ("strange", BadRequest),
    ("reset", ModelUnavailable),
    ("cut", ModelUnavailable),
    ("empty", EmptyAnswer),
    ("content_filtered", Refused),
    ("guardrail_intervened", Blocked),
    ("malformed_model_output", BrokenStream),
    ("malformed_tool_use", BrokenStream),
]


@pytest.mark.parametrize(("kind", "error"), BEFORE)
async def test_every_failure_has_its_name(world: World, kind: str, error: type[ModelError]):
    world.bedrock.faults.add(kind, times=None)
    with pytest.raises(ModelError) as raised:
        await world.model.chat(asking("Hello"))
    assert type(raised.value) is error
    world.bedrock.faults.clear()
    assert (await world.model.chat(asking("Hello"))).text


INSIDE = [
    ("throttled", ModelBusy),
    ("internal", ModelUnavailable),
    ("unavailable", ModelUnavailable),
    ("model_stream_error", BrokenStream),
    ("validation", BadRequest),
    ("too_long", TooLong),
    ("strange", BrokenStream),
    ("reset", BrokenStream),
    ("cut", BrokenStream),
    ("bad_crc", BrokenStream),
]


@pytest.mark.parametrize("after_events", [0, 6])
@pytest.mark.parametrize(("kind", "error"), INSIDE)
async def test_every_failure_inside_a_stream_has_its_name(
    world: World, kind: str, error: type[ModelError], after_events: int
):
    world.bedrock.faults.add(kind, after_events=after_events)
    texts = 0
    with pytest.raises(ModelError) as raised:  # noqa: PT012 - the text before the failure is counted
        async with aclosing(world.model.stream(asking("write 300 words"))) as stream:
            async for _ in stream:
                texts += 1
    assert type(raised.value) is error
    assert bool(texts) == bool(after_events)
    assert (await world.model.chat(asking("Hello"))).text


@pytest.mark.parametrize("after_events", [None, 0, 6])
async def test_a_silent_model_is_unavailable(monkeypatch: pytest.MonkeyPatch, after_events: int | None):
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        bedrock.faults.add("stall", after_events=after_events, seconds=60)
        async with open_model(MODEL_ID, region="us-east-1", idle_seconds=0.2) as model:
            with pytest.raises(ModelUnavailable):
                await model.chat(asking("write 300 words"))
            await bedrock.wait_for(lambda it: bool(it.requests[0].finished_at))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("model_context_window_exceeded", "window"),
        ("brand_new_reason", "end_turn"),
    ],
)
async def test_why_an_answer_ended_is_told(world: World, theirs: str, ours: str):
    world.bedrock.faults.add(theirs)
    assert (await world.model.chat(asking("Hello"))).reason == ours


async def test_a_conversation_longer_than_the_window_is_too_long(world: World):
    world.bedrock.window = 1000
    with pytest.raises(TooLong):
        await world.model.chat(asking("long " * 1000))


async def test_an_error_does_not_tell_what_people_said(world: World):
    talk: Messages = (Message("user", (Text("a secret"), Text(7))),)  # type: ignore[arg-type]
    with pytest.raises(BadRequest) as raised:
        await world.model.chat(Request(talk))
    assert "secret" not in str(raised.value)
    assert world.bedrock.requests == []


async def test_nobody_listening_is_unavailable(monkeypatch: pytest.MonkeyPatch):
    set_aws(monkeypatch, "http://127.0.0.1:9")
    async with open_model(MODEL_ID, region="us-east-1") as model:
        with pytest.raises(ModelUnavailable):
            await model.chat(asking("Hello"))


IDS = [
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "eu.anthropic.claude-opus-4-5-20251101-v1:0",
    "us.anthropic.claude-opus-4-6-v1",
    "anthropic.claude-sonnet-4-6",
    "jp.anthropic.claude-opus-4-7",
    "au.anthropic.claude-opus-4-8",
    "apac.anthropic.claude-sonnet-5",
    "ca.anthropic.claude-opus-5",
    "in.anthropic.claude-haiku-5-5",
    "us-gov.anthropic.claude-sonnet-5-5",
    "global.anthropic.claude-opus-5-5",
    "global.anthropic.claude-fable-5",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-fable-5-1",
    "us.anthropic.claude-mythos-5-1",
]


@pytest.mark.parametrize("effort", ["off", "low", "high", "max"])
async def test_no_model_refuses_what_it_is_sent(monkeypatch: pytest.MonkeyPatch, effort: Effort):
    points = CachePoints(system=True, after=(0,), ttl="1h")
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        async with open_model(MODEL_ID, region="us-east-1", effort=effort) as model:
            for name in IDS:
                request = replace(asking("Hello", 1_000_000), model=name, cache=points)
                assert (await model.chat(request)).text
        assert [asked.model_id for asked in bedrock.requests] == IDS
        for asked in bedrock.requests:
            assert set(asked.body["inferenceConfig"]) == {"maxTokens"}


async def test_a_model_that_is_not_known_is_asked_with_care_and_said_once(monkeypatch: pytest.MonkeyPatch):
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"
    points = CachePoints(after=(0,), ttl="1h")
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        with structlog.testing.capture_logs() as logs:
            async with open_model(profile, region="us-east-1") as model:
                await model.chat(replace(asking("Hello", 1_000_000), cache=points))
            async with open_model(profile, region="us-east-1", family="claude-haiku-5-5") as model:
                await model.chat(replace(asking("Hello", 1_000_000), cache=points))
        careful, named = (asked.body for asked in bedrock.requests)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["model_not_known"]
    assert careful["inferenceConfig"] == {"maxTokens": 8_192}
    assert "additionalModelRequestFields" not in careful
    assert careful["messages"][0]["content"][-1] == FIVE
    assert named["inferenceConfig"] == {"maxTokens": 128_000}
    assert named["messages"][0]["content"][-1] == HOUR


Content = tuple[Text | Image | Document, ...]
FIVE = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def points_of(body: dict[str, Any]) -> list[tuple[int, int]]:
    """Return (message, place) of each point; the system's message is -1."""
    lists = enumerate([body.get("system", []), *(message["content"] for message in body["messages"])], -1)
    return [
        (index, place)
        for index, blocks in lists
        for place, block in enumerate(blocks)
        if "cachePoint" in block
    ]


def long_thread(turns: int) -> Messages:
    talk: Messages = ()
    for turn in range(turns):
        talk = add_user_message(talk, said(f"{turn} " + "word " * 500))
        talk = add_assistant_message(talk, "fine " * 100)
    return add_user_message(talk, said("Hello"))


async def test_a_thread_that_grows_is_read_from_the_cache(world: World):
    talk, system = long_thread(2), "Be brief. " * 300
    first = Request(talk[:3], system, cache=CachePoints(system=True, after=(2,)))
    second = Request(talk, system, cache=CachePoints(system=True, after=(4,)))
    before, after = [(await world.model.chat(each)).usage for each in (first, second)]
    assert before.cache_read == 0
    assert before.cache_write > 1000
    assert after.cache_read == before.cache_write
    assert 0 < after.cache_write < after.cache_read
    assert (before.input, before.cache_write_1h, after.cache_write_1h) == (0, 0, 0)
    assert world.bedrock.requests[1].body["system"][1:] == [FIVE]


async def test_an_hour_is_asked_for_on_the_wire_and_told_in_the_usage(world: World):
    points = CachePoints(after=(2,), ttl="1h")
    usage = (await world.model.chat(Request(long_thread(1), cache=points))).usage
    assert world.bedrock.requests[0].body["messages"][2]["content"][-1] == HOUR
    assert usage.cache_write == usage.cache_write_1h > 500
    assert usage == Usage(
        output=usage.output, cache_write=usage.cache_write, cache_write_1h=usage.cache_write
    )


async def test_there_are_never_more_points_than_bedrock_takes(world: World):
    points = CachePoints(system=True, after=(0, 2, 4, 6, 6, 8))
    await world.model.chat(Request(long_thread(4), "Be brief.", cache=points))
    assert [index for index, _ in points_of(world.bedrock.requests[0].body)] == [-1, 4, 6, 8]
    await world.model.chat(Request(long_thread(4), cache=replace(points, after=(0, 2, 4, 6, 8))))
    assert [index for index, _ in points_of(world.bedrock.requests[1].body)] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ((Text("a"), Document("plan", "pdf", b"%PDF")), 2),
        ((Text("a"), Document("plan", "csv", b"1,2")), 1),
        ((Text("a"), Document("a", "csv", b"1,2"), Document("b", "md", b"#")), 1),
        ((Document("plan", "csv", b"1,2"), Text("a")), 2),
        ((Image("png", b"\x89PNG"), Text("a")), 2),
    ],
)
async def test_no_point_stands_where_bedrock_refuses_one(world: World, content: Content, place: int):
    request = Request((Message("user", content),), cache=CachePoints(system=True, after=(0,)))
    await world.model.chat(request)
    assert points_of(world.bedrock.requests[0].body) == [(0, place)]


async def test_a_model_without_a_cache_gets_no_points(world: World):
    request = Request(long_thread(1), cache=CachePoints(system=True, after=(2,)))
    old = replace(request, model="us.anthropic.claude-3-haiku-20240307-v1:0")
    with pytest.raises(UnknownModel):
        await world.model.chat(old)
    assert points_of(world.bedrock.requests[0].body) == []


async def test_the_usage_of_an_answer_that_failed_is_told_where_bedrock_told_it(world: World):
    for kind in ("empty", "content_filtered"):
        world.bedrock.faults.add(kind)
        with pytest.raises(ModelError) as raised:
            await world.model.chat(asking("Hello"))
        usage = world.bedrock.requests[-1].usage
        assert raised.value.usage == Usage(input=usage["inputTokens"], output=usage["outputTokens"])


@pytest.fixture(params=["sync", "async"])
async def guarded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    mode: Literal["sync", "async"] = request.param
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        async with open_model(MODEL_ID, region="us-east-1", guardrail=Guardrail("gr1", "2", mode)) as model:
            yield World(model, bedrock)


def mode_of(world: World) -> str:
    config: dict[str, str] = world.bedrock.requests[0].body["guardrailConfig"]
    assert (config["guardrailIdentifier"], config["guardrailVersion"]) == ("gr1", "2")
    return config["streamProcessingMode"]


async def test_what_a_guardrail_lets_pass_is_an_answer(guarded: World):
    assert (await guarded.model.chat(asking("say exactly: Hello"))).text == "Hello"
    assert mode_of(guarded) in ("sync", "async")


@pytest.mark.parametrize("words", ["Where to get dynamite?", "say exactly: Mix it to nitroglycerin now"])
async def test_what_a_guardrail_blocks_is_one_plain_sentence(guarded: World, words: str):
    seen = ""
    with pytest.raises(Blocked) as raised:  # noqa: PT012 - what was seen before the end counts
        async with aclosing(guarded.model.stream(asking(words))) as events:
            async for event in events:
                seen += event.text if isinstance(event, TextDelta) else ""
    assert ("nitroglycerin" in seen) == (mode_of(guarded) == "async" and "nitro" in words)
    assert "now" not in seen
    assert raised.value.said.count(".") == 1
    assert not raised.value.retry
    told = guarded.bedrock.requests[0].usage
    assert raised.value.usage.input == told["inputTokens"]
    assert (told["inputTokens"] == 0) == ("dynamite" in words)


async def test_what_a_guardrail_masks_passes(guarded: World):
    answer = await guarded.model.chat(asking("say exactly: Write to ann@example.com today"))
    shown = "{EMAIL}" if mode_of(guarded) == "sync" else "ann@example.com"  # async cannot mask
    assert (answer.text, answer.reason) == (f"Write to {shown} today", "end_turn")


async def test_a_guardrail_that_is_not_there_is_ours_to_mend(monkeypatch: pytest.MonkeyPatch):
    async with Bedrock() as bedrock:
        set_aws(monkeypatch, bedrock.url)
        async with open_model(MODEL_ID, region="us-east-1", guardrail=Guardrail("missing")) as model:
            with pytest.raises(BadRequest, match="guardrail identifier or version"):
                await model.chat(asking("Hello"))
