"""What people, admins and Slack itself do in the middle of an answer: each row has its right visible end."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import aiosqlite
import pytest
import pytest_asyncio

from bot.sandbox.bedrock import Bedrock
from bot.sandbox.slack import Slack
from bot.slack.api import METHODS
from tests.chaos.faults import (
    CALLS_A_SECOND,
    FAULTS,
    SLOWLY,
    STUCK_SECONDS,
    UNDISTURBED,
    Ends,
    Ground,
    Play,
    below,
    ends_of,
    long_text,
)
from tests.e2e.conftest import Bobbin, shown
from tests.e2e.scene import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAYS = ("stream", "post")
CALLED = [name for name in METHODS if name != "apps.connections.open"]


async def question(ground: Ground, way: str, text: str) -> str:
    """Ask for this answer, to be shown in this way; the thread."""
    if way == "post":
        ground.refuse("chat.startStream")
    return await ground.mention(f"say exactly: {text}")


# ---------------------------------------------------------------- streams that end by themselves


async def expires(moment: str, bobbin: Bobbin) -> None:
    ground, text = Ground(bobbin), long_text(f"expiry {moment}")
    method, _, nth = moment.partition(" ")
    fault = ground.slack.faults.add(method, "message_not_in_streaming_state", after=int(nth))
    await ground.answered_once(await question(ground, "stream", text), text, meets=fault)
    assert fault.times == 0


async def expires_by_time(bobbin: Bobbin) -> None:
    ground, text = Ground(bobbin), long_text("a short life")
    ground.slack.workspace.stream_seconds = 0.3
    try:
        thread = await question(ground, "stream", text)
        await ground.meanwhile(ground.slack.wait_for(lambda: "'errored'" in str(ground.answers(thread))))
        await ground.answered_once(thread, text)
    finally:
        ground.slack.workspace.stream_seconds = 300
    assert "message_not_in_streaming_state" in str([call.result for call in ground.calls()])


async def conflicts(way: str, bobbin: Bobbin) -> None:
    ground, text = Ground(bobbin), long_text(f"conflict {way}")
    broken = ground.slack.faults.add("chat.appendStream", "http", after=1)
    fault = ground.slack.faults.add("chat.update", "streaming_state_conflict")
    meets = broken if way == "stream" else fault
    await ground.answered_once(await question(ground, way, text), text, meets=meets)
    assert fault.times == 0


async def update_comes_late(bobbin: Bobbin) -> None:
    """An update whose answer was lost takes effect when the answer could have been finished long ago."""
    ground, text = Ground(bobbin), long_text("late update")
    fault = ground.slack.faults.add("chat.update", "late", seconds=0.7)
    await ground.answered_once(await question(ground, "post", text), text)
    late, _, *_ = ground.calls("chat.update")
    assert (fault.times, (late.result or {}).get("ok")) == (0, True)


# ---------------------------------------------------------------- people


async def reply_deleted(way: str, moment: str, bobbin: Bobbin) -> None:
    ground = Ground(bobbin)
    last = "chat.stopStream" if way == "stream" else "chat.update"
    if moment == "before the end":
        ground.slack.faults.add(last, "hang", seconds=0.5)
    thread = await question(ground, way, long_text("deletion"))
    await ground.half_shown(thread)
    if moment == "before the end":
        before = len(ground.slack.calls(last))
        await ground.slack.wait_for(lambda: ground.slack.calls(last)[before:])
    await ground.slack.delete(
        ground.slack.add_person("Root", admin=True), ground.channel, ground.answers(thread)[0]["ts"]
    )
    await ground.ended(thread, "answered cancelled")
    assert ground.answers(thread) == []


async def question_deleted(moment: str, bobbin: Bobbin) -> None:
    ground = Ground(bobbin)
    if moment == "unanswered":
        ground.bedrock.hold()
    else:
        ground.bedrock.pace = SLOWLY  # it is still speaking when Bobbin hears of the deletion
    thread = await question(ground, "stream", long_text("a question taken back"))
    if moment == "unanswered":
        await ground.bedrock.wait_for(lambda it: it.open == 1)
    else:
        await ground.half_shown(thread)
    await ground.slack.delete(ground.ann, ground.channel, thread)
    await ground.rest()
    ground.bedrock.release()
    if moment == "unanswered":
        await ground.ended(thread, "cancelled")
        assert ground.slack.messages(ground.channel) == []
        return
    await ground.ended(thread, "answered")
    (message,) = ground.answers(thread)
    assert "the question was deleted" in below(message)[0]
    assert message["streaming_state"] == "completed"


async def root_deleted(way: str, bobbin: Bobbin) -> None:
    """The thread's first message goes, which was not the question."""
    ground, text = Ground(bobbin), long_text("a thread without its root")
    root = await ground.say("Something else.", by=ground.ben)
    if way == "post":
        ground.refuse("chat.startStream")
    await ground.mention(f"say exactly: {text}", thread=root)
    await ground.half_shown(root)
    await ground.slack.delete(ground.ben, ground.channel, root)
    await ground.answered_once(root, text)


