"""Who writes in a thread: names for the model, and who may ask. Kept in the store once learned."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any

import structlog

from bot.errors import SlackError, SlackLimited, SlackTokenRefused, SlackUnreachable
from bot.events import Person, one_line, storable
from bot.ports import Store
from bot.slack.api import SlackAPI
from bot.slack.incoming import Me

_log = structlog.get_logger(__name__)

_NAMES_SECONDS = 1.5
"""A name is not worth more of the wait for an answer."""
_ROLES_SECONDS = 3600.0
"""Who may ask is asked anew after so long: people become guests, and leave."""


class People:
    """Looks people up by users.info, once."""

    def __init__(self, api: SlackAPI, store: Store, me: Me) -> None:
        self._api = api
        self._store = store
        self._me = me
        self._asking: dict[tuple[str, int], asyncio.Task[Person]] = {}
        self._asked: dict[str, float] = {}

    async def acquaint(self, wanted: Collection[str], needed: Collection[str] = ()) -> dict[str, Person]:
        """Return who these people are, as far as it can be told soon; the `needed` ones for certain.

        Somebody whom Slack does not show to Bobbin is a stranger. Raises `SlackError` where a needed one
        cannot be looked up now.
        """
        known = await self._store.people(self._me.team, list({*wanted, *needed}))
        people = [user for user in {*wanted, *needed} if user[:1] in ("U", "W")]
        missing = [user for user in people if user not in known]
        unsure = [user for user in people if user in needed and (user not in known or self._is_stale(user))]
        found = {user: await self._look_up(user, tries=5) for user in unsure}
        try:
            async with asyncio.timeout(_NAMES_SECONDS):
                for user in missing:
                    if user not in needed and self._api.pacer.may("users.info"):
                        found[user] = await self._look_up(user, tries=1)
        except (TimeoutError, SlackError) as error:
            _log.info("some names could not be looked up", reason=str(error) or type(error).__name__)
        if learned := [person for person in found.values() if person.name != person.id]:
            await self._store.learn(self._me.team, learned)
        # Roles are those of now; a name that the model was shown once stays.
        return known | {
            user: replace(person, name=known[user].name) if user in known else person
            for user, person in found.items()
        }

    def _is_stale(self, user: str) -> bool:
        return monotonic() - self._asked.get(user, -_ROLES_SECONDS) >= _ROLES_SECONDS

    async def look_again(self, user: str) -> Person:
        """Return who somebody is by Slack's word of now: their role may have changed. Raises `SlackError`."""
        person = await self._look_up(user, tries=5)
        if person.name != person.id:
            await self._store.learn(self._me.team, [person])
        return person

    async def _look_up(self, user: str, tries: int) -> Person:
        """Ask once for all who want to know at this moment."""
        key = user, tries

        def answered(task: asyncio.Task[Person]) -> None:
            del self._asking[key]
            if not task.cancelled():
                task.exception()  # of a lookup for which nobody waits any more it is no news

        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(user, tries))
            self._asking[key].add_done_callback(answered)
        return await asyncio.shield(self._asking[key])

    async def _ask(self, user: str, tries: int) -> Person:
        """Ask Slack. Whom it does not name keeps the id for a name, and is asked for again next time."""
        try:
            answer = await self._api.repeat("users.info", tries=tries, user=user)
        except (SlackLimited, SlackTokenRefused, SlackUnreachable):
            raise
        except SlackError as error:
            # Whom Slack does not show may be anybody: a stranger, in doubt. The log tells of a missing scope.
            _log.warning("somebody cannot be looked up", reason=error.code)
            return Person(user, user, guest=True, external=True)
        self._asked[user] = monotonic()
        return self._person(user, answer.get("user") or {})

    def _person(self, user: str, facts: Mapping[str, Any]) -> Person:
        profile = facts.get("profile") or {}
        name = profile.get("display_name") or facts.get("real_name") or facts.get("name") or user
        enterprise = (facts.get("enterprise_user") or {}).get("enterprise_id", "")
        ours = facts.get("team_id") in {self._me.team, self._me.enterprise} - {""}
        ours = ours or (bool(enterprise) and enterprise == self._me.enterprise)
        return Person(
            user,
            one_line(storable(str(name))) or user,
            guest=bool(facts.get("is_restricted") or facts.get("is_ultra_restricted")),
            external=bool(facts.get("is_stranger")) or not ours,
            admin=ours and bool(facts.get("is_admin") or facts.get("is_owner")),
        )
