"""Metrics for Prometheus, counted from signals; the only module that knows its library.

No label names a person, a channel or a thread. What each metric means stands beside it, and in
docs/operations.md: a test compares the two.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

from bot import __version__
from bot.errors import StoreError
from bot.ports import Gauges
from bot.signals import Claimed, Ended, Happened, ModelCalled, Signal, SlackCalled, Taken

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_WAIT = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is looked at when somebody scrapes, besides the store."""

    running: int
    """Turns that this process works on."""
    slots: int
    socket: tuple[float, float] | None
    """Seconds since the socket was opened, and since anything came in; None: none is open."""


class Metrics:
    """Counts signals. `store` and `standing` are asked when somebody scrapes.

    Without `sockets`, in HTTP mode, there are no metrics of them: none open would ring the bell.
    """

    def __init__(
        self, store: Callable[[], Awaitable[Gauges]], standing: Callable[[], Standing], *, sockets: bool
    ) -> None:
        self._store = store
        self._standing = standing
        self._registry = registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody asks for
        ProcessCollector(registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"bobbin_{name}", about, labels, registry=registry)

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"bobbin_{name}", about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"bobbin_{name}", about, labels, buckets=buckets, registry=registry)

        gauge("info", "The version that runs; always 1.", "version").labels(__version__).set(1)
        self._events = counter(
            "events", "Events taken in, by kind and what became of them.", "kind", "outcome"
        )
        self._commit = histogram("event_commit_seconds", "From an event's arrival to its commit.", _SHORT)
        self._age = histogram("event_age_seconds", "From what an event tells of to its commit.", _WAIT)
        self._wait = histogram(
            "claim_wait_seconds", "From a question's commit to the claim of its turn.", _WAIT
        )
        self._claims = counter("claims", "Turns claimed: anew, given back before, died, wanted again.", "how")
        self._token = histogram("first_token_seconds", "From a claim to the model's first words.", _LONG)
        self._text = histogram("first_text_seconds", "From a claim to the first words in Slack.", _LONG)
        self._whole = histogram("whole_answer_seconds", "From a claim to the whole answer.", _LONG)
        self._turn = histogram("turn_seconds", "From a claim to the end of the turn.", _LONG, "state")
        self._question = histogram("question_seconds", "From a question in Slack to its answer's end.", _LONG)
        self._errors = counter(
            "errors", "Turns that failed, by the error that is said in the thread.", "code"
        )
        self._calls = counter("slack_calls", "Calls of Slack's Web API.", "method", "outcome")
        self._call = histogram("slack_call_seconds", "How long they took.", _LONG, "method")
        self._model = counter("model_calls", "Calls of the model.", "purpose", "state", "error")
        self._model_first = histogram("model_first_token_seconds", "From a call to its first words.", _LONG)
        self._model_whole = histogram("model_call_seconds", "How long calls of the model took.", _LONG)
        self._tokens = counter("tokens", "Tokens: input, cache_read, cache_write, output.", "kind", "model")
        self._cost = counter("cost_usd", "What the calls cost, in US dollars.", "model")
        self._refusals = counter("budget_refusals", "Questions not asked for want of budget.", "budget")
        self._lost = counter("leases_lost", "Turns that somebody else took over while they ran here.")
        self._reconciled = counter(
            "reconciliations", "Looks for a reply that may be there already.", "result"
        )
        self._unaccounted = counter("unaccounted_messages", "Messages of Bobbin that no turn accounts for.")
        self._deleted = counter("orphans_deleted", "Messages of stale owners that were deleted in Slack.")
        self._lag = histogram(
            "loop_lag_seconds", "By how much the event loop was late, once a second.", _SHORT
        )
        self._waiting = gauge("queue_length", "Conversations that wait for a free place.")
        self._oldest = gauge("queue_age_seconds", "How long the first of them waits.")
        self._open = gauge("open_turns", "Turns that are not closed.")
        self._orphans = gauge("orphans", "Messages that are to be deleted in Slack.")
        self._log = gauge("wal_bytes", "Size of SQLite's -wal file.")
        self._up = gauge("database_up", "Whether the database could be read at this scrape.")
        self._running = gauge("running_turns", "Turns that this process works on.")
        self._slots = gauge("slots", "How many it may work on (MAX_CONCURRENT_ANSWERS).")
        registry = registry if sockets else CollectorRegistry()  # one that nobody scrapes
        self._sockets = counter("socket_ends", "Sockets to Slack that ended.", "reason")
        self._socket = gauge("socket_open", "Whether a socket to Slack is open.")
        self._socket_age = gauge("socket_age_seconds", "Age of the newest socket; 0: none is open.")
        self._socket_quiet = gauge("socket_quiet_seconds", "Since anything came in by it; 0: none is open.")
        # Those without labels are there from the start; of the others what an alert looks at.
        for budget in ("user", "team"):
            self._refusals.labels(budget)
        for result in ("adopted", "nothing there"):
            self._reconciled.labels(result)

    def late(self, seconds: float) -> None:
        """Count a tick of the event loop that came so late."""
        self._lag.observe(seconds)

    def hear(self, signal: Signal) -> None:
        """Count a signal."""
        match signal:
            case Taken():
                self._taken(signal)
            case Claimed():
                self._claims.labels(signal.how).inc()
                if signal.how == "claimed":
                    self._wait.observe(signal.waited)
            case Ended():
                self._ended(signal)
            case SlackCalled():
                self._calls.labels(signal.method, signal.outcome).inc()
                self._call.labels(signal.method).observe(signal.seconds)
            case ModelCalled():
                self._asked(signal)
            case Happened():
                self._happened(signal)

    async def scrape(self) -> bytes:
        """Look at what only a look tells, and write it all down."""
        standing = self._standing()
        self._running.set(standing.running)
        self._slots.set(standing.slots)
        age, quiet = standing.socket or (0.0, 0.0)
        self._socket.set(standing.socket is not None)
        self._socket_age.set(age)
        self._socket_quiet.set(quiet)
        try:
            found = await self._store()
        except StoreError:
            self._up.set(0)
        else:
            self._up.set(1)
            self._waiting.set(found.waiting)
            self._oldest.set(found.oldest)
            self._open.set(found.open_turns)
            self._orphans.set(found.orphans)
            self._log.set(found.log_bytes)
        return generate_latest(self._registry)

    def _taken(self, signal: Taken) -> None:
        self._events.labels(signal.kind, signal.outcome.partition(":")[0]).inc()
        if signal.outcome not in ("not kept", "quarantined") and signal.kind != "ignored":
            self._commit.observe(signal.seconds)
            if signal.age is not None:
                self._age.observe(signal.age)

    def _ended(self, signal: Ended) -> None:
        self._turn.labels(signal.state).observe(signal.seconds)
        if signal.error:
            self._errors.labels(signal.error).inc()
        if signal.asked is not None and signal.state == "answered":
            self._question.observe(max(0, signal.asked))
        if signal.resumed:
            return
        named = {"first token": self._token, "first text": self._text, "whole": self._whole}
        for name, seconds in signal.marks.items():
            named[name].observe(seconds)

    def _asked(self, signal: ModelCalled) -> None:
        self._model.labels(signal.purpose, signal.state, signal.error).inc()
        self._model_whole.observe(signal.seconds)
        if signal.first is not None:
            self._model_first.observe(signal.first)
        for kind in ("input", "cache_read", "cache_write", "output"):
            self._tokens.labels(kind, signal.model).inc(getattr(signal.usage, kind))
        self._cost.labels(signal.model).inc(signal.micro_usd / 1_000_000)

    def _happened(self, signal: Happened) -> None:
        plain = {
            "lease lost": self._lost,
            "unaccounted": self._unaccounted,
            "orphan deleted": self._deleted,
        }
        labelled = {
            "budget refused": self._refusals,
            "reconciled": self._reconciled,
            "socket ended": self._sockets,
        }
        if signal.what in plain:
            plain[signal.what].inc(signal.times)
        elif signal.what in labelled:
            labelled[signal.what].labels(signal.why).inc(signal.times)
