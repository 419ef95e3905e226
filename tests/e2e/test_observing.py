"""What a running Bobbin tells: metrics, traces and `why`, of answers, failures and limits."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from tests.e2e.conftest import Bobbin, by_requests
from tests.e2e.scene import Scene
from tests.e2e.test_process import ended, get
from tests.ports import free_port
from tests.processes import ROOT

Make = Callable[..., Bobbin]
Span = dict[str, Any]
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]

OBSERVABILITY = ROOT / "docs" / "observability"
_NAME = re.compile(r"\b(?:bobbin|process)_[a-z0-9_]+")


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[Span]]]:
    """An OTLP/HTTP receiver: its address, and the spans that came."""
    spans: list[Span] = []

    async def traces(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                values = {each.key: each.value for each in span.attributes}
                found = {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}
                spans.append({"span": span, "name": span.name, "service": about["service.name"], **found})
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", traces)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", spans
    finally:
        await runner.cleanup()


async def scraped(port: int) -> Samples:
    """Each sample's value, by its name and labels."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as response,
    ):
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


async def at_rest(port: int) -> Samples:
    """The same, once no turn is open."""
    async with asyncio.timeout(60):
        while True:
            found = await scraped(port)
            if not found["bobbin_running_turns"][()] and not found["bobbin_open_turns"][()]:
                return found
            await asyncio.sleep(0.05)


def named_in(text: str) -> set[str]:
    return set(_NAME.findall(text))


