"""Every Slack call that makes an answer, under every fault that can befall it: each row ends as it should.

Calls beside an answer (private notes, files, deletions, the start, a gap) have their faults in
`test_slack_acts.py`, `tests/e2e/test_reply_faults.py` and `tests/e2e/test_gaps.py`.

The rows are played many at once; each is a test of its own.
"""

import asyncio
from functools import partial

import pytest
import pytest_asyncio

from tests.chaos.faults import FAULTS, LOST, Ends, Ground, Play, ends_of, long_text
from tests.e2e.conftest import Bobbin

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWING = {
    "chat.startStream": "stream",
    "chat.appendStream": "stream",
    "chat.stopStream": "stream",
    "chat.postMessage": "post",
    "chat.update": "post",
    "users.info": "stream",
    "conversations.replies": "joining late",
    "assistant.threads.setStatus": "stream",
    "agents.sessions.setStatus": "direct",
    "agents.sessions.rename": "direct",
    "reactions.add": "eyes",
    "reactions.remove": "eyes",
}
"""Each method, and the kind of answer in which it is called."""


async def asked(ground: Ground, kind: str, text: str) -> str:
    """Ask in this kind of way; the thread."""
    match kind:
        case "post":
            ground.refuse("chat.startStream")
        case "eyes":
            ground.refuse("assistant.threads.setStatus", "lunch_break")
        case "joining late":
            thread = await ground.say("Something else.", by=ground.ben)
            await ground.mention(f"say exactly: {text}", thread=thread)
            return thread
    return await ground.mention(f"say exactly: {text}")


async def once(method: str, fault: str, bobbin: Bobbin) -> None:
    """The fault befalls one call."""
    kind, text = SHOWING[method], long_text(f"{fault} of {method}")
    ground = Ground(bobbin, direct=kind == "direct")
    befalls = ground.befall(method, fault)
    thread = await asked(ground, kind, text)
    await ground.met(befalls)
    if (method, fault) == ("conversations.replies", "unknown error"):
        await ground.failed_once(thread, "Slack did not let me", calls=0)
    else:
        # What an unknown refusal means nobody can tell: the eyes stay.
        stays = (method, fault) == ("reactions.remove", "unknown error")
        await ground.answered_once(thread, text, eyes=stays)


async def lasting(method: str, fault: str, bobbin: Bobbin) -> None:
    """The fault befalls every call for some seconds."""
    kind, text = SHOWING[method], long_text(f"{fault} of {method}")
    ground = Ground(bobbin, direct=kind == "direct")
    lasts = ground.befall(method, fault, times=None)
    counted = asyncio.create_task(ground.stuck(lasts))
    thread = await asked(ground, kind, text)
    await counted
    await ground.answered_once(thread, text)


async def lost(method: str, fault: str, where: str, what: str, bobbin: Bobbin) -> None:
    """The call makes the message, and Bobbin does not hear of it."""
    ground = Ground(bobbin, direct=where == "dm")
    limit = 11_500 if method == "chat.startStream" else 3_900
    text = long_text(f"{what} {fault} {where}", limit + 700 if what == "further part" else 700)
    ground.bedrock.pace = 0 if what == "further part" else ground.bedrock.pace
    if method == "chat.postMessage":
        ground.refuse("chat.startStream")
    ground.befall(method, fault, after=int(what == "further part"))
    if what == "error":
        thread = await ground.mention("fail no_access")
        await ground.failed_once(thread, "no access to the model")
    else:
        thread = await ground.mention(f"say exactly: {text}")
        await ground.answered_once(thread, text, parts=1 + (what == "further part"))


async def lost_and_unreadable(method: str, fault: str, bobbin: Bobbin) -> None:
    """The call makes the message, and the thread cannot be read for long either."""
    ground, text = Ground(bobbin), long_text(f"{fault} twice")
    if method == "chat.postMessage":
        ground.refuse("chat.startStream")
    ground.befall(method, "reset after")
    ground.befall("conversations.replies", fault, times=5)
    thread = await ground.mention(f"say exactly: {text}")
    await ground.answered_once(thread, text)


async def limited_for_long(method: str, bobbin: Bobbin) -> None:
    """Slack says for how long: until that is over the method is not called again."""
    ground, text = Ground(bobbin), long_text(f"limited {method}")
    fault = ground.slack.faults.add(method, "ratelimited", retry_after=LONG_SECONDS)
    thread = await asked(ground, SHOWING[method], text)
    await ground.answered_once(thread, text)
    assert fault.times == 0
    refused, *others = ground.calls(method)
    assert others
    assert others[0].at - refused.at >= LONG_SECONDS


LONG_SECONDS = 30
UNPACED_ROWS: dict[str, Play] = {
    # The longest go first.
    **{
        f"{method} limited for {LONG_SECONDS} s": partial(limited_for_long, method)
        for method in ("chat.stopStream", "chat.postMessage", "chat.update")
    },
    **{
        f"{method} lost, thread unreadable by {fault}": partial(lost_and_unreadable, method, fault)
        for method in ("chat.startStream", "chat.postMessage")
        for fault in ("500", "429")
    },
    **{
        f"{method} lost by {fault}, {what}, in a {where}": partial(lost, method, fault, where, what)
        for method in ("chat.startStream", "chat.postMessage")
        for fault in LOST
        for where in ("channel", "dm")
        for what in ("first part", "further part", "error")
        if (what, method) != ("error", "chat.startStream")
    },
    **{f"{method}, {fault}": partial(once, method, fault) for method in SHOWING for fault in FAULTS},
}
OTHER_KINDS = {
    "chat.startStream": "unknown error",
    "chat.appendStream": "502",
    "chat.stopStream": "503 after the effect",
    "chat.postMessage": "reset before",
    "chat.update": "reset after",
    "users.info": "hang",
    "conversations.replies": "html",
    "assistant.threads.setStatus": "late",
    "agents.sessions.setStatus": "hang",
    "agents.sessions.rename": "502",
    "reactions.add": "reset before",
    "reactions.remove": "html",
}
"""Each kind that is not tried for long with every method, with one at least."""
PACED_ROWS: dict[str, Play] = {
    f"{method}, {fault} for long": partial(lasting, method, fault)
    for method in SHOWING
    for fault in ("429", "500", "malformed", OTHER_KINDS[method])
}
assert {*OTHER_KINDS.values()} == {*FAULTS} - {"429", "500", "malformed"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return await ends_of(request, tmp_path_factory.mktemp("rows"), UNPACED_ROWS, PACED_ROWS)


@pytest.mark.parametrize("row", [*UNPACED_ROWS, *PACED_ROWS])
async def test_a_fault_of_slack_has_its_right_end(ends: Ends, row: str) -> None:
    if (error := ends[row]) is not None:
        raise error
