"""The sandbox's events and sockets, as slack_bolt's own handler and a bare socket meet them."""

import asyncio
import re
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.sandbox.slack import Slack


@pytest.fixture
async def slack():
    slack = Slack(ack_seconds=60, redelivery=(0, 0.05, 0.1))
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
def impatient(slack: Slack) -> None:
    """Where no ack is to come, none is waited for long."""
    slack._sockets._ack_seconds = 0.15


class App:
    """A bare app: it opens sockets and acknowledges, or not."""

    def __init__(self, slack: Slack, session: aiohttp.ClientSession) -> None:
        self.slack, self.session = slack, session
        self.acks = True
        self.envelopes: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    async def ticket(self) -> str:
        auth = {"Authorization": f"Bearer {self.slack.app_token}"}
        async with self.session.post(self.slack.api_url + "apps.connections.open", headers=auth) as answer:
            return str((await answer.json())["url"])

    async def connect(self) -> None:
        ws = await self.session.ws_connect(await self.ticket())
        self._tasks.append(asyncio.create_task(self._listen(ws)))
        self._sockets.append(ws)
        count = len(self._sockets)
        await self.slack.wait_for(lambda: sum(frame["type"] == "hello" for frame in self.frames) == count)

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            frame = message.json()
            self.frames.append(frame)
            if "envelope_id" in frame:
                self.envelopes.append(frame)
                if self.acks:
                    await ws.send_json({"envelope_id": frame["envelope_id"]})
            self.slack.journal.changed()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [envelope["payload"]["event"] for envelope in self.envelopes]

    async def give_up(self) -> None:
        await self._sockets[0].close()
        await self.slack.wait_for(lambda: not self.slack.connected)

    async def close(self) -> None:
        for ws in self._sockets:
            await ws.close()
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def app(slack: Slack):
    async with aiohttp.ClientSession() as session:
        app = App(slack, session)
        await app.connect()
        yield app
        await app.close()


async def settled(slack: Slack, count: int) -> None:
    """Wait until so many events were acknowledged."""
    await slack.wait_for(lambda: sum(e.kind == "ack" for e in slack.log) >= count)


async def test_a_ticket_opens_one_socket_which_says_hello(slack, app):
    assert app.frames[0]["type"] == "hello"
    url = await app.ticket()
    async with app.session.ws_connect(url):
        await slack.wait_for(lambda: slack.connected == 2)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await app.session.ws_connect(url)


async def test_the_eleventh_socket_is_turned_away(slack, app):
    for _ in range(9):
        await app.connect()
    async with app.session.ws_connect(await app.ticket()) as ws:
        assert (await ws.receive_json())["reason"] == "too_many_websockets"
    assert slack.connected == 10


async def test_who_is_gone_before_a_socket_opens_leaves_no_error(slack, app, monkeypatch, caplog):
    prepare = web.WebSocketResponse.prepare

    async def too_late(response, request):
        request.transport.abort()
        return await prepare(response, request)

    monkeypatch.setattr(web.WebSocketResponse, "prepare", too_late)
    with pytest.raises(aiohttp.ClientError):
        await app.session.ws_connect(await app.ticket())
    assert caplog.records == []
    assert slack.connected == 1


async def test_a_mention_is_two_events_with_two_ids(slack, app, ann, general):
    ts = await slack.say(ann, general, f"<@{slack.bot_user_id}> hi")
    await settled(slack, 2)
    assert {event["type"] for event in app.events} == {"app_mention", "message"}
    assert {event["ts"] for event in app.events} == {ts}
    assert len({event["client_msg_id"] for event in app.events}) == 1
    assert len({envelope["payload"]["event_id"] for envelope in app.envelopes}) == 2
    mention = next(event for event in app.events if event["type"] == "app_mention")
    assert "channel_type" not in mention
    payload = app.envelopes[0]["payload"]
    assert payload["authorizations"][0]["user_id"] == slack.bot_user_id
    assert (payload["team_id"], payload["is_ext_shared_channel"]) == (slack.team_id, False)


async def test_a_dm_is_one_event(slack, app, ann):
    await slack.say(ann, slack.dm(ann), f"<@{slack.bot_user_id}> hi")
    await settled(slack, 1)
    assert [(e["type"], e["channel_type"]) for e in app.events] == [("message", "im")]


