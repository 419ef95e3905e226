import inspect
from typing import Any

import aiohttp
import botocore.session
import pytest
from botocore import eventstream, exceptions, parsers

from bot.bedrock import CODES, FOREIGN, STOP_REASONS, open_model, renamed
from bot.errors import (
    BadConfiguration,
    BadCredentials,
    BadRequest,
    BrokenStream,
    ModelBusy,
    ModelError,
    ModelUnavailable,
    NoAccess,
    QuotaSpent,
    TooLong,
    UnknownModel,
)

SERVICE = botocore.session.Session().get_service_model("bedrock-runtime")


def answered(code: str, message: str = "", status: int = 0) -> exceptions.ClientError:
    about: Any = {"RequestId": "r-1"} | ({"HTTPStatusCode": status} if status else {})
    error: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": about}
    return exceptions.ClientError(error, "ConverseStream")


def test_every_error_that_bedrock_declares_has_a_name_of_ours():
    declared = {shape.name.lower() for shape in SERVICE.error_shapes}
    stream = SERVICE.operation_model("ConverseStream").get_event_stream_output()
    declared |= {name.lower() for name, shape in stream.members.items() if shape.metadata.get("exception")}
    assert declared
    assert declared - CODES.keys() == set()


def test_every_stop_reason_that_bedrock_declares_has_a_meaning():
    assert set(SERVICE.shape_for("StopReason").enum) - STOP_REASONS.keys() == set()


def classes_of(module: Any, root: type[Exception]) -> list[type[Exception]]:
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root)]


def test_every_error_of_the_libraries_is_renamed():
    foreign = [
        *classes_of(exceptions, exceptions.BotoCoreError),
        *classes_of(eventstream, eventstream.ParserError),
        *classes_of(parsers, parsers.ResponseParserError),
        *classes_of(aiohttp, aiohttp.ClientError),
    ]
    assert [kind for kind in foreign if not issubclass(kind, tuple(theirs for theirs, _ in FOREIGN))] == []


def meaning(kind: type[Exception]) -> type[ModelError]:
    return next(ours for theirs, ours in FOREIGN if issubclass(kind, theirs))


def test_errors_about_credentials_are_about_credentials():
    words = ("Credential", "Token", "SSO", "MFA", "IMDS")
    about = [
        kind
        for kind in classes_of(exceptions, exceptions.BotoCoreError)
        if any(word in kind.__name__ for word in words)
    ]
    assert {meaning(kind) for kind in about} == {BadCredentials}


def test_errors_on_the_way_to_bedrock_are_no_bad_request():
    on_the_way = [
        *classes_of(exceptions, exceptions.ConnectionError),
        *classes_of(exceptions, exceptions.HTTPClientError),
        *classes_of(aiohttp, aiohttp.ClientError),
        TimeoutError,
        ConnectionResetError,
    ]
    assert {meaning(kind) for kind in on_the_way} == {ModelUnavailable, BrokenStream}


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answered("ThrottlingException", "Too many tokens, please wait", 429), ModelBusy),
        (answered("throttlingException", "Too many requests"), ModelBusy),
        (answered("ThrottlingException", "Too many tokens per day, please wait", 429), QuotaSpent),
        (
            answered("ValidationException", "prompt is too long: 200049 tokens > 200000 maximum", 400),
            TooLong,
        ),
        (answered("ValidationException", "Input is too long for requested model.", 400), TooLong),
        (
            answered("ValidationException", "input length and `max_tokens` exceed context limit: 1", 400),
            TooLong,
        ),
        (answered("validationException", "too many total text bytes"), TooLong),
        (answered("ValidationException", "messages: roles must alternate", 400), BadRequest),
        (answered("ValidationException", "The provided model identifier is invalid.", 400), UnknownModel),
        (
            answered(
                "ValidationException", "Invocation with on-demand throughput isn\u2019t supported.", 400
            ),
            UnknownModel,
        ),
        (answered("ValidationException", "data retention mode 'default' is not available", 400), NoAccess),
        (answered("ResourceNotFoundException", "Could not resolve the foundation model", 404), UnknownModel),
        (answered("ResourceNotFoundException", "Model use case details have not been", 404), NoAccess),
        (answered("AccessDeniedException", "You don't have access to the model", 403), NoAccess),
        (answered("AccessDeniedException", "Please make sure your API Key is valid.", 403), BadCredentials),
        (answered("ExpiredTokenException", "expired", 403), BadCredentials),
        (answered("", "", 502), ModelUnavailable),
        (answered("502", "Bad Gateway", 502), ModelUnavailable),
        (answered("NewThrottle", "", 429), ModelBusy),
        (answered("New", "", 422), BadRequest),
        (answered("", ""), BrokenStream),
        (exceptions.NoCredentialsError(), BadCredentials),
        (eventstream.ChecksumMismatch(1, 2), BrokenStream),
        (aiohttp.ClientPayloadError(), BrokenStream),
        (aiohttp.SocketTimeoutError(), ModelUnavailable),
        (TimeoutError(), ModelUnavailable),
    ],
)
def test_an_error_means_the_same_whatever_way_it_came(error: Exception, ours: type[ModelError]):
    assert type(renamed(error)) is ours


def test_the_log_is_told_the_code_the_request_and_no_quoted_value():
    told = str(renamed(answered("ValidationException", "Value 'my secret' at 'messages.1' failed", 400)))
    assert told == "ValidationException 400 r-1: Value at 'messages.1' failed"


@pytest.mark.parametrize(
    ("region", "profile", "told"),
    [(None, "", "AWS_REGION: it is missing"), ("us-east-1", "nobody", "profile"), ("no such", "", "no such")],
)
async def test_a_client_that_cannot_be_made_is_bad_configuration(
    monkeypatch: pytest.MonkeyPatch, region: str | None, profile: str, told: str
):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(BadConfiguration, match=told):
        async with open_model("us.anthropic.claude-sonnet-5-5", region=region):
            pass
