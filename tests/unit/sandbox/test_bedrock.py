import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from botocore.eventstream import EventStreamBuffer
from yarl import URL

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.bedrock_stream import KINDS, Fault

MODEL = "us.anthropic.claude-sonnet-5-5"
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=00"}


def said(*roles: str, text: str = "Hello") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [{"text": text}]} for role in roles]}


def blocks(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}], **more}


def document(name: str = "plan", kind: str = "pdf") -> dict[str, Any]:
    return {"document": {"name": name, "format": kind, "source": {"bytes": "QUJD"}}}


TEXT = {"text": "Hello"}
CACHE = {"cachePoint": {"type": "default"}}
HOUR = {"cachePoint": {"type": "default", "ttl": "1h"}}


def thinking(kind: str, effort: str = "low", **more: Any) -> dict[str, Any]:
    fields = {"thinking": {"type": kind, **more}, "output_config": {"effort": effort}}
    return blocks(TEXT, additionalModelRequestFields=fields)


@pytest.fixture
async def bedrock() -> AsyncIterator[Bedrock]:
    async with Bedrock() as bedrock:
        yield bedrock


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=SIGNED) as session:
        yield session


async def ask(
    bedrock: Bedrock, http: aiohttp.ClientSession, body: Any, model: str = MODEL
) -> tuple[int, str, dict[str, Any]]:
    """Return the status, the error's code and the body."""
    data = io.BytesIO(json.dumps(body).encode())
    async with http.post(f"{bedrock.url}/model/{model}/converse", data=data) as answer:
        assert answer.headers["x-amzn-requestid"]
        code = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        return answer.status, code, await answer.json()


async def test_converse_answers_whole_with_usage_that_adds_up(bedrock: Bedrock, http: aiohttp.ClientSession):
    status, _, answer = await ask(
        bedrock, http, said("user", text="x" * 41) | {"system": [{"text": "abcde"}]}
    )
    assert status == 200
    assert answer["output"]["message"]["role"] == "assistant"
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["inputTokens"] == 11 + 2
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert usage["cacheReadInputTokens"] == 0


async def events_of(answer: aiohttp.ClientResponse) -> list[tuple[str, dict[str, Any]]]:
    buffer = EventStreamBuffer()
    buffer.add_data(await answer.read())
    return [(event.headers[":event-type"], json.loads(event.payload)) for event in buffer]


async def test_a_stream_has_the_events_of_the_real_one(bedrock: Bedrock, http: aiohttp.ClientSession):
    async with http.post(f"{bedrock.url}/model/{MODEL}/converse-stream", json=said("user")) as answer:
        assert answer.content_type == "application/vnd.amazon.eventstream"
        assert answer.headers["x-amzn-requestid"]
        events = await events_of(answer)
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "messageStart"
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert "contentBlockStart" not in kinds
    assert all(1 <= len(payload["p"]) <= 62 for _, payload in events)
    deltas = [payload for kind, payload in events if kind == "contentBlockDelta"]
    assert "reasoningContent" in deltas[0]["delta"]
    assert "".join(one["delta"].get("text", "") for one in deltas) == bedrock.requests[0].answer
    assert "cacheReadInputTokens" not in events[-1][1]["usage"]


