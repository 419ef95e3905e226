"""What Bedrock refuses in a Converse request, in its own words; of roles what older models still refuse."""

import base64
import binascii
import itertools
import math
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = dict[str, Any]

DATA = tomllib.loads(Path(__file__).with_name("bedrock.toml").read_text("utf-8"))

_GEOGRAPHY = re.compile(r"^(us|eu|jp|au|apac|ca|in|us-gov|global)\.")
_ARN = re.compile(r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]*:\d*:(?P<type>[a-z-]+)/(?P<id>.+)$")
_DOCUMENT_NAME = re.compile(r"[A-Za-z0-9_\-()\[\]]+( [A-Za-z0-9_\-()\[\]]+)*")
_FORMATS: dict[str, list[str]] = DATA["formats"]
_BODY_BYTES = 25_000_000
_IMAGE_TOKENS = 1600
_CACHE_POINTS = 4
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_LEAST_BUDGET = 1024


class Refusal(Exception):
    """An error as Bedrock answers it; a word of `[faults]` or `[rules]` in bedrock.toml names it."""

    def __init__(self, word: str, **values: Any) -> None:
        rule = DATA["rules"].get(word, "").format(**values)
        self.status: int
        self.code: str
        self.message: str
        self.status, self.code, self.message = DATA["faults"].get(word, (400, "ValidationException", rule))
        super().__init__(self.message)


@dataclass(frozen=True)
class Claude:
    """How one model differs: tokens it reads and writes, and what it takes."""

    window: int = 1_000_000
    output: int = 128_000
    sampling: bool = False  # `temperature`, `topP` are taken
    bare_id: bool = False  # offered without an inference profile
    thinks: bool = False  # unless told not to
    thinking: tuple[str, ...] = ("adaptive",)  # what it can be told
    efforts: int = 5  # how many of `_EFFORTS` it takes
    cache: int = 512  # the shortest prefix that is cached, in tokens


def model_of(model_id: str) -> Claude:
    """Find the model by its id, profile id or ARN. Raises `Refusal`."""
    arn = _ARN.match(model_id)
    if arn and arn["type"] in ("application-inference-profile", "provisioned-model"):
        return Claude()
    name = arn["id"] if arn else model_id
    base = _GEOGRAPHY.sub("", name)
    traits = DATA["models"].get(base.removeprefix("anthropic."))
    if traits is None or not base.startswith("anthropic."):
        raise Refusal("unknown_model")
    claude = Claude(**traits)
    if base == name and not claude.bare_id:
        raise Refusal("needs_profile", model_id=model_id)
    return claude


def check(body: Body, size: int, claude: Claude, window: int) -> None:
    """Raise `Refusal` for the first thing that Bedrock would refuse. `size` is the body's in bytes."""
    if size > _BODY_BYTES:
        raise Refusal("body")
    messages = body.get("messages") or []
    _check_roles([message.get("role") for message in messages])
    for index, message in enumerate(messages):
        _check_content(index, message)
    for index, block in enumerate(body.get("system") or []):
        if not block.get("text", "cachePoint").strip():
            raise Refusal("blank", where=f"system.{index}")
    _check_documents(messages)
    _check_cache_points(body)
    _check_thinking(body, claude)
    config = body.get("inferenceConfig") or {}
    for name, theirs in (("temperature", "temperature"), ("topP", "top_p")):
        if name in config and not claude.sampling:
            raise Refusal("sampling", name=theirs)
    if _max_tokens(body) > claude.output:
        raise Refusal("max_tokens", limit=claude.output)
    if (prompt := prompt_tokens(body)) > (limit := min(window, claude.window)):
        raise Refusal("window", prompt=prompt, limit=limit)


def tokens(text: str) -> int:
    """Tokens of a text, by a made-up tokenizer: one for every four characters begun."""
    return math.ceil(len(text) / 4)


def prompt_tokens(body: Body) -> int:
    """Tokens of all that a request asks the model to read."""
    return sum(block_tokens(block) for _, blocks in lists(body) for block in blocks)


def lists(body: Body) -> Iterator[tuple[str, list[Body]]]:
    """Whose words, and their blocks, in the order in which a cache reads them: system, then each message."""
    yield "system", body.get("system") or []
    for message in body["messages"]:
        yield message["role"], message["content"]


