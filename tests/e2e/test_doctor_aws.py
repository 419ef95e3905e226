"""`python -m bot doctor` as a process: what can be wrong with AWS, and the step that it names."""

from collections.abc import AsyncIterator, Callable

import pytest

from bot.sandbox.bedrock import Bedrock
from tests.e2e.conftest import Bobbin
from tests.e2e.doctor import APPLICATION, PROFILE, ControlPlane, Expected, as_expected, examined

Make = Callable[..., Bobbin]


@pytest.fixture
async def aws() -> AsyncIterator[ControlPlane]:
    async with ControlPlane() as aws:
        yield aws


@pytest.fixture
def patient(make: Make, aws: ControlPlane) -> Make:
    """Make a Bobbin that would start, but for these settings."""
    return lambda **settings: make(**(aws.settings | settings))


BAD_BEDROCK = {
    "no_access": ("failed", "AccessDeniedException", "open the model to the account"),
    "not_authorized": ("failed", "not authorized", "bedrock:InvokeModelWithResponseStream"),
    "use_case_form": ("failed", "use case details", "Model catalog"),
    "expired_token": ("failed", "ExpiredTokenException", "AWS_ACCESS_KEY_ID"),
    "bad_signature": ("failed", "InvalidSignatureException", "AWS_ACCESS_KEY_ID"),
    "unavailable": ("failed", "ServiceUnavailableException", "reach bedrock-runtime"),
    "validation": ("failed", "ValidationException", "MODEL_FAMILY"),
    "bad_crc": ("failed", "ChecksumMismatch", "try again"),
    "reset": ("failed", "", "reach bedrock-runtime"),
    "throttled": ("warning", "ThrottlingException", "in a minute"),
    "throttled_daily": ("warning", "tokens per day", "Service Quotas"),
    "empty": ("ok", PROFILE, ""),
}


@pytest.mark.parametrize("kind", BAD_BEDROCK)
async def test_what_bedrock_answers_is_named_with_its_remedy(
    patient: Make, bedrock: Bedrock, kind: str
) -> None:
    bedrock.faults.add(kind, after_events=1 if kind == "bad_crc" else None, times=None)
    as_expected(await examined(patient()), {"model answers": BAD_BEDROCK[kind]})


BAD_AWS: dict[str, tuple[dict[str, str], Expected]] = {
    "no region": ({"AWS_REGION": ""}, {"AWS_REGION": ("failed", "missing", "AWS_REGION=eu-central-1")}),
    "a region without a model of its own": (
        {"AWS_REGION": "sa-east-1"},
        {"BEDROCK_MODEL_ID": ("failed", "sa-east-1", "global.anthropic")},
    ),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        {
            "aws identity": ("failed", "there are none", "AWS_BEARER_TOKEN_BEDROCK"),
            "model offered": ("skipped", "none", ""),
            "model answers": ("failed", "NoCredentials", "AWS_BEARER_TOKEN_BEDROCK"),
        },
    ),
    "an API key of Bedrock": (
        {
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_BEARER_TOKEN_BEDROCK": "made-up-key",
        },
        {"aws identity": ("skipped", "there are none", ""), "model answers": ("ok", PROFILE, "")},
    ),
    "a profile that is none": (
        {"BEDROCK_MODEL_ID": "us.anthropic.claude-sonet-5-5"},
        {
            "model offered": ("failed", "no profile of this region", f"nearest to it: {PROFILE}"),
            "model answers": ("failed", "identifier is invalid", "BEDROCK_MODEL_ID"),
            "model known": ("warning", "careful", "MODEL_FAMILY"),
        },
    ),
    "a base model": (
        {"BEDROCK_MODEL_ID": "anthropic.claude-sonnet-5-5"},
        {
            "model offered": ("skipped", "no profile", ""),
            "model answers": ("failed", "on-demand throughput", "BEDROCK_MODEL_ID"),
        },
    ),
    "an application profile that says nothing of its model": (
        {"BEDROCK_MODEL_ID": APPLICATION},
        {
            "model offered": ("ok", "of anthropic.claude-haiku-5-5", ""),
            "model known": ("warning", "careful", "MODEL_FAMILY"),
        },
    ),
    "an application profile that is gone": (
        {"BEDROCK_MODEL_ID": APPLICATION.replace("abc", "xyz"), "MODEL_FAMILY": "claude-haiku-5-5"},
        {"model offered": ("skipped", "ResourceNotFound", ""), "model answers": ("ok", "xyz123", "")},
    ),
    "a guardrail that is none": (
        {"BEDROCK_GUARDRAIL_ID": "missing"},
        {"model answers": ("failed", "guardrail", "BEDROCK_GUARDRAIL_VERSION")},
    ),
    "Bedrock is out of reach": (
        {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1"},
        {"model answers": ("failed", "EndpointConnectionError", "reach bedrock-runtime")},
    ),
    "a profile of AWS that is none": (
        {"AWS_PROFILE": "nobody"},
        {"AWS": ("failed", "nobody", "AWS's own")},
    ),
}


@pytest.mark.parametrize("case", BAD_AWS)
async def test_what_is_wrong_with_aws_is_named_with_its_remedy(patient: Make, case: str) -> None:
    settings, expected = BAD_AWS[case]
    as_expected(await examined(patient(**settings)), expected)


async def test_what_aws_does_not_let_bobbin_ask_is_skipped(patient: Make, aws: ControlPlane) -> None:
    aws.sts_error, aws.refuses_bedrock = "AccessDenied", True
    expected = {"aws identity": ("skipped", "AccessDenied", ""), "model offered": ("skipped", "Denied", "")}
    as_expected(await examined(patient()), expected)


async def test_keys_that_aws_refuses_are_named(patient: Make, aws: ControlPlane, bedrock: Bedrock) -> None:
    aws.sts_error = "InvalidClientTokenId"
    bedrock.faults.add("unrecognized_client")
    expected = {
        "aws identity": ("failed", "InvalidClientTokenId", "AWS_ACCESS_KEY_ID"),
        "model answers": ("failed", "UnrecognizedClientException", "AWS_ACCESS_KEY_ID"),
    }
    as_expected(await examined(patient()), expected)
