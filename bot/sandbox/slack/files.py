"""Files: files.*, the addresses that serve them to the app, and the one that takes its uploads."""

from typing import Any

from aiohttp import web

from bot.sandbox.faults import Faults
from bot.sandbox.slack.arguments import Args, is_root, method, writable
from bot.sandbox.slack.blocks import checked_blocks
from bot.sandbox.slack.faults import Fault, cut
from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.workspace import File, Json, Refused, Workspace

_PIECE = 2**16


@method("files.info", "files:read", "T4")
def _info(w: Workspace, a: Args) -> Json:
    return {"file": _known(w, a.text("file")).facts}


def _known(w: Workspace, file_id: str) -> File:
    file = w.files.get(file_id)
    if file is None or file.deleted:
        raise Refused("file_deleted" if file else "file_not_found")
    return file


@method("files.getUploadURLExternal", "files:write", "T4")
def _upload_url(w: Workspace, a: Args) -> Json:
    length = a.text("length")
    if not a.text("filename") or not length.isdecimal() or not int(length):
        raise Refused("invalid_arguments")
    facts = w.add_file(w.bot.id, a.text("filename"), int(length), "", None).facts
    return {"upload_url": f"{w.url}/upload/{facts['id']}", "file_id": facts["id"]}


@method("files.completeUploadExternal", "files:write", "T4")
def _complete(w: Workspace, a: Args) -> Json:
    given: Any = a.get("files")
    if not isinstance(given, list) or not given:
        raise Refused("invalid_arguments")
    files = [_known(w, str(each.get("id"))) for each in given]
    if any(
        file.content is None or file.facts["user"] != w.bot.id or "shares" in file.facts for file in files
    ):
        raise Refused("file_not_found")
    blocks = [] if a.text("initial_comment") else a.get("blocks") or []  # a comment leaves them out
    if any(block.get("type") == "markdown" for block in blocks):
        raise Refused("internal_error")  # seen since 2025: slackapi/python-slack-sdk#1756
    channel = writable(w, Args({"channel": a["channel_id"]})) if a.text("channel_id") else None
    thread = a.text("thread_ts") or None
    if thread and not (channel and is_root(channel, thread)):
        raise Refused("invalid_arguments")
    for file, each in zip(files, given, strict=True):
        file.facts["title"] = each.get("title") or file.facts["name"]
    if channel:
        body = {**w.bot.author, "text": a.text("initial_comment")}
        body |= {"blocks": checked_blocks(blocks)} if blocks else {}
        w.share(channel, files, body, thread)
    return {"files": [file.facts for file in files]}


class FileServer:
    """Serves files to the app's token, and takes its uploads; each try is entered in the journal.

    Faults of the methods `files-pri` and `upload` befall them; reset_after cuts a file in its middle.
    """

    def __init__(self, workspace: Workspace, journal: Journal, faults: Faults, bot_token: str) -> None:
        self._workspace, self._journal, self._faults = workspace, journal, faults
        self._authorization = f"Bearer {bot_token}"

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send a file in pieces, its length untold: who wants less has to count. Others: 302 to `login`."""
        w, file_id = self._workspace, request.match_info["id"]
        allowed = request.headers.get("Authorization") == self._authorization and "files:read" in w.scopes
        self._journal.add("download", file_id, {"allowed": allowed})
        fault = self._faults.take(lambda each: each.befalls("files-pri")) or Fault("files-pri")
        if spoiled := await fault.spoil(request):
            return spoiled
        if not allowed:
            raise web.HTTPFound(f"{w.url}/login?redir={request.path}")
        file = w.files.get(file_id)
        if file is None or file.deleted or file.content is None:
            raise web.HTTPNotFound
        size = len(file.content) // 2 if fault.kind == "reset_after" else len(file.content)
        response = web.StreamResponse(headers={"Content-Type": file.facts["mimetype"]})
        await response.prepare(request)
        for start in range(0, size, _PIECE):
            await response.write(file.content[start : min(start + _PIECE, size)])
        return cut(request) if fault.kind == "reset_after" else response

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Take a file's bytes as the body; their number is the one that was announced."""
        fault = self._faults.take(lambda each: each.befalls("upload")) or Fault("upload")
        if spoiled := await fault.spoil(request):
            return spoiled
        content = await request.read()
        file = self._workspace.files.get(request.match_info["id"])
        fits = file is not None and file.content is None and len(content) == file.facts["size"]
        self._journal.add("upload", request.match_info["id"], {"bytes": len(content), "taken": fits})
        if file is None or not fits:
            raise web.HTTPBadRequest
        file.content = content
        return cut(request) if fault.kind == "reset_after" else web.Response(text=f"OK - {len(content)}")


async def login(_: web.Request) -> web.Response:
    """The page to which those without a token are sent."""
    return web.Response(text="<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