@pytest.mark.parametrize(
    "model",
    [
        "us.anthropic.claude-haiku-4-5-20251001-v1%3A0",
        "anthropic.claude-sonnet-4-6",
        "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-opus-5-5",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
    ],
)
async def test_a_model_goes_by_many_names(bedrock: Bedrock, http: aiohttp.ClientSession, model: str):
    url = URL(f"{bedrock.url}/model/{model}/converse", encoded=True)
    async with http.post(url, json=said("user")) as answer:
        assert answer.status == 200
    assert "%" not in bedrock.requests[0].model_id


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("us.anthropic.claude-nonsense", "The provided model identifier is invalid."),
        ("us.claude-sonnet-5-5", "The provided model identifier is invalid."),
        ("anthropic.claude-sonnet-5-5", "with on-demand throughput isn\u2019t supported"),
    ],
)
async def test_a_wrong_model_is_refused(bedrock: Bedrock, http: aiohttp.ClientSession, model: str, told: str):
    status, code, answer = await ask(bedrock, http, said("user"), model)
    assert (status, code) == (400, "ValidationException")
    assert told in answer["message"]
    assert bedrock.requests[0].ended == "refused"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (said("user", "user"), "A conversation must alternate between user and assistant roles"),
        (said("user", "assistant", "assistant", "user"), "must alternate"),
        (said("assistant", "user"), "A conversation must start with a user message"),
        (said(), "A conversation must start with a user message"),
        (said("user", "assistant"), "The conversation must end with a user message"),
        (said("system"), "Value at 'messages.1.member.role' failed to satisfy constraint"),
        (said("user", text=" \n"), "object at messages.0.content.0 is blank"),
        (blocks(), "The content field in the Message object at messages.0 is empty"),
        (blocks({"text": "a", "image": {}}), "must set exactly one key"),
        (blocks({"toolUse": {}}), "The toolConfig field must be defined"),
        (blocks(TEXT, system=[{"text": " "}]), "object at system.0 is blank"),
        (blocks(document()), "A text block must be included when using documents."),
        (blocks(TEXT, document("a.pdf")), "The document file name can only contain"),
        (blocks(TEXT, document("a  b")), "more than one consecutive whitespace character"),
        (blocks(TEXT, document(), document()), "Messages can not contain duplicate document names"),
        (blocks(TEXT, document(kind="exe")), "member.document.format' failed to satisfy constraint"),
        (blocks({"image": {"format": "png", "source": {"bytes": ""}}}), "image.source.bytes' failed"),
        (blocks({"image": {"format": "png", "source": {"bytes": "*"}}}), "image.source.bytes' failed"),
        (
            {
                "messages": [
                    {"role": "user", "content": [TEXT]},
                    {"role": "assistant", "content": [TEXT, document()]},
                    {"role": "user", "content": [TEXT]},
                ]
            },
            "can only be used in a user message",
        ),
        (blocks(CACHE, TEXT), "There is nothing available to cache."),
        (blocks(TEXT, *[CACHE] * 5), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (blocks(TEXT, document(kind="csv"), CACHE), "cannot be set after this kind of document"),
        (blocks(TEXT, CACHE, TEXT, HOUR), "a ttl='1h' cache_control block must not come after a ttl='5m'"),
        (blocks(TEXT, HOUR, system=[TEXT, CACHE]), "must not come after a ttl='5m'"),
        (thinking("disabled"), "thinking.type: `disabled` is not supported for this model."),
        (thinking("enabled", budget_tokens=1024), "thinking.type: `enabled` is not supported"),
        (thinking("adaptive", effort="max"), "output_config.effort: `max` is not supported here."),
        (thinking("between_tools", effort="xhigh"), "output_config.effort: `xhigh` is not supported here."),
        (
            blocks(TEXT, guardrailConfig={"guardrailIdentifier": "missing"}),
            "guardrail identifier or version provided in the request does not exist",
        ),
        (blocks(TEXT, inferenceConfig={"temperature": 0.5}), "`temperature` is deprecated for this model."),
        (blocks(TEXT, inferenceConfig={"topP": 0.5}), "`top_p` is deprecated for this model."),
        (blocks(TEXT, inferenceConfig={"maxTokens": 128_001}), "exceeds the model limit of 128000"),
        (said("user", text="x" * 800_001), "prompt is too long: 200001 tokens > 200000 maximum"),
        (said("user", text="x" * 25_000_001), "Input is too long for requested model"),
    ],
)
async def test_what_bedrock_refuses_is_refused_in_its_words(
    bedrock: Bedrock, http: aiohttp.ClientSession, body: dict[str, Any], told: str
):
    status, code, answer = await ask(bedrock, http, body)
    assert (status, code) == (400, "ValidationException")
    assert told in answer["message"]


@pytest.mark.parametrize("kind", ["adaptive", "between_tools"])
async def test_a_model_thinks_as_it_is_told(bedrock: Bedrock, http: aiohttp.ClientSession, kind: str):
    async with http.post(f"{bedrock.url}/model/{MODEL}/converse-stream", json=thinking(kind)) as answer:
        deltas = [payload["delta"] for _, payload in await events_of(answer) if "delta" in payload]
    assert any("reasoningContent" in delta for delta in deltas) == (kind == "adaptive")


async def test_a_budget_for_thinking_fits_into_the_answer(bedrock: Bedrock, http: aiohttp.ClientSession):
    for budget, told in ((1024, 200), (1023, 400), (2000, 400)):
        fields = {"thinking": {"type": "enabled", "budget_tokens": budget}}
        body = blocks(TEXT, inferenceConfig={"maxTokens": 2000}, additionalModelRequestFields=fields)
        status, _, _ = await ask(bedrock, http, body, "us.anthropic.claude-haiku-4-5-20251001-v1:0")
        assert status == told


