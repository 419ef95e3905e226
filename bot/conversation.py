"""A conversation as a pure value: messages of two roles, made of content blocks.

Two messages with the same content are equal; who said them, when, and where they are kept is known
elsewhere. Bedrock stores nothing, so the whole conversation is sent with every request, and it insists
that roles alternate:

>>> talk = add_user_message((), "What's 1+1?")
>>> talk = add_assistant_message(talk, "2")
>>> talk = add_user_message(talk, "And 3 more added to that?")
>>> [(message.role, message.text) for message in talk]
[('user', "What's 1+1?"), ('assistant', '2'), ('user', 'And 3 more added to that?')]

Consecutive messages of one role are merged, each keeping its own block:

>>> talk = add_user_message(talk, "Take your time.")
>>> [(message.role, len(message.content)) for message in talk]
[('user', 1), ('assistant', 1), ('user', 2)]
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Role = Literal["user", "assistant"]

# What stands before an answer that nobody asked for here: the first message must be a user's.
OPENING = "(The conversation starts here.)"
# A document alone is refused; so is a message without words (Bedrock: "A text block must be included").
DOCUMENT_TEXT = "(See the attached document.)"

_NAME_REFUSED = re.compile(r"[^A-Za-z0-9\-()\[\] ]+")
_NAME_LIMIT = 200


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Where a conversation takes place: `thread_ts` is the ts of the thread's first message."""

    team: str
    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class Text:
    """A block of words."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, as the bytes of a file of this format."""

    format: Literal["png", "jpeg", "gif", "webp"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A document, as the bytes of a file of this format; its name is shown to the model."""

    name: str
    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]
    data: bytes


ContentBlock = Text | Image | Document


@dataclass(frozen=True, slots=True)
class Message:
    """What one role said: one or more content blocks."""

    role: Role
    content: tuple[ContentBlock, ...]

    @property
    def text(self) -> str:
        """The words alone, a block a line."""
        return "\n".join(block.text for block in self.content if isinstance(block, Text))


Messages = tuple[Message, ...]


def add_user_message(messages: Messages, *content: ContentBlock | str) -> Messages:
    """Return the conversation with a user's message at its end, merged into a user's message before it.

    >>> add_user_message((), "Hello")
    (Message(role='user', content=(Text(text='Hello'),)),)
    """
    return _add(messages, "user", content)


def add_assistant_message(messages: Messages, *content: ContentBlock | str) -> Messages:
    """Return the conversation with an assistant's message at its end, merged likewise.

    >>> add_assistant_message(add_user_message((), "Hello"), "Hi!")[-1].text
    'Hi!'
    """
    return _add(messages, "assistant", content)


def alternate(messages: Iterable[Message]) -> Messages:
    """Return the messages as Bedrock takes them: roles alternate, the first and the last are a user's.

    Blank text and empty messages are dropped, neighbours of one role merged by joining their blocks,
    answers at the end left out (a request asks for the next one), document names made valid and unique.
    Nothing to say gives `()`.

    >>> said = [Message("user", (Text(words),)) for words in ("Hi", " ", "1+1?")]
    >>> alternate(said)
    (Message(role='user', content=(Text(text='Hi'), Text(text='1+1?'))),)
    """
    runs: list[tuple[Role, list[ContentBlock]]] = []
    for message in messages:
        content = [block for block in message.content if not _blank(block)]
        if not content:
            continue
        if runs and runs[-1][0] == message.role:
            runs[-1][1].extend(content)
        else:
            runs.append((message.role, content))
    if runs and runs[-1][0] == "assistant":
        runs.pop()
    if runs and runs[0][0] == "assistant":
        runs.insert(0, ("user", [Text(OPENING)]))
    taken: set[str] = set()
    return tuple(Message(role, _with_documents_named(blocks, taken)) for role, blocks in runs)


def _add(messages: Messages, role: Role, content: tuple[ContentBlock | str, ...]) -> Messages:
    blocks = tuple(Text(block) if isinstance(block, str) else block for block in content)
    if messages and messages[-1].role == role:
        return (*messages[:-1], Message(role, messages[-1].content + blocks))
    return (*messages, Message(role, blocks))


def _blank(block: ContentBlock) -> bool:
    return isinstance(block, Text) and (not block.text or block.text.isspace())


def _with_documents_named(blocks: Sequence[ContentBlock], taken: set[str]) -> tuple[ContentBlock, ...]:
    """Bedrock takes few characters in a document's name, and no name twice in a request (`taken`)."""
    named: list[ContentBlock] = []
    for block in blocks:
        if isinstance(block, Document):
            # Words before the first one, whatever may follow: what was sent once stays as it is.
            if not any(isinstance(before, Text) for before in named):
                named.append(Text(DOCUMENT_TEXT))
            name = _free_name(block.name, taken)
            taken.add(name)
            named.append(replace(block, name=name))
        else:
            named.append(block)
    return tuple(named)


def _free_name(name: str, taken: set[str]) -> str:
    valid = " ".join(_NAME_REFUSED.sub(" ", name).split())[:_NAME_LIMIT].strip() or "document"
    free, copies = valid, 1
    while free in taken:
        copies += 1
        free = f"{valid[: _NAME_LIMIT - 10].strip()} ({copies})"
    return free
