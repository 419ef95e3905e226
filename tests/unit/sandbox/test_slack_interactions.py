"""What people press, choose and fill in reaches the app, and what it answers reaches them."""

import re
from typing import Any

import aiohttp
import pytest

from bot.sandbox.slack import Slack


def button(action_id: str, value: str = "") -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "value": value, "text": plain(action_id)}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def row(*elements: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "actions", "elements": list(elements)}]


def home(text: str = "Hello") -> dict[str, Any]:
    section = {"type": "section", "text": plain(text), "accessory": button("more")}
    return {"type": "home", "blocks": [section, *row(button("erase"))]}


def modal(**more: Any) -> dict[str, Any]:
    field = {"type": "plain_text_input", "action_id": "why", "multiline": True, "max_length": 10}
    blocks = [{"type": "input", "block_id": "b", "label": plain("Why?"), "element": field}]
    return {
        "type": "modal",
        "callback_id": "m",
        "title": plain("T"),
        "submit": plain("OK"),
        "blocks": blocks,
    } | more


@pytest.fixture
def heard(bolt) -> list[dict[str, Any]]:
    """The bodies of all that reached the app and was acknowledged."""
    bodies: list[dict[str, Any]] = []

    async def hear(ack, body):
        bodies.append(body)
        await ack()

    for register in (bolt.action, bolt.shortcut, bolt.view, bolt.view_closed, bolt.command):
        register(re.compile("heard|erase|more|^m$|/bobbin"))(hear)

    @bolt.event(re.compile(".*"))
    async def event(body):
        bodies.append(body["event"])

    return bodies


