"""Whether AWS is set up as Bobbin needs it: region, identity, the model, what is known of it.

Only the model's own answer decides. What else is asked (STS, Bedrock's control plane) needs permissions that
Bobbin does not: where AWS refuses it, the check is skipped.
"""

import asyncio
import difflib
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, NoCredentialsError

from bot.bedrock import FOREIGN, BedrockModel, Guardrail, open_model, renamed
from bot.checks import Check, Clock, Outcome, wrong_settings
from bot.conversation import Message, Text
from bot.errors import (
    BadConfiguration,
    BadCredentials,
    BadRequest,
    Blocked,
    EmptyAnswer,
    ModelBusy,
    ModelError,
    ModelUnavailable,
    NoAccess,
    QuotaSpent,
    UnknownModel,
)
from bot.models import Effort, known
from bot.ports import Request, Usage

_OPEN_SECONDS = 2.0  # looking for credentials may ask a server
_CALL_SECONDS = 3.0
_ANSWER_SECONDS = 4.5
_MAX_TOKENS = 16
_EVERY_FOREIGN = (ClientError, *(kind for kind, _ in FOREIGN))

_CREDENTIALS = (
    "give valid keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN for temporary "
    "ones), a role, AWS_PROFILE, or an API key of Bedrock (AWS_BEARER_TOKEN_BEDROCK)"
)
_ACCESS = (
    "allow bedrock:InvokeModelWithResponseStream on the profile and its models (the policy in the README), "
    "and open the model to the account: Bedrock's console, Model catalog"
)
_MODEL = "set BEDROCK_MODEL_ID to a profile of the region's geography, or change AWS_REGION"
_NETWORK = "let this machine reach bedrock-runtime in the region (network, proxy, VPC endpoint)"
_GUARDRAIL = "set BEDROCK_GUARDRAIL_ID and BEDROCK_GUARDRAIL_VERSION to one that exists in the region"

# What the model's refusal means; the first that fits.
_STEPS: tuple[tuple[type[ModelError], Outcome, str], ...] = (
    (QuotaSpent, "warning", "wait, or ask AWS for more (Service Quotas)"),
    (ModelBusy, "warning", "try again in a minute; if it stays so, ask AWS for more (Service Quotas)"),
    (BadCredentials, "failed", _CREDENTIALS),
    (NoAccess, "failed", _ACCESS),
    (UnknownModel, "failed", _MODEL),
    (ModelUnavailable, "failed", _NETWORK),
    (BadRequest, "failed", "check BEDROCK_MODEL_ID, MODEL_FAMILY and THINKING_EFFORT: do they fit together?"),
    (ModelError, "failed", "try again; if it stays so, look at https://health.aws.amazon.com"),
)


async def examine(
    model_id: str | None,
    *,
    region: str | None,
    family: str,
    effort: Effort,
    guardrail: Guardrail | None,
    clock: Clock,
) -> list[Check]:
    """Ask AWS. The model is asked for a word, which costs a small part of a cent."""
    config = AioConfig(
        connect_timeout=_CALL_SECONDS, read_timeout=_CALL_SECONDS, retries={"total_max_attempts": 1}
    )
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                model = await stack.enter_async_context(
                    open_model(model_id, region=region, family=family, effort=effort, guardrail=guardrail)
                )
                session = aioboto3.Session(region_name=region or None)
                sts, bedrock = [
                    await stack.enter_async_context(session.client(name, config=config))
                    for name in ("sts", "bedrock")
                ]
        except BadConfiguration as error:
            return wrong_settings(error.problems)
        except TimeoutError:
            found = f"no credentials within {_OPEN_SECONDS:g} seconds"
            return [Check("aws identity", "failed", found, _CREDENTIALS)]
        where = Check("aws region", "ok", f"{bedrock.meta.region_name}")
        identity, offered, answers = await asyncio.gather(
            _identity(sts, clock), _offered(bedrock, model.model_id, clock), _answers(model, family)
        )
        asked = [identity, offered]
        if answers.outcome == "ok":  # with an API key of Bedrock, say, which has no identity
            asked = [
                each if each.outcome == "ok" else replace(each, outcome="skipped", todo="") for each in asked
            ]
        return [where, *asked, answers, _limits(model.model_id, family)]


