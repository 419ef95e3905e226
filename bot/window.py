"""Fits a conversation to the model's window, and says what of it to cache and for how long. Pure.

Sizes are in tokens. Nobody counts them before a call: the size of a request is what Bedrock counted for the
one before it in its thread, and a careful guess for what is new. Where the guess was too low Bedrock says so,
and the thread is condensed then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.conversation import ContentBlock, Document, Image, Message, Messages, Text
from bot.models import Claude, Ttl
from bot.ports import CachePoints, Line

FULL = 0.85
"""Of the room for a request, this much is used: a guess may be wrong by the rest."""
KEPT = 0.5, 0.25
"""Of what is left beside the system prompt and a summary, at most, and where turns allow at least, so much
stays as it was said."""
SUMMARY_TOKENS = 4096
"""The longest summary; of a small window an eighth."""
PIECES = 8
"""What is older than so many windows is left out of a summary: nobody waits for it any longer."""

_ASCII_PER_TOKEN = 3
_BYTES_PER_TOKEN = 2
"""Of other scripts: a letter has two bytes or three, and makes a token or a little more at most."""
_FRAME = 4
"""What a block costs besides its words."""
_IMAGE = 3136
"""A picture of the largest size that is sent, 1568 x 1568: current models take one for each 28 x 28 pixels
(huggingface.co/datasets/JOHNISKING/image-token-cost), older ones half as many in all."""
_DOCUMENT_BYTES = {"pdf": 16, "doc": 6, "docx": 2, "xls": 6, "xlsx": 2}
"""Bytes of a token in what is no plain text: a page of a PDF is read as words and as a picture."""

_LOOK_BACK = 18
"""From a cache point Bedrock looks some 20 blocks back for what an earlier request left (bedrock.md 2)."""
_SECONDS: Mapping[Ttl, float] = {"5m": 300.0, "1h": 3600.0}
_RECENT = 4
"""Gaps between turns that tell a thread's pace."""
_AHEAD = 50
"""A thread is taken to go on for as many turns as it has had, and no more than so many."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the model can read at once, the answer included, and how much of that is left to the answer."""

    size: int
    output: int

    @classmethod
    def of(cls, model: int, wanted: int, output: int) -> "Window":
        """The model's own window, or less of it where that is wanted; an answer takes a quarter at most."""
        size = min(model, wanted)
        return cls(size, min(output, size // 4))

    @property
    def room(self) -> int:
        """Left for a request."""
        return self.size - self.output

    @property
    def full(self) -> int:
        """A request over this is condensed first."""
        return int(FULL * self.room)

    @property
    def summary(self) -> int:
        """The longest summary."""
        return min(SUMMARY_TOKENS, self.size // 8)

    @property
    def piece(self) -> int:
        """What can be condensed at once, beside an earlier summary."""
        return int(FULL * (self.size - 4 * self.summary))


def tokens(block: ContentBlock) -> int:
    """Guess the size of a block, rather too high than too low.

    >>> tokens(Text("What's 1+1?"))
    8
    """
    match block:
        case Text(text):
            return _FRAME + tokens_of(text)
        case Image():
            return _FRAME + _IMAGE
        case Document(format=kind, data=data):
            each = _DOCUMENT_BYTES.get(kind)
            return _FRAME + (len(data) // each if each else tokens_of(data.decode("utf-8", "replace")))


def size_of(message: Message) -> int:
    """Guess the size of a message."""
    return sum(tokens(block) for block in message.content)


def tokens_of(text: str) -> int:
    """Guess the size of words."""
    if text.isascii():
        return -(-len(text) // _ASCII_PER_TOKEN)
    plain = len(text.encode("ascii", "ignore"))
    other = len(text.encode("utf-8", "replace")) - plain
    return -(-plain // _ASCII_PER_TOKEN) + -(-other // _BYTES_PER_TOKEN)


# ---------------------------------------------------------------- what to condense


def cut(lines: Sequence[Line], sizes: Sequence[int], room: int) -> int:
    """Return how many of the oldest lines to condense, so that at most half the room is left to the rest.

    Whole turns, where that leaves a quarter; what was said before Bobbin came, or is too much for one turn,
    between any two messages. The newest line always stays; 0: there is nothing to condense.
    """
    most, least = (share * room for share in KEPT)
    rest = sum(sizes)
    anywhere = 0
    for index in range(1, len(lines)):
        rest -= sizes[index - 1]
        if rest > most:
            continue
        anywhere = anywhere or index
        if rest < least:
            break
        if lines[index].seq != lines[index - 1].seq:
            return index
    return anywhere or max(0, len(lines) - 1)


def pieces(sizes: Sequence[int], room: int) -> Iterator[slice]:
    """Cut lines into runs of at most `room`, one line at least in each."""
    start = filled = 0
    for index, size in enumerate(sizes):
        if index > start and filled + size > room:
            yield slice(start, index)
            start, filled = index, 0
        filled += size
    if start < len(sizes):
        yield slice(start, len(sizes))


# ---------------------------------------------------------------- what to cache


def points(
    messages: Messages, system: str, size: int, gaps: Sequence[float], claude: Claude
) -> CachePoints | None:
    """Return where a request of `size` is cached, or None where that costs more than it saves.

    After the newest message always: the next request begins with this one, byte for byte. Where so much was
    said at once that Bedrock does not look back to the request before, at its end as well.
    """
    ttl = lasting(size, gaps, claude)
    if ttl is None:
        return None
    newest = len(messages) - 1
    far = newest > 1 and sum(len(message.content) for message in messages[-2:]) > _LOOK_BACK
    return CachePoints(
        system=bool(system) and tokens_of(system) >= claude.cache_from,
        after=(newest - 2, newest) if far else (newest,),
        ttl=ttl,
    )


def gaps(lines: Sequence[Line]) -> list[float]:
    """Return the seconds between the turns, oldest first; by the clock of those who spoke: Slack's."""
    asked = {line.seq: line.ts for line in lines if line.seq and line.role == "user"}
    return [float(later) - float(earlier) for earlier, later in pairwise(sorted(asked.values()))]


def held(measured: tuple[int, int], lines: Sequence[Line], claude: Claude) -> int:
    """Guess what the cache still holds of the request that was counted (`History.measured`), if anything."""
    seq, size = measured
    asked = {line.seq: line.ts for line in lines if line.seq and line.role == "user"}
    ttl = lasting(size, gaps([line for line in lines if line.seq <= seq]), claude)
    if ttl is None or seq not in asked:
        return 0
    return size if float(max(asked.values())) - float(asked[seq]) <= _SECONDS[ttl] else 0


def lasting(size: int, gaps: Sequence[float], claude: Claude) -> Ttl | None:
    """Return how long a request should be cached: what makes the turns to come cheapest, or None.

    The thread is taken to go on at the pace of its last turns, for as many turns as it has had. What is then
    still cached costs the price of reading it, what is new or has run out that of writing it.
    """
    if size < claude.cache_from or not claude.ttls:
        return None
    if not gaps:
        return "5m"
    turns, recent = len(gaps) + 1, gaps[-_RECENT:]
    grown, ahead = size / turns, min(turns, _AHEAD)
    later = sum(size + grown * turn for turn in range(ahead))  # the prefixes of the turns to come
    costs: dict[Ttl | None, float] = {None: size + later + grown * ahead}
    for ttl in claude.ttls:
        write = float(claude.prices.write_5m if ttl == "5m" else claude.prices.write_1h)
        alive = sum(gap <= _SECONDS[ttl] for gap in recent) / len(recent)
        hit = float(claude.prices.read) * later + write * grown * ahead
        costs[ttl] = write * size + alive * hit + (1 - alive) * write * (later + grown * ahead)
    return min(costs, key=costs.__getitem__)
