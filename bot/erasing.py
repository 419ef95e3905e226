"""Forgetting, for good: who may have it done, what must end first, and the receipt in the log."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import structlog

from bot.conversation import ThreadKey
from bot.events import Uninstalled
from bot.insight import Erased
from bot.ports import Ingested, Store, Workspace

_log = structlog.get_logger(__name__)

RETENTION_SECONDS = 3600.0
ORDERS_SECONDS = 1.0
_AT_ONCE = 50
"""Conversations that are forgotten in one transaction: events wait for it."""


Order = Mapping[str, str]
"""What to forget: its `team`, with a `user`, or a `channel` and a `thread`, or neither."""


class Orders(Protocol):
    """What was ordered at a terminal, beside the database that this process alone may write to."""

    def waiting(self) -> Iterable[tuple[str, Order]]:
        """Each order, with its name."""
        ...

    def done(self, name: str, answer: Mapping[str, Any]) -> None:
        """Say what came of it."""
        ...


class Erasing:
    """Forgets what one workspace's people want forgotten, and what is old.

    `wake` has this process look for turns that must end; others are told.
    """

    def __init__(self, store: Store, workspace: Workspace, team: str, wake: Callable[[], None]) -> None:
        self._store = store
        self._workspace = workspace
        self._team = team
        self._wake = wake

    async def may(self, user: str, thread: ThreadKey) -> bool:
        """Whether somebody may have a thread forgotten: who started it, an admin; in a DM whose it is.

        Raises `SlackError` where that cannot be found out now, `StoreError`.
        """
        if thread.channel.startswith("D"):
            return True
        starter = await self._store.starter(thread) or await self._workspace.starter(thread)
        return user == starter or await self._workspace.is_admin(user)

    async def thread(self, thread: ThreadKey, by: str) -> Erased:
        """Forget a thread. Raises `StoreError`."""
        return await self._told(
            "thread", await self._store.forget_thread(thread), by=by, channel=thread.channel
        )

    async def person(self, user: str) -> Erased:
        """Forget somebody. Raises `StoreError`."""
        return await self._told("person", await self._store.forget_person(self._team, user))

    async def uninstalled(self, event: Uninstalled) -> Ingested:
        """Forget the workspace; where only tokens were revoked, not while Slack still knows Bobbin."""
        if not event.certain and not await self._workspace.expelled():
            _log.warning("tokens were revoked, but not the one I use: nothing is forgotten")
            return Ingested("still installed")
        await self._told("workspace", await self._store.forget_team(self._team))
        return Ingested("uninstalled")

    async def expire(self, days: float) -> None:
        """Forget what nobody has spoken in for so many days."""
        while True:
            erased = await self._store.forget_old(days, _AT_ONCE)
            if erased.threads or erased.names:
                await self._told("old", erased)
            if erased.threads < _AT_ONCE:
                return

    async def obey(self, orders: Orders) -> None:
        """Carry out what was ordered at a terminal."""
        for name, order in orders.waiting():
            what = "person" if order.get("user") else "thread" if order.get("thread") else "workspace"
            erased = await self._told(what, await forget(self._store, order))
            await self._store.scrub()
            orders.done(name, asdict(erased))

    async def _told(self, what: str, erased: Erased, **more: str) -> Erased:
        if erased.ends:
            self._wake()
            await self._store.tell()
        _log.info(
            "forgotten",
            what=what,
            threads=erased.threads,
            said=erased.messages,
            answered=erased.answers,
            files=erased.files,
            summaries=erased.summaries,
            feedback=erased.feedback,
            names=erased.names,
            **more,
        )
        return erased


async def forget(store: Store, order: Order) -> Erased:
    """Forget what an order names. Raises `StoreError`."""
    if order.get("user"):
        return await store.forget_person(order["team"], order["user"])
    if order.get("thread"):
        return await store.forget_thread(ThreadKey(order["team"], order["channel"], order["thread"]))
    return await store.forget_team(order["team"])