def documented() -> set[str]:
    return set(
        re.findall(r"^\| `(bobbin_\w+)` ", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    )


def families(samples: set[str]) -> set[str]:
    """The metrics' names without what a histogram adds."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples}


async def test_answers_failures_and_limits_are_seen_in_metrics_traces_and_why(
    make: Make, slack: Slack, bedrock: Bedrock
) -> None:
    port = free_port()
    async with receiver() as (collector, spans):
        bobbin = await make(
            METRICS_PORT=str(port),
            BUDGET_USER_DAILY_USD="0.5",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector,
            OTEL_BSP_SCHEDULE_DELAY="200",
        ).start()
        scene = Scene(bobbin)
        thread = await scene.joined("say exactly: hello there")
        await scene.say("thanks!", thread=thread)
        async with asyncio.timeout(60):  # every few seconds the file is empty, until something is written
            while not (await scraped(port))["bobbin_wal_bytes"][()]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        bedrock.faults.add("no_access")
        failed = await scene.mention("marmalade")
        await slack.wait_for(lambda: scene.answers(failed))
        bedrock.faults.add("throttled")
        slack.faults.add("chat.postMessage", "ratelimited", retry_after=1)
        limited = await scene.mention("say exactly: limited")
        await scene.answered(limited)
        await scene.heard()
        _metrics(await at_rest(port), scene)
        assert await get(port, "/") == (404, b"404: Not Found")
        async with asyncio.timeout(60):
            while not {span["name"] for span in spans} >= {"queue", "slack chat.postMessage"}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await bobbin.stop() == 0
        _spans(spans)
        await _why(bobbin, scene, thread, failed, limited)


async def test_in_http_mode_no_metric_tells_of_a_socket_that_is_not_open(make: Make, slack: Slack) -> None:
    port = free_port()
    scene = Scene(await make(METRICS_PORT=str(port), **by_requests(slack)).start())
    await scene.joined()
    found = families(set(await at_rest(port)))
    assert {name for name in documented() if "socket" in name} & found == set()
    assert {"bobbin_events_total", "bobbin_database_up"} <= found


def _metrics(found: Samples, scene: Scene) -> None:
    def value(name: str, **labels: str) -> float:
        return sum(value for key, value in found[name].items() if set(labels.items()) <= set(key))

    assert value("bobbin_turn_seconds_count", state="answered") == 3
    assert value("bobbin_turn_seconds_count", state="failed") == 1
    assert value("bobbin_errors_total", code="NoAccess") == 1
    assert value("bobbin_model_calls_total", state="done") == 3
    assert value("bobbin_model_calls_total", error="ModelBusy") == 1
    assert value("bobbin_slack_calls_total", method="chat.postMessage", outcome="SlackLimited") == 1
    assert value("bobbin_events_total", outcome="message") == 1
    for stage in ("event_commit", "event_age", "claim_wait", "first_token", "first_text", "whole_answer"):
        assert value(f"bobbin_{stage}_seconds_count") >= 3, stage
    assert value("bobbin_question_seconds_count") == 3
    assert value("bobbin_tokens_total", kind="output") > 0
    assert value("bobbin_cost_usd_total") > 0
    assert value("bobbin_socket_open") == value("bobbin_database_up") == 1
    assert value("bobbin_socket_age_seconds") > 0
    assert value("bobbin_queue_length") == value("bobbin_open_turns") == value("bobbin_running_turns") == 0

    ours = {name for name in families(set(found)) if name.startswith("bobbin_")}
    # Nothing has happened of it here; what it is stands in the table all the same.
    assert documented() - ours == {"bobbin_socket_ends_total"}
    assert ours <= documented()
    labels = {value for samples in found.values() for key in samples for _, value in key}
    assert not {scene.ann, scene.ben, scene.channel, scene.slack.team_id} & labels
    assert not [value for value in labels if re.fullmatch(r"[UWCDT][A-Z0-9]{6,}|\d{10}\.\d{6}", value)]
    assert len(json.dumps(sorted(labels))) < 4000

    known = set(found) | documented()
    dashboard = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = (OBSERVABILITY / "alerts.yml").read_text()
    for text in (*queries, rules):
        assert named_in(text) - {"bobbin_yes_no"} <= known, text
    assert named_in(" ".join(queries)) >= {name for name in documented() if name.endswith("_total")}


def _spans(spans: list[Span]) -> None:
    roots = [span for span in spans if span["name"] == "invoke_agent Bobbin"]
    assert len(roots) == 4
    assert {span["service"] for span in spans} == {"bobbin"}
    assert {span["gen_ai.provider.name"] for span in roots} == {"aws.bedrock"}
    by_id = {span["span"].span_id: span for span in spans}
    for span in spans:
        if span not in roots:
            assert by_id[span["span"].parent_span_id] in roots
    chats = [span for span in spans if span["name"].startswith("chat ")]
    assert len(chats) == 5
    done = next(span for span in chats if "error.type" not in span)
    assert done["gen_ai.operation.name"] == "chat"
    assert done["name"] == f"chat {done['gen_ai.request.model']}"
    assert done["gen_ai.request.stream"] is True
    assert done["gen_ai.usage.output_tokens"] > 0
    assert done["gen_ai.response.time_to_first_chunk"] > 0
    assert [each.string_value for each in done["gen_ai.response.finish_reasons"].values] == ["stop"]
    assert done["aws.request_id"]
    assert done["span"].kind == 3  # a client's
    assert {span["error.type"] for span in chats if "error.type" in span} == {"NoAccess", "ModelBusy"}
    assert all(root["span"].start_time_unix_nano <= done["span"].end_time_unix_nano for root in roots[:1])
    assert [root["error.type"] for root in roots if "error.type" in root] == ["NoAccess"]
    assert "marmalade" not in str(spans)
    assert "hello there" not in str(spans)


async def _why(bobbin: Bobbin, scene: Scene, thread: str, failed: str, limited: str) -> None:
    code, told = await ended(bobbin, "why", f"{scene.channel}/{thread}")
    assert code == 0
    for words in (
        "answered",
        "claimed by",
        "asked ",
        "first words",
        "the whole answer is stored",
        "why    Answered.",
    ):
        assert words in told, words
    code, told = await ended(bobbin, "why", f"{scene.channel}/{failed}")
    assert "(NoAccess: AccessDeniedException 403" in told
    assert "next   open the model once in the Bedrock console" in told
    assert "marmalade" not in told
    _, told = await ended(bobbin, "why", f"{scene.channel}/{limited}", "--json")
    [found] = json.loads(told)["found"]
    steps = [step["what"] for step in found["steps"]]
    assert "limited" in steps
    assert [call["state"] for call in found["asked"]] == ["failed", "done"]
    code, told = await ended(bobbin, "why", "T999")
    assert (code, told) == (1, "There is no turn T999.\n")
    code, told = await ended(bobbin, "why", "what?")
    assert code == 2
    assert "CHANNEL/TS" in told


async def test_beside_a_running_bobbin_why_tells_what_a_turn_is_at_and_without_metrics_nothing_is_served(
    bobbin: Bobbin, bedrock: Bedrock
) -> None:
    scene = Scene(bobbin)
    bedrock.hold()
    thread = await scene.mention("say exactly: at last")
    await bedrock.wait_for(lambda it: it.open == 1)
    other = Bobbin(bobbin.slack, bobbin.bedrock, bobbin.folder)
    _, told = await ended(other, "why", f"{scene.channel}/{thread}")
    assert "the model was asked and has not said a word yet" in told
    bedrock.release()
    assert await scene.answered(thread) == ["at last"]
    assert bobbin.process is not None
    maps = await asyncio.to_thread(Path(f"/proc/{bobbin.process.pid}/maps").read_text)
    assert "opentelemetry" not in maps
