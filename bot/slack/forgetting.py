"""*Forget this thread* and *Erase my data*: asked for from a message's menu, a word, `/bobbin`, Home.

Each asks first, in a modal, which then shows the receipt: the one way to both.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import structlog

from bot.erasing import Erasing
from bot.errors import SlackError, StoreError
from bot.insight import Erased
from bot.slack.api import SlackAPI
from bot.slack.blocks import ERASE_ME, FORGET_THREAD, Block
from bot.slack.choices import Chosen, read_choice, recall, remember
from bot.slack.incoming import Me
from bot.slack.private import Respond, whisper

_log = structlog.get_logger(__name__)

_THREAD = """\
I erase all that I keep of this thread: what was said, my answers, what I read of files, and the private \
conversations about it. An answer that is being written ends. I will not read again what was written here \
until now; when I am mentioned later, I begin anew.

This cannot be undone. *What stands in Slack stays there*, my answers too: delete it there if it must go."""

_PERSON = """\
I erase all that I keep of you: what you wrote, in every thread, and what I read of your files; your name; \
what you thought of answers; and our conversations in DMs whole. I will not read again what you wrote until \
now. What you spent stays in the books without you; today's is kept with you until midnight (UTC), for the \
budget.

My answers in threads with others stay: whoever started such a thread can have it forgotten. *What stands in \
Slack stays there.* This cannot be undone."""

_NOT_YOURS = "Only who started this thread, or an admin, can have it forgotten. You can have your own words \
erased: `/bobbin forget me`."
_TOO_LATE = "Slack gave me too little time. Please choose it once more."
_LATER = "That did not work just now, and nothing was erased. Please try it again in a moment."
_LATE = ("expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id")

Ack = Callable[..., Awaitable[Any]]


class Forgetting:
    """Carries it out. `done` is told whose data was erased."""

    def __init__(
        self,
        erasing: Erasing,
        api: SlackAPI,
        me: Me,
        *,
        done: Callable[[str], Coroutine[Any, Any, None]],
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._erasing = erasing
        self._api = api
        self._me = me
        self._done = done
        self._later = later
        self.handlers: Mapping[tuple[str, str], Callable[..., Awaitable[None]]] = {
            ("shortcut", FORGET_THREAD): self._chosen,
            ("action", FORGET_THREAD): self._pressed,
            ("view", FORGET_THREAD): self._forget,
            ("action", ERASE_ME): self._wants,
            ("view", ERASE_ME): self._erase,
        }

    async def ask_person(self, trigger: str) -> str:
        """Ask somebody whether their data shall be erased. Returns why they could not be asked."""
        return await self._open(trigger, _modal(ERASE_ME, "Erase my data?", _PERSON, "Erase"))

    # Bolt gives arguments by their names.
    async def _chosen(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        await self._ask(read_choice(body, self._me), ack, respond)

    async def _pressed(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        """The button below what `forget` is answered with; it names its thread."""
        chosen = None
        match body:
            case {"actions": [{"value": str(thread)}, *_]}:
                chosen = read_choice({**body, "message": {"ts": thread, "thread_ts": thread}}, self._me)
        await self._ask(chosen, ack, respond)

    async def _ask(self, chosen: Chosen | None, ack: Ack, respond: Respond) -> None:
        said = await self._asked(chosen) if chosen is not None else ""
        await ack()
        if chosen is None:
            _log.warning("what was chosen to be forgotten could not be read")
        elif said:
            thread = chosen.thread.thread_ts
            place = {"thread_ts": thread} if thread != chosen.ts else {}
            self._later(whisper(respond, said, **place))

    async def _asked(self, chosen: Chosen) -> str:
        try:
            if not await self._erasing.may(chosen.user, chosen.thread):
                return _NOT_YOURS
        except (SlackError, StoreError) as error:
            _log.warning("who may have a thread forgotten is not known", error=str(error))
            return _LATER
        modal = _modal(FORGET_THREAD, "Forget this thread?", _THREAD, "Forget it", remember(chosen))
        return await self._open(chosen.trigger, modal)

    async def _open(self, trigger: str, modal: Mapping[str, Any]) -> str:
        try:
            await self._api.call("views.open", trigger_id=trigger, view=modal)
        except SlackError as error:
            _log.info("nobody was asked whether to forget", error=str(error))
            return _TOO_LATE if error.code in _LATE else _LATER
        return ""

    async def _forget(self, ack: Ack, body: Mapping[str, Any]) -> None:
        chosen = None
        match body:
            case {"view": {"private_metadata": str(kept)}}:
                chosen = read_choice({**body, **recall(kept)}, self._me)
        if chosen is None:
            await ack()
            return
        try:
            # Asked again: what the modal remembers went through somebody's hands.
            if await self._erasing.may(chosen.user, chosen.thread):
                said = receipt(await self._erasing.thread(chosen.thread, by=chosen.user))
            else:
                said = _NOT_YOURS
        except (SlackError, StoreError) as error:
            _log.warning("a thread was not forgotten", error=str(error))
            said = _LATER
        await ack(response_action="update", view=_modal(FORGET_THREAD, "Forget this thread", said))

    async def _wants(self, ack: Ack, body: Mapping[str, Any], respond: Respond) -> None:
        said = await self.ask_person(str(body.get("trigger_id", "")))
        await ack()
        if said and "response_url" in body:  # Home has none: it is pressed again there
            self._later(whisper(respond, said))

    async def _erase(self, ack: Ack, body: Mapping[str, Any]) -> None:
        match body:
            case {"user": {"id": str(user)}} if user:
                pass
            case _:
                await ack()
                return
        try:
            said = receipt(await self._erasing.person(user))
        except StoreError as error:
            _log.warning("a person was not forgotten", error=str(error))
            said = _LATER
        await ack(response_action="update", view=_modal(ERASE_ME, "Erase my data", said))
        self._later(self._done(user))


def receipt(erased: Erased) -> str:
    """Return what was forgotten, in words for who asked.

    >>> receipt(Erased(messages=2, answers=1, names=1)).splitlines()[0]
    '*Erased:* 2 messages, 1 answer of mine, 1 name.'
    """
    counts = (
        (erased.messages, "message", "messages"),
        (erased.answers, "answer of mine", "answers of mine"),
        (erased.files, "file", "files"),
        (erased.summaries, "summary", "summaries"),
        (erased.feedback, "judgement of an answer", "judgements of answers"),
        (erased.names, "name", "names"),
    )
    told = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    if not told:
        return "There was nothing to erase: I kept nothing of it. What was written until now I will not read."
    return (
        f"*Erased:* {', '.join(told)}.\n"
        "Within seconds it is off my disk. Copies in backups go when those expire; ask whoever runs me."
    )


def _modal(name: str, title: str, words: str, submit: str = "", kept: str = "") -> Mapping[str, Any]:
    text: Block = {"type": "section", "text": {"type": "mrkdwn", "text": words, "verbatim": True}}
    modal: dict[str, Any] = {
        "type": "modal",
        "callback_id": name,
        "private_metadata": kept,
        "title": {"type": "plain_text", "text": title},
        "close": {"type": "plain_text", "text": "Cancel" if submit else "Close"},
        "blocks": [text],
    }
    return modal | ({"submit": {"type": "plain_text", "text": submit}} if submit else {})
