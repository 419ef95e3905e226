"""The model on Amazon Bedrock, through one long-lived aioboto3 client; the only module that knows AWS.

Everything foreign that can go wrong is renamed here, in one table.
"""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aioboto3
import aiohttp
import structlog
from aiobotocore.config import AioConfig
from botocore import eventstream, exceptions, parsers

from bot.conversation import ContentBlock, Document, Image, Text
from bot.errors import (
    BadConfiguration,
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
from bot.models import default_model, known
from bot.ports import Answer, Request, Stop, StopReason, StreamEvent, TextDelta, Usage

log = structlog.get_logger()

CONNECT_SECONDS = 5
# A pooled connection that Bedrock has meanwhile closed fails at once; what fails later may have been at work.
STALE_SECONDS = 1.0

STOP_REASONS: dict[str, StopReason | type[ModelError]] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "model_context_window_exceeded": "window",
    "content_filtered": Refused,
    "guardrail_intervened": Refused,
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


@asynccontextmanager
async def open_model(
    model_id: str | None, *, region: str | None, concurrency: int = 256, idle_seconds: float = 120
) -> AsyncIterator["BedrockModel"]:
    """Open the client and yield the model; AWS's own variables and files say the rest.

    Without a `model_id` it is the current Claude Sonnet of the region's geography.

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
        opening = aioboto3.Session(region_name=region or None).client("bedrock-runtime", config=config)
        client = await opening.__aenter__()
    except exceptions.NoRegionError as error:
        missing = "AWS_REGION: it is missing (where Bedrock is asked); for example AWS_REGION=eu-central-1"
        raise BadConfiguration([missing]) from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise BadConfiguration([f"AWS: {error}"]) from error
    try:
        yield BedrockModel(client, model_id or default_model(client.meta.region_name))
    finally:
        await opening.__aexit__(None, None, None)


class BedrockModel:
    """A model on Bedrock, as `bot.ports.Model` has it."""

    def __init__(self, client: Any, model_id: str) -> None:
        self._client = client
        self._model_id = model_id

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
        try:
            response = await self._open(self._body(request))
            request_id = response["ResponseMetadata"].get("RequestId", "")
            stream, blank, reason = response["stream"], True, ""
            usage: dict[str, int] = {}
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
            finally:
                stream.close()
        except _EVERY_FOREIGN as error:
            raise renamed(error) from error
        yield Stop(_ended(reason, request_id, blank=blank), _usage(usage), request_id)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "modelId": self._model_id,
            "messages": [
                {"role": message.role, "content": [_block(block) for block in message.content]}
                for message in request.messages
            ],
            # Left out, Bedrock would reserve the model's whole output from the account's quota.
            "inferenceConfig": {"maxTokens": min(request.max_tokens, known(self._model_id).max_output)},
        }
        if request.system.strip():
            body["system"] = [{"text": request.system}]
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
    return named(f"{code or 'no code'} {status or 'in stream'} {about.get('RequestId', '')}: {told}")


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


def _usage(usage: Mapping[str, int]) -> Usage:
    return Usage(
        input=usage.get("inputTokens", 0),
        output=usage.get("outputTokens", 0),
        cache_read=usage.get("cacheReadInputTokens", 0),
        cache_write=usage.get("cacheWriteInputTokens", 0),
    )


def _block(block: ContentBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"text": text}
        case Image(format=kind, data=data):
            return {"image": {"format": kind, "source": {"bytes": data}}}
        case Document(name=name, format=kind, data=data):
            return {"document": {"name": name, "format": kind, "source": {"bytes": data}}}
