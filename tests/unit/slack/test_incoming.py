"""What Slack's events mean, in every shape that Slack documents (docs.slack.dev, Events API)."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import ThreadKey
from bot.events import Deleted, Edited, Event, File, Ignored, Invited, Muted, Posted, Stopped, Uninstalled
from bot.slack.incoming import Me, Unreadable, read_event, shape

ME = Me(team="T1", user="UBOT", bot="BBOT")
TS, ROOT = "1782770410.000200", "1782770400.000100"
THREAD, ALONE = ThreadKey("T1", "C1", ROOT), ThreadKey("T1", "C1", TS)

MESSAGE = {
    "type": "message",
    "channel": "C1",
    "user": "U1",
    "text": "hello",
    "ts": TS,
    "event_ts": TS,
    "channel_type": "channel",
    "team": "T1",
    "blocks": [],
}
REPLY = MESSAGE | {"thread_ts": ROOT, "parent_user_id": "U2"}
MENTION = {"type": "app_mention", "user": "U1", "text": "<@UBOT> hi", "ts": TS, "channel": "C1", "team": "T1"}
KEPT = [
    {
        "id": "F1",
        "name": "a.txt",
        "mode": "hosted",
        "url_private": "https://files.slack.com/a.txt",
        "url_private_download": "https://files.slack.com/download/a.txt",
    },
    {"id": "F2", "name": "b.txt", "size": -1, "url_private": "https://files.slack.com/b.txt"},
    {"id": "F3", "file_access": "check_file_info", "url_private": "https://files.slack.com/c.txt"},
    {"id": "F4", "mode": "tombstone"},
    {"id": "F5", "name": "board", "mode": "external", "url_private": "https://drive.example/"},
    {"id": "F6", "name": "old.txt", "mode": "hidden_by_limit"},
]
PNG = {"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 1234, "file_access": "visible"}
SUBTYPED = {key: MESSAGE[key] for key in ("type", "channel", "channel_type")} | {"ts": "1783.5"}
MUTE = {"type": "reaction_added", "user": "U1", "reaction": "no_bell", "item": {"channel": "C1", "ts": ROOT}}


def body(event: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event} | more


def meaning(event: Mapping[str, Any], me: Me = ME, **more: Any) -> Event | Ignored:
    return read_event(body(event, **more), me)


def posted(event: Mapping[str, Any], me: Me = ME, **more: Any) -> Posted:
    read = meaning(event, me, **more)
    assert isinstance(read, Posted)
    return read


def said(**fields: Any) -> Posted:
    known: dict[str, Any] = {
        "event_id": "Ev1",
        "thread": ALONE,
        "ts": TS,
        "direct": False,
        "author": "U1",
        "text": "hello",
    }
    return Posted(**known | fields)


def changed(message: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    known = SUBTYPED | {"subtype": "message_changed", "hidden": True, "message": message}
    return known | ({"previous_message": before} if before else {})


EDITED = {"type": "message", "user": "U1", "text": "new", "ts": TS, "edited": {"user": "U1", "ts": "1783.0"}}
OLD = {"type": "message", "user": "U1", "text": "old", "ts": TS}


@pytest.mark.parametrize(
    ("event", "means"),
    [
        pytest.param(MESSAGE, said(), id="root"),
        pytest.param(REPLY, said(thread=THREAD), id="reply"),
        pytest.param(
            MESSAGE | {"channel": "D1", "channel_type": "im", "app_context": {"entities": []}},
            said(thread=ThreadKey("T1", "D1", TS), direct=True),
            id="DM",
        ),
        pytest.param(MENTION, said(text="<@UBOT> hi", mentions_me=True), id="mention"),
        pytest.param(
            MENTION | {"thread_ts": ROOT},
            said(text="<@UBOT> hi", mentions_me=True, thread=THREAD),
            id="mention in a thread",
        ),
        pytest.param(
            MENTION | {"channel": "D1", "text": "hi"},
            said(thread=ThreadKey("T1", "D1", TS), text="hi", mentions_me=True, direct=True),
            id="an app_mention is a mention whatever its text",
        ),
        pytest.param(
            MESSAGE | {"text": "<@UBOT|bobbin> hi"},
            said(text="<@UBOT|bobbin> hi", mentions_me=True),
            id="the message twin of a mention",
        ),
        pytest.param(
            MESSAGE | {"text": "<@U2> <!subteam^S1>"},
            said(text="<@U2> <!subteam^S1>", mentions_others=True),
            id="others mentioned",
        ),
        pytest.param(MESSAGE | {"text": "thanks!"}, said(text="thanks!", pleasantry=True), id="thanks"),
        pytest.param(
            MESSAGE | {"subtype": "file_share", "text": "ok", "files": [PNG, {"id": "F2", "title": "b"}, {}]},
            said(
                text="ok",
                files=(File("F1", "a.png", "image/png", 1234), File("F2", "b"), File("?", "a file")),
            ),
            id="files: no pleasantry",
        ),
        pytest.param(
            MESSAGE | {"subtype": "file_share", "text": "", "files": KEPT},
            said(
                text="",
                files=(
                    File("F1", "a.txt", url="https://files.slack.com/download/a.txt"),
                    File("F2", "b.txt", url="https://files.slack.com/b.txt"),
                    File("F3", "a file"),
                    File("F4", "a file", state="gone"),
                    File("F5", "board", url="https://drive.example/", state="elsewhere"),
                    File("F6", "old.txt", state="withheld"),
                ),
            ),
            id="files: where they are kept",
        ),
        pytest.param(
            changed(
                OLD | {"files": [{"id": "F1", "mode": "tombstone"}]},
                OLD | {"files": [{"id": "F1", "name": "a"}]},
            ),
            Edited(said(text="old", files=(File("F1", "a file", state="gone"),)), "1783.5"),
            id="a file deleted",
        ),
        pytest.param(
            REPLY | {"subtype": "thread_broadcast", "root": {"ts": ROOT, "reply_count": 1}},
            said(thread=THREAD),
            id="reply sent to the channel too",
        ),
        pytest.param(MESSAGE | {"subtype": "me_message"}, said(), id="/me"),
        pytest.param(
            MESSAGE | {"user": "U7", "bot_id": "B2", "bot_profile": {}}, said(author="U7", bot="B2"), id="bot"
        ),
        pytest.param(
            SUBTYPED | {"subtype": "bot_message", "bot_id": "B2", "username": "ci", "text": "x", "ts": TS},
            said(author="B2", bot="B2", text="x"),
            id="classic bot",
        ),
        pytest.param(changed(EDITED, OLD), Edited(said(text="new"), "1783.0"), id="edit"),
        pytest.param(changed(EDITED), Edited(said(text="new"), "1783.0"), id="edit, the old text untold"),
        pytest.param(
            changed(EDITED | {"thread_ts": ROOT, "text": "<@UBOT> new"}, OLD),
            Edited(said(thread=THREAD, text="<@UBOT> new", mentions_me=True), "1783.0"),
            id="edit that adds a mention",
        ),
        pytest.param(
            SUBTYPED
            | {"subtype": "message_deleted", "hidden": True, "deleted_ts": TS, "previous_message": OLD},
            Deleted("Ev1", "T1", "C1", TS, at="1783.5"),
            id="deletion",
        ),
        pytest.param(
            SUBTYPED | {"subtype": "message_deleted", "previous_message": OLD},
            Deleted("Ev1", "T1", "C1", TS, at="1783.5"),
            id="deletion told by its message alone",
        ),
        pytest.param(
            changed({"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "ts": TS}, OLD),
            Deleted("Ev1", "T1", "C1", TS, at="1783.5"),
            id="deletion of a root with replies",
        ),
        pytest.param(
            {"type": "agent_session_stopped", "channel": "C1", "user": "U1", "thread_ts": ROOT},
            Stopped("Ev1", THREAD, "U1"),
            id="Slack's Stop",
        ),
        pytest.param(
            {"type": "message_stream_stopped", "channel": "C1", "thread_ts": ROOT},
            Stopped("Ev1", THREAD, ""),
            id="Slack's Stop by its former name",
        ),
        pytest.param(MUTE, Muted("Ev1", "T1", "C1", ROOT, muted=True), id="🔕"),
        pytest.param(
            MUTE | {"type": "reaction_removed"},
            Muted("Ev1", "T1", "C1", ROOT, muted=False),
            id="🔕 taken away",
        ),
        pytest.param(
            {"type": "member_joined_channel", "user": "UBOT", "channel": "C1", "inviter": "U2"},
            Invited("Ev1", "T1", "C1"),
            id="invited",
        ),
        pytest.param({"type": "app_uninstalled"}, Uninstalled("Ev1", "T1"), id="uninstalled"),
        pytest.param(
            {"type": "tokens_revoked", "tokens": {"oauth": ["U1"], "bot": ["UBOT"]}},
            Uninstalled("Ev1", "T1", certain=False),
            id="my token revoked",
        ),
    ],
)
def test_means(event, means):
    assert meaning(event) == means


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        pytest.param(MESSAGE | {"user": "UBOT", "bot_id": "BBOT"}, "my own message", id="own"),
        pytest.param(
            SUBTYPED | {"subtype": "bot_message", "bot_id": "BBOT"}, "my own message", id="own without a user"
        ),
        pytest.param(
            changed({"bot_id": "BBOT", "text": "x", "ts": TS, "streaming_state": "in_progress"}),
            "an edit of my own message",
            id="own stream",
        ),
        pytest.param(changed(OLD, OLD), "an edit that changed no words", id="unfurl or reply count"),
        pytest.param(
            changed(OLD | {"text": "x"}, OLD), "an edit that changed no words", id="not by a person"
        ),
        pytest.param(
            changed(EDITED | {"attachments": [{}]}, EDITED), "an edit that changed no words", id="late unfurl"
        ),
        pytest.param(MESSAGE | {"user": "USLACK"}, "a notice of Slack", id="Slack itself"),
        pytest.param(MENTION | {"subtype": "document_mention"}, "a mention in a canvas", id="canvas"),
        pytest.param(MESSAGE | {"hidden": True}, "Slack's own remark: hidden", id="hidden"),
        pytest.param(
            MUTE | {"reaction": "tada"}, "a reaction that means nothing to me", id="another reaction"
        ),
        pytest.param(MUTE | {"user": "UBOT"}, "a reaction that means nothing to me", id="own reaction"),
        pytest.param(
            MUTE | {"item": {"type": "file", "file": "F1"}},
            "a reaction that means nothing to me",
            id="reaction to a file",
        ),
        pytest.param(
            {"type": "member_joined_channel", "user": "U1", "channel": "C1"},
            "somebody joined a channel",
            id="somebody joined",
        ),
        pytest.param(
            {"type": "tokens_revoked", "tokens": {"oauth": ["UBOT"], "bot": ["U1"]}},
            "tokens that are not mine were revoked",
            id="others' tokens",
        ),
        *(
            pytest.param(MESSAGE | {"subtype": subtype}, f"Slack's own remark: {subtype}", id=subtype)
            for subtype in (
                "channel_join",
                "channel_leave",
                "group_join",
                "channel_topic",
                "channel_archive",
                "pinned_item",
                "reminder_add",
                "tombstone",
                "ekm_access_denied",
                "message_replied",
                "huddle_thread",
                "assistant_app_thread",
                "not_invented_yet",
            )
        ),
        *(
            pytest.param({"type": kind}, f"no use for {kind}", id=kind)
            for kind in (
                "app_home_opened",
                "app_context_changed",
                "agent_session_title_changed",
                "assistant_thread_started",
                "assistant_thread_context_changed",
            )
        ),
    ],
)
def test_is_ignored_for_a_named_reason(event, reason):
    assert meaning(event) == Ignored(reason)


def test_an_event_of_another_workspace_is_ignored_except_in_an_organisation():
    elsewhere: Any = {"authorizations": [{"team_id": "T2", "user_id": "UBOT"}]}
    assert meaning(MESSAGE, **elsewhere) == Ignored("it is for another workspace")
    assert meaning(MESSAGE, Me("T1", "UBOT", "BBOT", "E1"), **elsewhere) == said()
    assert meaning(MESSAGE, authorizations=[{"team_id": "T1"}]) == said()


def test_a_delivery_that_was_tried_before_is_late():
    assert [posted(MESSAGE).late, read_event(body(MESSAGE), ME, retry=1)] == [False, said(late=True)]


@pytest.mark.parametrize(
    ("teams", "shared", "external"),
    [
        pytest.param({}, False, False, id="unsaid in our own channel"),
        pytest.param({}, True, None, id="unsaid in a shared channel"),
        pytest.param({"team": "T1"}, False, False, id="ours"),
        pytest.param({"team": "T1"}, True, None, id="only the workspace in a shared channel"),
        pytest.param({"user_team": "T1"}, True, False, id="ours in a shared channel"),
        pytest.param({"team": "T2"}, True, True, id="theirs"),
        pytest.param({"user_team": "T2", "team": "T1"}, True, True, id="theirs by user_team"),
        pytest.param({"source_team": "T2", "user_team": "T1"}, True, True, id="theirs by source_team"),
    ],
)
def test_tells_outsiders(teams, shared, external):
    event = {key: value for key, value in MENTION.items() if key != "team"} | teams
    assert posted(event, is_ext_shared_channel=shared).external is external


@pytest.mark.parametrize(("team", "external"), [("T1", False), ("E1", False), ("T2", None), ("E2", True)])
def test_in_an_organisation_another_workspace_is_not_known_to_be_foreign(team, external):
    me = Me("T1", "UBOT", "BBOT", "E1")
    assert posted(MENTION | {"user_team": team}, me, is_ext_shared_channel=True).external is external


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("mute", "mute"),
        ("<@UBOT> Mute!", "mute"),
        ("<@UBOT>: wake", "wake"),
        (" unmute. ", "wake"),
        ("STOP", "stop"),
        ("stop it", None),
        ("please mute", None),
        ("<@U2> mute", None),
        ("", None),
    ],
)
def test_a_word_is_a_command_only_as_the_whole_message(text, command):
    assert posted(REPLY | {"text": text}).command == command


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(MESSAGE | {"ts": 1782770410.0002}, id="ts is a number"),
        pytest.param(MESSAGE | {"ts": "yesterday"}, id="ts is no ts"),
        pytest.param(MESSAGE | {"ts": "999999999999.0"}, id="ts after all years"),
        pytest.param(MESSAGE | {"ts": "١٢.٣"}, id="ts of other digits"),
        pytest.param(REPLY | {"thread_ts": "0"}, id="thread_ts is no ts"),
        pytest.param(MESSAGE | {"channel": {"id": "C1"}}, id="channel is an object"),
        pytest.param(MESSAGE | {"user": None}, id="nobody wrote it"),
        pytest.param(MESSAGE | {"text": ["hi"]}, id="text is a list"),
        pytest.param(MESSAGE | {"files": {"id": "F1"}}, id="files is an object"),
        pytest.param(MESSAGE | {"files": ["F1"]}, id="a file is a string"),
        pytest.param(changed({}), id="an edit of nothing"),
        pytest.param(SUBTYPED | {"subtype": "message_deleted"}, id="a deletion of nothing"),
        pytest.param(
            {"type": "reaction_added", "user": "U1", "reaction": "no_bell"}, id="a reaction to nothing"
        ),
        pytest.param({"type": "agent_session_stopped", "channel": "C1"}, id="a stop without a thread"),
        pytest.param({"type": None}, id="no type"),
        pytest.param({}, id="empty"),
    ],
)
def test_what_slack_does_not_document_is_unreadable(event):
    with pytest.raises(Unreadable) as unreadable:
        meaning(event)
    assert "hello" not in str(unreadable.value)


def test_words_that_no_database_takes_are_mended():
    assert posted(MESSAGE | {"text": "a\x00b\ud800"}).text == "a\ufffdb\ufffd"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["U1", TS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = ["app_mention", "message", "reaction_added", "agent_session_stopped", "member_joined_channel"]
KINDS += ["app_uninstalled", "tokens_revoked"]
SUBTYPES = ["message_changed", "message_deleted", "file_share", "bot_message"]
KEYS = ["channel", "channel_type", "user", "bot_id", "text", "ts", "thread_ts", "deleted_ts"]
KEYS += ["files", "team", "edited", "reaction", "hidden"]
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON))
GARBAGE = st.builds(
    lambda good, bad, kind, subtype, inner: (
        good | bad | kind | subtype | dict.fromkeys(("message", "item", "previous_message"), inner)
    ),
    st.sampled_from([MESSAGE, REPLY, MENTION, {}]),
    FIELDS,
    st.fixed_dictionaries({"type": st.sampled_from(KINDS) | JSON}),
    st.fixed_dictionaries({}, optional={"subtype": st.sampled_from(SUBTYPES) | JSON}),
    st.builds(lambda good, bad: good | bad, st.sampled_from([MESSAGE, EDITED, {}]), FIELDS) | JSON,
)
BODIES = st.fixed_dictionaries(
    {"event": GARBAGE | JSON, "event_id": st.just("Ev1") | JSON},
    optional={"authorizations": JSON, "is_ext_shared_channel": JSON},
)


@given(BODIES)
def test_whatever_comes_is_read_or_called_unreadable(garbage):
    with suppress(Unreadable):
        read_event(garbage, ME)


@given(JSON)
def test_the_shape_of_an_event_holds_no_word_of_it(value):
    def words(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [word for inner in value.values() for word in words(inner)]
        return [word for inner in value for word in words(inner)] if isinstance(value, list) else [value]

    kinds = {"NoneType", "bool", "int", "float", "str", "list", "dict"}
    assert set(words(shape(value))) <= kinds
    json.dumps(shape(value))


def test_the_shape_keeps_keys_and_types_to_a_depth():
    event = {"text": "secret", "files": [{"size": 1}, "more"], "edited": None, "a": {"b": {"c": {"d": 1}}}}
    assert shape(event) == {
        "text": "str",
        "files": [{"size": "int"}],
        "edited": "NoneType",
        "a": {"b": {"c": {"d": "int"}}},
    }
    assert shape({"a": {"b": {"c": {"d": {"e": 1}}}}}) == {"a": {"b": {"c": {"d": "dict"}}}}
