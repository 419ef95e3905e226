"""Counting and tracing, where that is wanted. Each library is imported only then: serving does not wait."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

from bot import signals
from bot.health import Pulse
from bot.ports import Gauges
from bot.settings import Settings
from bot.web import listen, metrics_server

_log = structlog.get_logger(__name__)

_INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


async def observe(
    settings: Settings,
    stack: AsyncExitStack,
    pulse: Pulse,
    *,
    gauges: Callable[[], Awaitable[Gauges]],
    lately: Callable[[], tuple[int, tuple[float, float] | None]],
) -> None:
    """Listen to signals until the stack ends; serve the counts on `METRICS_PORT`.

    `lately` gives how many turns are worked on, and the ages of the socket in seconds, None without one.
    Raises `PortTaken`.
    """
    if settings.metrics_port is not None:
        from bot.metrics import CONTENT_TYPE, Metrics, Standing  # noqa: PLC0415

        def standing() -> Standing:
            running, ages = lately()
            return Standing(running, settings.max_concurrent_answers, ages)

        metrics = Metrics(gauges, standing, sockets=not settings.http_mode)
        pulse.lag = metrics.late
        stack.callback(signals.listen(metrics.hear))
        host, port = settings.metrics_host, settings.metrics_port
        await listen(stack, "METRICS_PORT", metrics_server(host, port, metrics.scrape, CONTENT_TYPE))
    if settings.traced():
        try:
            from bot.traces import opened  # noqa: PLC0415
        except ImportError:
            _log.warning("no traces: their library is missing", remedy=_INSTALL)
        else:
            stack.callback(signals.listen(stack.enter_context(opened()).hear))
