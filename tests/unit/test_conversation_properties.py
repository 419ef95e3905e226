"""What holds for every conversation, however it was said."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from itertools import dropwhile, pairwise

from hypothesis import given

from bot.conversation import (
    DOCUMENT_TEXT,
    OPENING,
    ContentBlock,
    Document,
    Message,
    Messages,
    Role,
    Text,
    add_assistant_message,
    add_user_message,
    alternate,
)
from tests.unit.test_conversation import TALK

Said = list[tuple[Role, ContentBlock]]

MADE = (Text(OPENING), Text(DOCUMENT_TEXT))
"""What `alternate` may add of its own accord."""


def said(messages: Iterable[Message]) -> Said:
    """Every block with its speaker, in order; a document's name is not its content."""
    return [
        (message.role, replace(block, name="") if isinstance(block, Document) else block)
        for message in messages
        for block in message.content
    ]


def heard(messages: Iterable[Message]) -> Said:
    return [one for one in said(messages) if one[1] not in MADE]


def worth_saying(talk: Iterable[Message]) -> Said:
    """All but blank text, and but the answers after which nobody asked any more."""
    blocks = [
        (role, block)
        for role, block in said(talk)
        if not (isinstance(block, Text) and not block.text.strip())
    ]
    return list(dropwhile(lambda one: one[0] == "assistant", reversed(blocks)))[::-1]


@given(TALK)
def test_nothing_is_lost_but_blanks_and_the_last_answers_and_all_keeps_its_speaker_and_order(talk):
    assert heard(alternate(talk)) == worth_saying(talk)


@given(TALK)
def test_words_are_added_only_where_bedrock_insists_on_some(talk):
    sent = alternate(talk)
    added = [one for one in said(sent) if one[1] in MADE]
    opened = worth_saying(talk)[:1] and worth_saying(talk)[0][0] == "assistant"
    assert added.count(("user", MADE[0])) == bool(opened)
    for message in sent:
        kinds = [type(block) for block in message.content]
        if MADE[1] in message.content:
            first = message.content.index(MADE[1])
            assert Text not in kinds[:first]
            assert kinds[first + 1] is Document


@given(TALK, TALK)
def test_what_was_sent_stays_a_prefix_as_the_conversation_grows(talk, more):
    """Byte for byte, documents' names too: the model's prompt cache holds."""
    before = [(message.role, block) for message in alternate(talk) for block in message.content]
    after = [(message.role, block) for message in alternate([*talk, *more]) for block in message.content]
    assert after[: len(before)] == before


def add(messages: Messages, message: Message) -> Messages:
    grow = add_user_message if message.role == "user" else add_assistant_message
    return grow(messages, *message.content)


@given(TALK)
def test_a_conversation_that_is_added_to_alternates_already(talk):
    nothing: Messages = ()
    grown = reduce(add, talk, nothing)
    assert all(one.role != following.role for one, following in pairwise(grown))
    assert said(grown) == said(talk)
    assert alternate(grown) == alternate(talk)


@given(TALK)
def test_the_values_given_stay_as_they_were(talk):
    before = list(talk)
    alternate(talk)
    assert talk == before
