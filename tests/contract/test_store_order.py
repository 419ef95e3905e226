"""Slack delivers at least once, by more than one event, in any order: what is kept is the same."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.events import Deleted, Edited, Posted

CALL, TALK, ASIDE, THANKS = "@bobbin {}", "{}", "@cleo {}", "thanks {}"
"""What calls Bobbin; what a joined thread's reply is; what is said to somebody else; what wants no answer."""

Rows = list[tuple[str, str, bool, bool]]


@dataclass(frozen=True)
class Story:
    """One message as its author wrote, edited and perhaps deleted it: every form's text, oldest first."""

    at: int
    forms: tuple[str, ...]
    plain: str
    """What kind of talk it is in the forms that do not call."""
    deleted: bool

    @property
    def calls(self) -> bool:
        return any("@bobbin" in form for form in self.forms)

    def events(self, there: Any) -> list[Posted | Edited | Deleted]:
        """Each once; a message that calls comes by two events."""
        flags = {"mentions_others": self.plain == ASIDE, "pleasantry": self.plain == THANKS}
        posted = [there.message(self.at, form, **flags) for form in self.forms]
        told: list[Posted | Edited | Deleted] = [posted[0]]
        if posted[0].mentions_me:
            told.append(replace(posted[0], event_id=there.event()))
        told += [Edited(form, there.ts(self.at + 10 * nth)) for nth, form in enumerate(posted) if nth]
        if self.deleted:
            told.append(
                Deleted(there.event(), there.team, there.channel, posted[0].ts, there.ts(self.at + 99))
            )
        return told

    def kept(self, there: Any) -> Rows:
        """What people see in the end, whether it is to be answered, whether it was a call."""
        if self.deleted:
            return []
        return [(there.ts(self.at), self.forms[-1], self.calls or self.plain == TALK, self.calls)]


@st.composite
def stories(draw: st.DrawFn, *, joined: bool) -> list[Story]:
    told = []
    for number in range(draw(st.integers(1, 3))):
        plain = draw(st.sampled_from([TALK, ASIDE, THANKS]))
        wordings = st.sampled_from([CALL, plain] if joined else [CALL])
        # A text may come back: an edit can be undone.
        forms = draw(st.lists(st.tuples(wordings, st.sampled_from("ab")), min_size=1, max_size=4))
        texts = tuple(form.format(word) for form, word in forms)
        told.append(Story(100 * (number + joined), texts, plain, draw(st.booleans())))
    return told


async def deliver(there: Any, event: Posted | Edited | Deleted, event_id: str) -> None:
    match event:
        case Posted():
            await there.post(replace(event, event_id=event_id or event.event_id))
        case Edited(message, edited_ts):
            again = replace(message, event_id=event_id or message.event_id)
            await there.edit(again, float(edited_ts) - float(there.ts(0)))
        case Deleted():
            await there.store.delete(replace(event, event_id=event_id or event.event_id))


async def check(talk: Any, told: list[Story], data: st.DataObject, *, joined: bool) -> None:
    for table in ("conversation", "inbox", "tombstone"):  # what an earlier example left
        await talk.sql(f"DELETE FROM {table}")
    if joined:
        await talk.ask(0, "@bobbin hello", "Hello!")
    events = [event for story in told for event in story.events(talk)]
    again = data.draw(st.lists(st.sampled_from(events), max_size=6), label="again")
    for event in data.draw(st.permutations([*events, *again]), label="order"):
        renamed = data.draw(st.booleans(), label="under a new id")
        await deliver(talk, event, talk.event() if renamed else "")
    rows = await talk.sql(
        "SELECT ts, text, addressed, summons, deleted_at FROM message WHERE turn_id IS NULL ORDER BY ts"
    )
    kept: Rows = [
        (row["ts"], row["text"], bool(row["addressed"]), bool(row["summons"]))
        for row in rows
        if row["deleted_at"] is None
    ]
    assert kept == [row for story in told for row in story.kept(talk)]
    assert all(row["text"] == "" for row in rows if row["deleted_at"] is not None)
    [[pending]] = [row.values() for row in await talk.sql("SELECT count(pending_at) FROM conversation")]
    assert pending == any(addressed for _, _, addressed, _ in kept)


shared = settings(
    max_examples=settings().max_examples // 2,  # each is a whole story in a real database
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
fewer = settings(shared, max_examples=shared.max_examples // 8)  # each query goes to a server and back
in_a_file = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_a_server = pytest.mark.parametrize("url", ["postgres"], indirect=True)


@in_a_file
@shared
@given(stories(joined=True), st.data())
async def test_in_a_joined_thread_any_order_and_repetition_ends_in_the_same_messages(talk, told, data):
    """The promise, for messages, their twins, edits within ten minutes and deletions within fifteen.

    The newest form is kept, whichever comes first; a message that was deleted is gone, also where the
    deletion comes before it; who called in any form is answered, even where that form comes late. Without a
    call, whether a message is to be answered is decided by its form that comes first: so here all forms
    that do not call are of one kind. Not promised, since nothing in the events says which was first: the
    order of commands and of 🔕.
    """
    await check(talk, told, data, joined=True)


@in_a_file
@shared
@given(stories(joined=False), st.data())
async def test_in_a_thread_not_joined_yet_the_same_holds_for_messages_that_call(talk, told, data):
    """What does not call Bobbin is not kept there, hence neither is a later form without the call.

    Replies that come before the call which they follow are read from Slack with the rest of the thread.
    """
    await check(talk, told, data, joined=False)


@on_a_server
@fewer
@given(stories(joined=True), st.data())
async def test_on_a_server_the_same_holds_in_a_joined_thread(talk, told, data):
    await check(talk, told, data, joined=True)


@on_a_server
@fewer
@given(stories(joined=False), st.data())
async def test_on_a_server_the_same_holds_in_a_thread_not_joined_yet(talk, told, data):
    await check(talk, told, data, joined=False)
