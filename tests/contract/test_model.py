"""What every `Model` keeps to. Another model is one more parameter of `world`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from bot.bedrock import open_model
from bot.conversation import Document, Image, Message, Messages, Text, add_assistant_message, add_user_message
from bot.errors import (
    BadCredentials,
    BadRequest,
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
from bot.ports import Model, Request, Stop, StreamEvent, TextDelta
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
        async with open_model(MODEL_ID, region="us-east-1", idle_seconds=30) as model:
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
    await world.bedrock.wait_for(lambda it: it.requests[0].ended == "client_disconnected", 1)
    assert world.bedrock.open == 0


async def test_a_request_that_is_cancelled_before_its_answer_begins_closes_its_connection(world: World):
    world.bedrock.faults.add("stall", seconds=60)
    asking_now = asyncio.create_task(world.model.chat(asking("Hello")))
    await world.bedrock.wait_for(lambda it: len(it.requests) == 1)
    asking_now.cancel()
    await asyncio.wait([asking_now])
    await world.bedrock.wait_for(lambda it: bool(it.requests[0].finished_at), 1)


async def test_two_hundred_streams_run_together(world: World):
    world.bedrock.hold()
    answers = [asyncio.create_task(world.model.chat(asking(f"What's {n}+1?"))) for n in range(200)]
    await world.bedrock.wait_for(lambda it: it.open == 200, 10)
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
    ("guardrail_intervened", Refused),
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
            await bedrock.wait_for(lambda it: bool(it.requests[0].finished_at), 1)


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
