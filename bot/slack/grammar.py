"""How the tokens of a model's Markdown begin, go on and end.

A pattern named `..._BEGUN` matches what further text may still make such a token of (and at times a little
more): while it matches all there is, nothing can be decided. Each is bounded, so that little is held back.
"""

import re
from dataclasses import dataclass

from bot.slack.links import JOINER, code

GRAVE = "\u02cb"  # looks like a backtick, is none
LONGEST_RUN = 16
LONGEST_WORD = 1000
LONGEST_CODE = 500

# Written without spaces between words: they flow at once, and an address ends before them.
_EAST_ASIAN = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
EAST_ASIAN_RUN = re.compile(rf"[{_EAST_ASIAN}]+")
SPACE = re.compile(r"[^\S\n]+")
WORD = re.compile(rf"(?:[^\s<`\[\]|\\&!{_EAST_ASIAN}]|!(?!\[)){{1,{LONGEST_WORD}}}")
BACKTICKS = re.compile(rf"`{{1,{LONGEST_RUN + 1}}}")
ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]{0,31}://|(?:mailto|javascript|vbscript|data|slack|file|tel|sms):(?=\S)",
    re.ASCII | re.IGNORECASE,
)
ADDRESS_RUN = re.compile(rf"[^\s<>`|{_EAST_ASIAN}]{{1,{LONGEST_WORD}}}")
# Slack also links an address without a scheme; with a query it becomes code, otherwise it may stay.
_SCHEMELESS = re.compile(
    r"(?<![\w.-])(?:[\w-]++\.)++(?:[a-z][\w-]*+)?(?::[0-9]+)?"
    r"(?:/[^\s?#]{100}|(?:/[^\s?#]*+)?[?#](?=\S*[^\W_]))\S*|(?<![\w-])xn--\S+",
    re.IGNORECASE,
)
_PINGING = re.compile(r"@(?=here|channel|everyone)|~(?=~~)", re.IGNORECASE)
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});?")
ENTITY_BEGUN = re.compile(r"&(?:#[xX]?[0-9a-fA-F]{0,7}|[A-Za-z0-9]{0,32})")
LABEL = re.compile(r"\[[^\[\]\n|]{0,300}")
LABEL_CODE = re.compile(r"[^`]*(?:`[^`]+`(?!`)[^`]*)*")
LONGEST_TARGET = 900
TARGET = re.compile(
    r"\((<[^\s<>|`]*>|(?:[^\s()<>|`]|\([^\s()<>|`]{0,200}\))*)"
    r"(?:[ \t]{1,8}(?:\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'))?[ \t]{0,8}\)"
)
TARGET_BEGUN = re.compile(r"\([^\s`|]{0,1000}+(?:[ \t]{1,8}(?:[\"'][^\n]{0,210})?)?")
USER = re.compile(r"<@([A-Z0-9]{1,20})(?:\|[^<>\n]{0,60})?>")
USER_BEGUN = re.compile(r"<(?:@[A-Z0-9]{0,20}(?:\|[^<>\n]{0,60})?)?")
AUTOLINK = re.compile(
    r"<((?:https?://|mailto:)[^\s<>|`]{1,900})(?:\|([^<>\[\]|`\n]{0,300}))?>", re.ASCII | re.IGNORECASE
)
AUTOLINK_BEGUN = re.compile(r"<[^\s<>|`]{0,910}+(?:\|[^<>\[\]|`\n]{0,300})?")
AUTOLINK_SCHEMES = ("http://", "https://", "mailto:")
CODE_WORD = re.compile(r"[^\s<&`|:\]]{1,200}")
LIVE_IN_CODE = re.compile(
    r"(?:<|&lt;|&#0{0,3}60;|&#x0{0,3}3c;)(?=[!@#]|https?://|mailto:|slack:|tel:|javascript:|data:)",
    re.ASCII | re.IGNORECASE,
)
LIVE_IN_CODE_BEGUN = re.compile(r"(?:<|&[a-z0-9#]{0,8};?)[a-z:/]{0,10}", re.ASCII | re.IGNORECASE)
_RUN = rf"(?:`{{3,{LONGEST_RUN}}}(?!`)|~{{3,{LONGEST_RUN}}}(?!~))"
OPENING = re.compile(
    rf"(?P<before>[ \t>]{{0,32}}(?P<marker>(?:[-*+]|\d{{1,9}}[.)])[ \t]{{1,4}})?)(?P<run>{_RUN})"
    r"(?P<info>[^`\n]{0,64})\n"
)
OPENING_BEGUN = re.compile(
    r"[ \t>]{0,32}(?:\d{1,9}|(?:[-*+]|\d{1,9}[.)])[ \t]{0,4})?"
    rf"(?:`{{0,{LONGEST_RUN}}}|~{{0,{LONGEST_RUN}}}|{_RUN}[^`\n]{{0,64}})"
)


@dataclass(frozen=True, slots=True)
class Fence:
    """An open fence: its closing run in what is written, and patterns for the lines that are read."""

    run: str
    indent: re.Pattern[str]
    begun: re.Pattern[str]
    closing: re.Pattern[str]
    misleading: re.Pattern[str]

    @classmethod
    def opened(cls, run: str, before: str) -> "Fence":
        """Make the fence that `run` opens; `before` it are indentation, quote signs and a list marker."""
        indent = rf"[ \t{'>' if '>' in before else ''}]{{0,{len(before)}}}"
        return cls(
            run="`" * len(run),
            indent=re.compile(indent),
            begun=re.compile(indent + r" {0,3}[`~]{0,20}[ \t]{0,16}"),
            closing=re.compile(indent + rf" {{0,3}}{run[0]}{{{len(run)},20}}[ \t]{{0,16}}(?=\n|\Z)"),
            misleading=re.compile(rf" {{0,3}}`{{{len(run)}}}"),
        )


def inert(word: str) -> str:
    """Return a word of prose that pings nobody, opens no fence and links to no query without a scheme."""
    word = _PINGING.sub(lambda found: found[0] + JOINER, word)
    if "." not in word:
        return word
    return _SCHEMELESS.sub(lambda found: _shown_as_code(found[0]), word)


def _shown_as_code(address: str) -> str:
    bare = without_punctuation(address)
    return code(bare) + address[len(bare) :]


def without_punctuation(url: str) -> str:
    """Return `url` without what belongs to the sentence around it."""
    end = len(url)
    while end:
        last = url[end - 1]
        opening = {")": "(", "]": "[", "}": "{"}.get(last)
        unbalanced = opening and url.count(last, 0, end) > url.count(opening, 0, end)
        if last not in ".,;:!?'\"*_~" and not unbalanced:
            break
        end -= 1
    return url[:end]