def block_tokens(block: Body) -> int:
    """Tokens of one block; a cache point has none."""
    if "document" in block:
        return tokens(block["document"]["source"].get("bytes", ""))
    return _IMAGE_TOKENS if "image" in block else tokens(block.get("text", ""))


def _check_roles(roles: list[Any]) -> None:
    for index, role in enumerate(roles, start=1):
        if role not in ("user", "assistant"):
            where, wanted = f"messages.{index}.member.role", "enum value set: [user, assistant]"
            raise Refusal("constraint", where=where, wanted=wanted)
    if not roles or roles[0] == "assistant":
        raise Refusal("first_role")
    if any(role == after for role, after in itertools.pairwise(roles)):
        raise Refusal("alternate")
    if roles[-1] == "assistant":
        raise Refusal("last_role")


def _check_content(index: int, message: Body) -> None:
    if not message.get("content"):
        raise Refusal("empty", where=f"messages.{index}")
    for position, block in enumerate(message["content"]):
        where = f"messages.{index}.content.{position}"
        if len(block) != 1:
            raise Refusal("union", where=where)
        kind, value = next(iter(block.items()))
        if kind == "text" and not value.strip():
            raise Refusal("blank", where=where)
        if kind in ("toolUse", "toolResult"):
            raise Refusal("tools")
        if kind in _FORMATS:
            if message["role"] != "user":
                raise Refusal("user_only", kind=kind, where=where)
            _check_file(f"messages.{index + 1}.member.content.{position + 1}.member.{kind}", kind, value)


def _check_file(where: str, kind: str, file: Body) -> None:
    if file.get("format") not in _FORMATS[kind]:
        wanted = f"enum value set: [{', '.join(_FORMATS[kind])}]"
        raise Refusal("constraint", where=f"{where}.format", wanted=wanted)
    data = b""
    with suppress(binascii.Error):
        data = base64.b64decode(file.get("source", {}).get("bytes", ""), validate=True)
    if not data:
        raise Refusal("constraint", where=f"{where}.source.bytes", wanted="length greater than or equal to 1")


def _check_documents(messages: list[Body]) -> None:
    names: set[str] = set()
    for message in messages:
        documents = [block["document"] for block in message["content"] if "document" in block]
        if documents and not any("text" in block for block in message["content"]):
            raise Refusal("document_text")
        for document in documents:
            name = document.get("name", "")
            if not _DOCUMENT_NAME.fullmatch(name):
                raise Refusal("document_name")
            if name in names:
                raise Refusal("document_twice")
            names.add(name)


def _check_cache_points(body: Body) -> None:
    ttls: list[str] = []
    for _, blocks in lists(body):
        for before, block in itertools.pairwise([None, *blocks]):
            if block and "cachePoint" in block:
                if not before:
                    raise Refusal("cache_nothing")
                if before.get("document", {"format": "pdf"})["format"] != "pdf":
                    raise Refusal("cache_document")
                ttls.append(block["cachePoint"].get("ttl", "5m"))
    if len(ttls) > _CACHE_POINTS:
        raise Refusal("cache_points", found=len(ttls))
    if ttls != sorted(ttls):  # "1h" before "5m"
        raise Refusal("cache_order")


def thinking(body: Body, claude: Claude) -> str:
    """How the model is to think: adaptive, enabled, between_tools, disabled."""
    fields = body.get("additionalModelRequestFields") or {}
    kind: str = (fields.get("thinking") or {}).get("type", "adaptive" if claude.thinks else "disabled")
    return kind


def _check_thinking(body: Body, claude: Claude) -> None:
    fields = body.get("additionalModelRequestFields") or {}
    kind = thinking(body, claude)
    effort = (fields.get("output_config") or {}).get("effort", "high")
    if "thinking" in fields and kind not in claude.thinking:
        raise Refusal("thinking", kind=kind)
    efforts = _EFFORTS[: 3 if kind in ("disabled", "between_tools") else claude.efforts]
    if effort not in efforts:
        raise Refusal("effort", effort=effort)
    budget = fields["thinking"].get("budget_tokens", 0) if kind == "enabled" else None
    if budget is not None and not _LEAST_BUDGET <= budget < _max_tokens(body):
        raise Refusal("thinking_budget", least=_LEAST_BUDGET)


def _max_tokens(body: Body) -> int:
    limit: int = (body.get("inferenceConfig") or {}).get("maxTokens", 1)
    return limit
