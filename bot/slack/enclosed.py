"""What a message shows besides its text: what was passed on, a bot's attachments and blocks, tables. Pure.

Slack puts only what a person typed into `text`. What an alert or a forwarded message says stands in
`attachments` and `blocks` (docs.slack.dev, Attachments and Block Kit); a table that was pasted into a message
comes as an attachment with a block in it. It is given back in Slack's markup, as lines below the text.
Previews of links are left out: nobody wrote them, and they come and go. What is not as documented is passed
over.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 20_000
"""Characters."""
_DEEPEST = 6
_TO_ME = "@Bobbin"
_PREVIEW = ("from_url", "original_url", "app_unfurl_url")
_NOTHING = "[no preview available]"
"""Slack's fallback of what it has no words for."""
_TAG_OR_PIPE = re.compile(r"<[^<>]*>|\|")


def enclosed(message: Mapping[str, Any], me: str) -> str:
    """Return it, or nothing. A mention of `me` in it calls nobody: it stays as a word."""
    text = _string(message.get("text"))
    rich = not text
    bot = bool(message.get("bot_id")) or rich
    pieces = [*_blocks(message.get("blocks"), bot=bot, rich=rich), *_attachments(message.get("attachments"))]
    written = _plain(text)
    new = [piece for piece in dict.fromkeys(pieces) if (plain := _plain(piece)) and plain not in written]
    shown = "\n".join(new)
    if len(shown) > LONGEST:  # cut between lines: half a tag is none
        shown = f"{shown[:LONGEST].rpartition(chr(10))[0]}\n…"
    return re.sub(rf"<@{re.escape(me)}(?:\|[^<>]*)?>", _TO_ME, shown)


def passed_on(message: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the files of the messages that were passed on with this one."""
    for attachment in _list(message.get("attachments")):
        if isinstance(attachment, Mapping) and attachment.get("is_share") is True:
            yield from _list(attachment.get("files"))


def _attachments(attachments: Any) -> Iterator[str]:
    for attachment in _list(attachments):
        if not isinstance(attachment, Mapping):
            continue
        if attachment.get("is_share") is True:
            yield _shared(attachment)
        elif not any(map(attachment.get, _PREVIEW)):
            yield from _parts(attachment)


def _shared(attachment: Mapping[str, Any]) -> str:
    author = _string(attachment.get("author_name")) or _string(attachment.get("author_subname"))
    lines = list(_parts(attachment, but=author))
    return "\n".join([f"Forwarded{f', from {_escaped(author)}' if author else ''}:", *map(_quoted, lines)])


def _parts(attachment: Mapping[str, Any], but: str = "") -> Iterator[str]:
    """Yield what an attachment shows, from top to bottom; its fallback where it shows nothing else."""
    shown = [_string(attachment.get("pretext")), _string(attachment.get("author_name"))]
    title, link = _string(attachment.get("title")), _string(attachment.get("title_link"))
    shown.append(f"<{link}|{title}>" if title and _is_link(link) else title)
    shown.append(_string(attachment.get("text")))
    shown += [
        ": ".join(filter(None, map(_string, (field.get("title"), field.get("value")))))
        for field in _list(attachment.get("fields"))
        if isinstance(field, Mapping)
    ]
    inner = list(_blocks(attachment.get("blocks"), bot=True, rich=not shown[3]))
    for each in _list(attachment.get("message_blocks")):
        if isinstance(each, Mapping) and isinstance(message := each.get("message"), Mapping):
            # Its words stand in the text already; only what is not written there is wanted.
            inner += _blocks(message.get("blocks"), bot=not shown[3], rich=not shown[3])
    shown += inner
    shown = [piece for piece in shown if piece.strip() and piece != but]
    fallback = _string(attachment.get("fallback"))
    yield from shown or ([] if fallback == _NOTHING else filter(None, [fallback]))


def _blocks(blocks: Any, *, bot: bool, rich: bool) -> Iterator[str]:
    """Yield what blocks show; of a person's message the tables only: the rest is its text.

    Rich text (`rich`) is what a text is written from, by Slack itself: beside one it says nothing more.
    """
    for block in _list(blocks):
        match block:
            case {"type": "table", "rows": list(rows)}:
                yield _table(rows)
            case {"type": "rich_text"} if rich:
                yield _rich(block)
            case {"type": "section" | "header"} if bot:
                yield from filter(None, map(_object, [block.get("text"), *_list(block.get("fields"))]))
            case {"type": "context", "elements": list(elements)} if bot:
                yield " ".join(filter(None, map(_object, elements)))
            case {"type": "markdown", "text": str(text)} if bot:
                yield _escaped(text)


def _table(rows: list[Any]) -> str:
    cells = [[_cell(cell) for cell in row] for row in rows if isinstance(row, list) and row]
    width = max(map(len, cells), default=0)
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * width, *lines[1:]]) if lines else ""


def _cell(cell: Any) -> str:
    """Return a cell in one line; a pipe in it is no border, but for those of links, which Slack undoes."""
    match cell:
        case {"type": "raw_number", "text": str(words)} | {"type": "raw_number", "value": words}:
            text = _escaped(str(words))
        case _:
            text = _rich(cell) or _object(cell)
    whole = " ".join(text.split())
    return _TAG_OR_PIPE.sub(lambda found: "\\|" if found[0] == "|" else found[0], whole)


def _object(text: Any) -> str:
    """Return a text object in Slack's markup; images of a context have none."""
    match text:
        case {"type": "mrkdwn", "text": str(words)}:
            return words
        case {"type": "plain_text" | "raw_text", "text": str(words)}:
            return _escaped(words)
    return ""


def _rich(element: Any, depth: int = _DEEPEST) -> str:
    """Return rich text in Slack's markup: its lines, mentions and links."""
    match element:
        case {"type": "text", "text": str(words)}:
            return _escaped(words)
        case {"type": "link", "url": str(url)} if _is_link(url):
            label = _escaped(_string(element.get("text")))
            return f"<{_escaped(url)}|{label}>" if label else f"<{_escaped(url)}>"
        case {"type": "user", "user_id": str(name)} if name.isalnum():
            return f"<@{name}>"
        case {"type": "channel", "channel_id": str(name)} if name.isalnum():
            return f"<#{name}>"
        case {"type": "usergroup", "usergroup_id": str(name)} if name.isalnum():
            return f"<!subteam^{name}>"
        case {"type": "emoji", "name": str(name)}:
            return f":{_escaped(name)}:"
        case {"type": str(kind), "elements": list(elements)} if depth:
            inner = [_rich(each, depth - 1) for each in elements]
            if kind == "rich_text_list":
                return "\n".join(f"• {line}" for line in inner)
            return "\n".join(inner) if kind == "rich_text" else "".join(inner)
    return ""


def _quoted(piece: str) -> str:
    return "\n".join(f"&gt; {line}" for line in piece.splitlines())


def _plain(piece: str) -> str:
    """Only letters and digits: markup is written in several ways."""
    return re.sub(r"[\W_]+", "", piece)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_link(url: str) -> bool:
    return url.startswith(("https://", "http://")) and not set("<>| \n") & set(url)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
