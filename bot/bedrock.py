"""The model on Amazon Bedrock, through one long-lived aioboto3 client; the only module that knows AWS.

Everything foreign that can go wrong is renamed here, in one table.
"""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aioboto3
import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import eventstream, exceptions, parsers

from bot.conversation import ContentBlock, Document, Image, Text
from bot.errors import (
    BadConfiguration,
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
from bot.models import Claude, Effort, default_model, known
from bot.ports import Answer, CachePoints, Request, Stop, StopReason, StreamEvent, TextDelta, Usage

log = structlog.get_logger()

CONNECT_SECONDS = 5
# A pooled connection that Bedrock has meanwhile closed fails at once; what fails later may have been at work.
STALE_SECONDS = 1.0
CACHE_POINTS = 4  # Bedrock takes no more in one request
# What this version of botocore does not know of Bedrock yet, added by botocore's own extension file.
_EXTRAS = Path(__file__).with_name("aws")

STOP_REASONS: dict[str, StopReason | type[ModelError]] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "model_context_window_exceeded": "window",
    "content_filtered": Refused,
    "guardrail_intervened": Blocked,  # unless it only masked something
    "malformed_model_output": BrokenStream,
    "malformed_tool_use": BrokenStream,
}

# Error codes in lower case: an HTTP answer says ThrottlingException, a stream throttlingException.
CODES: dict[str, type[ModelError]] = {
    "throttlingexception": ModelBusy,
    "modelnotreadyexception": ModelBusy,
    "servicequotaexceededexception": QuotaSpent,
    "serviceunavailableexception": ModelUnavailable,
    "internalserverexception": ModelUnavailable,
    "modeltimeoutexception": ModelUnavailable,
    "modelerrorexception": ModelUnavailable,
    "modelstreamerrorexception": BrokenStream,
    "validationexception": BadRequest,
    "serializationexception": BadRequest,
    "conflictexception": BadRequest,
    "resourcenotfoundexception": UnknownModel,
    "unknownoperationexception": UnknownModel,
    "accessdeniedexception": NoAccess,
    "ftuformnotfilled": NoAccess,
    "mpagreementbeingcreated": NoAccess,
    "optinrequired": NoAccess,
    "expiredtoken": BadCredentials,
    "expiredtokenexception": BadCredentials,
    "incompletesignature": BadCredentials,
    "incompletesignatureexception": BadCredentials,
    "invalidclienttokenid": BadCredentials,
    "invalidsignatureexception": BadCredentials,
    "missingauthenticationtoken": BadCredentials,
    "missingauthenticationtokenexception": BadCredentials,
    "signaturedoesnotmatch": BadCredentials,
    "unrecognizedclientexception": BadCredentials,
}

# Some of what Bedrock says has no code of its own: its words decide before the code does.
PHRASES: tuple[tuple[str, type[ModelError]], ...] = (
    ("prompt is too long", TooLong),
    ("input is too long", TooLong),
    ("exceed context limit", TooLong),
    ("too many total text bytes", TooLong),
    ("maximum context length is", TooLong),
    ("input tokens exceeded", TooLong),
    ("tokens per day", QuotaSpent),
    ("model identifier is invalid", UnknownModel),
    ("on-demand throughput", UnknownModel),
    ("use case details", NoAccess),
    ("data retention mode", NoAccess),
    ("api key", BadCredentials),
    ("bearer token", BadCredentials),
    ("security token", BadCredentials),
)

# For a code that nobody has seen yet.
STATUSES: dict[int, type[ModelError]] = {
    401: BadCredentials,
    403: NoAccess,
    404: UnknownModel,
    408: ModelUnavailable,
    424: ModelUnavailable,
    429: ModelBusy,
}