async def post(url: str, **body: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status, await answer.text()


async def opened(slack: Slack, client: Any, user: str, view: dict[str, Any]) -> str:
    answer = await client.views_open(trigger_id=slack.workspace.trigger(user), view=view)
    return str(answer["view"]["id"])


async def test_feedback_names_the_button_that_was_pressed(slack, bolt, heard, ann, general):
    choices = {name: {"text": plain(name), "value": name} for name in ("positive_button", "negative_button")}
    feedback = {"type": "feedback_buttons", "action_id": "heard", **choices}
    blocks = [{"type": "context_actions", "elements": [feedback]}]
    ts = (await bolt.client.chat_postMessage(channel=general, text="a", blocks=blocks))["ts"]
    assert await slack.press(ann, general, ts, "heard", "negative_button") == {}
    (action,) = heard[-1]["actions"]
    assert (action["type"], action["value"]) == ("feedback_buttons", "negative_button")
    assert heard[-1]["trigger_id"]


async def test_a_shortcut_brings_its_message_along(slack, heard, ann, general, root):
    assert await slack.shortcut(ann, "heard", general, root) == {}
    assert (heard[-1]["type"], heard[-1]["message"]["text"]) == ("message_action", "root")
    assert (heard[-1]["message_ts"], heard[-1]["channel"]["id"]) == (root, general)
    with pytest.raises(PermissionError):
        await slack.shortcut(slack.add_person("bob"), "heard", general, root)


async def test_only_what_the_manifest_declares_can_be_chosen(slack, heard, ann, general, root):
    slack.workspace.manifest = {"features": {"shortcuts": [{"callback_id": "heard"}]}}
    await slack.shortcut(ann, "heard", general, root)
    with pytest.raises(LookupError):
        await slack.shortcut(ann, "other", general, root)
    with pytest.raises(LookupError):
        await slack.command(ann, general, "/bobbin")


async def test_a_command_is_told_with_names_beside_its_mentions(slack, heard, ann, general):
    assert await slack.command(ann, general, f"/bobbin usage <@{ann}>") == {}
    body = heard[-1]
    assert (body["command"], body["text"]) == ("/bobbin", f"usage <@{ann}|ann>")
    assert (body["channel_name"], body["user_name"]) == ("general", "ann")
    await slack.command(ann, slack.dm(ann), "/bobbin")
    assert (heard[-1]["channel_name"], heard[-1]["text"]) == ("directmessage", "")


async def test_what_a_command_is_acknowledged_with_is_shown(slack, bolt, ann, general):
    @bolt.command("/bobbin")
    async def say(ack, command):
        await ack(command["text"], response_type="in_channel" if command["text"] == "loud" else "ephemeral")

    await slack.command(ann, general, "/bobbin psst")
    await slack.command(ann, general, "/bobbin loud")
    assert [note["text"] for note in slack.ephemerals(ann)] == ["psst"]
    assert [message["text"] for message in slack.messages(general)] == ["loud"]


async def test_a_response_url_answers_five_times(slack, heard, ann, general):
    await slack.command(ann, general, "/bobbin")
    url = heard[-1]["response_url"]
    assert await post(url, text="a note") == (200, "ok")
    assert await post(url, text="for all", response_type="in_channel") == (200, "ok")
    assert (await post(url))[0] == 400
    for _ in range(2):
        assert (await post(url, text="more"))[0] == 200
    assert (await post(url, text="too much"))[0] == 404
    assert [note["text"] for note in slack.ephemerals(ann)] == ["a note", "more", "more"]
    assert [message["text"] for message in slack.messages(general)] == ["for all"]


async def test_a_response_url_does_not_last(slack, heard, ann, general):
    slack.response_seconds = 0
    await slack.command(ann, general, "/bobbin")
    assert (await post(heard[-1]["response_url"], text="late"))[0] == 404


async def test_a_note_is_replaced_and_deleted_by_its_buttons_response_url(slack, bolt, heard, ann, general):
    blocks = row(button("heard"))
    await bolt.client.chat_postEphemeral(channel=general, user=ann, text="sure?", blocks=blocks)
    (note,) = slack.ephemerals(ann)
    assert await slack.press(ann, general, note["ts"], "heard") == {}
    assert ("message" in heard[-1], heard[-1]["container"]["is_ephemeral"]) == (False, True)
    url = heard[-1]["response_url"]
    await post(url, text="done", replace_original=True)
    assert [(note["text"], "blocks" in note) for note in slack.ephemerals(ann)] == [("done", False)]
    await post(url, delete_original=True)
    assert slack.ephemerals(ann) == []


async def test_a_message_is_replaced_by_its_buttons_response_url(slack, bolt, heard, ann, general):
    ts = (await bolt.client.chat_postMessage(channel=general, text="a", blocks=row(button("heard"))))["ts"]
    await slack.press(ann, general, ts, "heard")
    await post(heard[-1]["response_url"], text="b", replace_original=True)
    assert slack.message(general, ts)["text"] == "b"
    await post(heard[-1]["response_url"], delete_original=True)
    assert slack.messages(general) == []


async def test_home_is_published_and_its_buttons_pressed(slack, bolt, heard, ann, refused):
    await slack.open_home(ann)
    await slack.wait_for(lambda: heard)
    assert (heard[0]["type"], heard[0]["tab"], "view" in heard[0]) == ("app_home_opened", "home", False)
    publish = bolt.client.views_publish
    first = (await publish(user_id=ann, view=home()))["view"]
    assert await refused(publish(user_id=ann, view=home(), hash="other")) == "hash_conflict"
    await publish(user_id=ann, view=home("Again"), hash=first["hash"])
    assert slack.home(ann)["id"] == first["id"]
    for action_id in ("erase", "more"):
        assert await slack.press_view(ann, first["id"], action_id) == {}
        assert (heard[-1]["container"], heard[-1]["view"]["type"]) == (
            {"type": "view", "view_id": first["id"]},
            "home",
        )
    with pytest.raises(LookupError):
        await slack.press_view(ann, first["id"], "never shown")
    with pytest.raises(LookupError):
        await slack.press_view(slack.add_person("bob"), first["id"], "erase")
    await slack.open_home(ann)
    await slack.wait_for(lambda: heard[-1].get("tab") == "home")
    assert heard[-1]["view"]["blocks"][0]["text"]["text"] == "Again"


async def test_the_messages_tab_tells_what_the_person_looks_at(slack, heard, ann, general):
    dm = await slack.open_messages_tab(ann, looking_at=general)
    await slack.wait_for(lambda: heard)
    context = {"entities": [{"type": "slack#/types/channel_id", "value": general, "team_id": slack.team_id}]}
    assert (heard[0]["tab"], heard[0]["channel"], heard[0]["context"]) == ("messages", dm, context)
    assert slack.message(dm, await slack.say(ann, dm, "hi"))["app_context"] == context
    await slack.open_messages_tab(ann)
    await slack.wait_for(lambda: heard[-1].get("context") == {})
    assert "app_context" not in slack.message(dm, await slack.say(ann, dm, "hi"))


async def test_a_modal_is_filled_in_and_sent(slack, client, bolt, heard, ann):
    view = await opened(slack, client, ann, modal(private_metadata="7"))
    for values, wrong in (({"what": "x"}, LookupError), ({}, ValueError), ({"why": "x" * 11}, ValueError)):
        with pytest.raises(wrong):
            await slack.submit(ann, view, values)
    assert await slack.submit(ann, view, {"why": "so"}) == {}
    told = heard[-1]["view"]
    assert told["state"]["values"] == {"b": {"why": {"type": "plain_text_input", "value": "so"}}}
    assert (told["callback_id"], told["private_metadata"]) == ("m", "7")
    assert slack.modal(ann) == {}


async def test_a_modal_stays_with_its_errors_or_changes(slack, client, bolt, ann):
    answers = [
        {"response_action": "errors", "errors": {"b": "no"}},
        {"response_action": "update", "view": modal()},
    ]

    @bolt.view("m")
    async def refuse(ack):
        await ack(**answers.pop(0))

    view = await opened(slack, client, ann, modal(blocks=[]))
    assert (await slack.submit(ann, view))["errors"] == {"b": "no"}
    assert slack.modal(ann)["blocks"] == []
    await slack.submit(ann, view)
    assert (slack.modal(ann)["id"], slack.modal(ann)["blocks"][0]["type"]) == (view, "input")


async def test_a_modal_is_closed_unsent(slack, client, heard, ann):
    await slack.dismiss(ann, await opened(slack, client, ann, modal()))
    assert heard == []
    await slack.dismiss(ann, await opened(slack, client, ann, modal(notify_on_close=True)))
    assert heard[-1]["type"] == "view_closed"


async def test_a_trigger_opens_one_modal_soon(slack, client, ann, refused):
    trigger = slack.workspace.trigger(ann)
    view = (await client.views_open(trigger_id=trigger, view=modal()))["view"]
    assert await refused(client.views_open(trigger_id=trigger, view=modal())) == "exchanged_trigger_id"
    assert await refused(client.views_open(trigger_id="1.2", view=modal())) == "invalid_trigger_id"
    slack.workspace.trigger_seconds = -1
    late = slack.workspace.trigger(ann)
    assert await refused(client.views_open(trigger_id=late, view=modal())) == "expired_trigger_id"
    await client.views_update(view_id=view["id"], view=modal(title=plain("New")))
    assert slack.modal(ann)["title"]["text"] == "New"
    assert await refused(client.views_update(view_id="V0", view=modal())) == "not_found"


@pytest.mark.parametrize(
    ("view", "error"),
    [
        (home(), "invalid_arguments"),
        (modal(title=plain("x" * 25)), "invalid_arguments"),
        ({key: value for key, value in modal().items() if key != "submit"}, "invalid_arguments"),
        (modal(private_metadata="x" * 3001), "invalid_arguments"),
        (modal(callback_id="x" * 250_000), "view_too_large"),
        (modal(blocks=[{"type": "markdown", "text": "x"}]), "invalid_blocks"),
        (modal(blocks=[{"type": "input", "label": plain("x"), "element": button("b")}]), "invalid_blocks"),
        (modal(blocks=[{"type": "divider"}] * 101), "msg_blocks_too_many"),
    ],
)
async def test_views_are_checked(slack, client, ann, refused, view, error):
    opening = client.views_open(trigger_id=slack.workspace.trigger(ann), view=view)
    assert await refused(opening) == error
    assert slack.modal(ann) == {}


async def test_prompts_are_suggested_to_an_agents_dm(slack, client, ann, general, root, refused):
    suggest, prompts = client.assistant_threads_setSuggestedPrompts, [{"title": "t", "message": "m"}]
    dm = slack.dm(ann)
    await suggest(channel_id=dm, prompts=prompts, title="Try")
    assert slack.prompts(ann) == {"title": "Try", "prompts": prompts}
    await suggest(channel_id=dm, thread_ts=root, prompts=prompts * 2)
    assert slack.prompts(ann)["prompts"] == prompts
    assert await refused(suggest(channel_id=general, prompts=prompts)) == "channel_not_found"
    assert await refused(suggest(channel_id=dm, prompts=prompts * 5)) == "invalid_arguments"
    slack.workspace.agent = False
    assert await refused(suggest(channel_id=dm, prompts=prompts)) == "not_agent_app"


async def test_a_session_has_a_title(slack, client, ann, refused):
    dm = slack.dm(ann)
    thread = await slack.say(ann, dm, "hi")
    one = {"channel_id": dm, "thread_ts": thread}
    rename = client.agents_sessions_rename
    assert await refused(rename(**one, title="Early")) == "session_not_found"
    await client.agents_sessions_setStatus(**one, status="processing", title="First")
    assert slack.status(dm, thread).title == "First"
    answer = await client.agents_sessions_setStatus(**one, status="active", title="Ignored")
    assert answer["title"] == "First"
    await rename(**one, title="Second")
    assert slack.status(dm, thread).title == "Second"
    assert await refused(rename(**one, title="x" * 201)) == "invalid_name"
    await client.assistant_threads_setTitle(**one, title="Third")
    assert slack.status(dm, thread).title == "Third"


async def test_a_channel_and_a_messages_address_can_be_asked_for(slack, client, ann, general, root, refused):
    reply = await slack.say(ann, general, "reply", thread=root)
    channel = (await client.conversations_info(channel=general))["channel"]
    assert (channel["name"], channel["is_channel"], channel["is_private"]) == ("general", True, False)
    link = (await client.chat_getPermalink(channel=general, message_ts=reply))["permalink"]
    place = f"/archives/{general}/p{reply.replace('.', '')}?thread_ts={root}&cid={general}"
    assert link == f"https://sandbox.slack.com{place}"
    assert await refused(client.chat_getPermalink(channel=general, message_ts="1.1")) == "message_not_found"
