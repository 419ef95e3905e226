"""Every error that Bobbin names, and its words.

    BobbinError
    ├── BadConfiguration        settings that are missing, malformed or refused; all of them at once
    ├── StoreError
    │   ├── StoreUnavailable    the database cannot be opened, read or written just now
    │   ├── StoreInUse          another process holds this file
    │   ├── StoreForeign        the database is not ours, or newer than this code
    │   └── LeaseLost           somebody else owns the conversation now: stop at once
    ├── ModelError
    │   ├── ModelBusy           throttled, or out of capacity
    │   │   └── QuotaSpent      the account's quota is spent: asking again soon is in vain
    │   ├── ModelUnavailable    out of reach, failing, timing out
    │   ├── BrokenStream        the answer broke off before its end
    │   ├── EmptyAnswer         the answer ended without a word
    │   ├── TooLong             more than the model can read at once
    │   ├── Refused             content filtered
    │   │   └── Blocked         stopped by the guardrail
    │   ├── NoAccess            this account may not use the model
    │   ├── UnknownModel        there is no such model here
    │   ├── BadCredentials      AWS credentials missing, wrong or expired
    │   └── BadRequest          Bedrock refused the request: ours to mend
    ├── LoopEnded               one of the process's loops has ended: a fault of Bobbin
    ├── PortTaken               a port cannot be listened on, now: another process may be about to leave it
    ├── OverBudget              a budget is spent: the model is not asked
    ├── TurnGaveUp              the process died again and again while answering
    └── SlackError
        ├── SlackLimited        slow down: `retry_after` seconds
        ├── SlackUnreachable    no answer; the call may or may not have been carried out
        ├── SlackGone           the message, thread or channel is no longer there
        ├── SlackNotAllowed     Slack does not let Bobbin do this here
        ├── SlackTokenRefused   the token is wrong or revoked
        ├── StreamClosed        this message is not streaming any more
        ├── StreamStopped       a person pressed Stop
        └── SlackRefused        any other refusal, with Slack's own code

`said` is for the person in the thread: what happened and what to do. `str(error)` is for the log and
never leaves it. Foreign errors are renamed in one table at their border: `bot/bedrock.py` (AWS),
`bot/slack/api.py` (Slack), `storage/sqlite.py` (SQLite), `storage/sqlstates.py` (PostgreSQL).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar


class BobbinError(Exception):
    """The root: everything that Bobbin itself raises on purpose."""

    said: ClassVar[str] = "Something went wrong on my side. The details are in my log."
    withdraws: ClassVar[bool] = False
    """Whether what was shown of the answer must not be seen any more."""
    told = False
    """Whether the log has it already."""


class BadConfiguration(BobbinError):
    """Settings are missing, malformed or refused; `problems` names each, the reason and an example."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreError(BobbinError):
    """The database."""


class StoreUnavailable(StoreError):
    """The database cannot be opened, read or written just now."""


class StoreInUse(StoreError):
    """Another process holds the database file."""


class StoreForeign(StoreError):
    """The database file is not Bobbin's, or was written by a newer Bobbin."""


class LeaseLost(StoreError):
    """Somebody else works on this conversation now: write nothing more."""


class ModelError(BobbinError):
    """The model did not answer. `retry` says whether asking again soon can help."""

    retry: ClassVar[bool] = False
    usage: Any = None
    """The `Usage` of the call, where it was told all the same."""
    request_id: str = ""
    """Bedrock's, where there is one: what AWS's support asks for."""


class ModelBusy(ModelError):
    """Throttled by Bedrock, or the model is out of capacity."""

    retry = True
    said = "The model is too busy to answer right now. Wait a minute, then press *Try again*."


class QuotaSpent(ModelBusy):
    """The account's quota is spent for today: asking again soon is in vain."""

    retry = False
    said = "This AWS account's quota for the model is spent for now. Press *Try again* later."


class ModelUnavailable(ModelError):
    """Bedrock is out of reach, fails, or times out."""

    retry = True
    said = "The model could not be reached. Press *Try again* in a moment."


class BrokenStream(ModelError):
    """The answer broke off before its end."""

    retry = True
    said = "The answer broke off. Press *Try again* to have it written anew."


class EmptyAnswer(ModelError):
    """The model ended its answer without a word."""

    retry = True
    said = "The model returned an empty answer. Try again, or put the question in other words."


class TooLong(ModelError):
    """More than the model can read at once; of a thread that can be condensed, nobody hears of it."""

    said = "That is more than I can read at once. Send less of it, or attach less, and ask again."


class Refused(ModelError):
    """The answer was filtered."""

    said = "The model's content filter stopped this answer. Put the question in other words."


class Blocked(Refused):
    """The guardrail stopped the question or the answer."""

    withdraws = True
    # It judges the whole thread each time, so that words it blocks stay in the way until they are gone.
    said = "A guardrail blocked this: edit or delete what it is about, or ask in a new thread."


class NoAccess(ModelError):
    """The model is closed to this AWS account."""

    said = "I have no access to the model in this AWS account. Ask whoever runs me to allow it."


class UnknownModel(ModelError):
    """There is no such model, or not in this region."""

    said = "The model I am set to use does not exist here. Ask whoever runs me to check its name."


class BadCredentials(ModelError):
    """AWS credentials are missing, wrong or expired."""

    said = "My AWS credentials are missing or have expired. Ask whoever runs me to renew them."


class BadRequest(ModelError):
    """Bedrock refused the request for a reason that is ours to mend."""

    said = "The model refused my request. The reason is in my log."


class LoopEnded(BobbinError):
    """One of the process's loops has ended, which none does by itself: it stops, to be started anew."""


class PortTaken(BobbinError):
    """A port cannot be listened on, now: an earlier process may be about to leave it."""


class OverBudget(BobbinError):
    """A budget is spent. `reason` is the key of `policy.NOTES` that says so, `words` what fills it in."""

    def __init__(self, reason: str, words: Mapping[str, str | datetime]) -> None:
        super().__init__("the budget is spent")
        self.reason = reason
        self.words = words


class TurnGaveUp(BobbinError):
    """The process died again and again while it worked on this turn."""

    said = "I stopped several times while working on this. Press *Try again*, or ask in another way."


class SlackError(BobbinError):
    """Slack refused a call. `code` is Slack's own word for it."""

    said = "Slack did not let me show the answer. Press *Try again*."

    def __init__(self, code: str, method: str = "") -> None:
        super().__init__(f"{method}: {code}" if method else code)
        self.code = code


class SlackLimited(SlackError):
    """Too many calls; nothing was done. Call again after `retry_after` seconds."""

    def __init__(self, method: str, retry_after: float) -> None:
        super().__init__("ratelimited", method)
        self.retry_after = retry_after


class SlackUnreachable(SlackError):
    """No answer: the call may or may not have been carried out."""


class SlackGone(SlackError):
    """The message, thread or channel is no longer there."""


class SlackNotAllowed(SlackError):
    """Bobbin may not do this here: not a member, archived, restricted, a scope is missing."""


class SlackTokenRefused(SlackError):
    """The token is wrong, expired or revoked."""


POSTPONING = (SlackLimited, SlackTokenRefused, SlackUnreachable, StoreUnavailable)
"""What ends no turn: it is put off until time has mended it, or whoever runs Bobbin."""


class StreamClosed(SlackError):
    """The message is not streaming any more: its life ended, or it was stopped before."""


class StreamStopped(SlackError):
    """A person pressed Stop."""


class SlackRefused(SlackError):
    """Any other refusal."""