# Whatever is raised without an answer from Bedrock; the first that fits.
FOREIGN: tuple[tuple[type[Exception], type[ModelError]], ...] = (
    (exceptions.NoCredentialsError, BadCredentials),
    (exceptions.PartialCredentialsError, BadCredentials),
    (exceptions.CredentialRetrievalError, BadCredentials),
    (exceptions.UnknownCredentialError, BadCredentials),
    (exceptions.RefreshWithMFAUnsupportedError, BadCredentials),
    (exceptions.MetadataRetrievalError, BadCredentials),
    (exceptions.InvalidIMDSEndpointError, BadCredentials),
    (exceptions.InvalidIMDSEndpointModeError, BadCredentials),
    (exceptions.NoAuthTokenError, BadCredentials),
    (exceptions.TokenRetrievalError, BadCredentials),
    (exceptions.SSOError, BadCredentials),
    (exceptions.ResponseStreamingError, BrokenStream),
    (exceptions.IncompleteReadError, BrokenStream),
    (exceptions.HTTPClientError, ModelUnavailable),
    (exceptions.ConnectionError, ModelUnavailable),
    (exceptions.CapacityNotAvailableError, ModelBusy),
    (exceptions.BotoCoreError, BadRequest),
    (eventstream.ParserError, BrokenStream),
    (parsers.ResponseParserError, BrokenStream),
    (aiohttp.ClientPayloadError, BrokenStream),
    (aiohttp.ClientError, ModelUnavailable),
    (OSError, ModelUnavailable),  # timeouts among them
)
_EVERY_FOREIGN = (exceptions.ClientError, *(kind for kind, _ in FOREIGN))
_QUOTED = re.compile(r"Value '.*?' at ", re.DOTALL)  # Bedrock quotes the value it does not like


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A guardrail of Bedrock. `sync` shows only what it has judged; `async` is faster and cannot mask."""

    id: str
    version: str = "DRAFT"
    mode: Literal["sync", "async"] = "sync"


@asynccontextmanager
async def open_model(
    model_id: str | None,
    *,
    region: str | None,
    concurrency: int = 256,
    idle_seconds: float = 120,
    family: str = "",
    effort: Effort = "low",
    guardrail: Guardrail | None = None,
) -> AsyncIterator["BedrockModel"]:
    """Open the client and yield the model; AWS's own variables and files say the rest.

    Without a `model_id` it is the current Claude Sonnet of the region's geography. `family` says which model
    stands behind an id that does not tell.

    `concurrency` is the number of answers at once: an answer holds a connection while it streams, and one
    more would wait for it without any timeout. Raises `BadConfiguration`.
    """
    config = AioConfig(
        max_pool_connections=concurrency,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=idle_seconds,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    try:
        core = AioSession()
        core.get_component("data_loader").search_paths.insert(0, str(_EXTRAS))
        session = aioboto3.Session(botocore_session=core, region_name=region or None)
        opening = session.client("bedrock-runtime", config=config)
        client = await opening.__aenter__()
    except exceptions.NoRegionError as error:
        missing = "AWS_REGION: it is missing (where Bedrock is asked); for example AWS_REGION=eu-central-1"
        raise BadConfiguration([missing]) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise BadConfiguration([f"AWS: {error}"]) from error
    try:
        model_id = model_id or default_model(client.meta.region_name)
        if not known(model_id, family).is_known:
            log.warning("model_not_known", model=model_id, hint="careful limits; MODEL_FAMILY can name it")
        yield BedrockModel(client, model_id, family, effort, guardrail)
    finally:
        await opening.__aexit__(None, None, None)


class BedrockModel:
    """A model on Bedrock, as `bot.ports.Model` has it. `model_id` answers requests that name no model."""

    def __init__(
        self, client: Any, model_id: str, family: str, effort: Effort, guardrail: Guardrail | None
    ) -> None:
        self.model_id = model_id
        self._client = client
        self._family = family
        self._effort: Effort = effort
        self._guardrail = guardrail

    async def chat(self, request: Request) -> Answer:
        """Ask and wait for the whole answer."""
        # Through the stream: it needs no further permission of AWS, and stays alive while the model writes,
        # where Converse is silent until the end, longer than any idle timeout.
        text = ""
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Stop):
                    return Answer(text, event.reason, event.usage, event.request_id)
                text += event.text
        raise BrokenStream  # not reached: a stream ends with `Stop` or raises

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """Ask once and yield the answer as it comes. Closing the generator closes the connection."""
        request_id = ""
        try:
            response = await self._open(self._body(request))
            request_id = response["ResponseMetadata"].get("RequestId", "")
            stream, blank, reason = response["stream"], True, ""
            usage: dict[str, Any] = {}
            trace: dict[str, Any] = {}
            try:
                async for event in stream:
                    # Reasoning is not shown; like every other event it is a sign of life.
                    if text := event.get("contentBlockDelta", {}).get("delta", {}).get("text"):
                        blank = blank and not text.strip()
                        yield TextDelta(text)
                    elif "messageStop" in event:
                        reason = event["messageStop"]["stopReason"]
                    elif "metadata" in event:
                        usage |= event["metadata"].get("usage", {})
                        trace |= event["metadata"].get("trace", {})
            finally:
                stream.close()
        except _EVERY_FOREIGN as error:
            named = renamed(error)
            named.request_id = named.request_id or request_id
            raise named from error
        if reason == "guardrail_intervened" and _only_masked(trace):
            reason = "end_turn"
        try:
            ended = _ended(reason, request_id, blank=blank)
        except ModelError as error:
            error.usage = _usage(usage) if usage else None
            error.request_id = request_id
            raise
        yield Stop(ended, _usage(usage), request_id)

    def _body(self, request: Request) -> dict[str, Any]:
        model_id = request.model or self.model_id
        claude = known(model_id, self._family)
        max_tokens = min(request.max_tokens, claude.max_output)
        body: dict[str, Any] = {
            "modelId": model_id,
            "messages": [
                {"role": message.role, "content": [_block(block) for block in message.content]}
                for message in request.messages
            ],
            # Left out, Bedrock would reserve the model's whole output from the account's quota.
            "inferenceConfig": {"maxTokens": max_tokens},
        }
        if request.system.strip():
            body["system"] = [{"text": request.system}]
        if fields := claude.fields(self._effort, max_tokens):
            body["additionalModelRequestFields"] = fields
        if rail := self._guardrail:
            body["guardrailConfig"] = {
                "guardrailIdentifier": rail.id,
                "guardrailVersion": rail.version,
                "streamProcessingMode": rail.mode,
                "trace": "enabled",  # nothing else tells what was masked from what was blocked
            }
        if request.cache and claude.ttls:
            _place(body, request.cache, claude)
        return body

    async def _open(self, body: dict[str, Any]) -> Any:
        """Send the request; once more where the pool gave a connection that was closed already."""
        begun = time.monotonic()
        try:
            return await self._client.converse_stream(**body)
        except (exceptions.ConnectionClosedError, exceptions.EndpointConnectionError) as error:
            refused = isinstance(error.kwargs["error"], aiohttp.ClientConnectorError)
            if refused or time.monotonic() - begun > STALE_SECONDS:
                raise
            log.info("bedrock_connection_stale")
            return await self._client.converse_stream(**body)


def renamed(error: Exception) -> ModelError:
    """Return what a foreign error means, in Bobbin's words; its text is for the log."""
    if isinstance(error, exceptions.ClientError):
        return _renamed_answer(error.response)
    named = next((ours for theirs, ours in FOREIGN if isinstance(error, theirs)), ModelUnavailable)
    # botocore quotes parameters that it refuses, and those are people's words.
    told = "" if named is BadRequest else f": {error}"
    return named(f"{type(error).__name__}{told}"[:500])