@pytest.mark.usefixtures("impatient")
async def test_what_is_not_acknowledged_comes_again_as_the_same_event(slack, app, ann, general):
    app.acks = False
    await slack.say(ann, general, "hi")
    await slack.wait_for(lambda: any(e.kind == "undelivered" for e in slack.log))
    assert [(e["retry_attempt"], e["retry_reason"]) for e in app.envelopes] == [
        (0, ""),
        (1, "timeout"),
        (2, "timeout"),
        (3, "timeout"),
    ]
    assert len({envelope["payload"]["event_id"] for envelope in app.envelopes}) == 1
    assert len({envelope["envelope_id"] for envelope in app.envelopes}) == 4


async def test_without_a_socket_an_event_waits_and_comes_as_a_retry(slack, ann, general):
    await slack.say(ann, general, "hi")
    async with aiohttp.ClientSession() as session:
        app = App(slack, session)
        await app.connect()
        await settled(slack, 1)
        assert app.envelopes[0]["retry_attempt"] == 1
        await app.close()


async def test_each_envelope_goes_to_one_of_the_sockets(slack, app, ann, general):
    await app.connect()
    for _ in range(6):
        await slack.say(ann, general, "hi")
    await settled(slack, 6)
    assert len(app.envelopes) == 6


async def test_events_can_be_doubled_held_and_repeated(slack, app, ann, general):
    slack.deliver_twice()
    slack.hold()
    await slack.say(ann, general, "hi")
    assert app.envelopes == []
    slack.release()
    await slack.wait_for(lambda: len(app.envelopes) == 2)
    assert app.envelopes[0]["envelope_id"] == app.envelopes[1]["envelope_id"]
    slack.deliver_twice(on=False)
    slack.deliver_again(app.envelopes[0]["payload"]["event_id"])
    await slack.wait_for(lambda: len(app.envelopes) == 3)
    assert app.events[2] == app.events[0]
    slack.deliver_raw({"type": "new_kind"}, event_id="Ev1")
    await slack.wait_for(lambda: app.events[-1]["type"] == "new_kind")


async def test_shuffled_events_overtake_each_other(slack, app, ann, general):
    slack.shuffle(7, spread=0.05)
    said = [await slack.say(ann, general, str(number)) for number in range(8)]
    await settled(slack, 8)
    seen = [event["ts"] for event in app.events]
    assert sorted(seen) == said
    assert seen != said


@pytest.mark.usefixtures("impatient")
async def test_a_half_open_socket_gets_nothing_and_a_new_one_the_retry(slack, app, ann, general):
    slack.half_open()
    await slack.say(ann, general, "hi")
    await slack.wait_for(lambda: slack.log[-1].kind == "delivery")
    await app.give_up()
    assert app.envelopes == []
    await app.connect()
    await settled(slack, 1)
    assert app.envelopes[0]["retry_attempt"] >= 1


async def test_a_disconnect_is_said_and_the_socket_closed(slack, app):
    await slack.disconnect("warning")
    await slack.wait_for(lambda: app.frames[-1].get("reason") == "warning")
    assert slack.connected == 1
    await slack.disconnect("refresh_requested")
    await slack.wait_for(lambda: app.frames[-1].get("reason") == "refresh_requested")
    await slack.wait_for(lambda: slack.connected == 0)


async def test_edits_unfurls_and_deletions_are_told(slack, app, ann, general):
    ts = await slack.say(ann, general, "one")
    await slack.edit(ann, general, ts, "two")
    await slack.unfurl(general, ts)
    await slack.delete(ann, general, ts)
    await settled(slack, 4)
    _, edit, unfurl, deletion = app.events
    assert (edit["subtype"], edit["message"]["text"], edit["previous_message"]["text"]) == (
        "message_changed",
        "two",
        "one",
    )
    assert edit["message"]["edited"]["user"] == ann
    assert unfurl["message"]["text"] == unfurl["previous_message"]["text"]
    assert unfurl["message"].get("edited") == unfurl["previous_message"].get("edited")
    assert (deletion["subtype"], deletion["deleted_ts"]) == ("message_deleted", ts)


async def test_a_deleted_root_with_replies_leaves_a_tombstone(slack, app, ann, general):
    root = await slack.say(ann, general, "root")
    reply = await slack.say(ann, general, "reply", thread=root, broadcast=True)
    await slack.delete(ann, general, root)
    await settled(slack, 4)
    assert (app.events[-1]["subtype"], app.events[-1]["message"]["subtype"]) == (
        "message_changed",
        "tombstone",
    )
    broadcast = next(e for e in app.events if e.get("subtype") == "thread_broadcast")
    assert (broadcast["root"]["ts"], broadcast["thread_ts"]) == (root, root)
    assert [m["ts"] for m in slack.thread(general, root)] == [root, reply]
    await slack.delete(ann, general, reply)
    assert slack.messages(general) == []


