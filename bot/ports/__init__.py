"""What the core needs of the world, in its own words: a model, a store, a place for replies.

Every adapter keeps to these, and one suite of contract tests holds every adapter to them
(`tests/contract/`). Times are Unix milliseconds unless a name says otherwise; `ts` is Slack's.
"""

from bot.ports.ledger import (
    Booked,
    Call,
    CallState,
    Caps,
    ChannelSetting,
    Purpose,
    SettingName,
    Spending,
    Spent,
)
from bot.ports.model import (
    Answer,
    CachePoints,
    Model,
    Request,
    Stop,
    StopReason,
    StreamEvent,
    TextDelta,
    Usage,
)
from bot.ports.store import Store
from bot.ports.turn import (
    Decide,
    Finish,
    Gap,
    History,
    How,
    Ingested,
    Line,
    Part,
    PartKind,
    Place,
    Read,
    Reads,
    Summary,
    Turn,
    TurnState,
)
from bot.ports.workspace import NO_WORDS, Fetched, Reply, Words, Workspace

__all__ = [
    "NO_WORDS",
    "Answer",
    "Booked",
    "CachePoints",
    "Call",
    "CallState",
    "Caps",
    "ChannelSetting",
    "Decide",
    "Fetched",
    "Finish",
    "Gap",
    "History",
    "How",
    "Ingested",
    "Line",
    "Model",
    "Part",
    "PartKind",
    "Place",
    "Purpose",
    "Read",
    "Reads",
    "Reply",
    "Request",
    "SettingName",
    "Spending",
    "Spent",
    "Stop",
    "StopReason",
    "Store",
    "StreamEvent",
    "Summary",
    "TextDelta",
    "Turn",
    "TurnState",
    "Usage",
    "Words",
    "Workspace",
]
