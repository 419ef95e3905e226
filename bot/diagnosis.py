"""Says of a dossier what happened, what went wrong, and what to do next: for whoever runs Bobbin. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from bot.causes import BUDGETS, CAUSES, ENDINGS, Verdict
from bot.dossier import Asked, Dossier, Said
from bot.trail import Step

_RISKY = 2
DEAF_SECONDS = 120
"""A running Bobbin notes twice a minute that it hears."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened. `at` in Unix milliseconds."""

    at: int
    what: str


def timeline(dossier: Dossier) -> list[Moment]:
    """What happened, in order, from the first word to the last write in Slack."""
    moments = [
        *(moment for said in dossier.said for moment in _of_said(said)),
        *(moment for call in dossier.asked for moment in _of_call(call)),
        *(Moment(_ms(part.ts), f"Slack has message {part.ts} ({part.kind})") for part in dossier.shown),
        *(Moment(step.at, words) for step in dossier.steps if (words := _of_step(step))),
    ]
    if dossier.reopened_at:
        moments.append(Moment(dossier.reopened_at, "somebody wanted it answered again"))
    if dossier.finished_at is not None:
        moments.append(Moment(dossier.finished_at, f"closed: {dossier.state}"))
    return sorted(moments, key=lambda moment: moment.at)


def verdict(dossier: Dossier) -> Verdict:
    """Why it is as it is, and the next step."""
    match dossier.state:
        case "failed":
            return _failed(dossier)
        case "open" | "waiting":
            return _waiting(dossier)
        case "silent":
            return (
                (
                    "The model said that the words were not for it ([[silent]]): several people talk in this "
                    "thread, and nobody had mentioned Bobbin. Nothing was posted."
                ),
                "mention Bobbin to have it answer in any case",
            )
        case "history":
            reason = dossier.said[0].reason or "the thread was read as it was, before Bobbin was called"
            return (
                f"Kept as part of the thread, not answered: {reason}.",
                "mention Bobbin to have it answered",
            )
        case "deleted":
            return "It was deleted in Slack; its words are gone here, too.", ""
    for step in reversed(dossier.steps):
        if dossier.state == "cancelled" and step.what == "over budget":
            return BUDGETS[step.detail]
    if dossier.stop_reason in ENDINGS:
        return ENDINGS[dossier.stop_reason]
    if dossier.state == "cancelled":
        return "It was given up without an answer.", ""
    return "Answered.", ""


def unheard(silent: float, *, runs: bool = True) -> Verdict | None:
    """Why nothing comes, by the seconds since anything could; None where it may come any moment."""
    if not runs:
        return (
            "No Bobbin runs on this database.",
            "start it: what Slack delivers again, and DMs and lively threads of the last day, are answered",
        )
    if silent <= DEAF_SECONDS:
        return None
    since = "yet" if silent == inf else f"for {_seconds(int(silent * 1000))}"
    return (
        f"No running Bobbin has heard this workspace {since}.",
        (
            "start Bobbin, or look into its log: in Socket Mode the socket to Slack is not open; "
            "python -m bot doctor tells what is in the way"
        ),
    )


# ---------------------------------------------------------------- what went wrong


def _failed(dossier: Dossier) -> Verdict:
    name, _, told = dossier.error.partition(": ")
    cause, todo = CAUSES.get(name, CAUSES["BobbinError"])
    more = f" {told}" if told else ""
    if dossier.retry_asked:
        todo = "nothing: Try again was pressed, it waits for its turn"
    return f"{cause} ({name}{':' if more else ''}{more})", todo


def _waiting(dossier: Dossier) -> Verdict:
    """Why there is no answer yet; the first that holds."""
    line, now = dossier.line, dossier.now
    if line.owner and line.lease_until > now:
        if dossier.state == "waiting":
            return f"It waits for the answer before it in its thread (T{line.open_turn}).", ""
        return _at_work(dossier)
    if line.heard_at and (silence := unheard((now - line.heard_at) / 1000)) is not None:
        return silence
    if line.owner:
        return (
            f"The process that worked on it ({line.owner}) gives no sign of life: it died or was frozen.",
            "nothing: the next process that looks takes it up; if none does, none runs",
        )
    if _put_off_for(dossier).startswith("SlackTokenRefused"):
        return CAUSES["SlackTokenRefused"]
    if line.not_before > now:
        wait = _seconds(line.not_before - now)
        return _put_off(dossier, wait)
    risky = dossier.deaths >= _RISKY
    if risky and line.risky:
        return (
            (
                f"Its process died {dossier.deaths} times while it worked on it, and another such "
                "turn is being "
                "tried: of these one is tried at a time."
            ),
            "look for what kills the process: memory, the container's limits, a crash in the log",
        )
    return (
        (
            f"It waits for a free place: {line.ahead} conversations come before it, {line.running} are being "
            "answered."
        ),
        "raise MAX_CONCURRENT_ANSWERS if that lasts, or look why the answers before it are slow"
        if line.running
        else (
            "nothing, if it has just come; if it stays so no Bobbin runs, or Slack refuses its token: "
            "python -m bot doctor tells which"
        ),
    )


