"""What is answered, and the named reason when not."""

from typing import Any

import pytest

from bot.conversation import ThreadKey
from bot.events import Person, Posted
from bot.policy import (
    NOTES,
    Answer,
    Decision,
    Ignore,
    Keep,
    Obey,
    Rules,
    ThreadState,
    admission,
    decide,
    same_words,
    seconds_between,
)

WEEK = 7 * 24 * 3600
ROOT, NOW = 1_795_000_000, 1_795_000_100


def posted(**fields: Any) -> Posted:
    known: dict[str, Any] = {
        "event_id": "Ev1",
        "ts": f"{NOW}.000100",
        "direct": False,
        "author": "ANN",
        "text": "hi",
    }
    return Posted(thread=ThreadKey("T1", "C1", f"{ROOT}.000100"), **known | fields)


def said(seconds_ago: int = 60, *, muted: bool = False) -> ThreadState:
    return ThreadState(muted, f"{NOW - seconds_ago}.000900")


OPEN = Rules()
HERE_ONLY = Rules(allowed_channels=frozenset({"C9"}))
BOB_ONLY = Rules(allowed_users=frozenset({"BOB"}))
WITH_BOTS = Rules(allowed_bots=frozenset({"B1", "UBOT2"}))

CALL, MAY_BE_SILENT = Answer(summoned=True), Answer(summoned=False)
OTHER_TALK = "other talk: this thread did not call me"
OTHER_BOT = "other bots are not answered"
ONLY_MENTIONED = "an allowed bot is answered only when it mentions me"


@pytest.mark.parametrize(
    ("message", "thread", "rules", "decision"),
    [
        pytest.param({"mentions_me": True}, None, OPEN, CALL, id="mention"),
        pytest.param(
            {"mentions_me": True, "mentions_others": True}, said(), OPEN, CALL, id="mention among others"
        ),
        pytest.param({"mentions_me": True, "pleasantry": True}, None, OPEN, CALL, id="thanks with a mention"),
        pytest.param({"direct": True}, None, OPEN, CALL, id="DM"),
        pytest.param({"direct": True, "pleasantry": True}, said(), OPEN, CALL, id="thanks in a DM"),
        pytest.param({}, said(), OPEN, MAY_BE_SILENT, id="reply in a joined thread"),
        pytest.param(
            {},
            said(),
            Rules(thread_replies="mention"),
            Keep("replies are answered by mention only"),
            id="reply where only mentions are answered",
        ),
        pytest.param(
            {"pleasantry": True}, said(), OPEN, Keep("nothing but a pleasantry"), id="thanks in a thread"
        ),
        pytest.param(
            {"mentions_others": True},
            said(),
            OPEN,
            Keep("it speaks to somebody else"),
            id="reply to another person",
        ),
        pytest.param({}, said(WEEK), OPEN, MAY_BE_SILENT, id="thread silent for just a week"),
        pytest.param(
            {}, said(WEEK + 1), OPEN, Keep("the thread was silent for a week"), id="thread silent for longer"
        ),
        pytest.param(
            {"mentions_me": True}, said(WEEK + 1), OPEN, CALL, id="mention in a thread silent for longer"
        ),
        pytest.param({}, said(muted=True), OPEN, Keep("the thread is muted"), id="muted thread"),
        pytest.param({"mentions_me": True}, said(muted=True), OPEN, CALL, id="mention in a muted thread"),
        pytest.param({"direct": True}, said(muted=True), OPEN, Keep("the thread is muted"), id="muted DM"),
        pytest.param({"command": "mute"}, said(), OPEN, Obey("mute"), id="command in a thread"),
        pytest.param({"command": "wake"}, said(muted=True), OPEN, Obey("wake"), id="wake in a muted thread"),
        pytest.param(
            {"command": "stop", "mentions_me": True}, None, OPEN, Obey("stop"), id="command by mention"
        ),
        pytest.param({"command": "stop"}, said(), BOB_ONLY, Obey("stop"), id="anybody there may stop"),
        pytest.param({"command": "mute"}, None, OPEN, Ignore(OTHER_TALK), id="a command elsewhere is a word"),
        pytest.param({}, None, OPEN, Ignore(OTHER_TALK), id="other talk"),
        pytest.param({}, None, BOB_ONLY, Ignore(OTHER_TALK), id="other talk of people not allowed"),
        pytest.param({"bot": "B9", "mentions_me": True}, None, OPEN, Ignore(OTHER_BOT), id="a bot's mention"),
        pytest.param({"bot": "B9"}, said(), OPEN, Keep(OTHER_BOT), id="a bot in a joined thread"),
        pytest.param(
            {"bot": "B1", "mentions_me": True}, None, WITH_BOTS, CALL, id="an allowed bot by its bot id"
        ),
        pytest.param(
            {"bot": "B2", "author": "UBOT2", "mentions_me": True},
            None,
            WITH_BOTS,
            CALL,
            id="an allowed bot by its user id",
        ),
        pytest.param({"bot": "B1"}, said(), WITH_BOTS, Keep(ONLY_MENTIONED), id="an allowed bot's reply"),
        pytest.param(
            {"mentions_me": True},
            None,
            HERE_ONLY,
            Ignore("not allowed to ask: channel", "channel"),
            id="channel not allowed",
        ),
        pytest.param({"direct": True}, None, HERE_ONLY, CALL, id="a DM is no channel"),
        pytest.param(
            {"mentions_me": True},
            None,
            BOB_ONLY,
            Ignore("not allowed to ask: person", "person"),
            id="person not allowed",
        ),
        pytest.param(
            {}, said(), BOB_ONLY, Keep("not allowed to ask: person", "person"), id="their reply, with a note"
        ),
        pytest.param(
            {"pleasantry": True},
            said(),
            BOB_ONLY,
            Keep("not allowed to ask: person"),
            id="their thanks, without a note",
        ),
        pytest.param(
            {"mentions_me": True, "external": True},
            None,
            OPEN,
            Ignore("not allowed to ask: external", "external"),
            id="outsider",
        ),
        pytest.param(
            {"mentions_me": True, "external": True},
            None,
            Rules(external_users="allow"),
            CALL,
            id="outsider where allowed",
        ),
        pytest.param(
            {"mentions_me": True, "external": None}, None, OPEN, CALL, id="in doubt a look-up decides later"
        ),
    ],
)
def test_decides(message: dict[str, Any], thread: ThreadState | None, rules: Rules, decision: Decision):
    assert decide(posted(**message), thread, rules) == decision


