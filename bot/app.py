"""Puts the pieces together, starts, drains, stops. The only module that imports every adapter."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import structlog

from bot import __version__
from bot.bedrock import BedrockModel, Guardrail, open_model
from bot.channels import Channels
from bot.dispatch import Background, Dispatcher, every
from bot.erasing import ORDERS_SECONDS, RETENTION_SECONDS, Erasing
from bot.errors import BadConfiguration, LoopEnded, StoreUnavailable
from bot.health import Pulse
from bot.lease import term
from bot.ledger import Ledger
from bot.models import known
from bot.observing import observe
from bot.policy import Rules
from bot.ports import Caps, Gauges, Store
from bot.prompt import WHO
from bot.recovery import HEARD_SECONDS, SCRUB_SECONDS, SWEEP_SECONDS, Gaps, Recovery
from bot.settings import Settings
from bot.sharing import SHARE_SECONDS, Sharing
from bot.slack.about import About, kept_for
from bot.slack.connection import Slack, connect
from bot.slack.desk import Desk
from bot.slack.http_mode import HttpMode
from bot.slack.inquiries import Inquiries
from bot.slack.intake import WayIn
from bot.slack.listeners import Listeners, Outlets
from bot.slack.workspace import SlackWorkspace
from bot.turns import Limits, Turns
from bot.waiting import LOOK_SECONDS, Waiting
from bot.web import health_server, listen
from bot.window import tokens
from storage import open_store, order_book

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_STORE_AGAIN_SECONDS = 5.0


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then finish what is running and return.

    Raises `BadConfiguration` (nothing was started), `StoreInUse`, `StoreForeign`.
    """
    began = monotonic()
    async with AsyncExitStack() as stack:
        stopping = _stop_signal()
        process = Process(settings)
        await process.listen(stack)
        await process.observe(stack)
        opened = await _unless(stopping, _open(settings, stack))
        if opened is None:
            return
        await process.start(*opened)
        ended = await process.run(stopping, began)
        _log.info("stopping")
        await process.stop()
    _log.info("stopped")
    if ended:
        raise LoopEnded(f"the loop {ended} has ended: a fault of Bobbin, the log says more")


async def aws_problems() -> list[str]:
    """Say what AWS's side of the settings lacks, to be told together with what is wrong on Slack's."""
    try:
        settings = Settings.load(need_slack=False)
    except BadConfiguration:
        return []  # named already
    try:
        async with open_model(
            settings.bedrock_model_id, region=settings.region, family=settings.model_family
        ):
            return []
    except BadConfiguration as error:
        return error.problems