async def shut_out(how: str, way: str, moment: str, bobbin: Bobbin) -> None:
    """Archived, or Bobbin is removed. Its next call in the channel and other channels are as ever."""
    ground = Ground(bobbin)
    place = ground.slack.workspace.channels[ground.channel]
    if moment == "thinking":
        ground.bedrock.hold()
    thread = await question(ground, way, long_text("a closed door"))
    if moment == "thinking":
        await ground.bedrock.wait_for(lambda it: it.open == 1)
    else:
        await ground.half_shown(thread)
    if how == "archived":
        await ground.slack.archive(ground.channel)
    else:
        place.members.remove(ground.slack.bot_user_id)
    ground.bedrock.release()
    await ground.rest()
    assert await ground.end() == "failed"
    assert len(ground.requests) == 1
    assert len(ground.answers(thread)) == (moment != "thinking")
    ground.slack.faults.clear()
    elsewhere = Ground(bobbin)
    elsewhere.bedrock.hold()
    thread = await question(elsewhere, "stream", "elsewhere")
    await ground.slack.wait_for(lambda: elsewhere.calls("assistant.threads.setStatus"))
    elsewhere.bedrock.release()
    await elsewhere.answered_once(thread, "elsewhere")
    place.archived = False
    if how == "removed":
        await ground.slack.invite_bot(ground.ann, ground.channel)
    again = await ground.mention("say exactly: and here I am")
    await ground.rest()
    assert [shown(answer) for answer in ground.answers(again)] == ["and here I am"]


# ---------------------------------------------------------------- tokens, scopes, limits


async def token_refused(code: str, moment: str, bobbin: Bobbin) -> None:
    """The turn is put off, the log names the remedy, and it is answered when the token is good again."""
    ground, text = Ground(bobbin), long_text(f"a token, {code}")
    lines, began = len(bobbin.log), time.time()
    if moment == "asked":
        faults = [ground.slack.faults.add(method, code, times=None) for method in CALLED]
    thread = await question(ground, "stream", text)
    if moment == "answering":
        await ground.half_shown(thread)
        faults = [ground.slack.faults.add(method, code, times=None) for method in CALLED]
        began = time.time()
    async with asyncio.timeout(30):
        while not any("set a valid one" in line["event"] for line in bobbin.log[lines:]):  # noqa: ASYNC110  a file
            await asyncio.sleep(0.1)
    await asyncio.sleep(STUCK_SECONDS)  # the measure is calls a second
    calls = [entry.name for entry in ground.slack.calls() if entry.at >= began]
    assert len(calls) < CALLS_A_SECOND * (time.time() - began), calls
    for fault in faults:
        fault.times = 0
    await ground.rest()
    assert len(ground.requests) <= 2
    await ground.answered_once(thread, text, calls=len(ground.requests))


