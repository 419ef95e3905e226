"""What the model was sent: which turn each request was for, and whether it held what it had to hold.

A request is bound by its newest words: they are some person's, said in one place, which is in one turn. What
it must hold follows from the turn: the thread up to there, each message in a form that was current. An
answer belongs to the request that it came from, and so to the question as it stood in that request.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from bot.conversation import OPENING
from bot.prompt import CONDENSE
from bot.remarks import ENDINGS
from bot.sandbox.bedrock import Asked
from tests.chaos.record import Kept, Place, RanTurn, Record, Said
from tests.e2e.scene import read, system

_BLANK = re.compile(r"\s+")


def bare(text: str) -> str:
    """A text without its blanks."""
    return _BLANK.sub("", text)


@dataclass(frozen=True)
class Slot:
    """One thing that a request holds in its order: any of these texts, or where that is right, nothing."""

    texts: frozenset[str]
    optional: bool = False


class Requests:
    """The requests of a run, each with its turn."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._in_turn: defaultdict[int | None, list[Kept]] = defaultdict(list)
        self._waits: defaultdict[Place, list[Kept]] = defaultdict(list)
        """What is kept of a thread."""
        for row in record.kept:
            self._in_turn[row.turn].append(row)
            self._waits[row.channel, row.thread].append(row)
        self._turns: defaultdict[Place, list[RanTurn]] = defaultdict(list)
        for turn in record.turns:
            self._turns[turn.where].append(turn)
        self._turn = {turn.id: turn for turn in record.turns}
        self._turn_of = {row.place: self._turn[row.turn] for row in record.kept if row.turn is not None}
        self._said_as: dict[str, Said] = {}
        self._ambiguous: list[str] = []
        for said in record.said.values():
            for form in said.forms:
                if self._said_as.setdefault(self._plain(form.text), said) is not said:
                    self._ambiguous.append(form.text)
        self._read = [[(who, bare(words)) for who, words in read(asked)] for asked in record.requests]
        self._for: defaultdict[int, list[int]] = defaultdict(list)
        self._foreign: list[str] = []
        for number, asked in enumerate(record.requests):
            if (whose := self._asked_for(number, asked)) is not None:
                self._for[whose.id].append(number)

    def answers(self, turn: RanTurn) -> list[str]:
        """What the model said to the requests of a turn."""
        return [self._record.requests[number].answer for number in self._for[turn.id]]

    def began(self, turn: RanTurn, words: str) -> bool:
        """Whether an answer to a request of this turn begins with these bare words."""
        return any(bare(answer).startswith(words) for answer in self.answers(turn))

    def violations(self) -> Iterator[str]:
        """Tell what is wrong with what was asked, and with which answers were taken."""
        yield from (f"CANNOT TELL: said in two places: {text!r}" for text in self._ambiguous)
        yield from self._foreign
        yield from self._roles()
        for turn in self._record.turns:
            for number in self._for[turn.id]:
                yield from self._holds_the_thread(number, turn)
            if turn.state == "answered" and turn.seq > 0:
                yield from self._answers_its_question(turn)

    def _asked_for(self, number: int, asked: Asked) -> RanTurn | None:
        """Whose request it is, by its newest words. A summary's is no turn's."""
        if CONDENSE in system(asked):
            return None
        newest = next((words for who, words in reversed(self._read[number]) if who), "")
        said = self._said_as.get(newest)
        turn = self._turn_of.get(said.place) if said else None
        if turn is None or turn.seq == 0:
            self._foreign.append(f"FOREIGN: request {number} is no turn's: it ends with {newest!r}")
            return None
        return turn

    def _roles(self) -> Iterator[str]:
        for number, asked in enumerate(self._record.requests):
            roles = [message["role"] for message in asked.body["messages"]]
            if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
                yield f"ROLES: request {number} has {roles}"

    # ------------------------------------------------------------ the answer

    def _answers_its_question(self, turn: RanTurn) -> Iterator[str]:
        """The answer is that of a call for this turn, which was sent the questions as they stand."""
        answer = bare(turn.answer)
        if turn.reason in ENDINGS:  # what was shown by then stays
            if not answer or not self.began(turn, answer):
                yield f"WRONG: turn {turn.id} shows what no call for it said: {turn.answer!r}"
            return
        own = [
            number for number in self._for[turn.id] if bare(self._record.requests[number].answer) == answer
        ]
        if not own:
            yield f"WRONG: turn {turn.id} says what no call for it said: {turn.answer!r}"
            return
        outdated = [each for number in own if (each := self._outdated(turn, number))]
        if len(outdated) == len(own):
            yield f"OUTDATED: turn {turn.id} answers {outdated[-1]}"

    def _outdated(self, turn: RanTurn, number: int) -> str:
        """The question that was changed before its turn ended, and that this request holds as it was."""
        held = {words for who, words in self._read[number] if who}
        for row in self._in_turn[turn.id]:
            said = self._record.said.get(row.place)
            if said is None or not row.addressed or said.gone:
                continue
            current = self._forms(said, since=turn.finished)
            if not held & current:
                return f"{said.place} in another form than {sorted(current)}"
        return ""

    # ------------------------------------------------------------ the thread

    def _holds_the_thread(self, number: int, turn: RanTurn) -> Iterator[str]:
        asked = self._record.requests[number]
        opened = turn.started if asked.started_at * 1000 < turn.reopened else turn.reopened or turn.started
        slots, early = self._slots(turn, asked.started_at, opened)
        found = [words for _, words in self._read[number] if words not in early]
        if found[:1] == [bare(OPENING)]:  # what was said first is deleted
            del found[0]
        if not _fits(found, slots):
            wanted = [(sorted(slot.texts), "?" * slot.optional) for slot in slots]
            yield f"FORGOT: request {number}, of turn {turn.id}, was sent {found}, not {wanted}"
        for row in self._waits[turn.where]:
            if row.addressed and self._after(row, turn) and self._known(row) < turn.started:
                yield f"FORGOT: turn {turn.id} did not take {row.place}, which was there"

    def _slots(self, turn: RanTurn, at: float, opened: int) -> tuple[list[Slot], set[str]]:
        """What a request of a turn holds; and what it may: what was read from the thread before it came."""
        slots: list[Slot] = []
        for each in self._turns[turn.where]:
            if each.seq > turn.seq:
                break
            for row in self._in_turn[each.id]:
                slots += self._line(row, at, opened)
            if each.seq < turn.seq and each.answer:
                texts = {bare(each.answer)}
                texts |= {bare(answer) for answer in self.answers(each)} if each.reopened else set()
                slots.append(Slot(frozenset(texts), optional=each.finished > opened))
        later = [row for row in self._waits[turn.where] if self._after(row, turn)]
        early = {self._plain(form.text) for row in later for form in self._record.said[row.place].forms}
        return slots, early

    def _line(self, row: Kept, at: float, opened: int) -> Iterator[Slot]:
        """What stands for one message that was said by then."""
        said = self._record.said.get(row.place)
        if said is None:
            yield Slot(frozenset({bare(row.text)}))  # an own message from before
            return
        gone = said.gone
        if gone and self._record.taken.get(gone.event, opened) < opened:
            return
        deleted = gone is not None and gone.at <= at
        unread = row.created > at * 1000  # the thread was read later
        yield Slot(self._forms(said, since=opened, until=at), optional=deleted or unread)

    def _after(self, row: Kept, turn: RanTurn) -> bool:
        return row.role == "user" and (row.turn is None or self._turn[row.turn].seq > turn.seq)

    def _known(self, row: Kept) -> float:
        """When a message came, in the database."""
        events = self._record.said[row.place].events
        return min((self._record.taken.get(event, float("inf")) for event in events), default=float("inf"))

    def _forms(self, said: Said, *, since: int, until: float = float("inf")) -> frozenset[str]:
        """The forms of a message that were current after `since`, in ms, and had been written by `until`."""
        taken = self._record.taken
        known = [index for index, form in enumerate(said.forms) if taken.get(form.event, since) < since]
        forms = said.forms[max(known, default=0) :]
        return frozenset(self._plain(form.text) for form in forms if form.at <= until) or frozenset(
            {self._plain(forms[0].text)}
        )

    def _plain(self, text: str) -> str:
        return bare(text.replace(self._record.me, ""))


def _fits(found: list[str], slots: list[Slot]) -> bool:
    """Whether what was found is what is wanted, in its order."""
    left = list(found)
    for slot in slots:
        if left and left[0] in slot.texts:
            left.pop(0)
        elif not slot.optional:
            return False
    return not left
