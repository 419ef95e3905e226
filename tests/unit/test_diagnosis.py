"""`why`: each way in which a turn can end or wait has its cause and next step, from stored rows."""

import inspect
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import bot.errors
from bot import trail
from bot.causes import BUDGETS, CAUSES, ENDINGS
from bot.diagnosis import _STEPS
from bot.errors import BobbinError, ModelError, SlackError, StoreError
from bot.ports import Call, Caps, Finish, Part, Stop, Usage
from bot.why import Unclear, why
from storage import open_store
from tests.chaos.test_bedrock_faults import PASSES, STAYS
from tests.contract.conftest import Talk

SLACK_CODES = {
    "429": ("limited", "chat.update: ratelimited for 30 s", "Slack: chat.update: ratelimited for 30 s"),
    "500": ("unreachable", "chat.update: http_500", "no answer from Slack: chat.update: http_500"),
    "hang": ("unreachable", "chat.startStream: TimeoutError", "no answer from Slack: chat.startStream"),
    "reset": ("unreachable", "chat.appendStream: ServerDisconnectedError", "ServerDisconnectedError"),
    "html": ("unreachable", "chat.update: unreadable_answer", "unreadable_answer"),
    "unknown error": (
        "refused",
        "chat.postMessage: lunch_break",
        "Slack refused: chat.postMessage: lunch_break",
    ),
}
"""What the Slack fault table does to a call, as it is noted, and as it is told."""

NEVER_SAID = {
    "SlackLimited",
    "SlackUnreachable",
    "StreamStopped",
    "OverBudget",
    "BadConfiguration",
    "LoopEnded",
    "PortTaken",
}
"""Errors that end no turn: it is put off, stopped, cancelled, or the process ends."""


class Desk(Talk):
    """A thread of which somebody asks why."""

    url: str

    async def why(self, what: str) -> str:
        report, _ = await why(self.url, what)
        return report

    async def failed(self, error: str) -> str:
        await self.say(0, "@bobbin hello")
        turn = await self.claim()
        await self.store.record_part(turn, Part(self.ts(1), "error"))
        await self.store.finish(turn, Finish("failed", error=error))
        return await self.why(f"T{turn.id}")

    async def ended(self, state: str, reason: str = "", answer: str | None = None) -> str:
        await self.say(0, "@bobbin hello")
        turn = await self.claim()
        if answer:
            await self.store.record_part(turn, Part(self.ts(1)))
        await self.store.finish(turn, Finish(state, answer, reason=reason))  # type: ignore[arg-type]
        return await self.why(str(turn.id))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    url = f"sqlite:///{tmp_path / 'bobbin.db'}"
    token = trail._current.set(None)
    async with open_store(url, lock_seconds=0) as store:
        made = Desk(store)
        made.url = url
        yield made
    trail._current.reset(token)


def parts(report: str) -> tuple[str, str]:
    """Its cause and its next step."""
    _, _, end = report.partition("\nwhy    ")
    cause, _, todo = end.partition("\nnext   ")
    return cause, todo


# ---------------------------------------------------------------- failed


def test_every_error_that_can_end_a_turn_has_a_cause_and_a_next_step():
    kinds = [
        kind for _, kind in inspect.getmembers(bot.errors, inspect.isclass) if issubclass(kind, BobbinError)
    ]
    ends = {
        kind.__name__
        for kind in kinds
        if kind not in (ModelError, SlackError) and (not issubclass(kind, StoreError) or kind is StoreError)
    }
    assert set(CAUSES) == ends - NEVER_SAID


@pytest.mark.parametrize("fault", [*PASSES, *STAYS])
async def test_each_fault_of_the_bedrock_table_is_told_with_its_cause_and_a_next_step(desk: Desk, fault: str):
    name = {**PASSES, **STAYS}[fault].__name__
    cause, todo = parts(await desk.failed(f"{name}: SomeException 4xx r-1: what Bedrock says"))
    assert cause.startswith(CAUSES[name][0])
    assert "r-1: what Bedrock says" in cause
    assert todo == CAUSES[name][1]


@pytest.mark.parametrize(
    "name", sorted({"TurnGaveUp", "StoreError", *(n for n in CAUSES if n.startswith("Slack"))})
)
async def test_so_is_each_other_error(desk: Desk, name: str):
    cause, todo = parts(await desk.failed(f"{name}: chat.postMessage: code"))
    assert cause.startswith(CAUSES[name][0])
    assert todo == CAUSES[name][1]


async def test_a_failed_turn_for_which_somebody_pressed_try_again_needs_no_next_step(desk: Desk):
    await desk.failed("NoAccess: no")
    await desk.store.retry(1)
    assert "nothing: Try again was pressed" in parts(await desk.why("T1"))[1]


@pytest.mark.parametrize("fault", SLACK_CODES)
async def test_each_fault_of_the_slack_table_is_a_line_of_the_story(desk: Desk, fault: str):
    what, detail, told = SLACK_CODES[fault]
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    trail.begin(turn.id)
    trail.note(what, detail)  # type: ignore[arg-type]
    await desk.answer(turn, "hi")
    assert told in await desk.why("T1")


