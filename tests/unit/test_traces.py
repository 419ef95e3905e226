"""Spans made of signals, by the names of the semantic conventions for generative AI."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bot import trail
from bot.ports import Usage
from bot.signals import Claimed, Ended, Happened, ModelCalled, SlackCalled
from bot.traces import Traces

CALLED = ModelCalled(
    model="some-model",
    purpose="answer",
    state="done",
    error="",
    usage=Usage(input=3, output=7, cache_read=100, cache_write=20),
    micro_usd=5,
    estimated=False,
    seconds=2.0,
    first=0.5,
    max_tokens=8192,
    request_id="r-1",
    stop_reason="max_tokens",
)


class Recorded:
    """Traces, and the spans that are made of them."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.traces = Traces(provider.get_tracer("test"))

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._kept.get_finished_spans()}


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    token = trail._current.set(None)
    yield Recorded()
    trail._current.reset(token)


def claimed(turn: int = 1, how: str = "claimed") -> Claimed:
    trail.begin(turn)
    return Claimed(turn, "C1", "1.2", how, waited=3.0)


def test_a_call_counts_what_was_cached_as_input_and_names_how_it_ended(recorded: Recorded):
    for signal in (claimed(), CALLED):
        recorded.traces.hear(signal)
    values = recorded.spans()["chat some-model"].attributes or {}
    assert values["gen_ai.usage.input_tokens"] == 123
    assert values["gen_ai.usage.cache_read.input_tokens"] == 100
    assert values["gen_ai.usage.cache_creation.input_tokens"] == 20
    assert values["gen_ai.usage.output_tokens"] == 7
    assert values["gen_ai.response.finish_reasons"] == ("length",)
    assert values["gen_ai.response.time_to_first_chunk"] == 0.5
    assert values["aws.request_id"] == "r-1"


def test_a_turn_begins_with_its_wait_and_ends_with_its_error(recorded: Recorded):
    recorded.traces.hear(claimed())
    recorded.traces.hear(SlackCalled("chat.update", "SlackLimited", 0.1))
    recorded.traces.hear(Ended(1, "failed", "NoAccess", 1.0, 4.0, resumed=False, marks={"first token": 0.4}))
    spans = recorded.spans()
    root, queue, slack = (spans[name] for name in ("invoke_agent Bobbin", "queue", "slack chat.update"))
    assert root.start_time == queue.start_time
    assert (queue.end_time or 0) - (queue.start_time or 0) == pytest.approx(3e9, rel=0.05)
    assert {span.parent and span.parent.span_id for span in (queue, slack)} == {root.context.span_id}
    assert (root.attributes or {})["error.type"] == "NoAccess"
    assert (slack.attributes or {})["error.type"] == "SlackLimited"
    assert not root.status.is_ok
    assert [event.name for event in root.events] == ["bobbin.first_token"]


def test_what_happens_outside_of_a_turn_makes_no_trace(recorded: Recorded):
    for signal in (CALLED, SlackCalled("auth.test", "ok", 0.1), Happened("lease lost")):
        recorded.traces.hear(signal)
    assert recorded.spans() == {}


def test_a_turn_that_is_given_up_and_taken_up_again_has_both_its_traces(recorded: Recorded):
    recorded.traces.hear(claimed())
    recorded.traces.hear(claimed(how="resumed"))
    recorded.traces.close()
    assert len(recorded._kept.get_finished_spans()) == 4
