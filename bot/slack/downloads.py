"""Fetches people's files from Slack, believing nothing that is said of them.

The token goes to one origin only, whole, and follows no redirect. Bytes are counted as they come. Where the
token or its scope is not good enough Slack answers with a page of HTML and no error
(github.com/slackapi/bolt-js/issues/2585).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog
from yarl import URL

from bot import files, images
from bot.errors import SlackError, SlackRefused
from bot.events import File
from bot.ports import Fetched
from bot.slack.api import SlackAPI
from bot.slack.incoming import Unreadable, file_of
from bot.slack.proxies import proxy_for

_log = structlog.get_logger(__name__)

_TRIES = 3
_AT_ONCE = 4
"""Files that are fetched at the same time, and held in memory: of all turns."""
_PICTURES_AT_ONCE = 2
_SECONDS, _IDLE_SECONDS = 60.0, 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_SLACK = URL("https://slack.com")
_FILES = URL("https://files.slack.com")


def origin_of_files(api_url: str) -> URL:
    """Where files are fetched from: Slack's own place for them, or the one origin that stands for Slack."""
    origin = URL(api_url).origin()
    return _FILES if origin == _SLACK else origin


def is_at(origin: URL, url: URL) -> bool:
    """Whether a file may be fetched from there: the authority is compared whole, userinfo and port too."""
    return (url.scheme, url.raw_authority) == (origin.scheme, origin.raw_authority)


class Downloads:
    """Fetches files, with this token and from this origin."""

    def __init__(self, api: SlackAPI, session: aiohttp.ClientSession, token: str, origin: URL) -> None:
        self._api = api
        self._session = session
        self._token = token
        self._origin = origin
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._decoders = asyncio.Semaphore(_PICTURES_AT_ONCE)

    async def fetch(self, file: File) -> Fetched:
        """Return what is in a file, as the model can read it; or why not."""
        named = ""
        if not file.url and not file.state:
            file = await self._described(file)
            named = file.name
        if (reason := files.refused(file)) is not None:
            return Fetched(reason=reason, name=named)
        async with self._room:
            fetched = await self._patiently(file)
            if fetched.format == files.PICTURE:
                async with self._decoders:
                    picture = await images.ready(fetched.data)
                fetched = Fetched(*picture) if picture else Fetched(reason="broken")
        return replace(fetched, name=named)

    async def _described(self, file: File) -> File:
        """Ask Slack about a file that came without an address, as those of other organisations do."""
        try:
            answer = await self._api.repeat("files.info", tries=_TRIES, file=file.id)
            found = file_of(answer["file"])
        except (SlackError, Unreadable, KeyError) as error:
            _log.warning("a file is not described by Slack", file=file.id, reason=str(error))
            gone = isinstance(error, SlackRefused) and error.code in ("file_deleted", "file_not_found")
            return replace(file, state="gone" if gone else "withheld")
        return found if found.url or found.state else replace(found, state="withheld")

    async def _patiently(self, file: File) -> Fetched:
        for attempt in range(1, _TRIES + 1):
            try:
                async with asyncio.timeout(_SECONDS):
                    return await self._once(file)
            except (_Again, aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.info(
                    "a file was not fetched", file=file.id, attempt=attempt, reason=type(error).__name__
                )
                wait = error.seconds if isinstance(error, _Again) else _FIRST_WAIT * 2 ** (attempt - 1)
                if attempt < _TRIES:
                    await asyncio.sleep(min(wait, _LONGEST_WAIT) * self._api.pacer.jitter())
        return Fetched(reason="withheld")

    async def _once(self, file: File) -> Fetched:
        try:
            url = URL(file.url)
        except ValueError:
            url = URL()
        if not is_at(self._origin, url):
            # Where it is said to be, somebody may have written.
            _log.warning("a file is not where Slack keeps files", file=file.id, wanted=str(self._origin))
            return Fetched(reason="withheld")
        async with self._session.get(
            url,
            headers={"Authorization": f"Bearer {self._token}", "Accept-Encoding": "identity"},
            allow_redirects=False,
            auto_decompress=False,
            proxy=proxy_for(str(url)),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_IDLE_SECONDS, sock_read=_IDLE_SECONDS),
        ) as response:
            if (
                response.status == HTTPStatus.TOO_MANY_REQUESTS
                or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                raise _Again(response.status, response.headers)
            if response.status in _GONE:
                return Fetched(reason="gone")
            if response.status != HTTPStatus.OK:
                _log.warning("a file is not given", file=file.id, status=response.status)
                return Fetched(reason="withheld")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                _log.warning("a file comes packed, which was not asked for", file=file.id)
                return Fetched(reason="withheld")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > files.most(file):
                    return Fetched(reason="size")
            found = files.read(file, bytes(data))
            if response.content_type == "text/html" and not _is_that_page(file, found, len(data)):
                _log.warning(
                    "a page came in the place of a file: is the scope files:read there?", file=file.id
                )
                return Fetched(reason="withheld")
            return found


def _is_that_page(file: File, found: Fetched, size: int) -> bool:
    """Whether a page of HTML is the file itself, not Slack's to sign in."""
    return found.format in ("html", "txt") and size == file.size


class _Again(Exception):
    """Slack is busy or failing."""

    def __init__(self, status: int, headers: Mapping[str, Any]) -> None:
        super().__init__(f"http_{status}")
        asked = str(headers.get("Retry-After", ""))
        self.seconds = float(asked) if asked.isdecimal() else _FIRST_WAIT
