"""Slack's markup of an incoming message, undone: what its sender saw, and whom and what it mentions.

Slack writes mentions, channels, groups, dates and links as `<...>` and escapes `&`, `<` and `>` elsewhere, so
every `<` left in such a text begins a tag (docs.slack.dev/messaging/formatting-message-text).
"""

import re
from collections.abc import Mapping

_TAG = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_OTHERS = re.compile(r"<(?:@|!subteam\^)([A-Z0-9]+)(?:\|[^<>]*)?>")
_ESCAPE = re.compile(r"&(lt|gt|amp);")
_ESCAPED = {"lt": "<", "gt": ">", "amp": "&"}
_LINK = re.compile(r"https?://|mailto:", re.IGNORECASE)

_PLEASANTRY = re.compile(
    r"(?<!\w)(?:"
    r"(?:many )?thanks(?: a lot| so much| again)?|thank (?:you|u)(?: (?:so|very) much| again)?|thx|ty|cheers|"
    r"ok|okay|okey|k|kk|great|cool|perfect|nice(?: one)?|awesome|excellent|got it|\+1|"
    r"(?:vielen |herzlichen )?dank|danke(?: schön| dir| sehr)?|dankeschön|super|prima|alles klar|passt|"
    r"merci(?: beaucoup| bien)?|d['\u2019]accord|parfait|génial|"
    r"(?:muchas |mil )?gracias|vale|perfecto|genial|de acuerdo"
    r")(?!\w)"
    r"|(?:どうも)?ありがとう(?:ございます|ございました)?|サンキュー|了解(?:です|しました)?|承知しました|わかりました"
    r"|(?<!\w):[\w+'-]+:(?::skin-tone-\d:)?"
    r"|[:;]-?[)DP](?!\w)|<3"
    r"|[\U0001F1E6-\U0001FAFF\u2600-\u27BF\u2B50\u2B55\u203C]",
    re.IGNORECASE,
)
_WORDS_LEFT = re.compile(r"[\w?\uff1f]")


def read(text: str, *, me: str, names: Mapping[str, str]) -> str:
    """Return the text as its sender saw it, without the mention of Bobbin (user id `me`).

    `names` maps user ids to the names shown; a person missing there keeps Slack's label, or the id.
    """
    rest, shown, end = without_mention(text, me), "", 0
    for tag in _TAG.finditer(rest):
        shown += _unescaped(rest[end : tag.start()]) + _seen(tag[1], tag[2] or "", names)
        end = tag.end()
    return shown + _unescaped(rest[end:])


def without_mention(text: str, me: str) -> str:
    """Return what is left, stripped, when the mentions of `me` and the space around them are dropped.

    So `<@UBOT>: mute` is `mute`. The rest keeps Slack's markup.
    """
    if f"<@{me}" not in text:  # as most of a long thread: nothing is to be looked for
        return text.strip()
    mention = rf"<@{re.escape(me)}(?:\|[^<>]*)?>"
    text = re.sub(rf"\A\s*(?:{mention}\s*)+(?:[,:]\s+)?", "", text)
    # A run of blanks is matched whole, whatever follows it: tried from each of n blanks, it costs n² steps.
    at_an_edge = rf"[ \t]*+{mention}[ \t]*+(?=[\n.,;:!?)]|\Z)|(?<=\n){mention}[ \t]*+|([ \t]++)"
    text = re.sub(at_an_edge, r"\1", text)
    inside = rf"[ \t]*+{mention}[ \t]*+|([ \t]++)"
    return re.sub(inside, lambda found: found[1] or " ", text).strip()


def mentions(text: str) -> tuple[str, ...]:
    """Return the ids of the users mentioned, each once, in the order of the text."""
    return tuple(dict.fromkeys(_USER.findall(text)))


def mentions_others(text: str, me: str) -> bool:
    """Whether a person, bot or user group other than `me` is mentioned."""
    return any(mentioned != me for mentioned in _OTHERS.findall(text))


def links(text: str) -> frozenset[str]:
    """Return the addresses (http, https, mailto) in the text."""
    return frozenset(_unescaped(tag[1]) for tag in _TAG.finditer(text) if _LINK.match(tag[1]))


def is_pleasantry(text: str) -> bool:
    """Whether the whole message is only thanks, assent or emoji, with no question and no other word."""
    text = _unescaped(text)
    return bool(_PLEASANTRY.search(text)) and not _WORDS_LEFT.search(_PLEASANTRY.sub(" ", text))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], text) if "&" in text else text


def _bare(address: str) -> str:
    scheme = next((scheme for scheme in ("https://", "http://", "mailto:") if address.startswith(scheme)), "")
    return address[len(scheme) :].removesuffix("/")


def _seen(tag: str, label: str, names: Mapping[str, str]) -> str:
    """Return how Slack shows `<tag|label>`; the names are not escaped, all else is."""
    label = _unescaped(label)
    kind, target = tag[:1], _unescaped(tag[1:])
    if kind == "@":
        return "@" + (names.get(target) or label.removeprefix("@") or target)
    if kind == "#":
        return "#" + (label or target)
    if kind == "!":
        if target.startswith("date^"):
            return label
        command, _, group = target.partition("^")
        return "@" + (label.removeprefix("@") or group or command)
    url = kind + target
    address = url.removeprefix("mailto:")
    if _bare(label) in {"", _bare(url)}:
        return address
    return f"{label} ({address})"