class Process:
    """One running Bobbin: its parts, its loops, its health."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loops: list[asyncio.Task[None]] = []
        self._background = Background()
        self._pulse = Pulse()
        secret = settings.slack_signing_secret
        self._http = HttpMode(secret.get_secret_value()) if settings.http_mode and secret else None

    async def listen(self, stack: AsyncExitStack) -> None:
        """Serve health, and in HTTP mode Slack's requests, which are put off until Bobbin has started."""
        host, port = self._settings.host, self._settings.served_port
        if port is not None:
            events = self._http.handle if self._http else None
            server = health_server(host, port, live=self.live, ready=self.ready, events=events)
            await listen(stack, "PORT", server)

    def live(self) -> Mapping[str, str]:
        """Each loop, and what is wrong with it: empty where it goes round."""
        return self._pulse.troubles()

    async def ready(self) -> Mapping[str, bool]:
        """Whether people are served: the database takes writes, events can come in, Slack answers."""
        if not self._loops:
            return {"started": False}
        slack = self._way_in.connected and await self._slack.reachable()
        return {"database": await self._store.writable(), "slack": slack}

    async def start(self, model: BedrockModel, slack: Slack, store: Store) -> None:
        """Take up what an earlier process left, then let events in."""
        settings = self._settings
        settle = settings.recovery_settle_seconds
        rules = _rules(settings)
        caps = Caps(_micro(settings.budget_user_daily_usd), _micro(settings.budget_team_monthly_usd))
        days = settings.retention_days
        facts = About(__version__, model.model_id, settings.region or "", rules, caps, days)
        inquiries = Inquiries(store, slack.me.team, facts)
        workspace = SlackWorkspace(
            slack.api,
            store,
            slack.me,
            downloads=slack.downloads,
            uploads=slack.uploads,
            inquiries=inquiries,
            settle=settle,
            link_domains=settings.link_domains,
            admins=settings.admin_users,
        )
        ledger = Ledger(
            store,
            model,
            workspace,
            model_id=model.model_id,
            price=lambda model_id, usage: known(model_id, settings.model_family).cost(usage),
            size=tokens,
            caps=caps,
            later=self._background.later,
        )
        channels = Channels(store, workspace, known=lambda model_id: known(model_id).is_known)
        turns = Turns(
            store,
            ledger,
            workspace,
            channels,
            claude=lambda name: known(name or model.model_id, settings.model_family),
            rules=rules,
            who=settings.system_prompt or WHO,
            limits=Limits(
                settings.lease_seconds, settle, settings.max_output_tokens, settings.context_window_tokens
            ),
        )
        owner = f"{os.uname().nodename}:{os.getpid()}"
        beat = self._pulse.beat
        waiting = Waiting(store, slack.me.team, workspace.show_place, full=lambda: self._dispatcher.full)
        self._dispatcher = Dispatcher(
            store,
            turns,
            team=slack.me.team,
            owner=owner,
            slots=settings.max_concurrent_answers,
            beat=partial(beat, "dispatch"),
            claimed=waiting.claimed,
            may=lambda: not slack.api.refused,
        )
        wake, later = self._dispatcher.wake, self._background.later
        erasing = Erasing(store, workspace, slack.me.team, wake)
        desk = Desk(
            slack, store, workspace, channels, rules, facts, inquiries, erasing, wake=wake, later=later
        )
        outlets = Outlets(
            wake=wake,
            expect=self._dispatcher.expect,
            tell=lambda message, reason: workspace.tell(message.thread, message.ts, message.author, reason),
            offer=desk.offer,
            welcome=partial(slack.welcome, kept_for(days)),
            uninstalled=erasing.uninstalled,
            later=later,
        )
        recovery = Recovery(store, slack.me.team, workspace, settle=settle)
        self._sharing = Sharing(store, slack.me.team, slack.api.pacer.share, waiting.share)

        async def begin() -> None:
            await self._sharing.look()  # it is known how many write to Slack before anything is written
            await recovery.start()

        while not await _did(begin):  # noqa: ASYNC110  no event tells when a database is back
            await asyncio.sleep(_STORE_AGAIN_SECONDS)
        self._store, self._slack = store, slack
        intake = slack.intake(Listeners(store, slack.me, rules, outlets, desk.handlers))
        self._way_in: WayIn = self._http or slack.socket_mode(intake)
        rereading = slack.rereading(intake)
        gaps = Gaps(store, slack.me.team, listening=self._way_in.opened, read=rereading.read)

        async def token() -> None:
            if await slack.readmitted():
                wake()

        chores: list[tuple[float, str, Callable[[], Coroutine[Any, Any, None]], float | None]] = [
            (HEARD_SECONDS, "heard", gaps.note, None),  # it waits for a socket,
            (HEARD_SECONDS, "gaps", gaps.catch_up, None),  # and it for a gap
            (LOOK_SECONDS, "line", waiting.look, _PATIENCE),
            (SWEEP_SECONDS, "sweep", recovery.sweep, _SWEEP_PATIENCE),
            (SCRUB_SECONDS, "scrub", recovery.scrub, _PATIENCE),
            (SHARE_SECONDS, "share", self._sharing.look, _PATIENCE),
            (_TOKEN_SECONDS, "token", token, _PATIENCE),
        ]
        if (orders := order_book(settings.database_url)) is not None:
            chores.append((ORDERS_SECONDS, "orders", partial(erasing.obey, orders), _PATIENCE))
        if days:
            chores.append((RETENTION_SECONDS, "retention", partial(erasing.expire, days), None))

        def go(
            name: str, work: Coroutine[Any, Any, None], patience: float | None = None
        ) -> asyncio.Task[None]:
            return self._pulse.watch(asyncio.create_task(work, name=name), patience)

        self._loops = [
            go("clock", self._pulse.tick()),
            go("dispatch", self._dispatcher.run(), _PATIENCE),
            go("news", self._dispatcher.listen()),
            go(self._way_in.name, self._way_in.keep()),
            *(
                go(name, every(seconds, name, work, partial(beat, name)), patience and patience + seconds)
                for seconds, name, work, patience in chores
            ),
        ]
        if self._http:
            self._http.open(intake, stays=0.0 if store.exclusive else settings.drain_seconds)

    async def observe(self, stack: AsyncExitStack) -> None:
        """Count and trace, where that is wanted."""

        def lately() -> tuple[int, tuple[float, float] | None]:
            return (self._dispatcher.running, self._way_in.ages) if self._loops else (0, None)

        await observe(self._settings, stack, self._pulse, gauges=self._gauges, lately=lately)

    async def _gauges(self) -> Gauges:
        if not self._loops:
            raise StoreUnavailable("it is not open yet")
        return await self._store.gauges()

    async def run(self, stopping: "asyncio.Future[None]", began: float) -> str:
        """Say when people are served; wait until it is told to stop, or a loop ends, by a fault: its name."""
        opened = asyncio.create_task(self._way_in.opened())
        await asyncio.wait([stopping, opened, *self._loops], return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            _log.info("ready", seconds=round(monotonic() - began, 3))
        opened.cancel()
        done, _ = await asyncio.wait([stopping, *self._loops], return_when=asyncio.FIRST_COMPLETED)
        ended = [loop for loop in self._loops if loop in done]
        for loop in ended:
            error = None if loop.cancelled() else loop.exception()
            _log.critical("a loop has ended: a fault of Bobbin", loop=loop.get_name(), exc_info=error)
        return ended[0].get_name() if ended else ""

    async def stop(self) -> None:
        """Let no event in, finish what runs within the time, give the rest back."""
        began = monotonic()
        await self._way_in.leave()
        left = self._settings.drain_seconds - (monotonic() - began)
        await self._dispatcher.drain(max(left, self._settings.drain_seconds / 4))
        await self._way_in.close()
        await self._background.close(_BACKGROUND_SECONDS)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._sharing.leave()


_PATIENCE = 60.0
_SWEEP_PATIENCE = 600.0
"""Seconds that a loop may be quiet: as long as it waits for a locked database, or for Slack's limits."""
_BACKGROUND_SECONDS = 1.0
_REFUSED_SECONDS = 5.0
_TOKEN_SECONDS = 15.0


async def _did(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Do it; False where the database is out of reach just now."""
    try:
        await work()
    except StoreUnavailable as error:
        _log.warning("the database is out of reach: trying again", error=str(error))
        return False
    return True


def _guardrail(settings: Settings) -> Guardrail | None:
    name = settings.bedrock_guardrail_id
    return Guardrail(name, settings.bedrock_guardrail_version) if name else None


async def _open(settings: Settings, stack: AsyncExitStack) -> tuple[BedrockModel, Slack, Store]:
    """Open AWS, Slack, the database, in this order: where a setting is refused, nothing was started."""
    problems: list[str] = []
    try:
        model = await stack.enter_async_context(
            open_model(
                settings.bedrock_model_id,
                region=settings.region,
                concurrency=settings.max_concurrent_answers,
                idle_seconds=settings.bedrock_idle_seconds,
                family=settings.model_family,
                effort=settings.thinking_effort,
                guardrail=_guardrail(settings),
            )
        )
    except BadConfiguration as error:
        problems += error.problems
    token = settings.slack_app_token
    try:
        async with asyncio.timeout(_REFUSED_SECONDS if problems else None):
            slack = await stack.enter_async_context(
                connect(
                    bot_token=settings.slack_bot_token.get_secret_value(),
                    app_token=token.get_secret_value() if token else None,
                    api_url=settings.slack_api_url,
                    timeout=settings.slack_timeout,
                    paced=settings.slack_pacing,
                )
            )
    except TimeoutError:
        pass  # what is wrong already is said without waiting for Slack
    except BadConfiguration as error:
        problems += error.problems
    if problems:
        raise BadConfiguration(problems)
    return model, slack, await stack.enter_async_context(_patient_store(settings))


@asynccontextmanager
async def _patient_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the database, waiting for it while it is out of reach."""
    async with AsyncExitStack() as stack:
        while True:
            try:
                store = await stack.enter_async_context(
                    open_store(
                        settings.database_url,
                        lease=term(settings.lease_seconds, settings.recovery_settle_seconds),
                    )
                )
                break
            except StoreUnavailable as error:
                _log.warning("the database is out of reach: trying again", error=str(error))
                await asyncio.sleep(_STORE_AGAIN_SECONDS)
        yield store


def _micro(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * 1_000_000)


def _rules(settings: Settings) -> Rules:
    return Rules(
        thread_replies=settings.thread_replies,
        external_users=settings.external_users,
        guests=settings.guests,
        allowed_channels=settings.allowed_channels,
        allowed_users=settings.allowed_users,
        allowed_bots=settings.allowed_bots,
    )


def _stop_signal() -> "asyncio.Future[None]":
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopping.done():
            stopping.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


async def _unless(stopping: "asyncio.Future[None]", work: Coroutine[Any, Any, T]) -> T | None:
    """Give the result, or None when the process is told to stop before there is one."""
    task: asyncio.Task[T] = asyncio.create_task(work)
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None
