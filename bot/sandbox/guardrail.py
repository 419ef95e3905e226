"""The guardrail that a request names: one for all, its rules are in bedrock.toml."""

import re
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.bedrock_rules import DATA, Body, Refusal

_RULES: dict[str, str] = DATA["guardrail"]
_BLOCKED = {"wordPolicy": {"customWords": [{"match": "…", "action": "BLOCKED"}], "managedWordLists": []}}
_EMAIL = {"match": "…", "type": "EMAIL", "action": "ANONYMIZED"}
_MASKED = {"sensitiveInformationPolicy": {"piiEntities": [_EMAIL], "regexes": []}}


@dataclass(frozen=True)
class Verdict:
    """The answer as it may be seen."""

    answer: str
    intervened: bool = False
    asked: bool = True  # the model was: what is blocked in the question does not reach it
    trace: dict[str, Any] = field(default_factory=dict)


def judge(body: Body, answer: str) -> Verdict:
    """Judge what people said, all of it every time, then the answer. Raises `Refusal`."""
    config = body.get("guardrailConfig")
    if not config:
        return Verdict(answer)
    if config["guardrailIdentifier"] == "missing":
        raise Refusal("guardrail")
    blocks = [block for message in body["messages"] for block in message["content"]]
    if any(_RULES["question"] in block.get("text", "").lower() for block in blocks):
        trace = _trace(config, "inputAssessment", _BLOCKED)
        return Verdict(_RULES["told"], intervened=True, asked=False, trace=trace)
    at_once = config.get("streamProcessingMode") == "async"
    found = answer.lower().find(word := _RULES["answer"])
    if found >= 0:
        # What is sent at once has been seen, the word itself too.
        seen = answer[: found + len(word)] + "\n\n" if at_once else ""
        trace = _trace(config, "outputAssessments", [_BLOCKED])
        return Verdict(seen + _RULES["told"], intervened=True, trace=trace)
    masked = answer if at_once else re.sub(_RULES["masked"], "{EMAIL}", answer)
    if masked == answer:
        return Verdict(answer)
    return Verdict(masked, intervened=True, trace=_trace(config, "outputAssessments", [_MASKED]))


def _trace(config: dict[str, str], part: str, assessed: Any) -> dict[str, Any]:
    asked_for = config.get("trace", "disabled") != "disabled"
    return {part: {config["guardrailIdentifier"]: assessed}} if asked_for else {}