async def test_each_call_of_the_model_is_a_line_with_its_error_and_request_id(desk: Desk):
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    call = Call(1, turn.id, "T1", "C1", "ANN", "some-model", "answer", Usage(), 0)
    await desk.store.begin_call(call, Caps())
    told = "ModelBusy: ThrottlingException 429 r-7: too many tokens"
    failed = replace(call, state="failed", estimated=False, request_id="r-7", error=told)
    await desk.store.settle_call(failed)
    await desk.answer(turn, "hi")
    report = await desk.why("T1")
    assert "asked some-model" in report
    assert f"the call ended, failed: {told}" in report
    assert "request r-7" in report


# ---------------------------------------------------------------- other ends


async def test_an_answer_is_told_from_the_event_to_the_last_write(desk: Desk):
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    await desk.store.record_part(turn, Part(desk.ts(1)))
    await desk.store.record_answer(turn, "hi there", Stop("end_turn", Usage(), "r-1"))
    await desk.store.finish(turn, Finish("answered", "hi there", reason="end_turn"))
    report = await desk.why("T1")
    told = [
        "ANN wrote",
        "event Ev0",
        "kept",
        "claimed by worker",
        "the whole answer is stored (8 characters)",
    ]
    told += ["closed: answered"]
    assert all(words in report for words in told)
    assert f"Slack has message {desk.ts(1)} (answer)" in report
    assert parts(report) == ("Answered.", "")
    assert "hello" not in report
    assert "hi there" not in report


@pytest.mark.parametrize("reason", ENDINGS)
async def test_each_reason_for_which_a_turn_is_closed_is_told(desk: Desk, reason: str):
    answered = reason in ("max_tokens", "window")
    report = await desk.ended("answered" if answered else "cancelled", reason, "half" if answered else None)
    assert parts(report) == ENDINGS[reason]


@pytest.mark.parametrize("budget", BUDGETS)
async def test_a_question_without_budget_names_the_budget(desk: Desk, budget: str):
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    trail.begin(turn.id)
    trail.note("over budget", budget)
    await desk.store.finish(turn, Finish("cancelled", reason="the budget is spent"))
    assert parts(await desk.why("T1")) == BUDGETS[budget]


async def test_silence_is_told_as_the_models_choice(desk: Desk):
    cause, todo = parts(await desk.ended("silent"))
    assert "[[silent]]" in cause
    assert "mention Bobbin" in todo


# ---------------------------------------------------------------- waiting


async def heard(desk: Desk) -> None:
    await desk.store.heard("T1", 240)


async def test_what_waits_in_the_queue_is_told_with_how_many_come_first(desk: Desk):
    await heard(desk)
    for number in range(3):
        await desk.elsewhere(f"C{number}").say(number, "@bobbin hello", f"P{number}", number)
    cause, _ = parts(await desk.why(f"C2/{desk.ts(2)}"))
    assert "2 conversations come before it, 0 are being answered" in cause


async def test_what_waits_for_the_answer_before_it_names_that_turn(desk: Desk):
    await desk.say(0, "@bobbin hello")
    await desk.claim()
    await desk.say(1, "@bobbin and this")
    assert "waits for the answer before it in its thread (T1)" in await desk.why(f"C1/{desk.ts(1)}")


async def test_a_turn_at_work_says_what_it_is_at(desk: Desk):
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    trail.begin(turn.id)
    assert "the model was not asked yet" in await desk.why("T1")
    call = Call(1, turn.id, "T1", "C1", "ANN", "m", "answer", Usage(), 0)
    await desk.store.begin_call(call, Caps())
    assert "was asked and has not said a word yet" in await desk.why("T1")
    trail.note("limited", "chat.update: ratelimited for 30 s")
    await desk.store.record_answer(turn, "hi", Stop("end_turn", Usage()))
    report = await desk.why("T1")
    assert (
        "being written to Slack: Slack's rate limits slow it down (chat.update: ratelimited for 30 s)"
        in report
    )


async def test_a_heartbeat_brings_the_notes_so_far(desk: Desk):
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    trail.begin(turn.id)
    trail.note("limited", "chat.update: ratelimited for 30 s")
    assert "ratelimited" not in await desk.why("T1")
    await desk.store.extend(turn)
    assert "ratelimited" in await desk.why("T1")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            "SlackUnreachable: chat.update: http_503",
            "Slack was out of reach or limits us (chat.update: http_503)",
        ),
        ("StoreUnavailable: the disk is full", "The database was out of reach (the disk is full)"),
    ],
)
async def test_a_turn_that_was_put_off_says_why_and_until_when(desk: Desk, error: str, told: str):
    await heard(desk)
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    trail.begin(turn.id)
    trail.note("put off", error)
    await desk.store.release(turn, 1000)
    report = await desk.why("T1")
    assert told in parts(report)[0]
    assert "it goes on in 1" in parts(report)[0]
    assert f"put off: {error}" in report