async def scope_missing(methods: tuple[str, ...], end: str, bobbin: Bobbin) -> None:
    """In a Bobbin of its own: what is refused is remembered for some minutes."""
    folder = bobbin.folder / "own"
    folder.mkdir(exist_ok=True)
    folder = folder / "-".join(methods)
    folder.mkdir()
    async with running(folder, **UNDISTURBED) as own:
        own.bedrock.pace = 0.01
        for direct in (False, True):
            ground, text = Ground(own, direct=direct), long_text(f"scopes {direct}")
            for method in methods:
                ground.slack.faults.add(method, "missing_scope", times=None)
            root = await ground.say("say exactly: before", by=ground.ann)
            if direct:
                await ground.rest()
            await ground.mention(f"say exactly: {text}", thread=root)
            await ground.rest()
            answers = [shown(answer) for answer in ground.answers(root)]
            if end == "answer":
                assert [*filter(lambda said: said.split() == text.split(), answers)]
                assert len(answers) == 1 + direct
            else:
                assert (answers, await ground.end()) == ([], "failed")
            assert ground.slack.status(ground.channel, root).status == "active"
            ground.slack.faults.clear()
        assert "a scope is missing" in str(own.log)


async def all_is_limited(direct: bool, bobbin: Bobbin) -> None:  # noqa: FBT001  a row's column
    ground, text = Ground(bobbin, direct=direct), long_text("a storm")
    faults = [ground.slack.faults.add(method, "ratelimited", times=None) for method in CALLED]
    counted = asyncio.create_task(ground.stuck(faults[CALLED.index("users.info")], *faults))
    thread = await question(ground, "stream", text)
    await counted
    await ground.answered_once(thread, text)


# ---------------------------------------------------------------- events


async def events(how: str, bobbin: Bobbin) -> None:
    """Three questions and three more: each has one answer, whatever way the events come."""
    slack, sockets = bobbin.slack, bobbin.slack._sockets
    slack.deliver_twice(on=how == "twice")
    slack.shuffle(7 if how == "shuffled" else None)
    ack_seconds, sockets._ack_seconds = sockets._ack_seconds, 0.0 if how == "acked late" else 3.0
    if how == "held":
        slack.hold()
    grounds = [Ground(bobbin) for _ in range(3)]
    try:
        for round_ in (1, 2):
            threads = [await ground.mention(f"say exactly: round {round_}") for ground in grounds]
            if how == "held":
                await asyncio.sleep(0.5)
                slack.release()
            asked = [*zip(grounds, threads, strict=True)]
            await slack.wait_for(lambda: all(g.answers(thread) for g, thread in asked))  # noqa: B023
            for ground, thread in asked:
                await ground.answered_once(thread, f"round {round_}", calls=3 * round_)
            if how == "held":
                slack.hold()
    finally:
        slack.release()
        slack.shuffle(None)
        slack.deliver_twice(on=False)
        sockets._ack_seconds = ack_seconds


# ---------------------------------------------------------------- calls beside the answer


async def private_note(fault: str, bobbin: Bobbin) -> None:
    """Somebody from another organisation is told privately that they may not ask."""
    ground = Ground(bobbin)
    stranger = ground.slack.add_person("Zed", external_team="T0OTHER")
    ground.befall("chat.postEphemeral", fault)
    thread = await ground.mention("What's 1+1?", by=stranger)
    await ground.slack.wait_for(lambda: ground.calls("chat.postEphemeral"))
    await ground.rest()
    if fault != "unknown error":
        await ground.slack.wait_for(lambda: ground.slack.ephemerals(stranger))
    assert (ground.answers(thread), ground.requests) == ([], [])
    ground.nothing_works(thread)


async def deletions(bobbin: Bobbin) -> None:
    """Messages of a stale owner are deleted at the start, each under another fault."""
    folder = bobbin.folder / "deletions"
    folder.mkdir()
    async with running(folder, **UNDISTURBED) as own:
        ground = Ground(own)
        thread = await question(ground, "stream", "kept")
        await ground.answered_once(thread, "kept")
        assert await own.stop() == 0
        workspace = ground.slack.workspace
        place, author = workspace.channels[ground.channel], workspace.bot.author
        faults = sorted(FAULTS, key=lambda name: name != "unknown error")
        stray = [
            workspace.post(place, author | {"text": name}, thread)["ts"] for name in (*faults, "not befallen")
        ]
        async with aiosqlite.connect(folder / "bobbin.db", isolation_level=None) as database:
            rows = [(ground.slack.team_id, ground.channel, ts) for ts in stray]
            await database.executemany("INSERT INTO orphan VALUES (?, ?, ?, 1)", rows)
        for number, fault in enumerate(faults):
            ground.befall("chat.delete", fault, after=number)  # every other call
        await own.start()
        # What Slack refuses for a reason nobody knows is tried again in the next sweep.
        await ground.slack.wait_for(lambda: len(ground.answers(thread)) == 2, 60)
        async with asyncio.timeout(20):
            while len(await own.rows("SELECT * FROM orphan")) > 1:  # noqa: ASYNC110  a file
                await asyncio.sleep(0.1)
        ground.nothing_works(thread)


