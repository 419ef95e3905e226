"""The sandbox's files: served to the app's token alone, and not always what they say."""

import json
from functools import partial

import aiohttp
import pytest

from bot.sandbox.slack import Slack, Upload


@pytest.fixture
async def http(slack: Slack):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {slack.bot_token}"}) as session:
        yield session


async def put_up(client, http, content=b"words", name="a.txt") -> str:
    answer = await client.files_getUploadURLExternal(filename=name, length=len(content))
    async with http.post(answer["upload_url"], data=content) as taken:
        assert taken.status == 200
    return str(answer["file_id"])


async def test_a_file_is_served_to_the_apps_token(slack, http, ann, general):
    ts = await slack.say(ann, general, "see", files=[("a.png", b"picture" * 20_000)])
    (file,) = slack.message(general, ts)["files"]
    assert (file["mimetype"], file["size"], file["mode"]) == ("image/png", 140_000, "hosted")
    for address in (file["url_private"], file["url_private_download"]):
        assert address.startswith(slack.workspace.url)
        async with http.get(address) as answer:
            assert (answer.content_type, await answer.read()) == ("image/png", b"picture" * 20_000)
            assert answer.content_length is None


async def test_without_token_or_scope_a_login_page_comes(slack, http, ann, general):
    ts = await slack.say(ann, general, "see", files=[("a.txt", b"words")])
    address = slack.message(general, ts)["files"][0]["url_private"]
    async with aiohttp.ClientSession() as stranger, stranger.get(address) as answer:
        assert (answer.status, answer.content_type, answer.history[0].status) == (200, "text/html", 302)
    slack.workspace.scopes.discard("files:read")
    async with http.get(address, allow_redirects=False) as answer:
        assert answer.status == 302
    assert [e.data["allowed"] for e in slack.log if e.kind == "download"] == [False, False]


async def test_what_a_strangers_file_is_only_files_info_tells(slack, client, general):
    eve = slack.add_person("eve", external_team="T0OTHER")
    ts = await slack.say(eve, general, "see", files=[("a.txt", b"words")])
    (file,) = slack.message(general, ts)["files"]
    assert file == {"id": file["id"], "file_access": "check_file_info"}
    told = (await client.files_info(file=file["id"]))["file"]
    assert (told["name"], told["size"], told["file_access"]) == ("a.txt", 5, "visible")


async def test_a_deleted_file_leaves_a_tombstone(slack, client, http, ann, general, refused):
    ts = await slack.say(ann, general, "see", files=[("a.txt", b"words"), ("b.txt", b"more")])
    gone, other = slack.message(general, ts)["files"]
    with pytest.raises(PermissionError):
        await slack.delete_file(slack.add_person("bob"), gone["id"])
    await slack.delete_file(ann, gone["id"])
    assert slack.message(general, ts)["files"] == [{"id": gone["id"], "mode": "tombstone"}, other]
    assert await refused(client.files_info(file=gone["id"])) == "file_deleted"
    assert await refused(client.files_info(file="F0")) == "file_not_found"
    async with http.get(gone["url_private"]) as answer:
        assert answer.status == 404


async def test_files_lie_or_are_kept_elsewhere(slack, ann, general):
    files = [Upload("a.png", b"%PDF", size=10**9), Upload("plan", mode="external", mimetype="application/x")]
    ts = await slack.say(ann, general, "see", files=files)
    lying, elsewhere = slack.message(general, ts)["files"]
    assert (lying["size"], lying["mimetype"], slack.content(lying["id"])) == (10**9, "image/png", b"%PDF")
    assert (elsewhere["mode"], elsewhere["is_external"]) == ("external", True)
    assert "url_private_download" not in elsewhere
    assert not elsewhere["url_private"].startswith(slack.workspace.url)


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
async def test_a_download_can_break_off(slack, http, ann, general, kind):
    ts = await slack.say(ann, general, "see", files=[("a.txt", b"words" * 99_999)])
    slack.faults.add("files-pri", kind, times=None)  # aiohttp asks again by itself
    with pytest.raises(aiohttp.ClientError):
        async with http.get(slack.message(general, ts)["files"][0]["url_private"]) as answer:
            await answer.read()


async def test_a_download_can_be_refused(slack, http, ann, general):
    ts = await slack.say(ann, general, "see", files=[("a.txt", b"words")])
    slack.faults.add("files-pri", "http", status=503)
    for status in (503, 200):
        async with http.get(slack.message(general, ts)["files"][0]["url_private"]) as answer:
            assert answer.status == status


async def test_an_upload_is_shared_in_a_thread(slack, client, http, ann, general, root):
    file_id = await put_up(client, http)
    assert slack.messages(general)[-1]["ts"] == root
    share = partial(client.files_completeUploadExternal, files=[{"id": file_id, "title": "A table"}])
    answer = await share(channel_id=general, thread_ts=root, initial_comment="here")
    message = slack.thread(general, root)[-1]
    assert (message["subtype"], message["text"], message["bot_id"]) == ("file_share", "here", slack.bot_id)
    assert (message["files"][0]["title"], message["files"][0]["url_private"][:4]) == ("A table", "http")
    assert answer["files"][0]["shares"]["public"][general] == [{"ts": message["ts"], "thread_ts": root}]
    told = (await client.files_info(file=file_id))["file"]
    assert told["shares"] == answer["files"][0]["shares"]
    async with http.get(told["url_private"]) as content:
        assert await content.read() == b"words"


async def test_blocks_go_with_an_upload_but_no_markdown(slack, client, http, general, refused):
    complete = client.files_completeUploadExternal
    section = json.dumps([{"type": "section", "text": {"type": "mrkdwn", "text": "see"}}])
    markdown = json.dumps([{"type": "markdown", "text": "see"}])
    one = {"files": [{"id": await put_up(client, http)}], "channel_id": general}
    assert await refused(complete(**one, blocks=markdown)) == "internal_error"
    await complete(**one, blocks=section)
    assert slack.messages(general)[-1]["blocks"][0]["type"] == "section"


async def test_what_an_upload_refuses(slack, client, http, ann, general, root, refused):
    begin, complete = client.files_getUploadURLExternal, client.files_completeUploadExternal
    assert await refused(begin(filename="a", length=0)) == "invalid_arguments"
    answer = await begin(filename="a", length=3)
    one = {"files": [{"id": answer["file_id"]}], "channel_id": general}
    assert await refused(complete(**one)) == "file_not_found"
    for content, status in ((b"four", 400), (b"abc", 200), (b"abc", 400)):
        async with http.put(answer["upload_url"], data=content) as taken:
            assert taken.status == status
    reply = await slack.say(ann, general, "reply", thread=root)
    assert await refused(complete(**one, thread_ts=reply)) == "invalid_arguments"
    assert await refused(complete(files=one["files"], channel_id="C0")) == "channel_not_found"
    await complete(**one)
    assert await refused(complete(**one)) == "file_not_found"
    slack.workspace.scopes.discard("files:write")
    assert await refused(begin(filename="a", length=3)) == "missing_scope"
