"""Which links of an answer stay clickable, and how they are shown.

A link can carry out what the model has read, in its query, its host or its path, and its label can lie about
where it leads. So a link that nobody in the thread wrote is cut to scheme, host and a short path, and a
labelled one shows its host.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

JOINER = "\u2060"
"""U+2060, word joiner: people do not see it, no parser reads across it."""

LONGEST_PATH = LONGEST_HOST = 100

_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: an IPv4 address never does, in none of its spellings.
_HOST = rf"((?:{_LABEL}\.){{0,20}}(?!xn--)[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?)"
_AUTHORITY = re.compile(rf"{_HOST}(?::[0-9]{{1,5}})?", re.ASCII | re.IGNORECASE)
_MAIL = re.compile(rf"mailto:([\w.+-]{{1,64}}@{_HOST})(\?.*)?", re.ASCII | re.IGNORECASE)
_WEB = re.compile(r"(https?)://([^/?#\\\s]*)([^?#\\\s]*)([^\\\s]*)", re.ASCII | re.IGNORECASE)
_SCHEME = re.compile(r"^(?:https?://|mailto:)", re.IGNORECASE)
_PATH = re.compile(rf"[\w\-.~!$'()*+,=:@%/]{{0,{LONGEST_PATH}}}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LOOKS_LIKE_ADDRESS = re.compile(r"(?:\S+@)?(?:[\w-]+\.)+[^\W\d_]{2,}(?:[:/?#]\S*)?")
_PINGING = re.compile(r"@(?=here|channel|everyone)", re.IGNORECASE)
_STYLE = re.compile(r"[*_~`\\]")
"""Markdown's marks and its escape: people do not see them, wherever they stand."""
_BRACKETS = str.maketrans({"[": "%5B", "]": "%5D"})
_PARENTHESES = str.maketrans({"(": "%28", ")": "%29"})


def code(text: str) -> str:
    """Return inline code that nothing in `text` can end or make live; empty when there is nothing to show."""
    shown = re.sub(r"[\s`|]+", " ", text).strip()
    for live in ("<", "]", ":/"):
        shown = shown.replace(live, live[0] + JOINER + live[1:])
    return f"`{shown}`" if shown else ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What may be clicked (`href`, or None), where it leads, and what is shown as code when nothing may."""

    href: str | None
    host: str
    shown: str


class Links:
    """The links that are let through whole: those people wrote in the thread, and those of trusted hosts."""

    def __init__(self, allowed: Iterable[str] = (), domains: Iterable[str] = ()) -> None:
        self._allowed = frozenset(map(_normal, allowed))
        self._domains = frozenset(domain.lower().strip(".") for domain in domains)

    def bare(self, url: str) -> str:
        """Show an address standing by itself: whole, cut to what is allowed, or as code."""
        verdict = self._judge(url)
        return verdict.href or code(verdict.shown)

    def labelled(self, label: str, url: str) -> str:
        """Show a link with its host; where nothing may be clicked, the label and the address as code.

        `label` is harmless inline Markdown, without brackets.
        """
        verdict = self._judge(url)
        plain = _as_seen(label)
        lies = bool(_LOOKS_LIKE_ADDRESS.fullmatch(plain)) or any(
            sign in plain for sign in ("://", "www.", "mailto:")
        )
        if verdict.href is None:
            address = code(verdict.shown)
            if not plain or (lies and address):
                return address
            return f"{label} ({address})" if address else label
        href = verdict.href.translate(_PARENTHESES)
        host = re.escape(verdict.host)
        if not plain:
            return f"[{_SCHEME.sub('', verdict.href)}]({href})"
        if lies and plain != verdict.host:
            return f"[{verdict.host}]({href})"
        if re.search(rf"(?<![\w.@-]){host}(?![\w@-]|\.\w)", plain):
            return f"[{label}]({href})"
        return f"[{label}]({href}) ({verdict.host})"

    def _judge(self, url: str) -> _Verdict:
        plain = _decoded(url)
        known = _normal(url) in self._allowed
        if mail := _MAIL.fullmatch(plain):
            return _Verdict(_inert(url) if known else f"mailto:{mail[1]}", mail[1].lower(), plain)
        web = _WEB.fullmatch(plain)
        if web is None:
            return _Verdict(None, "", plain)
        scheme, authority, path, _ = web.groups()
        shown = plain[len(scheme) + 3 :] or plain
        sound = _AUTHORITY.fullmatch(authority) if len(authority) <= LONGEST_HOST else None
        host = sound[1].lower() if sound else authority.rpartition("@")[2].lower()
        if known or (sound and self._trusts(host)):
            return _Verdict(_inert(url), host, shown)
        if sound and _PATH.fullmatch(path):
            return _Verdict(_inert(f"{scheme}://{authority}{path}"), host, shown)
        return _Verdict(None, host, shown)

    def _trusts(self, host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[start:]) in self._domains for start in range(len(labels)))


def _decoded(url: str) -> str:
    """Return the address as a Markdown reader takes it: entities are read in it, also in place of `?`."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), url)


def _normal(url: str) -> str:
    plain = _decoded(url)
    web = _WEB.fullmatch(plain)
    return f"{web[1].lower()}://{web[2].lower()}{web[3] or '/'}{web[4]}" if web else plain


def _inert(url: str) -> str:
    return _PINGING.sub("%40", url.translate(_BRACKETS))


def _as_seen(label: str) -> str:
    """Return the label as people read it: no marks of style, no invisible characters, look-alikes folded."""
    folded = unicodedata.normalize("NFKC", label)
    seen = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return _STYLE.sub("", seen).strip().lower()
