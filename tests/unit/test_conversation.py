"""A conversation as a value that Bedrock takes."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot.conversation
from bot.conversation import (
    DOCUMENT_TEXT,
    OPENING,
    Document,
    Image,
    Message,
    Messages,
    Text,
    add_assistant_message,
    add_user_message,
    alternate,
)
from tests.unit.test_house import read

IMAGE = Image("png", b"\x89PNG")


def user(*words: str) -> Message:
    return Message("user", tuple(Text(text) for text in words))


def assistant(*words: str) -> Message:
    return Message("assistant", tuple(Text(text) for text in words))


def document(name: str) -> Document:
    return Document(name, "pdf", b"%PDF")


def names(messages: Messages) -> list[str]:
    return [block.name for message in messages for block in message.content if isinstance(block, Document)]


def examples(text: str) -> list[str]:
    return re.findall(r"^>>> (talk = .*)$", text, re.MULTILINE)


def test_the_readme_tells_the_same_conversation_as_the_module():
    told = examples(read("README.md"))
    assert len(told) == 3
    assert told == examples(bot.conversation.__doc__ or "")[:3]


@pytest.mark.parametrize(("add", "role"), [(add_user_message, "user"), (add_assistant_message, "assistant")])
def test_what_is_added_joins_a_message_of_its_own_role_and_leaves_the_old_value_alone(add, role):
    one = add((), "a")
    two = add(one, Text("b"), IMAGE)
    assert two == (Message(role, (Text("a"), Text("b"), IMAGE)),)
    assert one == (Message(role, (Text("a"),)),)


def test_what_is_added_after_the_other_role_stands_alone():
    assert add_assistant_message((user("a"),), "b") == (user("a"), assistant("b"))
    assert add_user_message((assistant("a"),), "b") == (assistant("a"), user("b"))


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([user(" ", "\n"), assistant("")], (), id="only blank text"),
        pytest.param([assistant("hi")], (), id="only an answer"),
        pytest.param([user("a"), user("b")], (user("a", "b"),), id="neighbours"),
        pytest.param(
            [user("a"), assistant(" "), user("b")], (user("a", "b"),), id="neighbours around a blank answer"
        ),
        pytest.param([user("a"), assistant("b"), assistant("c")], (user("a"),), id="answers at the end"),
        pytest.param(
            [assistant("a"), user("b")], (user(OPENING), assistant("a"), user("b")), id="an answer first"
        ),
        pytest.param(
            [Message("user", (document("a"),))],
            (Message("user", (Text(DOCUMENT_TEXT), document("a"))),),
            id="a document without words",
        ),
        pytest.param(
            [Message("user", (IMAGE,))], (Message("user", (IMAGE,)),), id="a picture needs no words"
        ),
    ],
)
def test_alternates(messages, sent):
    assert alternate(messages) == sent


def test_names_of_documents_are_made_valid_and_unique_over_the_whole_request():
    given_names = ["Q3 report_v2.pdf", "Q3  report/v2.pdf", "日本", "x" * 300, "x" * 300]
    talk = [Message("user", (document(name),)) for name in given_names[:2]]
    talk += [assistant("ok"), Message("user", tuple(document(name) for name in given_names[2:]))]
    assert names(alternate([*talk])) == [
        "Q3 report v2 pdf",
        "Q3 report v2 pdf (2)",
        "document",
        "x" * 200,
        "x" * 190 + " (2)",
    ]


WORDS = st.text(max_size=8) | st.sampled_from(["", " ", "\n\t", "a"])
NAMES = st.text(max_size=12) | st.sampled_from(
    ["a", "a (2)", "b" * 195, "b" * 189 + " c", "b" * 199 + " c", "b" * 210]
)
BLOCKS = st.one_of(WORDS.map(Text), st.just(IMAGE), NAMES.map(document))
TALK = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["user", "assistant"]),
        content=st.lists(BLOCKS, max_size=4).map(tuple),
    ),
    max_size=8,
)


@given(TALK)
def test_whatever_is_said_bedrock_can_take_it(talk):
    sent = alternate(talk)
    roles = [message.role for message in sent]
    assert roles == ["user", "assistant"] * (len(sent) // 2) + ["user"] * (len(sent) % 2)
    assert not sent or roles[-1] == "user"
    for message in sent:
        assert message.content
        assert all(block.text.strip() for block in message.content if isinstance(block, Text))
        if any(isinstance(block, Document) for block in message.content):
            assert message.text
    assert len(set(names(sent))) == len(names(sent))
    for name in names(sent):
        assert re.fullmatch(r"[A-Za-z0-9()\[\]-]+(?: [A-Za-z0-9()\[\]-]+)*", name)
        assert len(name) <= 200


@given(TALK)
def test_no_word_of_a_person_is_lost_and_their_order_is_kept(talk):
    def words(messages: Iterable[Message]) -> list[str]:
        return [
            block.text
            for message in messages
            if message.role == "user"
            for block in message.content
            if isinstance(block, Text) and block.text.strip() and block.text not in (OPENING, DOCUMENT_TEXT)
        ]

    assert words(alternate(talk)) == words(talk)


@given(TALK)
def test_what_alternates_already_stays_as_it_is(talk):
    assert alternate(alternate(talk)) == alternate(talk)
