"""The model's Markdown, made harmless for Slack while it streams.

Slack honours `<!channel>`, `<@U1>` and `<url|label>` also inside Markdown and code, and it reads the whole of
a stream anew with every append. So the text is scanned, not parsed: a step reads one token, and decides only
when no further character could change its decision. So any cutting into deltas gives the same result.

What is written is kept simple enough that every Markdown reader agrees on what is code: fences stand at the
margin, inline code ends on its line, nothing else is left that could open either.
"""

import html
import re
from collections.abc import Mapping

from bot.slack import grammar
from bot.slack.grammar import Fence
from bot.slack.links import JOINER, Links, code


class Outgoing:
    """One answer on its way out: `feed` it the model's deltas, show what comes back, then `close` it.

    `names` are the people known in the thread (user id -> name); `links` says which links stay whole.
    What is held back is an unfinished word, or an unfinished `<...`, link, entity, inline code or fence line,
    at most some hundred characters of it.
    """

    def __init__(self, names: Mapping[str, str] | None = None, links: Links | None = None) -> None:
        self._names = names or {}
        self._links = links or Links()
        self._text = ""  # read up to _at
        self._at = 0
        self._final = False
        self._out: list[str] = []
        self._last = ""  # the last character written
        self._line_start = True
        self._fence: Fence | None = None
        self._span = ""  # the backticks that end the inline code we are in
        # A table cell ends at a pipe, even within inline code: from there on code may be read as text.
        self._piped = False

    def feed(self, delta: str) -> str:
        """Return the harmless text that may be shown now, after `delta`; possibly empty."""
        # Markdown takes a lone carriage return for the end of a line.
        self._text = self._text[self._at :] + delta.replace("\r", "")
        self._at = 0
        return self._scan()

    def close(self) -> str:
        """Return the rest, with code closed that is still open."""
        self._final = True
        rest = self._scan()
        if self._fence:
            self._write(("" if self._last == "\n" else "\n") + self._fence.run)
        self._end_span()
        return rest + self._taken()

    def _scan(self) -> str:
        while self._at < len(self._text) and self._step():
            pass
        return self._taken()

    def _taken(self) -> str:
        taken = "".join(self._out)
        self._out.clear()
        return taken

    # Each step reads one token and is True, or leaves all as it is and is False: more text is needed.

    def _step(self) -> bool:
        if self._line_start:
            return self._fence_line(self._fence) if self._fence else self._opening()
        char = self._text[self._at]
        if char == "\n":
            self._end_span()
            self._line_start, self._piped = True, False
            return self._take(1, "\n")
        if self._fence or self._span:
            return self._in_code(char)
        return self._in_text(char)

    def _in_text(self, char: str) -> bool:
        flowing = grammar.SPACE.match(self._text, self._at) or grammar.EAST_ASIAN_RUN.match(
            self._text, self._at
        )
        if flowing:
            return self._take(len(flowing[0]), flowing[0])
        if label := grammar.LABEL.match(self._text, self._at + (char == "!")):
            return self._link(label)
        if char in "]|":
            self._piped |= char == "|"
            return self._take(1, char)
        special = {"`": self._backticks, "<": self._angle, "&": self._entity, "\\": self._backslash}
        return special.get(char, self._word)()

    def _word(self) -> bool:
        found = self._whole(grammar.WORD)
        if found is None:
            return False
        word = found[0]
        if (address := grammar.ADDRESS.search(word)) is None:
            return self._take(
                len(word), grammar.inert(word) + (JOINER if len(word) == grammar.LONGEST_WORD else "")
            )
        run = self._whole(grammar.ADDRESS_RUN, self._at + address.start())
        if run is None:
            return False
        if address.start():
            self._write(grammar.inert(word[: address.start()]))
        self._at = run.end()
        self._address(run[0])
        return True

    def _address(self, raw: str) -> None:
        url = grammar.without_punctuation(raw)
        shown = code(raw) if len(raw) == grammar.LONGEST_WORD else self._links.bare(url)
        if shown.startswith("`"):
            self._make(shown)
        else:
            self._write(shown)
        if len(raw) < grammar.LONGEST_WORD:
            self._write(raw[len(url) :].replace("]", "]" + JOINER))
        following = self._text[self._at : self._at + 1]
        if following == "|" or grammar.EAST_ASIAN_RUN.match(following):
            self._write(" ")  # so that no reader takes what follows for more of the address

    def _link(self, opening: re.Match[str]) -> bool:
        end = opening.end()
        ahead = self._text[end : end + 2]
        if not self._final and ahead in {"", "]"}:
            return False
        label = opening[0][1:]
        target = None
        if ahead == "](":
            target = grammar.TARGET.match(self._text, end + 1)
            if target is None and not self._final and grammar.TARGET_BEGUN.fullmatch(self._text, end + 1):
                return False
        if (
            target is None
            or ":" not in target[1]
            or len(target[1]) > grammar.LONGEST_TARGET
            or not grammar.LABEL_CODE.fullmatch(label)
        ):
            return self._take(1, self._text[self._at])
        self._at = target.end()
        self._make(self._links.labelled(self._inline(label), target[1].strip("<>")))
        return True

    def _angle(self) -> bool:
        ahead = self._text[self._at + 1 : self._at + 9].lower()
        if user := grammar.USER.match(self._text, self._at):
            self._at = user.end()
            self._make(self._person(user[1]))
            return True
        if link := grammar.AUTOLINK.match(self._text, self._at):
            self._at = link.end()
            url, label = link[1], link[2]
            self._make(self._links.labelled(self._inline(label or ""), url))
            return True
        begun = grammar.USER_BEGUN.fullmatch(self._text, self._at) or (
            any(scheme.startswith(ahead) or ahead.startswith(scheme) for scheme in grammar.AUTOLINK_SCHEMES)
            and grammar.AUTOLINK_BEGUN.fullmatch(self._text, self._at)
        )
        if begun and not self._final:
            return False
        inert = not ahead or ahead[0].isspace() or ahead[0] == JOINER
        return self._take(1, "<" if inert else "<" + JOINER)

    def _entity(self) -> bool:
        if not self._final and grammar.ENTITY_BEGUN.fullmatch(self._text, self._at):
            return False
        found = grammar.ENTITY.match(self._text, self._at)
        entity = found[0] if found else "&"
        char = html.unescape(entity)
        if char == entity:
            return self._take(1, "&")
        if char[:1] in "<&":
            return self._take(len(entity), entity + JOINER)
        if char[0].isascii() and char[0] not in ">\"'":
            # A spelled-out colon or bracket could complete what the scanner never sees.
            return self._take(len(entity), "&" + JOINER + entity[1:])
        return self._take(len(entity), entity)

    def _backslash(self) -> bool:
        following = self._text[self._at + 1 : self._at + 2]
        if not following and not self._final:
            return False
        if following == "`":  # not every reader knows the escape
            return self._take(2, grammar.GRAVE)
        return self._take(2, "\\\\") if following == "\\" else self._take(1, "\\")

    def _backticks(self) -> bool:
        found = self._whole(grammar.BACKTICKS)
        if found is None:
            return False
        run = found[0]
        if len(run) > grammar.LONGEST_RUN:
            return self._take(len(run), grammar.GRAVE * len(run))
        if not self._span:
            ends = self._code_ends(run)
            if ends:
                self._take(len(run), run)
                self._span = run
            elif ends is False:
                self._take(len(run), grammar.GRAVE * len(run))
            return ends is not None
        self._at += len(run)
        self._write(run, guard=False)
        if run == self._span:
            self._span = ""
        return True

    def _code_ends(self, run: str) -> bool | None:
        """Whether the inline code that `run` would open ends soon, or None: more text is needed.

        Until its end is there it is no code to a reader, and a link in it would be live.
        """
        start = self._at + len(run)
        found = re.compile(rf"(?<!`){run}(?!`)|\n").search(self._text, start)
        if found and (self._final or found.end() < len(self._text) or found[0] == "\n"):
            return found.end() - start <= grammar.LONGEST_CODE
        if len(self._text) - start > grammar.LONGEST_CODE:
            return False
        return True if self._final else None

    def _in_code(self, char: str) -> bool:
        if char == "`" and self._span:
            return self._backticks()
        if char in "<&":
            if not self._final and grammar.LIVE_IN_CODE_BEGUN.fullmatch(self._text, self._at):
                return False
            found = grammar.LIVE_IN_CODE.match(self._text, self._at)
            return self._take_code(found[0] if found else char, JOINER if found else "")
        if char in "`|:]":
            self._piped |= char == "|"
            following = self._text[self._at + 1 : self._at + 2]
            if not following and not self._final:
                return False
            opens = self._span and self._piped and char + following in {":/", "]("}
            return self._take_code(char, JOINER if opens else "")
        found = grammar.SPACE.match(self._text, self._at) or self._whole(grammar.CODE_WORD)
        return found is not None and self._take_code(found[0])

    def _opening(self) -> bool:
        """Lift a fence out of its list or quote: Slack shows no code there, and neither may end it early."""
        if not self._final and grammar.OPENING_BEGUN.fullmatch(self._text, self._at):
            return False
        if (found := grammar.OPENING.match(self._text, self._at)) is None:
            self._line_start = False
            return True
        marker = (found["marker"] or "").strip()
        self._fence = Fence.opened(found["run"], found["before"])
        language = re.match(r"[\w+#.-]*", found["info"].strip())
        info = language[0] if language else ""
        return self._take(len(found[0]), f"{marker}\n" * bool(marker) + f"{self._fence.run}{info}\n")

    def _fence_line(self, fence: Fence) -> bool:
        if not self._final and fence.begun.fullmatch(self._text, self._at):
            return False
        self._line_start = False
        if found := fence.closing.match(self._text, self._at):
            self._fence = None
            return self._take(len(found[0]), fence.run)
        if found := fence.indent.match(self._text, self._at):
            self._at = found.end()
        if fence.misleading.match(self._text, self._at):
            self._write(JOINER, guard=False)
        return True

    def _end_span(self) -> None:
        if self._span:
            self._write((" " if self._last == "`" else "") + self._span, guard=False)
            self._span = ""

    def _inline(self, label: str) -> str:
        inner = Outgoing(self._names, self._links)
        inner._line_start = False
        return inner.feed(label) + inner.close()

    def _person(self, user: str) -> str:
        name = " ".join(re.sub(r"[^\w .'\u2019-]", " ", self._names.get(user, "")).split())
        return grammar.inert(f"@{name}") if name else f"@{JOINER}{user}"

    def _whole(self, pattern: re.Pattern[str], at: int | None = None) -> re.Match[str] | None:
        """Match here, or be None while further text could make it longer."""
        found = pattern.match(self._text, self._at if at is None else at)
        return None if found and found.end() == len(self._text) and not self._final else found

    def _take(self, length: int, written: str) -> bool:
        self._at += length
        self._write(written)
        return True

    def _take_code(self, read: str, guard: str = "") -> bool:
        self._at += len(read)
        self._write(read + guard, guard=False)
        return True

    def _make(self, text: str) -> None:
        """Write what the model did not write so itself: it may not complete anything before it."""
        self._write((JOINER if self._last and not self._last.isspace() and text else "") + text)

    def _write(self, text: str, *, guard: bool = True) -> None:
        if not text:
            return
        if guard and (self._last + text[0] in {"](", "]:", "![", "``", "\\`"}):
            self._out.append(JOINER)
        self._out.append(text)
        self._last = text[-1]


def harmless(text: str, names: Mapping[str, str] | None = None, links: Links | None = None) -> str:
    """Return a whole text as `Outgoing` writes it."""
    outgoing = Outgoing(names, links)
    return outgoing.feed(text) + outgoing.close()