async def test_a_turn_whose_process_died_is_told_so_and_that_it_settles_first(desk: Desk):
    await heard(desk)
    await desk.say(0, "@bobbin hello")
    turn = await desk.claim()
    await desk.lapse(turn)
    assert "(worker) gives no sign of life" in await desk.why("T1")
    await desk.store.recover(1000)
    await desk.sql("UPDATE conversation SET lease_owner = NULL")
    assert "Its process ended while it worked on it: it goes on in 1" in await desk.why("T1")
    await desk.sql("UPDATE conversation SET lease_owner = 'worker', not_before = 0")
    await desk.claim()
    assert "the process before gave no sign of life" in await desk.why("T1")
    assert "2 claims, 1 deaths" in await desk.why("T1")


async def test_poison_that_is_held_back_says_so(desk: Desk):
    await heard(desk)
    for number in range(2):
        await desk.elsewhere(f"C{number}").say(number, "@bobbin hello", f"P{number}", number)
    for turn in await desk.store.claim("worker", 10):
        await desk.store.release(turn)
    await desk.sql("UPDATE turn SET deaths = 3")
    cause, todo = parts(await desk.why("T2"))
    assert "died 3 times" in cause
    assert "one is tried at a time" in cause
    assert "memory" in todo


async def test_where_no_bobbin_runs_that_is_the_cause(desk: Desk):
    await heard(desk)
    await desk.say(0, "@bobbin hello")
    await desk.sql("UPDATE heard SET heard_at = heard_at - 600000")
    cause, todo = parts(await desk.why(f"C1/{desk.ts(0)}"))
    assert "No running Bobbin has heard this workspace for 10 min" in cause
    assert "start Bobbin" in todo


# ---------------------------------------------------------------- messages


async def test_what_is_kept_as_history_says_why_it_was_not_answered(desk: Desk):
    await desk.ask(0, "@bobbin hello", "hi")
    await desk.say(5, "thanks!", pleasantry=True)
    cause, todo = parts(await desk.why(f"C1/{desk.ts(5)}"))
    assert "not answered: nothing but a pleasantry" in cause
    assert "mention" in todo


async def test_links_of_the_question_and_of_the_answer_lead_to_the_turn(desk: Desk):
    await desk.ask(0, "@bobbin hello", "hi")
    digits = desk.ts(0).replace(".", "")
    link = f"https://acme.slack.com/archives/C1/p{digits}?thread_ts={desk.ts(0)}&cid=C1"
    for what in (link, f"<{link}>", f"C1/{desk.ts(1)}", "t1", "#T1", "1"):
        assert (await desk.why(what)).startswith("T1: answered"), what


async def test_two_workspaces_that_share_every_id_are_both_shown(desk: Desk):
    for team in ("T1", "T2"):
        talk = Talk(desk.store, team=team)
        await talk.post(talk.message(0, "@bobbin hello", event_id=f"Ev{team}"))
    report = await desk.why(f"C1/{desk.ts(0)}")
    assert "workspace T1" in report
    assert "workspace T2" in report


async def test_of_what_is_ignored_nothing_is_kept_and_the_reasons_are_said(desk: Desk):
    await desk.say(0, "just talk")
    await desk.store.heard("T1", 240)
    report, found = await why(desk.url, f"C1/{desk.ts(0)}")
    assert not found
    assert '"other talk"' in report
    assert "mention Bobbin there" in report
    await desk.ask(1, "@bobbin hello", "hi")
    link = f"https://acme.slack.com/archives/C1/p1795000099000000?thread_ts={desk.ts(0)}"
    assert "Bobbin has joined it" in await desk.why(link)


async def test_an_unknown_id_is_said_and_rubbish_is_refused(desk: Desk):
    assert await why(desk.url, "T99") == ("There is no turn T99.", False)
    for rubbish in ("hello", "C1", "https://example.com/", "T", "C1/12"):
        with pytest.raises(Unclear):
            await why(desk.url, rubbish)


async def test_for_machines_it_is_json_with_the_same(desk: Desk):
    await desk.failed("NoAccess: no")
    report, _ = await why(desk.url, "T1", as_json=True)
    [told] = json.loads(report)["found"]
    assert (told["turn"], told["state"], told["next"]) == (1, "failed", CAUSES["NoAccess"][1])
    assert told["timeline"][0]["what"].startswith("ANN wrote")
    unknown, found = await why(desk.url, "T9", as_json=True)
    assert (json.loads(unknown), found) == ({"found": []}, False)


async def test_what_a_turn_noted_goes_with_its_thread(desk: Desk):
    await desk.ask(0, "@bobbin hello", "hi")
    assert await desk.sql("SELECT 1 AS one FROM step")
    await desk.sql("DELETE FROM conversation")
    assert not await desk.sql("SELECT 1 AS one FROM step")


def test_every_note_has_words():
    assert set(_STEPS) == set(trail.What.__args__)  # type: ignore[attr-defined]