MEMBER, GUEST = Person("ANN", "Ann"), Person("GUS", "Gus", guest=True)
OUTSIDER = Person("OLA", "Ola", external=True)


@pytest.mark.parametrize(
    ("person", "rules", "why_not"),
    [
        pytest.param(MEMBER, OPEN, None, id="member"),
        pytest.param(GUEST, OPEN, None, id="guest"),
        pytest.param(GUEST, Rules(guests="refuse"), "guest", id="guest refused"),
        pytest.param(OUTSIDER, OPEN, "external", id="outsider"),
        pytest.param(OUTSIDER, Rules(external_users="allow"), None, id="outsider allowed"),
        pytest.param(None, OPEN, "external", id="nobody knows"),
        pytest.param(None, Rules(external_users="allow", guests="refuse"), "guest", id="perhaps a guest"),
        pytest.param(None, Rules(external_users="allow"), None, id="all may ask"),
    ],
)
def test_what_a_look_up_tells_admits_or_not(person: Person | None, rules: Rules, why_not: str | None):
    assert admission(person, rules) == why_not


def test_each_reason_to_refuse_has_words():
    assert {"channel", "person", "external", "guest"} <= NOTES.keys()
    assert all(note.endswith(".") for note in NOTES.values())


def test_the_fraction_of_a_ts_is_no_time():
    assert seconds_between("1795000000.999999", "1795000001.000100") == 1
    assert seconds_between("", "12.5") == 12


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        pytest.param("What's for tea?", "what's  for\ntea", True, id="case, signs, spaces"),
        pytest.param("note book", "notebook", True, id="a space"),
        pytest.param("It was recieved", "It was received", True, id="a slip"),
        pytest.param("<@U1> tell me more", "tell me more", True, id="a mention"),
        pytest.param("1+1?", "1+2?", False, id="a digit"),
        pytest.param("1+1?", "1-1?", False, id="arithmetic"),
        pytest.param("Do it now", "Do it not", False, id="a short word"),
        pytest.param("I could", "I couldn't", False, id="the opposite"),
        pytest.param("red tea", "green tea", False, id="another word"),
        pytest.param("tea", "tea and cake", False, id="more words"),
        pytest.param("Wrte abuot taeas", "Write about teas", False, id="too many slips"),
        pytest.param("", "", True, id="nothing"),
    ],
)
def test_typing_is_told_from_words(before: str, after: str, same: bool):  # noqa: FBT001  a row of the table
    assert same_words(before, after) is same
    assert same_words(after, before) is same