async def _identity(sts: Any, clock: Clock) -> Check:
    name = "aws identity"
    try:
        who = await _call(sts.get_caller_identity, clock)
    except ModelError as error:
        if isinstance(error, BadCredentials):
            return Check(name, "failed", str(error), _CREDENTIALS)
        return Check(name, "skipped", f"AWS does not tell ({error})")
    return Check(name, "ok", str(who["Arn"]))


async def _offered(bedrock: Any, model_id: str, clock: Clock) -> Check:
    """Look the profile up among those of the region. A base model, or another ARN, is in no such list."""
    name = "model offered"
    try:
        if ":application-inference-profile/" in model_id:
            profile = await _call(bedrock.get_inference_profile, clock, inferenceProfileIdentifier=model_id)
            models = {each["modelArn"].rpartition("/")[2] for each in profile["models"]}
            return Check(name, "ok", f"an application profile of {', '.join(sorted(models))}")
        profiles: list[Mapping[str, Any]] = []
        more = {"maxResults": 1000}
        while more:
            page = await _call(bedrock.list_inference_profiles, clock, **more)
            profiles += page["inferenceProfileSummaries"]
            more = {"nextToken": page["nextToken"]} if page.get("nextToken") else {}
    except ModelError as error:
        if isinstance(error, UnknownModel) and model_id.startswith("arn:"):
            return Check(name, "failed", str(error), _MODEL)
        return Check(name, "skipped", f"AWS does not tell ({error})")
    ids = [str(each["inferenceProfileId"]) for each in profiles]
    if model_id in ids or any(model_id == each["inferenceProfileArn"] for each in profiles):
        return Check(name, "ok", f"{model_id} is a profile of this region")
    if model_id.startswith(("anthropic.", "arn:")):
        return Check(name, "skipped", f"{model_id} is no profile: its answer decides")
    near = difflib.get_close_matches(model_id, ids, n=3, cutoff=0)
    todo = f"nearest to it: {', '.join(near)}" if near else _MODEL
    return Check(name, "failed", f"{model_id} is no profile of this region", todo)


async def _answers(model: BedrockModel, family: str) -> Check:
    name = "model answers"
    request = Request((Message("user", (Text("Say: ok"),)),), max_tokens=_MAX_TOKENS)
    began = time.monotonic()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            usage: Usage | None = (await model.chat(request)).usage
    except TimeoutError:
        found = f"{model.model_id}: no answer within {_ANSWER_SECONDS:g} seconds"
        return Check(name, "failed", found, _NETWORK)
    except (EmptyAnswer, Blocked) as error:  # it thought until the limit; or the guardrail is at work
        usage = error.usage
    except ModelError as error:
        outcome, todo = next((outcome, todo) for kind, outcome, todo in _STEPS if isinstance(error, kind))
        if "guardrail" in str(error).lower():
            todo = _GUARDRAIL
        return Check(name, outcome, f"{model.model_id}: {error}", todo)
    cost = known(model.model_id, family).cost(usage) / 1_000_000 if usage else 0
    seconds = time.monotonic() - began
    return Check(name, "ok", f"{model.model_id}, in {seconds:.1f} seconds, for {cost:.6f} USD")


def _limits(model_id: str, family: str) -> Check:
    claude = known(model_id, family)
    kept = f"cached from {claude.cache_from:,} tokens on" if claude.ttls else "no caching"
    found = f"window {claude.window:,} tokens, answers up to {claude.max_output:,}, {kept}"
    if claude.is_known:
        return Check("model known", "ok", found)
    todo = "say which model it is: MODEL_FAMILY=claude-sonnet-5-5"
    return Check("model known", "warning", f"{model_id} is not: careful guesses stand in ({found})", todo)


async def _call(method: Any, clock: Clock, **arguments: Any) -> Mapping[str, Any]:
    """Call the control plane once. Raises `ModelError`s."""
    sent = time.time()
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            answer: Mapping[str, Any] = await method(**arguments)
    except NoCredentialsError as error:
        raise BadCredentials("there are none") from error
    except _EVERY_FOREIGN as error:
        if isinstance(error, ClientError):
            _note(error.response, sent, clock)
        raise renamed(error) from error
    _note(answer, sent, clock)
    return answer


def _note(answer: Mapping[str, Any], sent: float, clock: Clock) -> None:
    clock.note(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""), sent)
