"""What is known of each Claude model on Bedrock: limits, traits, prices. Pure.

Ids and traits are those of November 2026. Prices of input and caching are those of AWS's price list of
2026-10-12; those of output, of us-gov and of 3.7 and 3.5 Sonnet (AWS may want more once they are past their
end) those of LiteLLM 1.110.2 (November 2026), which has the same for all others; those of Claude 3 Haiku
Anthropic's own.

A model is found by any of its names: a bare id, a geography's or the `global.` profile, an ARN of one of
these. What hides the model's name (an application profile) stands for the family it is said to stand for. An
id that names none of these gets the careful defaults of `UNKNOWN`.
"""

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal as D  # noqa: N817 - the tables below are full of it
from typing import Any, Literal

from bot.errors import BadConfiguration
from bot.ports import Usage

CURRENT_SONNET = "anthropic.claude-sonnet-5-5"

Effort = Literal["off", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = ("off", "low", "medium", "high", "xhigh", "max")
Ttl = Literal["5m", "1h"]

# How a model thinks. none: not at all; budget: where it is given tokens for it; optional: where it is asked
# to; default: unless it is told not to; tools: at least between tool calls; always: whatever it is told.
Thinking = Literal["none", "budget", "optional", "default", "tools", "always"]

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
_NAME = re.compile(r"(?:^|[/.])(?P<model>claude-[\w:-]+)$")
_VERSION = re.compile(r"-\d{8}|-v1(?=:|$)|:.*$")
_LEAST_BUDGET = 1024  # tokens; Bedrock refuses a smaller one
_BUDGETS = {"medium": 2048, "high": 4096, "xhigh": 8192, "max": 16_384}
_REGIONAL, _GOVERNMENT = D("1.1"), D("1.2")
_MAY_BE_CLAUDE = re.compile(r"claude|:application-inference-profile/|:provisioned-model/")


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars for a million tokens (so microdollars for one), and what caching makes of the input's price.

    Where over `long_from` tokens are read, the whole input costs `long_input` times as much and the output
    `long_output` times.
    """

    input: D
    output: D
    read: D = D("0.1")
    write_5m: D = D("1.25")
    write_1h: D = D(2)
    long_from: int = 0
    long_input: D = D(1)
    long_output: D = D(1)


@dataclass(frozen=True, slots=True)
class Claude:
    """One model. `window`, `max_output` and `cache_from` are tokens."""

    window: int
    max_output: int
    prices: Prices
    thinking: Thinking = "none"
    effort: Effort = "max"
    """The highest that it takes."""
    sampling: bool = False
    """Whether `temperature` and `topP` are taken at all. Bobbin sends neither."""
    cache_from: int = 512
    """The shortest prefix that is cached; Bedrock passes over a cache point below it in silence."""
    ttls: tuple[Ttl, ...] = ("5m", "1h")
    """How long a prefix may be kept; empty: cache points are refused."""
    is_known: bool = True

    def cost(self, usage: Usage) -> int:
        """Return what one call costs in microdollars, rounded up once, at its end."""
        price = self.prices
        long = 0 < price.long_from < usage.input + usage.cache_read + usage.cache_write
        read = (
            usage.input
            + usage.cache_read * price.read
            + (usage.cache_write - usage.cache_write_1h) * price.write_5m
            + usage.cache_write_1h * price.write_1h
        ) * price.input
        written = usage.output * price.output
        return math.ceil(read * price.long_input + written * price.long_output if long else read + written)

    def fields(self, effort: Effort, max_tokens: int) -> dict[str, Any]:
        """Return `additionalModelRequestFields` for so much effort: the least, where it takes no less.

        The same for every request of a thread: another value loses all that was cached.
        """
        effort = EFFORTS[min(EFFORTS.index(effort), EFFORTS.index(self.effort))]
        if self.thinking == "budget":
            budget = min(_BUDGETS.get(effort, 0), max_tokens // 2)
            return _thinking("enabled", budget_tokens=budget) if budget >= _LEAST_BUDGET else {}
        if self.thinking == "none" or (self.thinking == "optional" and effort == "off"):
            return {}
        if effort == "off" and self.thinking != "always":
            return _thinking("disabled" if self.thinking == "default" else "between_tools")
        return _thinking("adaptive") | {"output_config": {"effort": "low" if effort == "off" else effort}}


def _thinking(kind: str, **more: int) -> dict[str, Any]:
    return {"thinking": {"type": kind, **more}}


# What every current one can do; priced as the dearest in this table, so that a budget errs on its safe side.
UNKNOWN = Claude(200_000, 8_192, Prices(D(15), D(75)), cache_from=4096, ttls=("5m",), is_known=False)
# Of another family: Bedrock refuses a request with a cache point where the model has no cache
# (github.com/BerriAI/litellm/pull/39210).
_STRANGER = replace(UNKNOWN, ttls=())

_M = 1_000_000
# A prompt of over 200,000 tokens costs more, but takes a header that Bobbin does not send.
_SONNET_4 = Claude(200_000, 64_000, Prices(D(3), D(15)), "budget", sampling=True, cache_from=1024)
_OPUS_4 = Claude(
    200_000, 32_000, Prices(D(15), D(75)), "budget", sampling=True, cache_from=1024, ttls=("5m",)
)
_OLD = Claude(200_000, 8_192, Prices(D(3), D(15)), sampling=True, cache_from=1024, ttls=())
_FABLE = Claude(_M, 128_000, Prices(D(10), D(50)), "always")

_MODELS = {
    "claude-sonnet-5-5": Claude(_M, 128_000, Prices(D(2), D(10), read=D("0.05")), "tools", "xhigh"),
    "claude-opus-5-5": Claude(_M, 128_000, Prices(D(4), D(20), read=D("0.05")), "always"),
    "claude-haiku-5-5": Claude(
        _M,
        128_000,
        Prices(D("0.10"), D("0.50"), long_from=100_000, long_input=D(5), long_output=D(5)),
        "default",
        "xhigh",
    ),
    "claude-fable-5": _FABLE,
    "claude-fable-5-1": replace(_FABLE, prices=Prices(D(10), D(50), read=D("0.025"))),
    "claude-fable-5-2": _FABLE,  # its price is not published yet
    "claude-mythos-5": _FABLE,
    "claude-mythos-5-1": replace(_FABLE, prices=Prices(D(10), D(50), read=D("0.025"))),
    "claude-opus-5": Claude(_M, 128_000, Prices(D(5), D(25)), "default"),
    "claude-sonnet-5": Claude(_M, 128_000, Prices(D(2), D(10)), "default", cache_from=1024),
    "claude-opus-4-8": Claude(_M, 128_000, Prices(D(5), D(25)), "optional", cache_from=1024),
    "claude-opus-4-7": Claude(_M, 128_000, Prices(D(5), D(25)), "optional", cache_from=4096),
    # Nobody has shown that these two take more effort than "high".
    "claude-opus-4-6": Claude(
        _M, 128_000, Prices(D(5), D(25)), "optional", "high", sampling=True, cache_from=4096
    ),
    "claude-sonnet-4-6": Claude(
        _M, 64_000, Prices(D(3), D(15)), "optional", "high", sampling=True, cache_from=1024
    ),
    "claude-opus-4-5": Claude(200_000, 64_000, Prices(D(5), D(25)), "budget", sampling=True, cache_from=4096),
    "claude-haiku-4-5": Claude(200_000, 64_000, Prices(D(1), D(5)), "budget", sampling=True, cache_from=4096),
    "claude-sonnet-4-5": _SONNET_4,
}
# Past their end or close to it; these cost the same in every profile.
_LEGACY = {
    "claude-sonnet-4": replace(_SONNET_4, ttls=("5m",)),
    "claude-opus-4-1": _OPUS_4,
    "claude-opus-4": _OPUS_4,
    "claude-3-7-sonnet": replace(_SONNET_4, ttls=("5m",)),
    "claude-3-5-sonnet-v2": replace(_OLD, ttls=("5m",)),
    "claude-3-5-sonnet": replace(_OLD, max_output=4096),
    "claude-3-5-haiku": replace(_OLD, prices=Prices(D("0.80"), D(4)), cache_from=2048, ttls=("5m",)),
    "claude-3-haiku": replace(_OLD, max_output=4096, prices=Prices(D("0.25"), D("1.25"))),
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


def known(model_id: str, family: str = "") -> Claude:
    """Return what is known of a model by its id, profile id or ARN, of whatever geography and version.

    `family` names the model where the id does not. All but `global.` profiles cost a tenth more, and in
    us-gov a fifth.

    >>> known("arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-5-5").window
    1000000
    """
    named = _NAME.search(model_id) or _NAME.search(family)
    model = _VERSION.sub("", named["model"]) if named else ""
    claude = _MODELS.get(model)
    if not named or not claude:
        return _LEGACY.get(model, UNKNOWN if _MAY_BE_CLAUDE.search(model_id) else _STRANGER)
    if "global.anthropic." in named.string:
        return claude
    dearer = _GOVERNMENT if "us-gov.anthropic." in named.string else _REGIONAL
    prices = replace(claude.prices, input=claude.prices.input * dearer, output=claude.prices.output * dearer)
    return replace(claude, prices=prices)