def _renamed_answer(response: Mapping[str, Any]) -> ModelError:
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", ""))
    about = response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 0)
    named = next((ours for phrase, ours in PHRASES if phrase in message.lower()), None)
    named = named or CODES.get(code.lower()) or STATUSES.get(status) or _by_class(status)
    told = _QUOTED.sub("Value at ", message)[:300]
    error = named(f"{code or 'no code'} {status or 'in stream'} {about.get('RequestId', '')}: {told}")
    error.request_id = about.get("RequestId", "")
    return error


def _by_class(status: int) -> type[ModelError]:
    if not status:
        return BrokenStream
    return ModelUnavailable if status >= 500 else BadRequest  # noqa: PLR2004 - where HTTP's server errors begin


def _ended(reason: str, request_id: str, *, blank: bool) -> StopReason:
    """Return why the answer ended, or raise where that leaves it worth nothing."""
    if not reason:
        raise BrokenStream(f"no messageStop {request_id}")
    meaning = STOP_REASONS.get(reason)
    if meaning is None:
        log.warning("bedrock_stop_reason_unknown", reason=reason, request_id=request_id)
        meaning = "end_turn"
    if not isinstance(meaning, str):
        raise meaning(f"{reason} {request_id}")
    if blank:
        raise (TooLong if meaning == "window" else EmptyAnswer)(f"{reason} {request_id}")
    return meaning


def _place(body: dict[str, Any], points: CachePoints, claude: Claude) -> None:
    """Put the cache points in, where Bedrock takes them: the system's, and the last of the others."""
    ttl = {"ttl": "1h"} if points.ttl == "1h" and "1h" in claude.ttls else {}
    point = {"cachePoint": {"type": "default", **ttl}}
    if points.system and "system" in body:
        body["system"].append(point)
    room = CACHE_POINTS - (points.system and "system" in body)
    for index in sorted(set(points.after))[-room:]:
        content = body["messages"][index]["content"]
        end = len(content)
        # Straight after a document that is no PDF, a point is refused.
        while end and content[end - 1].get("document", {"format": "pdf"})["format"] != "pdf":
            end -= 1
        if end:
            content.insert(end, point)


def _only_masked(trace: Mapping[str, Any]) -> bool:
    """Whether the guardrail hid some words and let the rest pass: only its trace tells."""
    actions = set(_actions(trace.get("guardrail", {})))
    return "ANONYMIZED" in actions and "BLOCKED" not in actions


def _actions(trace: Any) -> Iterator[str]:
    if isinstance(trace, dict):
        if isinstance(action := trace.get("action"), str):
            yield action
        trace = list(trace.values())
    for each in trace if isinstance(trace, list) else ():
        yield from _actions(each)


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = usage.get("cacheDetails", ())
    return Usage(
        input=usage.get("inputTokens", 0),
        output=usage.get("outputTokens", 0),
        cache_read=usage.get("cacheReadInputTokens", 0),
        cache_write=usage.get("cacheWriteInputTokens", 0),
        cache_write_1h=sum(detail.get("inputTokens", 0) for detail in details if detail.get("ttl") == "1h"),
    )


def _block(block: ContentBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"text": text}
        case Image(format=kind, data=data):
            return {"image": {"format": kind, "source": {"bytes": data}}}
        case Document(name=name, format=kind, data=data):
            return {"document": {"name": name, "format": kind, "source": {"bytes": data}}}
