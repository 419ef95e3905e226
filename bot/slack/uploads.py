"""Puts Bobbin's own files into threads, in Slack's three steps: an address, the bytes, the message."""

import aiohttp
from yarl import URL

from bot.errors import SlackUnreachable
from bot.slack.api import SlackAPI
from bot.slack.attached import Attachment
from bot.slack.downloads import is_at
from bot.slack.proxies import proxy_for

_SECONDS = 30.0
_OK = 200


class Uploads:
    """Sends files to this origin."""

    def __init__(self, api: SlackAPI, session: aiohttp.ClientSession, origin: URL) -> None:
        self._api = api
        self._session = session
        self._origin = origin

    async def send(self, file: Attachment) -> str:
        """Give Slack a file that nobody sees yet; its id. Doing it twice changes nothing. `SlackError`s."""
        method = "files.getUploadURLExternal"
        answer = await self._api.repeat(method, filename=file.name, length=len(file.data))
        url = URL(str(answer.get("upload_url", "")))
        if not is_at(self._origin, url):
            raise SlackUnreachable("elsewhere", method)
        try:
            async with self._session.post(
                url,
                data=file.data,
                allow_redirects=False,
                proxy=proxy_for(str(url)),
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
            ) as response:
                if response.status != _OK:
                    raise SlackUnreachable(f"http_{response.status}", method)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SlackUnreachable(type(error).__name__, method) from error
        return str(answer.get("file_id", ""))