async def test_the_cache_goes_by_the_clock_it_is_given(bedrock: Bedrock, http: aiohttp.ClientSession):
    bedrock.clock = iter([0.0, 299.0, 600.0]).__next__
    body = blocks({"text": "x" * 4000}, CACHE)
    usages = [(await ask(bedrock, http, body))[2]["usage"] for _ in range(3)]
    assert [usage["cacheReadInputTokens"] for usage in usages] == [0, 1000, 0]
    assert [usage["cacheDetails"] for usage in usages][:2] == [[{"ttl": "5m", "inputTokens": 1000}], []]
    assert [asked.usage for asked in bedrock.requests] == usages


async def test_what_a_broken_stream_has_cost_is_known(bedrock: Bedrock, http: aiohttp.ClientSession):
    bedrock.faults.add("cut", after_events=6)
    async with http.post(f"{bedrock.url}/model/{MODEL}/converse-stream", json=said("user")) as answer:
        await answer.read()
    (asked,) = bedrock.requests
    assert 0 < len(asked.sent) < len(asked.answer)
    assert asked.usage["outputTokens"] == -(-len(asked.sent) // 4)


async def test_what_is_refused_costs_nothing(bedrock: Bedrock, http: aiohttp.ClientSession):
    await ask(bedrock, http, said("user", "user"))
    assert bedrock.requests[0].usage == {}


async def test_what_older_models_take_they_take(bedrock: Bedrock, http: aiohttp.ClientSession):
    body = blocks(TEXT, document("plan (2)_[x]"), inferenceConfig={"temperature": 0.5, "maxTokens": 64_000})
    status, _, _ = await ask(bedrock, http, body, "us.anthropic.claude-sonnet-4-6")
    assert status == 200


@pytest.mark.parametrize("signed", ["", "Basic abc", "AWS4-HMAC-SHA256"])
async def test_an_unsigned_request_is_refused(bedrock: Bedrock, http: aiohttp.ClientSession, signed: str):
    http.headers["Authorization"] = signed
    assert (await ask(bedrock, http, said("user")))[:2] == (403, "MissingAuthenticationTokenException")
    assert bedrock.requests == []


async def test_a_bearer_token_is_taken(bedrock: Bedrock, http: aiohttp.ClientSession):
    http.headers["Authorization"] = "Bearer abc"
    assert (await ask(bedrock, http, said("user")))[0] == 200


async def test_what_bedrock_does_not_know_is_not_answered(bedrock: Bedrock, http: aiohttp.ClientSession):
    async with http.get(f"{bedrock.url}/model/{MODEL}/converse") as answer:
        assert answer.status == 404
        assert answer.headers["x-amzn-requestid"]
    assert (await ask(bedrock, http, [1]))[:2] == (400, "SerializationException")


async def test_a_fault_befalls_as_many_requests_as_it_is_meant_for(
    bedrock: Bedrock, http: aiohttp.ClientSession
):
    bedrock.faults.add("throttled", times=2)
    assert (await ask(bedrock, http, said("user")))[:2] == (429, "ThrottlingException")
    assert [(await ask(bedrock, http, said("user")))[0] for _ in range(2)] == [429, 200]
    assert [asked.ended for asked in bedrock.requests] == ["fault", "fault", "completed"]


async def test_people_can_ask_for_a_fault(bedrock: Bedrock, http: aiohttp.ClientSession):
    assert (await ask(bedrock, http, said("user", text="fail no_access")))[:2] == (
        403,
        "AccessDeniedException",
    )
    assert (await ask(bedrock, http, said("user", text="fail better")))[0] == 200


def test_a_fault_that_is_not_known_is_a_mistake():
    with pytest.raises(ValueError, match="nonsense"):
        Fault("nonsense")
    assert len(set(KINDS)) == len(KINDS)


async def test_held_requests_wait_for_their_release(bedrock: Bedrock, http: aiohttp.ClientSession):
    bedrock.hold()
    asking = [asyncio.create_task(ask(bedrock, http, said("user"))) for _ in range(3)]
    await bedrock.wait_for(lambda it: len(it.requests) == 3)
    assert [asked.ended for asked in bedrock.requests] == ["", "", ""]
    bedrock.release()
    assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}


async def test_waiting_in_vain_tells_how_things_stand(bedrock: Bedrock):
    with pytest.raises(TimeoutError, match="0 requests, 0 open"):
        await bedrock.wait_for(lambda it: it.open == 1, 0.01)


async def test_closing_does_not_wait_for_streams_that_are_held():
    bedrock = Bedrock()
    await bedrock.start()
    bedrock.hold()
    async with aiohttp.ClientSession(headers=SIGNED) as http:
        url = f"{bedrock.url}/model/{MODEL}/converse-stream"
        async with http.post(url, json=said("user")) as answer:
            async with asyncio.timeout(60):
                await bedrock.close()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
    assert bedrock.open == 0
