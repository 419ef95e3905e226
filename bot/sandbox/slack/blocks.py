"""Slack's rules for the blocks of messages and views, and for metadata; the limits are in slack.toml."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.sandbox.slack.workspace import Json, Refused

DATA = tomllib.loads(Path(__file__).parents[1].joinpath("slack.toml").read_text("utf-8"))
MAX_MARKDOWN: int = DATA["message"]["markdown"]


def checked_blocks(blocks: Any, surface: str = "message") -> list[Json]:
    """Return a message's or a view's blocks with a block_id each; Refused: invalid_blocks and its kin."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise Refused("invalid_blocks_format")
    if len(blocks) > DATA[surface]["blocks"]:
        raise Refused("msg_blocks_too_many")
    for index, block in enumerate(blocks):
        try:
            fault = (
                f"not in a {surface}"
                if block.get("type") in DATA["not_in"][surface]
                else next(_faults(block), "")
            )
        except (AttributeError, KeyError, TypeError):
            fault = "wrong type of a field"
        if fault:
            words = f"[ERROR] {fault} [json-pointer:/blocks/{index}]"
            raise Refused("invalid_blocks", response_metadata={"messages": [words]})
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > MAX_MARKDOWN or sum(map(len, _texts(blocks))) > DATA["message"]["blocks_text"]:
        raise Refused("msg_blocks_too_long")
    return [{**block, "block_id": block.get("block_id") or f"b{index}"} for index, block in enumerate(blocks)]


def _faults(block: Json) -> Iterator[str]:
    """Yield what is wrong with a block."""
    kind = str(block.get("type"))
    if kind not in DATA["fields"]:
        yield f"unsupported type: {kind}"
        return
    yield from (f"missing required field: {name}" for name in DATA["fields"][kind] if not block.get(name))
    yield from _too_long(block)
    if kind == "section":
        yield from _text_faults(block["text"], 3000)
        yield from _elements_faults(
            [block["accessory"]] if "accessory" in block else [], *DATA["elements"]["actions"]
        )
    elif kind == "input":
        yield from _text_faults(block["label"], 2000, "plain_text")
        if block["element"]["type"] != "plain_text_input" or not block["element"].get("action_id"):
            yield "element: not supported"
    elif kind == "header":
        yield from _text_faults(block["text"], 150, "plain_text")
    elif kind == "markdown" and not isinstance(block["text"], str):
        yield "text: must be a string"
    elif kind in DATA["elements"]:
        yield from _elements_faults(block["elements"], *DATA["elements"][kind])


def _too_long(node: Json) -> Iterator[str]:
    limits = DATA["lengths"].items()
    yield from (f"{name}: too long" for name, most in limits if len(node.get(name, "")) > most)


def _elements_faults(elements: list[Json], most: int, kinds: list[str]) -> Iterator[str]:
    ids = [element["action_id"] for element in elements if "action_id" in element]
    if len(elements) > most or any(element["type"] not in kinds for element in elements):
        yield "elements: too many, or of a wrong type"
    if len(ids) > len(set(ids)):
        yield "action_id: must be unique within a block"
    for element in elements:
        yield from _element_faults(element)


def _element_faults(element: Json) -> Iterator[str]:
    yield from _too_long(element)
    if element["type"] in ("plain_text", "mrkdwn"):
        yield from _text_faults(element, 3000)
    for button in _buttons(element):
        yield from _text_faults(button["text"], 75, "plain_text")


def _buttons(element: Json) -> list[Json]:
    if element.get("type") == "feedback_buttons":
        return [element["positive_button"], element["negative_button"]]
    return [element] if element.get("type") in ("button", "icon_button") else []


def _text_faults(text: Json, most: int, *kinds: str) -> Iterator[str]:
    if text["type"] not in (kinds or ("plain_text", "mrkdwn")) or not 0 < len(text["text"]) <= most:
        yield f"text: wrong type, or not 1 to {most} characters"


def _texts(node: Any) -> list[str]:
    """Return every text within blocks."""
    values = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    own = [node["text"]] if isinstance(node, dict) and isinstance(node.get("text"), str) else []
    return own + [text for value in values for text in _texts(value)]


def checked_metadata(metadata: Any) -> Json:
    """Return a message's metadata; Refused: invalid_metadata_format, metadata_too_large."""
    if not isinstance(metadata, dict) or (metadata and set(metadata) != {"event_type", "event_payload"}):
        raise Refused("invalid_metadata_format")
    if len(json.dumps(metadata).encode()) > DATA["message"]["metadata"]:
        raise Refused("metadata_too_large")
    return metadata


def find_action(blocks: list[Json], action_id: str, value: str | None) -> Json:
    """Return the action that pressing a button reports; LookupError where no such button is shown."""
    for block in blocks:
        elements = [*block.get("elements", []), *([block["accessory"]] if "accessory" in block else [])]
        for element in elements:
            for button in _buttons(element) if element.get("action_id") == action_id else []:
                if value in (None, button.get("value")):
                    action = {"type": element["type"], "action_id": action_id, "text": button["text"]}
                    return {**action, "value": button.get("value", ""), "block_id": block.get("block_id")}
    raise LookupError(f"no button {action_id!r} with value {value!r} in {blocks}")


def filled(blocks: list[Json], texts: dict[str, str]) -> Json:
    """Return a modal's state for texts by action_id. LookupError: no such field. ValueError: a wrong text."""
    state: Json = {}
    fields = {b["element"]["action_id"]: b for b in blocks if b["type"] == "input"}
    if unknown := texts.keys() - fields.keys():
        raise LookupError(f"no fields {sorted(unknown)} in {sorted(fields)}")
    for action_id, block in fields.items():
        element, kind = block["element"], "plain_text_input"
        text = texts.get(action_id, element.get("initial_value", ""))
        if (
            not element.get("min_length", not block.get("optional"))
            <= len(text)
            <= element.get("max_length", 3000)
        ):
            raise ValueError(f"{action_id}: a text of {len(text)} characters is not taken")
        state.setdefault(block["block_id"], {})[action_id] = {"type": kind, "value": text or None}
    return state
