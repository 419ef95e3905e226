"""Traces by OpenTelemetry, made from signals; the only module that knows its library (the extra `traces`).

One trace a turn. Its root is the agent at work, below it each call of the model and of Slack, named by the
semantic conventions for generative AI (github.com/open-telemetry/semantic-conventions-genai, as of 2026).
Numbers and ids only: what people and the model say is never recorded, which the conventions leave open.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import time_ns

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from bot import __version__, trail
from bot.signals import Claimed, Ended, ModelCalled, Signal, SlackCalled

AGENT = "Bobbin"
_SECOND = 1_000_000_000
_FINISH_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "window": "length"}

Values = Mapping[str, str | int | float | bool | list[str]]


class Traces:
    """Turns signals into spans. A turn that is given up here has its trace, too, without an end state."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._turns: dict[int, Span] = {}

    def hear(self, signal: Signal) -> None:
        """Make a span of a signal."""
        match signal:
            case Claimed():
                self._begin(signal)
            case Ended():
                self._end(signal)
            case ModelCalled():
                self._asked(signal)
            case SlackCalled():
                self._called(signal)
            case _:
                pass

    def close(self) -> None:
        """End what is still open."""
        for span in self._turns.values():
            span.end()
        self._turns.clear()

    def _begin(self, signal: Claimed) -> None:
        now, waited = time_ns(), signal.waited if signal.how == "claimed" else 0
        if (stale := self._turns.pop(signal.turn, None)) is not None:
            stale.end()
        span = self._tracer.start_span(
            f"invoke_agent {AGENT}",
            kind=SpanKind.INTERNAL,
            start_time=now - int(waited * _SECOND),
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "aws.bedrock",
                "gen_ai.agent.name": AGENT,
                "gen_ai.agent.version": __version__,
                "gen_ai.conversation.id": f"{signal.channel}/{signal.thread_ts}",
                "bobbin.turn": signal.turn,
                "bobbin.claim": signal.how,
            },
        )
        self._turns[signal.turn] = span
        self._record("queue", SpanKind.INTERNAL, waited, {}, "", span, now)

    def _end(self, signal: Ended) -> None:
        span = self._turns.pop(signal.turn, None)
        if span is None:
            return
        span.set_attribute("bobbin.state", signal.state)
        now = time_ns()
        for name, seconds in signal.marks.items():
            at = now - int((signal.seconds - seconds) * _SECOND)
            span.add_event(f"bobbin.{name.replace(' ', '_')}", timestamp=at)
        if signal.error:
            span.set_attribute("error.type", signal.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def _asked(self, signal: ModelCalled) -> None:
        usage = signal.usage
        values: dict[str, str | int | float | bool | list[str]] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.request.model": signal.model,
            "gen_ai.request.max_tokens": signal.max_tokens,
            "gen_ai.request.stream": True,
            # The conventions count what was read from and written to the cache as input, too.
            "gen_ai.usage.input_tokens": usage.input + usage.cache_read + usage.cache_write,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write,
            "gen_ai.usage.output_tokens": usage.output,
            "bobbin.purpose": signal.purpose,
            "bobbin.cost_usd": signal.micro_usd / 1_000_000,
            "bobbin.estimated": signal.estimated,
        }
        if signal.first is not None:
            values["gen_ai.response.time_to_first_chunk"] = signal.first
        if signal.request_id:
            values["aws.request_id"] = signal.request_id
        if signal.stop_reason:
            values["gen_ai.response.finish_reasons"] = [
                _FINISH_REASONS.get(signal.stop_reason, signal.stop_reason)
            ]
        self._record(f"chat {signal.model}", SpanKind.CLIENT, signal.seconds, values, signal.error)

    def _called(self, signal: SlackCalled) -> None:
        error = "" if signal.outcome == "ok" else signal.outcome
        values = {"rpc.system.name": "slack", "rpc.method": signal.method}
        self._record(f"slack {signal.method}", SpanKind.CLIENT, signal.seconds, values, error)

    def _record(
        self,
        name: str,
        kind: SpanKind,
        seconds: float,
        values: Values,
        error: str,
        parent: Span | None = None,
        now: int = 0,
    ) -> None:
        """Record what has just ended, below the turn that is being worked on; outside of one nothing."""
        path = trail.current()
        parent = parent or (self._turns.get(path.turn) if path is not None else None)
        if parent is None:
            return
        now = now or time_ns()
        span = self._tracer.start_span(
            name,
            set_span_in_context(parent),
            kind=kind,
            start_time=now - int(seconds * _SECOND),
            attributes=dict(values),
        )
        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)


@contextmanager
def opened() -> Iterator[Traces]:
    """Send traces by OTLP over HTTP while inside, as OpenTelemetry's own variables say."""
    mine = Resource({SERVICE_NAME: AGENT.lower(), SERVICE_VERSION: __version__})
    # The environment's names win.
    provider = TracerProvider(
        resource=mine.merge(Resource.create()) if _named() else Resource.create().merge(mine)
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    traces = Traces(provider.get_tracer("bobbin", __version__))
    try:
        yield traces
    finally:
        traces.close()
        provider.shutdown()


def _named() -> bool:
    """Whether the environment names the service: OpenTelemetry's own default begins with these words."""
    return not str(Resource.create().attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
