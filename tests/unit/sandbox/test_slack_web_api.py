"""The sandbox's Web API keeps Slack's rules, as slack_sdk and a plain HTTP client meet them."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.slack import Slack, faults

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
        }
    ],
}


async def test_auth_test_names_the_bot_and_its_scopes(client, slack):
    answer = await client.auth_test()
    assert (answer["user_id"], answer["bot_id"]) == (slack.bot_user_id, slack.bot_id)
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize(
    ("token", "method", "error"),
    [
        ("", "auth.test", "not_authed"),
        ("xoxb-other", "auth.test", "invalid_auth"),
        ("xapp-sandbox", "auth.test", "not_allowed_token_type"),
        ("xoxb-sandbox", "apps.connections.open", "not_allowed_token_type"),
        ("xoxb-sandbox", "chat.sing", "unknown_method"),
    ],
)
async def test_a_call_is_refused_by_token_and_name(slack, token, method, error):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.api_url + method, headers=headers) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]) == (200, error)


async def test_arguments_come_by_query_form_and_json(slack, general):
    url, auth = slack.api_url + "chat.postMessage", {"Authorization": f"Bearer {slack.bot_token}"}
    blocks = '[{"type": "divider"}]'
    async with aiohttp.ClientSession(headers=auth) as session:
        sent: list[dict[str, Any]] = [
            {"params": {"channel": general, "text": "[a]", "blocks": blocks}},
            {"data": {"channel": general, "text": "[a]", "blocks": blocks}},
            {"json": {"channel": general, "text": "[a]", "blocks": [{"type": "divider"}]}},
        ]
        for options in sent:
            async with session.post(url, **options) as answer:
                message = (await answer.json())["message"]
                assert (message["text"], message["blocks"][0]["type"]) == ("[a]", "divider")
        async with session.post(url, data="{", headers={"Content-Type": "application/json"}) as answer:
            assert (await answer.json())["error"] == "invalid_json"


async def test_a_withdrawn_scope_is_missing(slack, client, ann):
    slack.workspace.scopes.discard("users:read")
    with pytest.raises(SlackApiError) as error:
        await client.users_info(user=ann)
    assert (error.value.response["error"], error.value.response["needed"]) == ("missing_scope", "users:read")


async def test_history_needs_the_scope_of_the_channels_kind(slack, client, ann, refused):
    slack.workspace.scopes.discard("im:history")
    dm = slack.dm(ann)
    ts = await slack.say(ann, dm, "hi")
    assert await refused(client.conversations_replies(channel=dm, ts=ts)) == "missing_scope"


async def test_where_the_bot_may_not_write(slack, client, ann, general, refused):
    outside = slack.add_channel("outside", members=[ann], bot_member=False)
    secret = slack.add_channel("secret", private=True, members=[ann], bot_member=False)
    await slack.archive(general)
    assert await refused(client.chat_postMessage(channel=outside, text="x")) == "not_in_channel"
    assert await refused(client.chat_postMessage(channel=secret, text="x")) == "channel_not_found"
    assert await refused(client.chat_postMessage(channel=general, text="x")) == "is_archived"


async def test_the_text_rules_of_posting(client, general, refused):
    post = client.chat_postMessage
    empty = {"channel": general, "text": " "}
    assert await refused(client.api_call("chat.postMessage", json=empty)) == "no_text"
    assert await refused(post(channel=general, text="a", markdown_text="b")) == "markdown_text_conflict"
    assert await refused(post(channel=general, markdown_text="x" * 12_001)) == "msg_too_long"
    answer = await post(channel=general, text="x" * 40_001)
    assert (answer["warning"], len(answer["message"]["text"])) == ("message_truncated", 40_000)


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        ([{"type": "video"}], "invalid_blocks"),
        ([{"type": "section"}], "invalid_blocks"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}], "invalid_blocks"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "invalid_blocks"),
        ([{"type": "context", "elements": [{"type": "button"}]}], "invalid_blocks"),
        ([{"type": "actions", "elements": [{"type": "button", "action_id": "a"}]}], "invalid_blocks"),
        ([{"type": "context_actions", "elements": [FEEDBACK["elements"][0]] * 6}], "invalid_blocks"),
        ([{"type": "markdown", "text": "x" * 6_001}] * 2, "msg_blocks_too_long"),
        ([{"type": "divider"}] * 51, "msg_blocks_too_many"),
        (["x"], "invalid_blocks_format"),
    ],
)
async def test_blocks_are_checked(client, general, blocks, error, refused):
    assert await refused(client.chat_postMessage(channel=general, text="x", blocks=blocks)) == error


async def test_a_thread_needs_its_root(slack, client, ann, general, root, refused):
    reply = await slack.say(ann, general, "reply", thread=root)
    post = client.chat_postMessage
    assert await refused(post(channel=general, text="x", thread_ts="1.1")) == "thread_not_found"
    assert await refused(post(channel=general, text="x", thread_ts=reply)) == "cannot_reply_to_message"


async def test_an_update_replaces_text_and_blocks_and_keeps_metadata(slack, client, general):
    metadata = {"event_type": "turn", "event_payload": {"id": 1}}
    ts = (await client.chat_postMessage(channel=general, text="a", blocks=[FEEDBACK], metadata=metadata))[
        "ts"
    ]
    await client.chat_update(channel=general, ts=ts, text="b")
    message = slack.message(general, ts)
    assert (message["text"], message["metadata"], message["edited"]["user"]) == (
        "b",
        metadata,
        slack.bot_user_id,
    )
    assert "blocks" not in message
    await client.chat_update(channel=general, ts=ts, text="b", metadata={})
    assert "metadata" not in slack.message(general, ts)


async def test_what_an_update_refuses(slack, client, general, root, refused):
    ts = (await client.chat_postMessage(channel=general, text="a"))["ts"]
    assert await refused(client.chat_update(channel=general, ts=ts, text="x" * 4_001)) == "msg_too_long"
    assert await refused(client.chat_update(channel=general, ts=root, text="x")) == "cant_update_message"
    assert await refused(client.chat_update(channel=general, ts="1.1", text="x")) == "message_not_found"
    assert await refused(client.chat_delete(channel=general, ts=root)) == "cant_delete_message"
    await client.chat_delete(channel=general, ts=ts)
    assert await refused(client.chat_update(channel=general, ts=ts, text="x")) == "message_not_found"


async def test_a_thread_is_read_in_pages_with_its_root_on_each(slack, client, ann, general, root, refused):
    for number in range(5):
        await slack.say(ann, general, str(number), thread=root)
    first = await client.conversations_replies(channel=general, ts=root, limit=3)
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_replies(channel=general, ts=root, limit=4, cursor=cursor)
    assert [m["text"] for m in first["messages"]] == ["root", "0", "1"]
    assert [m["text"] for m in second["messages"]] == ["root", "2", "3", "4"]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert first["messages"][0]["reply_count"] == 5
    assert (
        await refused(client.conversations_replies(channel=general, ts=root, cursor="?")) == "invalid_cursor"
    )
    assert await refused(client.conversations_replies(channel=general, ts="1.1")) == "thread_not_found"


async def test_a_channels_top_level_is_read_newest_first(slack, client, ann, general, root):
    await slack.say(ann, general, "a reply", thread=root)
    a, *_ = [await slack.say(ann, general, text) for text in "abc"]
    first = await client.conversations_history(channel=general, oldest=root, limit=2)
    cursor = first["response_metadata"]["next_cursor"]
    second = await client.conversations_history(channel=general, oldest=root, limit=2, cursor=cursor)
    assert [m["text"] for m in first["messages"]] == ["c", "b"]
    assert [m["ts"] for m in second["messages"]] == [a]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_oldest_leaves_itself_out_and_never_the_root(slack, client, ann, general, root):
    a, b, c = [await slack.say(ann, general, text, thread=root) for text in "abc"]
    for ts, oldest, texts in [(b, a, ["root", "b", "c"]), (c, "0", ["root", "a", "b", "c"])]:
        read = await client.conversations_replies(channel=general, ts=ts, oldest=oldest)
        assert [message["text"] for message in read["messages"]] == texts


async def test_metadata_is_read_back_only_on_request(client, general):
    metadata = {"event_type": "turn", "event_payload": {"id": 1}}
    ts = (await client.chat_postMessage(channel=general, text="a", metadata=metadata))["ts"]
    read = partial(client.conversations_replies, channel=general, ts=ts)
    plain, whole = await read(), await read(include_all_metadata=True)
    assert plain["messages"][0]["metadata"] == {"event_type": "turn"}
    assert whole["messages"][0]["metadata"] == metadata


async def test_people_of_other_organisations_and_guests_are_known_as_such(slack, client):
    eve = slack.add_person("eve", external_team="T0OTHER")
    guest = slack.add_person("gus", guest=True)
    assert (await client.users_info(user=eve))["user"]["is_stranger"] is True
    assert (await client.users_info(user=guest))["user"]["is_restricted"] is True


async def test_a_note_is_seen_by_one_person(slack, client, ann, general, refused):
    bob = slack.add_person("bob")
    assert (
        await refused(client.chat_postEphemeral(channel=general, user=bob, text="x")) == "user_not_in_channel"
    )
    await client.chat_postEphemeral(channel=general, user=ann, text="psst")
    assert [note["text"] for note in slack.ephemerals(ann)] == ["psst"]
    assert slack.messages(general) == []


async def test_reactions_are_set_once(slack, client, general, root, refused):
    await client.reactions_add(channel=general, timestamp=root, name="eyes")
    assert (
        await refused(client.reactions_add(channel=general, timestamp=root, name="eyes")) == "already_reacted"
    )
    assert slack.message(general, root)["reactions"][0]["users"] == [slack.bot_user_id]
    await client.reactions_remove(channel=general, timestamp=root, name="eyes")
    assert (
        await refused(client.reactions_remove(channel=general, timestamp=root, name="eyes")) == "no_reaction"
    )


async def test_an_upload_is_shown_with_its_type_and_size(slack, ann, general):
    ts = await slack.say(ann, general, "see", files=[("a.txt", b"words")])
    (file,) = slack.message(general, ts)["files"]
    assert (file["name"], file["mimetype"], file["size"]) == ("a.txt", "text/plain", 5)


async def test_a_stream_grows_and_stops(slack, client, ann, general, root, refused):
    who = {"recipient_user_id": ann, "recipient_team_id": slack.team_id}
    ts = (await client.chat_startStream(channel=general, thread_ts=root, markdown_text="a", **who))["ts"]
    assert slack.status(general, root).status == "processing"
    await client.chat_appendStream(channel=general, ts=ts, markdown_text="b")
    assert await refused(client.chat_update(channel=general, ts=ts, text="x")) == "streaming_state_conflict"
    await client.chat_stopStream(channel=general, ts=ts, markdown_text="c", blocks=[FEEDBACK])
    message = slack.message(general, ts)
    assert (message["text"], message["streaming_state"]) == ("abc", "completed")
    assert message["blocks"][0]["type"] == "context_actions"
    assert [status for _, status, _ in slack.status(general, root).history] == ["processing", "active"]
    assert await refused(client.chat_stopStream(channel=general, ts=ts)) == "message_not_in_streaming_state"
    await client.chat_update(channel=general, ts=ts, text="rewritten")


async def test_what_a_stream_refuses(slack, client, ann, general, root, refused):
    start, who = client.chat_startStream, {"recipient_user_id": ann, "recipient_team_id": slack.team_id}
    one = {"channel": general, "thread_ts": root}
    assert await refused(start(channel=general, thread_ts="0", **who)) == "invalid_thread_ts"
    assert await refused(start(**one, recipient_team_id="T1")) == "missing_recipient_user_id"
    assert await refused(start(**one, recipient_user_id=ann)) == "missing_recipient_team_id"
    assert await refused(start(**one, **who, markdown_text="x" * 12_001)) == "msg_too_long"
    assert await refused(start(**one, **who, chunks=[{"type": "song"}])) == "invalid_chunks"
    ts = (await start(**one, **who, markdown_text="a"))["ts"]
    assert await refused(client.chat_appendStream(channel=general, ts=ts, markdown_text="")) == "no_text"
    other = await refused(client.chat_appendStream(channel=general, ts=root, markdown_text="b"))
    assert other == "message_not_owned_by_app"


async def test_in_a_dm_a_stream_needs_no_recipient(slack, client, ann):
    dm = slack.dm(ann)
    root = await slack.say(ann, dm, "hi")
    assert (await client.chat_startStream(channel=dm, thread_ts=root))["ok"]


async def test_appends_do_not_extend_a_streams_life(slack, client, ann, refused):
    slack.workspace.stream_seconds = 3
    dm = slack.dm(ann)
    root = await slack.say(ann, dm, "hi")
    ts = (await client.chat_startStream(channel=dm, thread_ts=root, markdown_text="a"))["ts"]
    await client.chat_appendStream(channel=dm, ts=ts, markdown_text="b")
    await slack.wait_for(lambda: slack.message(dm, ts)["streaming_state"] == "errored")
    assert slack.status(dm, root).status == "active"
    late = client.chat_appendStream(channel=dm, ts=ts, markdown_text="c")
    assert await refused(late) == "message_not_in_streaming_state"
    assert slack.message(dm, ts)["text"] == "ab"


async def test_a_persons_stop_ends_the_stream_and_leaves_the_status_to_the_app(slack, client, ann, refused):
    dm = slack.dm(ann)
    root = await slack.say(ann, dm, "hi")
    with pytest.raises(LookupError, match="no stop button"):
        await slack.stop(ann, dm, root)
    await client.assistant_threads_setStatus(channel_id=dm, thread_ts=root, status="is thinking")
    with pytest.raises(LookupError, match="no stop button"):
        await slack.stop(ann, dm, root)
    ts = (await client.chat_startStream(channel=dm, thread_ts=root, markdown_text="a"))["ts"]
    assert await slack.stop(ann, dm, root) == [ts]
    assert await refused(client.chat_appendStream(channel=dm, ts=ts, markdown_text="b")) == "stopped_by_user"
    assert await refused(client.chat_stopStream(channel=dm, ts=ts)) == "message_not_in_streaming_state"
    assert slack.status(dm, root).status == "processing"


async def test_a_reply_clears_the_status_line_but_not_a_sessions_status(slack, client, ann):
    dm = slack.dm(ann)
    root = await slack.say(ann, dm, "hi")
    await client.assistant_threads_setStatus(channel_id=dm, thread_ts=root, status="is thinking...")
    assert (slack.status(dm, root).status, slack.status(dm, root).text) == ("processing", "is thinking...")
    await client.chat_postMessage(channel=dm, thread_ts=root, text="a")
    assert (slack.status(dm, root).status, slack.status(dm, root).text) == ("active", "")
    await client.agents_sessions_setStatus(channel_id=dm, thread_ts=root, status="processing")
    await client.chat_postMessage(channel=dm, thread_ts=root, text="b")
    assert slack.status(dm, root).status == "processing"


async def test_only_an_agent_has_sessions(slack, client, ann, refused):
    dm = slack.dm(ann)
    root = await slack.say(ann, dm, "hi")
    set_status = client.agents_sessions_setStatus
    assert await refused(set_status(channel_id=dm, thread_ts=root, status="singing")) == "invalid_status"
    assert await refused(set_status(channel_id=dm, status="active")) == "thread_ts_required"
    slack.workspace.agent = False
    assert await refused(set_status(channel_id=dm, thread_ts=root, status="active")) == "not_authorized"


async def test_faults_befall_the_calls_they_are_made_for(slack, client, general, refused):
    slack.faults.add("chat.postMessage", "internal_error", after=1, times=2)
    posts = [client.chat_postMessage(channel=general, text=text) for text in "abcd"]
    await posts[0]
    assert [await refused(post) for post in posts[1:3]] == ["internal_error"] * 2
    await posts[3]
    assert [m["text"] for m in slack.messages(general)] == ["a", "d"]
    assert [(call.result or {})["ok"] for call in slack.calls("chat.postMessage")] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("kind", "applied"), [("reset_before", 0), ("reset_after", 1), ("late", 1)])
async def test_a_lost_answer_may_or_may_not_have_had_its_effect(slack, client, general, kind, applied):
    client.retry_handlers.clear()
    slack.faults.add("chat.postMessage", kind, seconds=0.05)
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=general, text="a")
    await slack.wait_for(lambda: slack.calls()[-1].result is not None)
    assert len(slack.messages(general)) == applied


async def test_slack_can_break_in_other_ways(slack, client, general):
    slack.faults.add("chat.postMessage", "ratelimited", retry_after=7)
    slack.faults.add("chat.postMessage", "http", status=503)
    slack.faults.add("chat.postMessage", "html")
    slack.faults.add("chat.postMessage", "hang", seconds=0.01)
    with pytest.raises(SlackApiError) as limited:
        await client.chat_postMessage(channel=general, text="a")
    assert (limited.value.response.status_code, limited.value.response.headers["Retry-After"]) == (429, "7")
    with pytest.raises(SlackApiError) as broken:
        await client.chat_postMessage(channel=general, text="a")
    assert broken.value.response.status_code == 503
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel=general, text="a")
    assert (await client.chat_postMessage(channel=general, text="a"))["ok"]


async def test_with_tiers_on_too_many_calls_are_limited(ann, monkeypatch):
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: 0.0))  # all at the same moment
    slack = Slack(tiers=True)
    await slack.start()
    dm = slack.dm(slack.add_person("ann"))
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, session=session)
        for _ in range(3):
            await client.chat_postMessage(channel=dm, text="a")
        with pytest.raises(SlackApiError) as error:
            await client.chat_postMessage(channel=dm, text="a")
    assert int(error.value.response.headers["Retry-After"]) >= 1
    await slack.close()
