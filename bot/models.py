"""What is known of each Claude model on Bedrock. Pure; ids and figures of November 2026."""

from dataclasses import dataclass

from bot.errors import BadConfiguration

CURRENT_SONNET = "anthropic.claude-sonnet-5-5"

# A region's geography: the first prefix that fits. What is not here belongs to none: only a `global.`
# profile serves it, which may process anywhere and so must be asked for.
_GEOGRAPHIES = (
    ("us-gov-", "us-gov"),
    ("us-", "us"),
    ("eu-", "eu"),
    ("ca-", "ca"),
    ("ap-northeast-1", "jp"),
    ("ap-northeast-3", "jp"),
    ("ap-southeast-2", "au"),
    ("ap-southeast-4", "au"),
    ("ap-south-", "in"),
    ("ap-", "apac"),
)


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """How one model differs from another: `window` and `max_output` in tokens."""

    window: int
    max_output: int


# The id that names none of the models below, such as an application profile's: what every current one can do.
UNKNOWN = ModelTraits(window=200_000, max_output=64_000)

_TRAITS = {
    "claude-3-7-": ModelTraits(200_000, 64_000),
    "claude-3-5-": ModelTraits(200_000, 8_192),
    "claude-3-": ModelTraits(200_000, 4_096),
    "claude-opus-4-1": ModelTraits(200_000, 32_000),
    "claude-opus-4-5": ModelTraits(200_000, 64_000),
    "claude-opus-4-2": ModelTraits(200_000, 32_000),  # Opus 4, named by its date alone
    "claude-opus-4": ModelTraits(1_000_000, 128_000),
    "claude-sonnet-4-6": ModelTraits(1_000_000, 64_000),
    "claude-sonnet-4": ModelTraits(200_000, 64_000),
    "claude-haiku-4": ModelTraits(200_000, 64_000),
    "claude-sonnet-5": ModelTraits(1_000_000, 128_000),
    "claude-opus-5": ModelTraits(1_000_000, 128_000),
    "claude-haiku-5": ModelTraits(1_000_000, 128_000),
    "claude-fable-5": ModelTraits(1_000_000, 128_000),
    "claude-mythos-5": ModelTraits(1_000_000, 128_000),
}


def default_model(region: str) -> str:
    """Return the current Claude Sonnet as offered in the region's geography.

    Raises `BadConfiguration` for a region that belongs to none.

    >>> default_model("eu-central-1")
    'eu.anthropic.claude-sonnet-5-5'
    """
    for prefix, geography in _GEOGRAPHIES:
        if region.startswith(prefix):
            return f"{geography}.{CURRENT_SONNET}"
    problem = (
        f"BEDROCK_MODEL_ID: region {region!r} has no model of its own; for example global.{CURRENT_SONNET}"
    )
    raise BadConfiguration([problem])


def known(model_id: str) -> ModelTraits:
    """Return the traits of a model by its id, profile id or ARN, of whatever geography and version.

    >>> known("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-5-5").window
    1000000
    """
    _, _, name = model_id.rpartition("anthropic.")
    return next((traits for prefix, traits in _TRAITS.items() if name.startswith(prefix)), UNKNOWN)