def _at_work(dossier: Dossier) -> Verdict:
    working = f"It is being worked on ({dossier.line.owner})"
    if dossier.recorded:
        slowed = [step.detail for step in dossier.steps if step.what == "limited"]
        why = f": Slack's rate limits slow it down ({slowed[-1]})" if slowed else ""
        return f"{working}: the answer is whole and is being written to Slack{why}.", ""
    if dossier.asked and dossier.asked[-1].state == "running":
        call = dossier.asked[-1]
        doing = "is writing" if call.first_at else "was asked and has not said a word yet"
        return f"{working}: the model {doing}, for {_seconds(dossier.now - call.started_at)}.", ""
    if dossier.asked and dossier.asked[-1].state == "failed":
        return f"{working}: the model is asked again soon, after {dossier.asked[-1].error}.", ""
    return f"{working}: the model was not asked yet.", ""


def _put_off_for(dossier: Dossier) -> str:
    """The error that it was put off for since it was claimed last; empty: none."""
    for step in reversed(dossier.steps):
        if step.what == "put off":
            return step.detail
        if step.what in ("claimed", "resumed", "died", "again"):
            break
    return ""


def _put_off(dossier: Dossier, wait: str) -> Verdict:
    name, _, told = _put_off_for(dossier).partition(": ")
    if name.startswith("Slack"):
        return f"Slack was out of reach or limits us ({told}): it goes on in {wait}.", ""
    if name:
        return f"The database was out of reach ({told}): it goes on in {wait}.", "look at its disk and locks"
    return (
        (
            f"Its process ended while it worked on it: it goes on in {wait}, when the last Slack "
            "calls of that "
            "process have arrived (RECOVERY_SETTLE_SECONDS)."
        ),
        "",
    )


# ---------------------------------------------------------------- what happened


def _of_said(said: Said) -> Iterator[Moment]:
    about = [f"event {said.event_id}"] if said.event_id else []
    about += ["edited since"] * said.edited + ["deleted since"] * said.deleted
    if not said.addressed:
        about.append(f"not answered: {said.reason}" if said.reason else "history")
    tail = f" ({', '.join(about)})" if about else ""
    yield Moment(_ms(said.ts), f"{said.user} wrote {said.ts}{tail}")
    yield Moment(said.kept_at, f"kept {said.ts}, and acknowledged to Slack")


def _of_call(call: Asked) -> Iterator[Moment]:
    asked = f"asked {call.model}" + (" for a summary" if call.purpose == "summary" else "")
    yield Moment(call.started_at, asked)
    if call.first_at is not None:
        yield Moment(call.first_at, "the model's first words")
    if call.finished_at is not None:
        tokens = call.input + call.cache_read + call.cache_write
        mark = "~" if call.estimated else ""
        used = f"{tokens:,} tokens read ({call.cache_read:,} cached), {call.output:,} written"
        request = f", request {call.request_id}" if call.request_id else ""
        error = f": {call.error}" if call.error else ""
        cost = f"{mark}{call.micro_usd / 1_000_000:.4f} USD"
        yield Moment(call.finished_at, f"the call ended, {call.state}{error} ({used}, {cost}{request})")


_STEPS: Mapping[str, str] = {
    "claimed": "claimed by {}",
    "resumed": "taken up again by {}: it had been given back",
    "died": "taken up by {}: the process before gave no sign of life",
    "again": "claimed by {}: it is wanted again",
    "recorded": "the whole answer is stored ({})",
    "read": "the thread was read from Slack ({})",
    "condensed": "the oldest part was condensed ({})",
    "anew": "the question was changed: answered anew",
    "over budget": "refused: {}",
    "limited": "Slack: {}",
    "unreachable": "no answer from Slack: {}",
    "refused": "Slack refused: {}",
    "adopted": "message {} was found in the thread and taken over",
    "not made": "the message that {} may have made was looked for: it is not there",
    "late": "message {} came after all by a call that was taken for lost, and is deleted",
    "unaccounted": "{} more messages of Bobbin stand there that no turn accounts for",
    "not growing": "not shown as it grows, only at its end ({})",
    "not shown": "the end could not be shown: {}",
    "put off": "put off: {}",
    "given back": "given back: {}",
}


def _of_step(step: Step) -> str:
    return _STEPS.get(step.what, f"{step.what} {{}}").format(step.detail).strip()


def _ms(ts: str) -> int:
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * 1000 + int((fraction + "000")[:3])


def _seconds(ms: int) -> str:
    seconds = max(0, ms) / 1000
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  two minutes
