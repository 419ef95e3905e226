import pytest

from bot.errors import BadConfiguration
from bot.models import UNKNOWN, default_model, known


@pytest.mark.parametrize(
    ("region", "geography"),
    [
        ("us-east-1", "us"),
        ("us-west-2", "us"),
        ("us-gov-west-1", "us-gov"),
        ("eu-central-1", "eu"),
        ("ca-central-1", "ca"),
        ("ap-northeast-1", "jp"),
        ("ap-northeast-3", "jp"),
        ("ap-northeast-2", "apac"),
        ("ap-southeast-1", "apac"),
        ("ap-southeast-2", "au"),
        ("ap-southeast-4", "au"),
        ("ap-south-1", "in"),
    ],
)
def test_the_default_model_stays_in_the_regions_geography(region: str, geography: str):
    assert default_model(region) == f"{geography}.anthropic.claude-sonnet-5-5"


@pytest.mark.parametrize("region", ["sa-east-1", "me-central-1", ""])
def test_a_region_without_a_geography_has_no_default(region: str):
    with pytest.raises(BadConfiguration, match=r"BEDROCK_MODEL_ID.*for example global\."):
        default_model(region)


@pytest.mark.parametrize(
    ("model_id", "window", "max_output"),
    [
        ("us.anthropic.claude-sonnet-5-5", 1_000_000, 128_000),
        ("global.anthropic.claude-haiku-5-5", 1_000_000, 128_000),
        ("anthropic.claude-sonnet-4-6", 1_000_000, 64_000),
        ("anthropic.claude-opus-4-6-v1", 1_000_000, 128_000),
        ("us.anthropic.claude-opus-4-20250514-v1:0", 200_000, 32_000),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", 200_000, 64_000),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000, 64_000),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", 200_000, 8_192),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-8",
            1_000_000,
            128_000,
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-5", 1_000_000, 128_000),
    ],
)
def test_a_model_is_known_by_any_of_its_names(model_id: str, window: int, max_output: int):
    assert (known(model_id).window, known(model_id).max_output) == (window, max_output)


@pytest.mark.parametrize(
    "model_id",
    ["arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "amazon.nova-pro-v1:0", ""],
)
def test_an_unknown_model_is_taken_for_the_smallest_of_the_current_ones(model_id: str):
    assert known(model_id) == UNKNOWN