async def start(fault: str, bobbin: Bobbin) -> None:
    """Slack is out of reach as Bobbin starts, which waits; an unknown refusal is said, and it ends."""
    folder = bobbin.folder / f"start {fault}"
    folder.mkdir()
    slack = Slack()
    await slack.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(slack.close)
        own = Bobbin(slack, await stack.enter_async_context(Bedrock()), folder, **UNDISTURBED)
        stack.push_async_callback(own.close)
        for method in ("auth.test", "apps.connections.open"):
            slack.faults.add(method, **FAULTS[fault])
        if fault == "unknown error":
            with pytest.raises(AssertionError, match="lunch_break"):
                await own.start()
            assert own.process is not None
            assert await own.process.wait() == 78
            return
        await own.start()
        ground = Ground(own)
        await ground.answered_once(await question(ground, "stream", "up and well"), "up and well")
        for method in ("auth.test", "apps.connections.open"):
            assert 2 <= len(slack.calls(method)) <= 4


SCOPES: dict[str, tuple[tuple[str, ...], str]] = {
    "users:read": (("users.info",), "answer"),
    "history": (("conversations.replies",), "answer"),
    "streams": (("chat.startStream",), "answer"),
    "status": (("assistant.threads.setStatus", "agents.sessions.setStatus"), "answer"),
    "status and reactions:write": (
        ("assistant.threads.setStatus", "agents.sessions.setStatus", "reactions.add", "reactions.remove"),
        "answer",
    ),
    "chat:write": (tuple(name for name, scope in METHODS.items() if scope == "chat:write"), "nothing"),
}
ROWS: dict[str, Play] = {
    "chat.delete, every fault": deletions,
    **{f"at the start, {fault}": partial(start, fault) for fault in FAULTS},
    **{f"{name} missing": partial(scope_missing, *row) for name, row in SCOPES.items()},
    **{f"everything limited, {where}": partial(all_is_limited, where == "dm") for where in ("channel", "dm")},
    **{
        f"expired at {moment}": partial(expires, moment)
        for moment in ("chat.appendStream 0", "chat.appendStream 2", "chat.stopStream 0")
    },
    "expired by time": expires_by_time,
    **{f"update in conflict with a stream, {way}": partial(conflicts, way) for way in WAYS},
    "update lost and late": update_comes_late,
    **{
        f"reply deleted {moment}, {way}": partial(reply_deleted, way, moment)
        for way in WAYS
        for moment in ("half shown", "before the end")
    },
    **{
        f"question deleted, {moment}": partial(question_deleted, moment)
        for moment in ("unanswered", "half shown")
    },
    **{f"root deleted, {way}": partial(root_deleted, way) for way in WAYS},
    **{
        f"channel {how}, {way}, {moment}": partial(shut_out, how, way, moment)
        for how in ("archived", "removed")
        for way in WAYS
        for moment in ("thinking", "half shown")
    },
    **{
        f"{code}, {moment}": partial(token_refused, code, moment)
        for code in ("token_revoked", "account_inactive")
        for moment in ("asked", "answering")
    },
    **{f"events {how}": partial(events, how) for how in ("twice", "shuffled", "held", "acked late")},
    **{f"chat.postEphemeral, {fault}": partial(private_note, fault) for fault in FAULTS},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return await ends_of(request, tmp_path_factory.mktemp("acts"), ROWS, {})


@pytest.mark.parametrize("row", ROWS)
async def test_an_act_in_the_middle_of_an_answer_has_its_right_end(ends: Ends, row: str) -> None:
    if (error := ends[row]) is not None:
        raise error