async def test_an_invitation_brings_joins_and_the_mention_before_it(slack, app, ann):
    outside = slack.add_channel("outside", members=[ann], bot_member=False)
    await slack.say(ann, outside, "not for the app")
    await slack.say(ann, outside, f"<@{slack.bot_user_id}> hi")
    await slack.invite_bot(ann, outside)
    await settled(slack, 3)
    kinds = {(e["type"], e.get("subtype")) for e in app.events}
    assert kinds == {("message", "channel_join"), ("member_joined_channel", None), ("app_mention", None)}


async def test_other_bots_and_outsiders_are_marked(slack, app, general):
    eve = slack.add_person("eve", external_team="T0OTHER")
    ci = slack.add_person("ci", bot=True)
    await slack.say(ci, general, "modern")
    await slack.say(ci, general, "classic", as_bot="ci")
    await slack.say(eve, general, "hi", files=[("a.txt", b"x")])
    await settled(slack, 3)
    modern, classic, outsider = app.events
    assert "subtype" not in modern
    assert modern["bot_profile"]["app_id"] == modern["app_id"]
    assert (classic["subtype"], classic["username"], "user" in classic) == ("bot_message", "ci", False)
    assert (outsider["user_team"], outsider["files"][0]["file_access"]) == ("T0OTHER", "check_file_info")
    assert app.envelopes[2]["payload"]["is_ext_shared_channel"] is True


async def test_a_stop_is_told_with_the_streams_that_it_stopped(slack, app, client, ann):
    dm = slack.dm(ann)
    thread = await slack.say(ann, dm, "hi")
    await client.agents_sessions_setStatus(channel_id=dm, thread_ts=thread, status="processing")
    await slack.stop(ann, dm, thread)
    ts = (await client.chat_startStream(channel=dm, thread_ts=thread))["ts"]
    await slack.stop(ann, dm, thread)
    await slack.wait_for(lambda: sum(e["type"] == "agent_session_stopped" for e in app.events) > 1)
    stops = [event for event in app.events if event["type"] == "agent_session_stopped"]
    assert [(e["channel"], e["user"], e["thread_ts"]) for e in stops] == [(dm, ann, thread)] * 2
    assert sorted(event["streaming_message_ts"] for event in stops) == [[], [ts]]


async def test_reactions_are_told(slack, app, ann, general):
    ts = await slack.say(ann, general, "hi")
    await slack.react(ann, general, ts, "mute")
    await slack.unreact(ann, general, ts, "mute")
    await settled(slack, 3)
    assert [e["type"] for e in app.events[1:]] == ["reaction_added", "reaction_removed"]
    assert app.events[1]["item"] == {"type": "message", "channel": general, "ts": ts}


async def test_bolt_answers_a_mention_by_stream_and_its_own_posts_come_back(slack, bolt, ann, general):
    @bolt.event("app_mention")
    async def mention(say_stream):
        stream = await say_stream(buffer_size=1)
        await stream.append(markdown_text="hel")
        await stream.append(markdown_text="lo")
        await stream.stop()

    @bolt.event(re.compile(".*"))
    async def rest():
        pass

    root = await slack.say(ann, general, f"<@{slack.bot_user_id}> hi")
    await slack.wait_for(lambda: slack.thread(general, root)[-1].get("streaming_state") == "completed")
    reply = slack.thread(general, root)[-1]
    assert (reply["text"], reply["bot_id"]) == ("hello", slack.bot_id)

    def echoed() -> bool:
        events = [e.data["payload"].get("event", {}) for e in slack.log if e.kind == "delivery"]
        return any(event.get("ts") == reply["ts"] and event.get("bot_id") == slack.bot_id for event in events)

    await slack.wait_for(echoed)


async def test_bolt_gets_presses(slack, bolt, ann, general):
    heard = []

    @bolt.action("again")
    async def again(ack, body):
        await ack()
        heard.append((body["actions"][0]["value"], body["message"]["text"]))

    button = {
        "type": "button",
        "action_id": "again",
        "value": "7",
        "text": {"type": "plain_text", "text": "Again"},
    }
    blocks = [{"type": "actions", "elements": [button]}]
    ts = (await bolt.client.chat_postMessage(channel=general, text="sorry", blocks=blocks))["ts"]
    with pytest.raises(LookupError):
        await slack.press(ann, general, ts, "never shown")
    assert await slack.press(ann, general, ts, "again") == {}
    assert heard == [("7", "sorry")]


async def test_waiting_ends_with_the_log_in_the_error(slack, ann, general):
    await slack.say(ann, general, "hi")
    with pytest.raises(TimeoutError, match="the log"):
        await slack.wait_for(lambda: False, 0.01)
