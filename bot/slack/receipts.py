"""What an answer was made of, in words for who asked. Pure."""

from collections.abc import Mapping, Sequence

from bot.events import one_line
from bot.files import REASONS
from bot.insight import Receipt
from bot.slack.about import counted, escaped, usd, when

_NAMES = 20
_REQUESTS = 3
_REASONS: Mapping[str, str] = {str(reason): words for reason, words in REASONS.items()}


def told(receipt: Receipt, names: Sequence[str]) -> str:
    """Return a receipt in Slack's markup; `names` are those of the people whose messages were read."""
    files = [(one_line(name), reason) for name, reason in receipt.files]
    read = [name for name, reason in files if not reason]
    unread = [f"{name} ({_REASONS.get(reason, reason)})" for name, reason in files if reason]
    lines = [
        _messages(receipt),
        _listed("By", [one_line(name) for name in names]),
        _listed("Files", read),
        _listed("Files that I did not read", unread),
        _condensed(receipt),
        *_calls(receipt),
        f"_Answer T{receipt.turn}. What was deleted since is left out._",
    ]
    return "\n".join(filter(None, lines))


def _messages(receipt: Receipt) -> str:
    count = receipt.messages + receipt.answers
    if not count:
        return "Nothing of what I read for this answer is kept any more."
    own = f", {counted(receipt.answers, 'earlier answer')} of mine among them" if receipt.answers else ""
    between = f" from {when(receipt.first)} to {when(receipt.last)}" if count > 1 else ""
    return f"*For this answer I read {counted(count, 'message')}*{between}{own}."


def _condensed(receipt: Receipt) -> str:
    if receipt.condensed is None:
        return "*Condensed:* the older part of the thread, which I read as a summary."
    if receipt.condensed:
        return f"*Condensed:* the oldest {receipt.condensed:,} of them, which I read as a summary."
    return ""


def _calls(receipt: Receipt) -> list[str]:
    if not receipt.models:
        return ["No model was asked."]
    total = receipt.input + receipt.cache_read + receipt.cache_write
    cost = ("about " if receipt.estimated else "") + usd(receipt.micro_usd)
    return [
        f"*Tokens:* {total:,} read, {receipt.cache_read:,} from the cache; {receipt.output:,} written.",
        f"*Cost:* {cost}, by {', '.join(f'`{escaped(model)}`' for model in receipt.models)}.",
        _listed("Request", [f"`{request}`" for request in receipt.requests[-_REQUESTS:]]),
    ]


def _listed(title: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return f"*{title}:* {escaped(', '.join(names[:_NAMES]))}{more}"
